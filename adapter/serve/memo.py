"""Results of awaited look-ups: bounded, each held for its own time, and never two look-ups for one key at once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from cachetools import TLRUCache

from adapter import rooms

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Held(NamedTuple, Generic[V]):
    value: V
    fresh_until: float
    weight: int


def each_alike(key: object) -> int:
    """Weighs keys so that a size is a number of results."""
    return 1


def nobody(key: object, value: object) -> bool:
    """Keeps no result apart."""
    return False


class Memo(Generic[K, V]):
    """A cache of results whose keys weigh at most `size` together.

    `weigh` gives a key's weight; 0 means that its result is not kept. Results that are `apart` have their own room,
    an eighth as large, so that however many there are they drive out no others. `clock` gives monotonic seconds. A
    result is fresh as long as `hold(result)` says, and kept `grace` seconds longer for `stale`.
    """

    def __init__(
        self,
        size: int,
        hold: Callable[[V], float],
        clock: Callable[[], float],
        *,
        grace: float = 0.0,
        weigh: Callable[[K], int] = each_alike,
        apart: Callable[[K, V], bool] = nobody,
        name: str = "",
    ) -> None:
        """`name`: by which /metrics shows how full it is, where `weigh` gives bytes."""
        self.name = name
        self.most = size + max(size // 8, 1)
        self._hold = hold
        self._clock = clock
        self._weigh = weigh
        self._is_apart = apart

        def room(most: int) -> TLRUCache[K, _Held[V]]:
            return TLRUCache(
                most, lambda _, held, __: held.fresh_until + grace, timer=clock, getsizeof=lambda held: held.weight
            )

        self._kept, self._apart = room(size), room(max(size // 8, 1))
        self._flights: dict[K, asyncio.Task[V]] = {}
        if name:
            rooms.count(self)

    def fresh(self, key: K) -> V | None:
        """The result that is held for `key`, if it is fresh."""
        held = self._find(key)
        return held.value if held is not None and self._clock() < held.fresh_until else None

    def stale(self, key: K) -> V | None:
        """The result that is held for `key`, fresh or within its grace."""
        held = self._find(key)
        return None if held is None else held.value

    def _find(self, key: K) -> _Held[V] | None:
        return self._kept.get(key) or self._apart.get(key)

    @property
    def weight(self) -> int:
        """Of all that is kept."""
        return int(self._kept.currsize + self._apart.currsize)

    async def get(self, key: K, look_up: Callable[[], Awaitable[V]]) -> V:
        """The fresh result for `key`, looked up if need be; raises what `look_up` raises, and does not hold that.

        A caller that goes away does not end the look-up for the others.
        """
        value = self.fresh(key)
        if value is not None:
            return value
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.ensure_future(self._fly(key, look_up))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(flight)

    async def _fly(self, key: K, look_up: Callable[[], Awaitable[V]]) -> V:
        value = await look_up()
        self._keep(key, value)
        return value

    def _keep(self, key: K, value: V) -> None:
        """In the one room or the other, and in the other no longer."""
        room, other = (self._apart, self._kept) if self._is_apart(key, value) else (self._kept, self._apart)
        other.pop(key, None)
        weight = self._weigh(key)
        if 0 < weight <= room.maxsize:
            room[key] = _Held(value, self._clock() + self._hold(value), weight)

    def _land(self, key: K, flight: "asyncio.Task[V]") -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # somebody must look, also where all callers have gone
