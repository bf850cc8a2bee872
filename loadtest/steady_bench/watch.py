"""What each contender serves at each second, and what the HPA's formula would make of it."""

import asyncio
import json
import ssl
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import aiohttp

from adapter.hpa.model import PodState, PodValue
from adapter.kube.client import Client
from adapter.kube.informer import Informer
from adapter.kube.objects import Pod, condition, unix
from adapter.kube.resources import PODS
from adapter.units.quantity import Quantity
from loadtest.adapter_bench.contenders import Ours
from loadtest.steady_bench.contenders import METRIC, Contender
from loadtest.steady_bench.disturbances import REPLICAS
from tests import would_be


class Lane(NamedTuple):
    """A Deployment of REPLICAS pods by namespace, and its HPA's target, requests/s per pod."""

    namespace: str
    target: float


class Tally:
    """Seconds by contender and disturbance."""

    def __init__(self) -> None:
        self.looks: Counter[tuple[str, str]] = Counter()
        self.wrong: Counter[tuple[str, str]] = Counter()
        """Would-be seconds: the HPA would want another size than the load justifies."""
        self.without: Counter[tuple[str, str]] = Counter()
        """Seconds without a value of any pod: the HPA holds."""


class Watch:
    """Asks each contender for each lane once a second; `phase` names what disturbs a lane now."""

    def __init__(
        self, client: Client, adapters: Mapping[Contender, Ours], lanes: Sequence[Lane], context: ssl.SSLContext
    ) -> None:
        self.tally = Tally()
        self.phase: dict[str, str] = {}
        self._adapters, self._lanes, self._context = adapters, lanes, context
        self._pods = {lane: Informer(client, PODS, Pod, namespace=lane.namespace) for lane in lanes}

    async def run(self) -> None:
        """Until cancelled."""
        connector = aiohttp.TCPConnector(ssl=self._context, limit=0)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
            for informer in self._pods.values():
                group.create_task(informer.run())
            while True:
                await asyncio.gather(
                    asyncio.sleep(1),
                    *(self._look(session, one, lane) for one in self._adapters for lane in self._lanes),
                )

    async def _look(self, session: aiohttp.ClientSession, contender: Contender, lane: Lane) -> None:
        phase = self.phase.get(lane.namespace)
        path = f"/namespaces/{lane.namespace}/pods/*/{METRIC}?labelSelector=app%3Dweb"
        values: Mapping[str, PodValue] = {}
        try:
            timeout = aiohttp.ClientTimeout(total=5)
            async with session.get(self._adapters[contender].url + path, timeout=timeout) as answer:
                if answer.status == 200:
                    values = read(await answer.read())
        except (TimeoutError, aiohttp.ClientError):
            pass
        if phase is not None:
            self._note(
                (contender.name, phase), wanted_size(lane.target, values, list(self._pods[lane].index), time.time())
            )

    def _note(self, key: tuple[str, str], size: int | None) -> None:
        self.tally.looks[key] += 1
        self.tally.without[key] += size is None
        self.tally.wrong[key] += size not in (None, REPLICAS)


def read(body: bytes) -> dict[str, PodValue]:
    """Values by pod of an answer of the custom metrics API."""
    values = {}
    for item in json.loads(body)["items"]:
        value = Quantity.parse(item["value"]).milli()
        values[item["describedObject"]["name"]] = PodValue(value, unix(item["timestamp"]) or 0.0)
    return values


def wanted_size(target: float, values: Mapping[str, PodValue], pods: Iterable[Pod], now: float) -> int | None:
    """The size that the HPA would want of REPLICAS now, nothing held back; None where it has no value to go by."""
    return would_be.size(values, [state(pod) for pod in pods], replicas=REPLICAS, target=target, now=now)


def state(pod: Pod) -> PodState:
    """A pod as the formula reads it."""
    ready = condition(pod.status.conditions, "Ready")
    return PodState(
        pod.metadata.name,
        phase=pod.status.phase,
        deleted=pod.metadata.deletion_timestamp is not None,
        start=unix(pod.status.start_time),
        ready=ready.status if ready else None,
        ready_since=(unix(ready.last_transition_time) if ready else None) or 0.0,
    )
