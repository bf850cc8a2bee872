"""Leader election by a Lease, as client-go does it: of several replicas, one acts.

Clocks of different machines are not compared. A candidate notes when *it* saw the Lease change last; only when nothing
changed for the whole lease duration by its own clock, it takes over. A leader that cannot renew stops acting at the
renew deadline, which is shorter than the lease duration, so it has stopped before anybody else may begin.

The Lease is read and written as plain JSON, so that fields that others put there survive; only the verbs get, create
and update are needed, as in the roles that peers ship.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import structlog

from adapter.kube.client import Client
from adapter.kube.errors import Conflict, KubeError, NotFound
from adapter.kube.objects import rfc3339
from adapter.kube.resources import LEASES
from adapter.once import Once

log = structlog.get_logger(__name__)


class Terms(NamedTuple):
    """How long things last, in seconds; the defaults are those of Kubernetes' own controllers."""

    lease: float = 15.0
    """After so long without a sign of the leader, others take over."""
    renew: float = 10.0
    """A leader that could not renew for so long stops."""
    retry: float = 2.0
    """Between two tries to renew or to acquire, lengthened at random by up to a fifth."""


class Record(NamedTuple):
    """What a Lease says."""

    holder: str = ""
    seconds: float = 0.0
    transitions: int = 0


KUBERNETES = Terms()


class Election:
    """One candidate for one Lease."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        terms: Terms = KUBERNETES,
        wall: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`identity` must differ between replicas (the pod's name); `wall` gives the Unix seconds that others read."""
        if not terms.retry < terms.renew < terms.lease:
            raise ValueError(f"a lease needs retry < renew < lease, not {terms}")
        self.identity = identity
        self._client = client
        self._collection = LEASES.path(namespace)
        self._path = LEASES.path(namespace, name)
        self._name = name
        self._terms = terms
        self._wall = wall
        self._draw = draw
        self._lease: Any = None  # as the server sent it last
        self._seen_at = 0.0  # loop time when it was last seen to change
        self._renewed_at: float | None = None
        self._trouble = Once(again=None)

    @property
    def leader(self) -> bool:
        """Whether we may act now; false by our own clock once the renew deadline is over, whatever else is stuck."""
        return self._renewed_at is not None and _now() < self._renewed_at + self._terms.renew

    @property
    def holder(self) -> str:
        """Who leads, as far as we know."""
        return _record(self._lease).holder

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Runs `lead` whenever we lead, cancels it when we lose the Lease, and tries again; returns when `lead` does.

        What `lead` raises is raised. However it ends, the Lease is given back, so that nobody waits for its expiry.
        """
        while True:
            await self._acquire()
            log.info("leading", lease=self._name, identity=self.identity)
            try:
                if await self._lead(lead):
                    return
            finally:
                await self._release()
            log.warning("no longer leading", lease=self._name, identity=self.identity)

    async def _acquire(self) -> None:
        while not await self._try():
            await self._sleep()

    async def _lead(self, lead: Callable[[], Awaitable[None]]) -> bool:
        """Whether `lead` came to its end; False where the Lease was lost first."""
        acting = asyncio.ensure_future(lead())
        renewing = asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait((acting, renewing), return_when=asyncio.FIRST_COMPLETED)
            ended = acting.done()
        finally:
            acting.cancel()
            renewing.cancel()
            await asyncio.wait((acting, renewing))  # what winds up must not run beside its successor
        for task in (renewing, acting):
            if not task.cancelled():
                task.result()
        return ended

    async def _renew(self) -> None:
        """Renews until that has not worked for the renew deadline, or somebody else holds the Lease."""
        while self.leader:
            await self._sleep()
            assert self._renewed_at is not None
            try:
                async with asyncio.timeout_at(self._renewed_at + self._terms.renew):
                    while not await self._try():
                        if self.holder not in {"", self.identity}:
                            return
                        await self._sleep()
            except TimeoutError:
                return

    async def _try(self) -> bool:
        """One try to acquire or renew; False where another holds the Lease or the server does not play along."""
        asked_at = _now()
        try:
            if not await self._read():
                await self._create()
            elif self._is_held_by_another():
                self._say("")
                return False
            else:
                await self._write(self.identity, self._terms.lease)
        except Conflict:
            return False  # somebody was quicker
        except KubeError as error:
            self._say(str(error))
            return False
        self._say("")
        self._renewed_at = asked_at
        return True

    def _say(self, trouble: str) -> None:
        """Logs a trouble when it begins or changes, and its end: a try every 2 s must not be a line every 2 s."""
        if trouble and self._trouble.first(self._name, trouble):
            log.warning("lease not reached", lease=self._name, cause=trouble)
        elif not trouble and self._trouble.over(self._name):
            log.info("lease reached again", lease=self._name)

    async def _read(self) -> bool:
        """Looks at the Lease, and notes when it was seen to change; False where there is none."""
        try:
            lease = await self._client.get(self._path, dict, timeout=self._patience)
        except NotFound:
            self._lease = None
            return False
        if self._lease is None or lease.get("spec") != self._lease.get("spec"):
            self._seen_at = _now()
        self._lease = lease
        return True

    def _is_held_by_another(self) -> bool:
        record = _record(self._lease)
        return record.holder not in {"", self.identity} and _now() < self._seen_at + record.seconds

    async def _create(self) -> None:
        body = {
            "apiVersion": LEASES.api_version,
            "kind": "Lease",
            "metadata": {"name": self._name},
            "spec": self._spec(self.identity, self._terms.lease),
        }
        self._lease = await self._client.create(self._collection, body, dict, timeout=self._patience)

    async def _write(self, holder: str, seconds: float) -> None:
        """Replaces the Lease as it was read; Conflict where it changed since."""
        body = {**self._lease, "spec": {**(self._lease.get("spec") or {}), **self._spec(holder, seconds)}}
        self._lease = await self._client.replace(self._path, body, dict, timeout=self._patience)

    def _spec(self, holder: str, seconds: float) -> dict[str, Any]:
        """The fields of a LeaseSpec that change; a new holder counts as a transition, as in client-go."""
        now = rfc3339(self._wall())
        spec: dict[str, Any] = {"holderIdentity": holder, "leaseDurationSeconds": round(seconds), "renewTime": now}
        record = _record(self._lease)
        if holder != record.holder:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = record.transitions + (self._lease is not None and holder != "")
        return spec

    async def _release(self) -> None:
        """Gives the Lease back where it is ours; whoever waits may take it at once."""
        self._renewed_at = None
        try:
            if await self._read() and self.holder == self.identity:
                await self._write("", 1)
        except KubeError as error:
            log.warning("lease not given back", lease=self._name, cause=str(error))

    @property
    def _patience(self) -> float:
        """Seconds for one call: half the deadline, so that one slow call leaves time for another."""
        return self._terms.renew / 2

    async def _sleep(self) -> None:
        await asyncio.sleep(self._terms.retry * (1 + 0.2 * self._draw()))


def _record(lease: Any) -> Record:
    """What a Lease says; an empty record for none."""
    spec = (lease or {}).get("spec") or {}
    return Record(
        str(spec.get("holderIdentity") or ""),
        float(spec.get("leaseDurationSeconds") or 0),
        int(spec.get("leaseTransitions") or 0),
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
