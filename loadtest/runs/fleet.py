"""Pods without a cluster: processes of the sample service behind a balancer, as many as are wanted."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import yaml

from loadtest.runs.balancer import Balancer
from loadtest.runs.record import Kind
from loadtest.runs.world import Heard
from loadtest.standalone import free_port, program, sample_pod

PROBE_S = 0.25
"""Between two looks whether a pod is ready; a kubelet's least is 1 s."""


class Pod:
    """One process of the sample service."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.ready_since: float | None = None
        """Unix s."""
        self.ends = asyncio.Event()

    @property
    def takes_traffic(self) -> bool:
        """Whether it was seen to be ready, and is not told to end."""
        return self.ready_since is not None and not self.ends.is_set()

    async def live(self, folder: Path, flags: tuple[str, ...], changed: Callable[[], None]) -> None:
        """From its start to its end; `changed` is called when `takes_traffic` does."""
        run = ("loadtest.sample", "--host", "127.0.0.1", "--port", str(self.port), "--pod-name", self.name, *flags)
        async with program(*run, log=folder / f"{self.name}.log") as process, aiohttp.ClientSession() as session:
            while process.returncode is None and not self.ends.is_set():
                if self.ready_since is None and await self._answers(session):
                    self.ready_since = time.time()
                    changed()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.ends.wait(), PROBE_S)
            self.ends.set()
            changed()  # before it is told to end: nobody shall be sent there any more

    async def _answers(self, session: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(OSError, TimeoutError, aiohttp.ClientError):
            async with session.get(f"http://127.0.0.1:{self.port}/readyz", timeout=aiohttp.ClientTimeout(1)) as answer:
                return answer.status == 200
        return False


class Fleet:
    """As a ReplicaSet, its kubelet and kube-proxy would keep it. What ends by itself is replaced."""

    def __init__(self, folder: Path, flags: tuple[str, ...], heard: Heard) -> None:
        """`flags` are the sample service's; `folder` gets logs and objects.yaml, the pods for the adapter."""
        self.balancer = Balancer()
        self.pods: dict[str, Pod] = {}
        self.wanted = 0
        self.objects: list[object] = []
        """What else stands in objects.yaml."""
        self._folder, self._flags, self._heard = folder, flags, heard
        self._numbers = itertools.count()
        self._woken = asyncio.Event()

    @property
    def file(self) -> Path:
        """The pods that take traffic, as the adapter reads them."""
        return self._folder / "objects.yaml"

    def scale(self, replicas: int) -> None:
        """So many are wanted from now on."""
        self.wanted = replicas
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled: then all pods end."""
        self._update_endpoints()
        async with asyncio.TaskGroup() as group:
            while True:
                self._woken.clear()
                living = [pod for pod in self.pods.values() if not pod.ends.is_set()]
                for _ in range(self.wanted - len(living)):
                    group.create_task(self._live(Pod(f"sample-{next(self._numbers)}")))
                for pod in self._spare(living):
                    pod.ends.set()
                await self._woken.wait()

    def _spare(self, living: list[Pod]) -> list[Pod]:
        """Those that are too many: first whoever is not ready, then the youngest, as a ReplicaSet chooses."""
        order = sorted(living, key=lambda pod: (pod.ready_since is not None, -(pod.ready_since or 0)))
        return order[: max(0, len(living) - self.wanted)]

    async def _live(self, pod: Pod) -> None:
        self.pods[pod.name] = pod
        self._heard.names.add(pod.name)
        self._heard.note(Kind.CREATED, len(self.pods))
        try:
            await pod.live(self._folder, self._flags, self._update_endpoints)
        finally:
            del self.pods[pod.name]
            self._heard.note(Kind.CREATED, len(self.pods))
            self._woken.set()

    def _update_endpoints(self) -> None:
        """Give the ready pods to the balancer and write them to the adapter's file."""
        ready = {pod.name: pod.port for pod in self.pods.values() if pod.takes_traffic}
        self._heard.note(Kind.READY, len(ready))
        self.balancer.endpoints = ready
        self._heard.note(Kind.ENDPOINTS, len(ready))
        new = self.file.with_suffix(".new")
        new.write_text(yaml.safe_dump_all([*(sample_pod(name, port) for name, port in ready.items()), *self.objects]))
        new.replace(self.file)
