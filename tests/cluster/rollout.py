"""The rollout controller as a process, and clients of a Service that count every request."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from tests.cluster.adapter import ROOT
from tests.cluster.bed import Bed
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import sample_deployment
from tests.cluster.processes import wait_until

DEFINITION = ROOT / "manifests" / "crds" / "rolloutpolicy.yaml"
ORDER = ("Switching", "Verifying", "Adopting", "Finishing")
HELD = ("Completing", "Rolling", "Finishing")
BACK = ("Returning", "Removing", "Restoring")
LATER = {phase: order[number:] for order in (HELD, ORDER, BACK) for number, phase in enumerate(order)}
CLIENTS = 20
"""Half of them open a connection for every request."""
PAUSE = 0.08
"""s between two requests of a client: 20 / 0.08 are 250 a second."""


class Controller:
    """`streamgate-rollout run`, in one namespace."""

    def __init__(self, bed: Bed, namespace: str, log: Path) -> None:
        self._flags = [f"--kubeconfig={bed.kubeconfig}", f"--namespace={namespace}", "--address=127.0.0.1:0"]
        self._flags += [f"--leader-elect-resource-namespace={namespace}", "--leader-elect-lease-duration=3s"]
        self._flags += ["--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=500ms"]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "adapter.rollout", "run", *self._flags],
                cwd=ROOT, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, env=dict(os.environ),
            )  # fmt: skip

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None


@contextmanager
def running_controller(bed: Bed, namespace: str, log: Path) -> Iterator[Controller]:
    controller = Controller(bed, namespace, log)
    controller.start()
    try:
        yield controller
    finally:
        controller.end()


class Revision(NamedTuple):
    """Whose answer it was (the sample's `pod_version`), and whether the connection was made for that request."""

    version: str
    fresh: bool


class Span(NamedTuple):
    """When the first and the last request that a revision answered were sent, Unix seconds."""

    first: float
    last: float


class Clients:
    """What clients of one address saw: answers by code, failures by cause, and which revision answered when."""

    def __init__(self, address: str, clients: int = CLIENTS, pause: float = PAUSE, *, all_keep: bool = False) -> None:
        """`pause`: s between two requests of one of the `clients`; `all_keep`: each of them keeps its connection."""
        self._all_keep = all_keep
        self._url, self._clients, self._pause = f"http://{address}/", clients, pause
        self.answers: Counter[int] = Counter()
        self.failures: list[str] = []
        self.last_failure = 0.0
        """When the last request without an answer was sent, Unix seconds; 0: there is none."""
        self.spans: dict[Revision, Span] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="clients", daemon=True)

    def __enter__(self) -> "Clients":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)

    async def _run(self) -> None:
        await asyncio.gather(
            *(self._client(fresh=number % 2 == 0 and not self._all_keep) for number in range(self._clients))
        )

    async def _client(self, *, fresh: bool) -> None:
        connector = aiohttp.TCPConnector(force_close=fresh, limit=1)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=5)) as session:
            while not self._stop.is_set():
                began, sent = time.monotonic(), time.time()
                try:
                    async with session.get(self._url) as answer:
                        self._saw(await answer.text(), sent, fresh=fresh)
                        self.answers[answer.status] += 1
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    self.failures.append(f"{sent:.1f} {'new' if fresh else 'kept'}: {error!r}")
                    self.last_failure = max(self.last_failure, sent)
                await asyncio.sleep(max(0.0, self._pause - (time.monotonic() - began)))

    def _saw(self, body: str, sent: float, *, fresh: bool) -> None:
        key = Revision(body.split()[1] if len(body.split()) > 1 else "", fresh)
        before = self.spans.get(key)
        self.spans[key] = Span(sent, sent) if before is None else Span(before.first, max(before.last, sent))


