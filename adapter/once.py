"""What lasts is told once: a bounded memory of what was said, for every log line that a trouble could repeat."""

import hashlib
import time
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from cachetools import LRUCache, TTLCache

K = TypeVar("K", bound=Hashable)


LONGEST = 200
"""Characters of a key or a text that are held as they are; of a longer one a digest, so that a room is bounded."""


class Once:
    """Lets a message through once per key, for at most so many keys: a trouble that lasts must not be a line a second.

    A key is told again after `again` s (None: never, unless too many other keys came since), when its text is another
    one, and after `over`.
    """

    def __init__(
        self, *, most: int = 256, again: float | None = 600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._said: LRUCache[Hashable, Hashable] | TTLCache[Hashable, Hashable]
        self._said = LRUCache(most) if again is None else TTLCache(most, again, clock)

    def first(self, key: Hashable, text: str = "") -> bool:
        """Whether to say it: `text` was not said of `key` yet."""
        what, said = _short(key), _short(text)
        if self._said.get(what) == said:
            return False
        self._said[what] = said
        return True

    def over(self, key: Hashable) -> bool:
        """The trouble of `key` is over; whether it had been said."""
        return self._said.pop(_short(key), None) is not None

    def news(self, keys: Iterable[K]) -> list[K]:
        """Those of `keys`, all that hold now, which were not said yet; whatever else was said is over.

        Where more hold at once than there is room for, the further ones are not said: none of them would be said once.
        """
        held = {_short(key): key for key in keys}
        for gone in [key for key in self._said if key not in held]:
            self._said.pop(gone, None)
        room = int(self._said.maxsize) - len(self._said)
        fresh = [key for short, key in held.items() if short not in self._said][:room]
        return [key for key in fresh if self.first(key)]


class Few:
    """Lets some messages of each key through in a span of time, whatever they say: for those whose texts all differ."""

    def __init__(
        self, most: int, *, span: float = 600.0, keys: int = 1024, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """At most `most` in `span` s, of so many keys."""
        self._most, self._span, self._clock = most, span, clock
        self._said: LRUCache[Hashable, int] = LRUCache(keys)

    def may(self, key: Hashable) -> bool:
        """Whether to say one more."""
        what = _short(key), int(self._clock() // self._span)
        said = self._said[what] = self._said.get(what, 0) + 1
        return said <= self._most


def _short(key: Hashable) -> Hashable:
    if isinstance(key, str) and len(key) > LONGEST:
        return hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=16).digest()
    return tuple(map(_short, key)) if isinstance(key, tuple) else key
