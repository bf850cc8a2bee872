"""Lines of pages that are remembered, so that a scrape that repeats them costs a look-up each: bounded in bytes.

Each target has a bound of its own, and all together have one: a tenant may run many pods.
"""

from collections import Counter
from typing import Final

from adapter.metrics.owners import PER_ROW, WIDE, characters
from adapter.metrics.sample import Series
from adapter.rooms import count

CACHED_LINE_BYTES = 640
"""A target's entries have this size on average, at most."""
ENTRY_BYTES = 256
"""Of an entry, beside its text and its labels."""
LEFT_OUT_BYTES = 128
"""Of one that is left out, beside its text."""
LEFT_OUT: Final = "left out"
"""In place of a series for which whoever takes them has no room."""
ALL_BYTES = 256 * 2**20
"""Of all targets together."""
OF_NAMESPACE = 2
"""The targets of one namespace have half of it at most."""


class Allowance:
    """What all targets together may remember, and those of one namespace."""

    name = "lines of pages"

    def __init__(self, most: int = ALL_BYTES) -> None:
        self.most = most
        self.weight = 0
        self._weights: Counter[str] = Counter()
        count(self)

    def take(self, namespace: str, weight: int) -> bool:
        """Room for so many bytes more; False where there is none."""
        if self.weight + weight > self.most or self._weights[namespace] + weight > self.most // OF_NAMESPACE:
            return False
        self.weight += weight
        self._weights[namespace] += weight
        return True

    def give(self, namespace: str, weight: int) -> None:
        """So many bytes are free again."""
        self.weight -= weight
        self._weights[namespace] -= weight
        if not self._weights[namespace]:
            del self._weights[namespace]


class Lines:
    """Series (or why there is none) by the text before their closing brace, bounded in number and bytes.

    When full it takes nothing new: of a body larger than the cache a part stays fast. It is emptied when that part
    has gone stale.
    """

    def __init__(self, lines: int, allowance: Allowance, namespace: str) -> None:
        self.entries: dict[bytes, Series | str] = {}
        self._lines = lines
        self._allowance = allowance
        self._namespace = namespace
        self.weight = 0
        """Bytes that the entries take, estimated from above."""
        self._added = self._refused = 0

    def begin(self) -> None:
        """Before a body."""
        self._added = self._refused = 0

    def add(self, head: bytes, entry: Series | str) -> bool:
        """Remember what the text is, where there is room; whether there was."""
        weight = _weight(head, entry)
        over = len(self.entries) >= self._lines or self.weight + weight > self._lines * CACHED_LINE_BYTES
        if over or not self._allowance.take(self._namespace, weight):
            self._refused += 1
            return False
        self.entries[head] = entry
        self.weight += weight
        self._added += 1
        return True

    def leave_out(self, head: bytes) -> None:
        """Remember of a known text only that there is no room for its series."""
        spared = _weight(head, self.entries[head]) - _weight(head, LEFT_OUT)
        self.entries[head] = LEFT_OUT
        self.weight -= spared
        self._allowance.give(self._namespace, spared)

    def forget_left_out(self) -> None:
        """There may be room again."""
        for head in [head for head, entry in self.entries.items() if entry is LEFT_OUT]:
            del self.entries[head]
            weight = _weight(head, LEFT_OUT)
            self.weight -= weight
            self._allowance.give(self._namespace, weight)

    def tidy(self, samples: int) -> None:
        """After a body of `samples`: start anew where over a tenth of it found no room and stale entries take some."""
        hits = samples - self._added - self._refused
        stale = len(self.entries) - self._added - hits
        if self._refused * 10 > samples and stale * 10 > len(self.entries):
            self.clear()

    def clear(self) -> None:
        """Forget all."""
        self.entries.clear()
        self._allowance.give(self._namespace, self.weight)
        self.weight = 0


def _weight(head: bytes, entry: Series | str) -> int:
    """Bytes of an entry, estimated from above."""
    if entry is LEFT_OUT:
        return LEFT_OUT_BYTES + len(head)
    return ENTRY_BYTES + len(head) + (characters(entry) - PER_ROW if isinstance(entry, Series) else WIDE * len(entry))