class Shop:
    """The Deployment `web` of three pods in a namespace, with a RolloutPolicy; `env` are the sample's settings."""

    def __init__(self, bed: Kubectl, namespace: str, spec: dict[str, Any], *, replicas: int = 3, **env: object) -> None:
        self.bed, self.namespace, self._env, self._replicas = bed, namespace, env, replicas
        bed.apply(self._objects("1"))
        bed.rollout("web", namespace)
        bed.apply(DEFINITION)
        bed.wait("crd/rolloutpolicies.streamgate.io", "condition=Established", 30)
        bed.apply({
            "apiVersion": "streamgate.io/v1alpha1",
            "kind": "RolloutPolicy",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {"targetRef": {"name": "web"}, "settleSeconds": 3, **spec},
        })  # fmt: skip

    def _objects(self, version: str) -> list[dict[str, Any]]:
        return sample_deployment(
            "web", self.namespace, self._replicas, WORK_MS=2, DRAIN_S=3, POD_VERSION=version, **self._env
        )

    @property
    def address(self) -> str:
        return str(self.bed.get("service", "web", "-n", self.namespace)["spec"]["clusterIP"])

    def release(self, version: str, **env: object) -> None:
        """An edit of the template: another version, and other settings of the sample."""
        values = [f"{name}={value}" for name, value in {"POD_VERSION": version, **env}.items()]
        self.bed.kubectl("set", "env", "deployment/web", *values, "-n", self.namespace)

    def verb(self, *arguments: str, policy: str = "web") -> int:
        """A verb of the command line, about this policy or ('') none; its exit code."""
        flags = [f"--kubeconfig={self.bed.kubeconfig}", "-n", self.namespace]
        command = [
            sys.executable,
            "-m",
            "adapter.rollout",
            arguments[0],
            *filter(None, [policy]),
            *arguments[1:],
            *flags,
        ]
        return subprocess.run(command, cwd=ROOT, check=False, timeout=120).returncode

    def status(self) -> dict[str, Any]:
        return dict(self.bed.get("rolloutpolicy", "web", "-n", self.namespace).get("status", {}))

    def pods(self, version: str = "") -> dict[str, int]:
        """Pods that are not ending -> restarts of their container."""
        items = self.bed.get("pods", "-n", self.namespace, "-l", "app=web")["items"]
        return {
            pod["metadata"]["name"]: sum(each["restartCount"] for each in pod["status"].get("containerStatuses", ()))
            for pod in items
            if not pod["metadata"].get("deletionTimestamp") and version in ("", version_of(pod))
        }

    def until(self, phase: str, seconds: float = 60, *, or_later: bool = False) -> None:
        """Until the phase is seen; some last but for a moment, so that one of those after it may do."""
        wanted = LATER[phase] if or_later else (phase,)
        assert wait_until(lambda: self.status().get("phase") in wanted, seconds, every=0.2), self.status()

    def weighs(self, step: int, weight: int, seconds: float = 60) -> None:
        """Until the canary's step (from 0) waits for a person, with its weight in force."""

        def is_at_step() -> bool:
            status = self.status()
            release = status.get("release") or {}
            there = (status.get("phase"), release.get("step", 0), release.get("weight", 0))
            return there == ("Stepping", step, weight) and bool(release.get("reached"))

        assert wait_until(is_at_step, seconds, every=0.3), self.status()

    def wait_for_end(self, outcome: str, releases: int, seconds: float = 120) -> None:
        def is_over() -> bool:
            status = self.status()
            return status.get("phase") == "Idle" and len(status.get("history", [])) == releases

        assert wait_until(is_over, seconds, every=0.3), self.status()
        assert self.status()["history"][0]["outcome"] == outcome, self.status()


def addresses(bed: Kubectl, namespace: str, version: str) -> list[str]:
    """Addresses of a version's pods `app=web` that are not ending; '' of one that has none yet."""
    items = bed.get("pods", "-n", namespace, "-l", "app=web")["items"]
    return [
        pod["status"].get("podIP", "")
        for pod in items
        if not pod["metadata"].get("deletionTimestamp") and version_of(pod) == version
    ]


def version_of(pod: dict[str, Any]) -> str:
    variables = pod["spec"]["containers"][0]["env"]
    return str(next((each["value"] for each in variables if each["name"] == "POD_VERSION"), ""))
