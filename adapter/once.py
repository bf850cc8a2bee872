"""What lasts is told once: a bounded memory of what was said, for every log line that a trouble could repeat."""

import time
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from cachetools import LRUCache, TTLCache

K = TypeVar("K", bound=Hashable)


class Once:
    """Lets a message through once per key, for at most so many keys: a trouble that lasts must not be a line a second.

    A key is told again after `again` s (None: never, unless too many other keys came since), when its text is another
    one, and after `over`.
    """

    def __init__(
        self, *, most: int = 256, again: float | None = 600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._said: LRUCache[Hashable, str] | TTLCache[Hashable, str]
        self._said = LRUCache(most) if again is None else TTLCache(most, again, clock)

    def first(self, key: Hashable, text: str = "") -> bool:
        """Whether to say it: `text` was not said of `key` yet."""
        if self._said.get(key) == text:
            return False
        self._said[key] = text
        return True

    def over(self, key: Hashable) -> bool:
        """The trouble of `key` is over; whether it had been said."""
        return self._said.pop(key, None) is not None

    def news(self, keys: Iterable[K]) -> list[K]:
        """Those of `keys`, all that hold now, which were not said yet; whatever else was said is over.

        Where more hold at once than there is room for, the further ones are not said: none of them would be said once.
        """
        held = dict.fromkeys(keys)
        for gone in [key for key in self._said if key not in held]:
            self.over(gone)
        room = int(self._said.maxsize) - len(self._said)
        fresh = [key for key in held if key not in self._said][:room]
        return [key for key in fresh if self.first(key)]
