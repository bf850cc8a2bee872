"""The loop of the leader: every policy has a task of its own, which takes a turn when something near it changes, and
when time says so. A policy that is slow, or wrong, delays no other.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Final, NamedTuple

import structlog

from adapter.faults import ends_program
from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.kube.informer import Informer
from adapter.kube.objects import PartialObjectMetadata
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, Resource
from adapter.rollout.model.actions import DEPLOYMENTS, ENDPOINT_SLICES, REPLICA_SETS, SERVICES
from adapter.rollout.model.policy import POLICIES
from adapter.rollout.telemetry import Telemetry
from adapter.rollout.turns import CALM, Ears, Notify, Turned, Turns, nobody

log = structlog.get_logger(__name__)
WATCHED: Final = (DEPLOYMENTS, REPLICA_SETS, SERVICES, ENDPOINT_SLICES, HORIZONTAL_POD_AUTOSCALERS)
"""Changes of these wake the policies of their namespace. Only metadata is fetched: turns read what they need."""
SHORTEST: Final = 0.2
"""Seconds between two turns in mid-release, unless a decision asks for the next at once."""
SHORTEST_CALM: Final = 2.0
"""The same where nothing is released: a busy namespace must not cost a turn per change."""
MOST_AT_ONCE: Final = 16
"""Turns that read and write at the same time."""
ILL: Final = 5.0
"""Seconds after a turn that failed in a way that nobody foresaw."""

MOST_ASKED: Final = 30.0
"""Seconds that an API server may ask us to stay away (Retry-After)."""

Key = tuple[str, str]


class Waits(NamedTuple):
    """Seconds from the end of a turn: until the next may begin, and until it begins though nothing changes."""

    rest: float
    again: float


def waits(turned: Turned, *, took: float) -> Waits:
    """What follows from a turn that took so many s: in mid-release the next begins when it is due, not so much later.

    What a refused write asks for counts from its end; a decision alone may ask for the next turn at once.
    """
    shortest = min(turned.again, SHORTEST if turned.again < CALM else SHORTEST_CALM)
    rest = max(turned.rest, shortest)
    return Waits(rest, max(rest, turned.again - took))


class Loop:
    """Runs the turns of all policies of a namespace, or ('') of all."""

    def __init__(
        self,
        client: Client,
        ears: Ears,
        telemetry: Telemetry,
        *,
        namespace: str = "",
        wall: Callable[[], float] = time.time,
        notify: Notify = nobody,
    ) -> None:
        self._client, self._telemetry, self._wall = client, telemetry, wall
        self._turns = Turns(client, ears, notify)
        self._namespace = namespace
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._wakes: dict[Key, asyncio.Event] = {}
        self._room = asyncio.Semaphore(MOST_AT_ONCE)

    async def run(self) -> None:
        """Runs until it is cancelled; then no turn is under way any more."""
        policies = self._follow(POLICIES)
        policies.index.on_change(self._policy_changed)
        others = [self._follow(resource) for resource in WATCHED]
        for informer in others:
            informer.index.on_change(self._neighbour_changed)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._stop)
            for informer in (policies, *others):
                await stack.enter_async_context(informer.running())
            await asyncio.Event().wait()

    def _follow(self, resource: Resource) -> Informer[PartialObjectMetadata]:
        return Informer(self._client, resource, PartialObjectMetadata, namespace=self._namespace)

    def _policy_changed(self, old: PartialObjectMetadata | None, new: PartialObjectMetadata | None) -> None:
        policy = new or old
        assert policy is not None
        key = (policy.metadata.namespace, policy.metadata.name)
        if new is None:
            self._wakes.pop(key, asyncio.Event()).set()
            self._tasks.pop(key).cancel()
            self._telemetry.forget(*key)
            return
        if key not in self._tasks:
            self._wakes[key] = asyncio.Event()
            self._tasks[key] = asyncio.create_task(self._follow_policy(key), name=f"policy {key}")
        self._wakes[key].set()

    def _neighbour_changed(self, old: PartialObjectMetadata | None, new: PartialObjectMetadata | None) -> None:
        neighbour = new or old
        assert neighbour is not None
        for key, wake in self._wakes.items():
            if key[0] == neighbour.metadata.namespace:
                wake.set()

    async def _follow_policy(self, key: Key) -> None:
        structlog.contextvars.bind_contextvars(namespace=key[0], policy=key[1])  # of every line of this task
        wake = self._wakes[key]
        while True:
            wake.clear()
            rest, again = await self._turn(key)
            await asyncio.sleep(rest)
            if again > rest:
                await _either(wake, again - rest)

    async def _turn(self, key: Key) -> Waits:
        """One turn, and how long to wait for the next."""
        namespace, name = key
        clock = asyncio.get_running_loop().time
        async with self._room:
            began = clock()
            try:
                about = {"k8s.namespace.name": namespace, "streamgate.rolloutpolicy.name": name}
                with self._telemetry.tracer.trace("turn", about):
                    turned = await self._turns.turn(namespace, name, self._wall())
            except KubeError as error:
                log.warning("cannot read", namespace=namespace, policy=name, cause=str(error))
                self._telemetry.note_turn(namespace, name, None)
                asked = min(error.retry_after or 0.0, MOST_ASKED)
                return Waits(max(SHORTEST, asked), max(1.0, asked))
            except BaseException as error:
                if ends_program(error):
                    raise
                log.exception("turn failed", namespace=namespace, policy=name)  # and the others go on
                self._telemetry.note_turn(namespace, name, None)
                return Waits(SHORTEST, ILL)
        self._telemetry.note_turn(namespace, name, turned.status, undecided=turned.undecided)
        if turned.judged is not None:
            self._telemetry.count_verdict(namespace, name, turned.judged)
        return waits(turned, took=clock() - began)

    async def _stop(self) -> None:
        tasks: list[asyncio.Task[Any]] = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._tasks.clear()


async def _either(wake: asyncio.Event, seconds: float) -> None:
    """Until something changes, or the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        pass
