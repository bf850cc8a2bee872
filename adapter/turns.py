"""Turns at what takes time: each tenant gets the same share of it, however much the others have waiting.

A tenant of the source is a namespace, or a rule whose queries serve several; of scrapes it is a namespace, or the
kubelets. Whoever has used the least of late is next; a tenant that had nothing to do meanwhile begins where the others
are, so that nobody saves time up. One tenant has at most half of the places, so that however slow its own are, others
need not wait for them to end.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

FIRST = 0.01
"""s that a tenant's first query is taken to need."""
WEIGHT = 0.3
"""How much the newest query counts for what the next one is taken to need."""
MANY = 256
"""Tenants from which on those are forgotten that have nothing to ask and no more than their share behind them."""


class _Tenant:
    """One of those who share it."""

    def __init__(self, used: float) -> None:
        self.used = used
        """s of its time."""
        self.expected = FIRST
        """s for one query."""
        self.under_way = 0
        self.waiting: deque[asyncio.Future[None]] = deque()

    @property
    def busy(self) -> bool:
        return bool(self.waiting or self.under_way)


class Turns:
    """At most `places` at once; `clock` gives s that never step."""

    def __init__(self, places: int, clock: Callable[[], float]) -> None:
        self._places = places
        self._each = max(1, places // 2)
        self._clock = clock
        self._tenants: dict[str, _Tenant] = {}
        self._under_way = self._queued = 0
        self._least = 0.0
        """What the one who had the last turn had used: whoever comes anew begins there."""

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._queued

    @property
    def idle(self) -> bool:
        """Whether nobody has a turn or waits for one."""
        return not self._under_way and not self._queued

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait for a turn of the tenant `name`, and hold it."""
        tenant = self._tenant(name)
        await self._wait(tenant)
        began = self._clock()
        try:
            yield
        finally:
            took = max(self._clock() - began, 0.0)
            tenant.used += took
            tenant.expected += WEIGHT * (took - tenant.expected)
            self._give_back(tenant)

    def _tenant(self, name: str) -> _Tenant:
        if len(self._tenants) >= MANY:
            self._tenants = {key: one for key, one in self._tenants.items() if one.busy or one.used > self._least}
        tenant = self._tenants.setdefault(name, _Tenant(self._least))
        if not tenant.busy:
            tenant.used = max(tenant.used, self._least)
        return tenant

    async def _wait(self, tenant: _Tenant) -> None:
        if not self._queued and self._under_way < self._places and tenant.under_way < self._each:
            self._give(tenant)
            return
        mine = asyncio.get_running_loop().create_future()
        tenant.waiting.append(mine)
        self._queued += 1
        self._next()
        try:
            await mine
        except BaseException:
            if not mine.cancelled():
                self._give_back(tenant)  # it came just as nobody wanted it any more
            elif mine in tenant.waiting:
                tenant.waiting.remove(mine)
                self._queued -= 1
            raise

    def _give_back(self, tenant: _Tenant) -> None:
        tenant.under_way -= 1
        self._under_way -= 1
        if not self._under_way and not self.waiting:
            self._tenants.clear()  # nobody is to be paid back for time that nobody wanted
            self._least = 0.0
        self._next()

    def _next(self) -> None:
        """Give the free places to those who have used the least."""
        while self._queued and self._under_way < self._places:
            able = [one for one in self._tenants.values() if one.waiting and one.under_way < self._each]
            if not able:
                return
            tenant = min(able, key=lambda one: one.used + one.under_way * one.expected)
            mine = tenant.waiting.popleft()
            self._queued -= 1
            if not mine.cancelled():
                self._give(tenant)
                mine.set_result(None)

    def _give(self, tenant: _Tenant) -> None:
        self._least = max(self._least, tenant.used)
        tenant.under_way += 1
        self._under_way += 1


class MemberTurns:
    """Turns of tenants, and within those of one tenant of its members, each of whom has at most half of them."""

    def __init__(self, places: int, clock: Callable[[], float]) -> None:
        self._turns = Turns(places, clock)
        self._each = max(1, places // 2)
        self._clock = clock
        self._within: dict[str, Turns] = {}
        """Of the tenants that have something under way or waiting."""

    @asynccontextmanager
    async def turn(self, name: str, member: str) -> AsyncIterator[None]:
        """Wait for a turn of a member of the tenant `name`, and hold it."""
        own = self._within.setdefault(name, Turns(self._each, self._clock))
        try:
            async with own.turn(member), self._turns.turn(name):
                yield
        finally:
            if own.idle:
                self._within.pop(name, None)
