"""A world on this machine: sample services as processes, the adapter without a cluster, the HPA's own formula.

Real are the services, the requests, the scrapes, the adapter with its API, and the formula (`adapter.hpa`, checked
against the controller look by look). Played are the controller's period, ReplicaSet and kubelet (a process is a pod,
ready as soon as it answers), and kube-proxy.
"""

import asyncio
import contextlib
import math
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from adapter.hpa.decide import decide
from adapter.hpa.model import History, Invalid, Observed, PodState, PodValue, PodValues, Scale
from adapter.hpa.read import read_spec
from loadtest.runs.fleet import Fleet
from loadtest.runs.record import Kind
from loadtest.runs.world import Heard, Told
from loadtest.standalone import METRIC, Adapter, Served, free_port
from tests.cluster.adapter import hpa, pods_metric

HPA_PERIOD_S = 15.0
START_S = 30.0
TARGET = 20.0
LOW, HIGH = 2, 8
DOWN_S = 30
"""The HPA's stabilisation window for scaling down."""
WORK_MS = 20.0
"""A request's; one is worked on at a time, so that a pod bears 50 requests/s at most."""
SCRAPE = "2s"


def most_replicas(headroom: float) -> int:
    """maxReplicas: as much load as with HIGH at the whole of what a pod bears."""
    return math.ceil(HIGH / (1 - headroom) - 1e-9)


class Local:
    """See loadtest.runs.world.World."""

    def __init__(self, headroom: float = 0.0) -> None:
        target = TARGET * (1 - headroom)
        self.description = (
            f"this machine, no cluster: pods are processes, the HPA is its formula every {HPA_PERIOD_S:g} s with a"
            f" scale-down window of {DOWN_S} s; scrapes every {SCRAPE}"
        )
        self.host = ""
        self.per_pod, self.low, self.high, self.work_ms = TARGET, LOW, most_replicas(headroom), WORK_MS
        self.headroom = headroom
        self.heard = Heard()
        self._hpa = hpa("sample", "default", pods_metric(METRIC, f"{target:g}"), low=LOW, high=self.high, down=DOWN_S)
        self.behavior = self._hpa["spec"]["behavior"]
        self._adapter: Adapter | None = None

    @asynccontextmanager
    async def running(self, *, fixed: int | None) -> AsyncIterator[None]:
        """All of it; SystemExit where the adapter or the pods do not come up."""
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamgate-")))
            fleet = Fleet(folder, ("--work-ms", f"{WORK_MS:g}", "--slots", "1"), self.heard)
            fleet.objects = [self._hpa]
            await stack.enter_async_context(fleet.balancer.running())
            self.host = f"http://127.0.0.1:{fleet.balancer.port}"
            group = await stack.enter_async_context(asyncio.TaskGroup())
            self._scale(fleet, fixed or LOW)
            tasks = [group.create_task(fleet.run())]
            stack.callback(lambda: [task.cancel() for task in tasks])
            await self._ready(fleet)
            self._adapter = Adapter(folder / "credentials", free_port())
            log = folder / "adapter.log"
            await stack.enter_async_context(self._adapter.running(fleet.file, scrape=SCRAPE, log=log))
            if fixed is None:
                tasks.append(group.create_task(self._control(fleet)))
            yield

    def _scale(self, fleet: Fleet, replicas: int) -> None:
        self.heard.note(Kind.DESIRED, replicas)
        fleet.scale(replicas)

    async def _ready(self, fleet: Fleet) -> None:
        until = time.monotonic() + START_S
        while sum(pod.takes_traffic for pod in fleet.pods.values()) < fleet.wanted:
            if time.monotonic() > until:
                raise SystemExit(f"the sample services were not ready within {START_S:g} s")
            await asyncio.sleep(0.1)

    async def ask_metrics_api(self) -> Told | None:
        """The sum over all pods for which the adapter serves a value; None without any."""
        values = await self._fetch_values()
        if not values:
            return None
        total = sum(float(value.rate) for value in values.values())
        return Told(total, len(values), max(value.time for value in values.values()))

    async def _fetch_values(self) -> dict[str, Served]:
        with contextlib.suppress(OSError, TimeoutError, aiohttp.ClientError):
            if self._adapter:
                return await self._adapter.fetch_values()
        return {}

    async def _control(self, fleet: Fleet) -> None:
        """The HPA controller, at a phase of its own."""
        spec, history = read_spec(self._hpa), History()
        await asyncio.sleep(random.uniform(0, HPA_PERIOD_S))
        while True:
            began = time.monotonic()
            values = {name: PodValue(one.rate.milli(), one.time) for name, one in (await self._fetch_values()).items()}
            observed: Observed = PodValues(values) if values else Invalid("no value is served")
            pods = [PodState(pod.name, ready=str(pod.takes_traffic)) for pod in fleet.pods.values()]
            scale = Scale(fleet.wanted, len(fleet.pods))
            decision = decide(spec, scale, [observed], pods, history, time.time())
            history = decision.history
            if decision.rescales:
                self._scale(fleet, decision.desired)
            await asyncio.sleep(max(0.0, HPA_PERIOD_S - (time.monotonic() - began)))
