"""The series that pushes repeat, by what was pushed, so that most need not be worked out again.

Bounded in bytes, in all and of one owner: who pushes new names and values each time fills a share of his own. Where
there is no room nothing new is remembered, so that what others' pushes repeat stays known; now and then all begins
anew. Pure: time is an argument.
"""

from collections import Counter
from collections.abc import Hashable

from adapter.metrics.owners import PER_ROW, Owner, characters, owner_of
from adapter.metrics.sample import Series

MOST = 32 * 2**20
"""Bytes, by estimate from above."""
OF_ONE = 4
"""One owner's share is the 4th part."""
ENTRY = 256
"""Bytes of an entry beside its series and its attributes."""
PAIR = 72
"""Of an attribute; its texts are the series'."""
ANEW_S = 60.0
"""s after which all is forgotten where something found no room."""


class Remembered:
    """Series by key, of at most `limit` entries."""

    def __init__(self, limit: int, most: int = MOST) -> None:
        self._limit = limit
        self._most = most
        self._series: dict[Hashable, Series] = {}
        self._weights: Counter[Owner] = Counter()
        self.weight = 0
        """Bytes that are held, by estimate."""
        self._begun: float | None = None
        self._full = False

    def __len__(self) -> int:
        return len(self._series)

    def begin(self, now: float) -> None:
        """A push came at `now`, Unix s."""
        if self._begun is None or (self._full and not 0 <= now - self._begun < ANEW_S):
            self._series.clear()
            self._weights.clear()
            self.weight, self._full, self._begun = 0, False, now

    def get(self, key: Hashable) -> Series | None:
        """The series of `key`, if it is known."""
        return self._series.get(key)

    def put(self, key: Hashable, series: Series, attributes: int = 0) -> None:
        """Remember it, where there is room; its key has so many attributes."""
        weight = ENTRY + PAIR * attributes + characters(series) - PER_ROW
        owner = owner_of(series)
        over = self.weight + weight > self._most or self._weights[owner] + weight > self._most // OF_ONE
        if over or len(self._series) >= self._limit:
            self._full = True
            return
        self._series[key] = series
        self._weights[owner] += weight
        self.weight += weight
