"""Results of awaited look-ups: bounded, each held for its own time, and never two look-ups for one key at once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from cachetools import TLRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Held(NamedTuple, Generic[V]):
    value: V
    fresh_until: float


class Memo(Generic[K, V]):
    """A cache of at most `size` results.

    `clock` gives monotonic seconds. A result is fresh as long as `hold(result)` says, and kept `grace` seconds longer
    for `stale`.
    """

    def __init__(
        self, size: int, hold: Callable[[V], float], clock: Callable[[], float], *, grace: float = 0.0
    ) -> None:
        self._hold = hold
        self._clock = clock
        self._kept: TLRUCache[K, _Held[V]] = TLRUCache(size, lambda _, held, __: held.fresh_until + grace, timer=clock)
        self._flights: dict[K, asyncio.Task[V]] = {}

    def fresh(self, key: K) -> V | None:
        """The result that is held for `key`, if it is fresh."""
        held = self._kept.get(key)
        return held.value if held is not None and self._clock() < held.fresh_until else None

    def stale(self, key: K) -> V | None:
        """The result that is held for `key`, fresh or within its grace."""
        held = self._kept.get(key)
        return None if held is None else held.value

    async def get(self, key: K, look_up: Callable[[], Awaitable[V]]) -> V:
        """The fresh result for `key`, looked up if need be; raises what `look_up` raises, and does not hold that.

        A caller that goes away does not end the look-up for the others.
        """
        found = self.fresh(key)
        if found is not None:
            return found
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.ensure_future(self._fly(key, look_up))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(flight)

    async def _fly(self, key: K, look_up: Callable[[], Awaitable[V]]) -> V:
        value = await look_up()
        self._kept[key] = _Held(value, self._clock() + self._hold(value))
        return value

    def _land(self, key: K, flight: "asyncio.Task[V]") -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # somebody must look, also where all callers have gone
