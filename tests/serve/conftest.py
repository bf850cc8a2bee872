"""A server over values in memory, for tests: no cluster, no source, plain HTTP on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from adapter.collect.answer import (
    CustomOffer,
    CustomQuestion,
    CustomValue,
    ExternalQuestion,
    ExternalValue,
    Missing,
    NodeUsage,
    ObjectReference,
    PodUsage,
    Unavailable,
    Usage,
)
from adapter.inbound.listener import Listener
from adapter.inbound.places import Bounds
from adapter.kube.resources import GroupResource
from adapter.serve.authenticate import Authentication, BearerTokens, User
from adapter.serve.authorize import (
    AccessReviews,
    AlwaysAllowedPaths,
    Attributes,
    Authorization,
    PrivilegedGroups,
    Verdict,
)
from adapter.serve.health import Check, Readiness
from adapter.serve.server import Limits, Server, serve
from adapter.spans import OFF, Tracer
from adapter.units.quantity import Format, Quantity
from adapter.units.selector import Selector

asyncio.set_event_loop(None)  # or pytest-asyncio makes one to put back after each test, and never closes it

NOW = 1795396678.0  # 2026-11-23T01:17:58Z
NS = "bench-golden"
USERS = {
    "authorised": User("bench-metrics-reader"),
    "nobody": User("bench-nobody"),
    "admin": User("admin", ("system:masters",)),
}


class Held(NamedTuple):
    """One value: of which kind and object, with which labels, and how much in thousandths."""

    kind: str
    api_version: str
    namespace: str
    name: str
    milli: int
    labels: Mapping[str, str] = {}


PODS, NODES, DEPLOYMENTS = GroupResource("", "pods"), GroupResource("", "nodes"), GroupResource("apps", "deployments")
NAMESPACES = GroupResource("", "namespaces")
APP = {"app": "golden", "bench": "1"}


def _pods(*milli: int | None) -> list[Held]:
    return [Held("Pod", "v1", NS, f"golden-{n}", m, APP) for n, m in enumerate(milli) if m is not None]


def _memory(count: int, binary: bool) -> Quantity:
    return Quantity.of(count, Format.BINARY_SI if binary else Format.DECIMAL_SI)


@dataclass
class FakeAnswers:
    """`Answers` in memory, with the series that stood behind the recorded answers of the peer."""

    serves_custom: bool = True
    serves_external: bool = True
    serves_resource: bool = True
    time: float = NOW
    window: float | None = None
    problem: BaseException | None = None
    """Raised by every question where set."""
    waits_for: str = ""
    """What /readyz says that its check `source` waits for."""
    asked: list[Any] = field(default_factory=list)
    gate: asyncio.Event | None = None
    """Questions wait for it where set."""
    metrics: dict[tuple[GroupResource, str], list[Held]] = field(
        default_factory=lambda: {
            (PODS, "golden_depth"): _pods(1500, 0, 1234567800),
            (PODS, "http_requests_per_second"): _pods(10000, 10000, 10000),
            (PODS, "golden_odd"): _pods(-(2**63), -3250, 0),
            (PODS, "golden_partial"): _pods(None, 1000000, None),
            (NAMESPACES, "golden_depth"): [Held("Namespace", "v1", "", NS, 0)],
            (DEPLOYMENTS, "golden_lag"): [Held("Deployment", "apps/v1", NS, "golden", 12500)],
            (NODES, "golden_heat"): [Held("Node", "v1", "", "fake-000", 55000)],
            (PODS, "golden_labelled"): [],
        }
    )
    labelled: dict[str, int] = field(default_factory=lambda: {"verb=GET": 3000, "verb in (GET,PUT)": 7000})
    external_metrics: dict[str, list[tuple[str, int]]] = field(
        default_factory=lambda: {
            "queue_messages_ready": [("mail", 7000), ("orders", 42500)],
            "queue_odd": [("inf", -(2**63)), ("nan", -(2**63)), ("small", 0)],
        }
    )

    def custom_offers(self) -> Sequence[CustomOffer]:
        offers = [CustomOffer(resource, name, resource not in (NODES, NAMESPACES)) for resource, name in self.metrics]
        return sorted(offers, key=lambda offer: (str(offer.resource), offer.metric))

    async def custom(self, question: CustomQuestion) -> Sequence[CustomValue]:
        await self._note_question(question)
        objects = self.metrics.get((self._resolve(question.resource), question.metric))
        if objects is None:
            raise Missing("")
        if question.metric == "golden_labelled":
            objects = _pods(self.labelled[str(question.metric_selector)])
        here = [held for held in objects if held.namespace == question.namespace and question.name in ("*", held.name)]
        if not here or not any(question.selector.matches(held.labels) for held in here):
            raise Missing("")
        return [
            CustomValue(
                ObjectReference(held.kind, held.namespace, held.name, held.api_version),
                Quantity.of_milli(held.milli),
                self.time,
                self.window,
            )
            for held in here
        ]

    def _resolve(self, resource: GroupResource) -> GroupResource:
        return DEPLOYMENTS if resource == GroupResource("", "deployments") else resource

    def external_offers(self) -> Sequence[str]:
        return sorted(self.external_metrics)

    async def external(self, question: ExternalQuestion) -> Sequence[ExternalValue]:
        await self._note_question(question)
        queues = self.external_metrics.get(question.metric)
        if queues is None:
            raise Missing("")
        if question.namespace != NS:
            return []
        labelled = [({"queue": queue}, milli) for queue, milli in queues]
        return [
            ExternalValue(labels, Quantity.of_milli(milli), self.time, self.window)
            for labels, milli in labelled
            if question.selector.matches(labels)
        ]

    def node_usage(self, name: str | None, selector: Selector) -> Sequence[NodeUsage]:
        usage = Usage(Quantity.of_milli(1250), _memory(2**30, binary=True))
        nodes = [NodeUsage("fake-000", {"kubernetes.io/hostname": "fake-000"}, self.time, 300.0, usage)]
        return [node for node in nodes if name in (None, node.name) and selector.matches(node.labels)]

    def pod_usage(self, namespace: str | None, name: str | None, selector: Selector) -> Sequence[PodUsage]:
        usages = [
            Usage(Quantity.of_milli(250), _memory(50 * 2**20, binary=True)),
            Usage(Quantity.of_milli(0), _memory(1000, binary=False)),
        ]
        pods = [PodUsage(NS, f"golden-{n}", APP, self.time, 300.0, [("app", usage)]) for n, usage in enumerate(usages)]
        return [
            pod
            for pod in pods
            if namespace in (None, pod.namespace) and name in (None, pod.name) and selector.matches(pod.labels)
        ]

    async def explain_hpa(self, *, namespace: str, name: str, user: str) -> Mapping[str, object]:
        await self._note_question((namespace, name))
        return {"hpa": f"{namespace}/{name}", "desired": 3}

    def explain(self, question: CustomQuestion) -> Mapping[str, object]:
        self.asked.append(question)
        if self.problem is not None:
            raise self.problem
        return {"metric": question.metric, "resource": str(question.resource), "value": Quantity.of_milli(1500)}

    async def _note_question(self, question: object) -> None:
        self.asked.append(question)
        if self.gate is not None:
            await self.gate.wait()
        if self.problem is not None:
            raise self.problem


async def review_token(token: str) -> User | None:
    return USERS.get(token)


async def review_access(attributes: Attributes) -> Verdict:
    """What the test bed's RBAC said: who is known may discover, one user may read metrics and everything else."""
    if attributes.user.name == "system:anonymous":
        return Verdict(False)
    if attributes.verb not in ("get", "list", "watch"):
        return Verdict(False)
    if attributes.user.name == "bench-metrics-reader":
        return Verdict(True)
    return Verdict(attributes.path.startswith(("/apis", "/openapi", "/version")))


