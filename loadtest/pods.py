"""HTTP load on the ready pods of a selector, shared equally as a load balancer would, as pods come and go."""

import asyncio
from contextlib import AsyncExitStack
from zlib import crc32

from adapter.kube.client import Client
from adapter.kube.informer import Informer
from adapter.kube.objects import Pod, condition
from adapter.kube.resources import PODS
from loadtest.load import Stream, drive

SHARE_EVERY = 0.25
"""s between two looks at which pods are ready."""


class PodsLoad:
    """Load of `rate` requests/s in all on the pods that `selector` finds; `rate` may be set at any time."""

    def __init__(self, client: Client, *, namespace: str, selector: str, port: int, rate: float = 0.0) -> None:
        self._rate = rate
        self.streams: dict[str, Stream] = {}
        """By pod name; also of pods that are gone, for their counts."""
        self.shares: dict[str, float] = {}
        """By pod name: how much of the load it gets relative to the others, 1 where it is not named."""
        self._port = port
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        """Drivers that were told to end; a second one on the same stream would double the pod's load."""
        self._informer = Informer(client, PODS, Pod, namespace=namespace, label_selector=selector)

    @property
    def rate(self) -> float:
        """Requests/s in all; a new one holds at once."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self._rate = rate
        known = list(self._tasks)  # it may be another thread that sets the rate
        for name in known:
            self.streams[name].rate = rate / len(known)

    async def run(self) -> None:
        """Load until cancelled."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._informer.running())
            stack.callback(lambda: [task.cancel() for task in self._tasks.values()])
            while True:
                self._share()
                await asyncio.sleep(SHARE_EVERY)

    def _share(self) -> None:
        self._ending = {name: task for name, task in self._ending.items() if not task.done()}
        by_name = {pod.metadata.name: pod for pod in self._informer.index if takes_traffic(pod)}
        ready = {name: pod for name, pod in by_name.items() if name not in self._ending}
        whole = sum(self.shares.get(name, 1.0) for name in ready)
        for name, pod in ready.items():
            if name not in self._tasks:
                self.streams.setdefault(name, Stream(pod.status.pod_ip, self._port))  # it may have been unready
                self._tasks[name] = asyncio.create_task(drive(self.streams[name], seed=crc32(name.encode())))
            self.streams[name].rate = self._rate * self.shares.get(name, 1.0) / whole
        for name in self._tasks.keys() - ready.keys():
            self.streams[name].rate = 0.0
            self._ending[name] = self._tasks.pop(name)
            self._ending[name].cancel()


def takes_traffic(pod: Pod) -> bool:
    """Whether a Service would send requests there."""
    ready = condition(pod.status.conditions, "Ready")
    return ready is not None and ready.status == "True" and pod.metadata.deletion_timestamp is None