class Answer(NamedTuple):
    """What came back over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Running(NamedTuple):
    """A server that listens, and a client of it that sends targets exactly as they are given."""

    server: Server
    answers: FakeAnswers
    listener: Listener

    async def send(self, path: str, method: str = "GET", user: str = "authorised", **headers: str) -> Answer:
        """One request on a connection of its own."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if user and user != "anonymous":
            named.setdefault("Authorization", f"Bearer {user}")
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        return await self.raw(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n".encode())

    async def head(self, path: str, user: str = "authorised") -> Answer:
        """A HEAD request."""
        lines = f"HEAD {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user}\r\n\r\n"
        return await self.raw(lines.encode(), body=False)

    async def raw(self, request: bytes, body: bool = True) -> Answer:
        """Whatever is sent, as bytes; `body`: whether one follows the head of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.listener.port, limit=2**22)
        try:
            writer.write(request)
            return await read_answer(reader, body)
        finally:
            writer.close()
            await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader, body: bool = True) -> Answer:
    """One HTTP answer with a Content-Length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.title(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    status = int(head[0].split()[1])
    length = int(headers.get("Content-Length", "0")) if body and status != 304 else 0
    return Answer(status, headers, await reader.readexactly(length))


@asynccontextmanager
async def running(
    answers: FakeAnswers | None = None,
    limits: Limits = Limits(),  # noqa: B008
    bounds: Bounds = Bounds(),  # noqa: B008
    tracer: Tracer = OFF,
) -> AsyncIterator[Running]:
    answers = answers or FakeAnswers()
    authorization = Authorization([PrivilegedGroups(), AlwaysAllowedPaths(), AccessReviews(review_access)])
    server = Server(
        answers,
        Authentication([BearerTokens(review_token)]),
        authorization,
        readiness=Readiness(Check("source", lambda: answers.waits_for), None),
        limits=limits,
        release="1.2.3",
        tracer=tracer,
    )
    listener = await serve(server, "127.0.0.1", 0, None, bounds)
    try:
        yield Running(server, answers, listener)
    finally:
        await listener.close(0.1)


@pytest.fixture
async def api() -> AsyncIterator[Running]:
    async with running() as server:
        yield server


@pytest.fixture
def start() -> Callable[..., object]:
    """Starts a server of one's own: `async with start(answers, limits)`."""
    return running


@pytest.fixture
def unavailable() -> Exception:
    return Unavailable("Prometheus has not answered for 30 s")
