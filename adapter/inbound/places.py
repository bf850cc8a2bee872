"""Who may stay connected: places are few, and one who has shown no credentials gives way to the next. Pure.

Before a request is authenticated nobody is known, and a friend may come from the same address as an enemy (a node's,
a proxy's). So nobody is refused for his address, but the address with the most strangers gives a place up first, and of
its strangers the one who has been there longest: whoever means well has been served by then.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item", bound=Hashable)


class Bounds(NamedTuple):
    """What all connections of one port together, and each, may take."""

    connections: int = 1000
    strangers: int = 250
    """Of one address, that have shown no credentials."""
    fresh: int = 64
    """The newest of an address, of which it does not count yet whether they have said anything."""
    handshakes: int = 64
    """Under way at once."""
    line_bytes: int = 64 * 1024
    """Of the request line, and of one header: selectors can be long."""
    head_bytes: int = 128 * 1024
    """Of a request line with all headers, and of requests that are sent before the answer to the one before."""
    heads_bytes: int = 4 * 2**20
    """Of all unfinished heads together; in memory they take some four times as much."""
    untaken_bytes: int = 32 * 2**20
    """Of all answers that clients have not taken yet."""
    headers: int = 128
    first_s: float = 10.0
    """From the first packet to the end of the first head."""
    head_s: float = 10.0
    """From the first byte of a head to its last one."""
    idle_s: float = 10.0
    """Between two requests of a stranger."""
    keep_alive_s: float = 120.0
    """Between two requests of one who is known: longer than the 90 s of Kubernetes' aggregator."""
    answer_s: float = 30.0
    """For a client to take an answer that is too long to be sent at once."""


class Guest:
    """One connection. Times are monotonic seconds."""

    __slots__ = ("address", "busy", "cut", "due", "held", "known", "silent", "untaken")

    def __init__(self, address: str, due: float, cut: Callable[[], None]) -> None:
        self.address = address
        self.due = due
        """When it must have done what it is about."""
        self.cut = cut
        """Ends the connection at once."""
        self.known = False
        """Whether it has sent an authenticated request."""
        self.silent = True
        """Whether not a single byte of it has come yet."""
        self.busy = False
        """Whether a request of it is being answered."""
        self.held = 0
        """Bytes of heads that are not finished or wait for their turn."""
        self.untaken = 0
        """Bytes of answers that it has not taken yet."""


class Places:
    """The guests of one port."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._guests: dict[Guest, None] = {}
        """The one who came first stands first."""
        self._strangers: dict[str, dict[Guest, None]] = {}
        """Of each address, likewise."""
        self._held = self._untaken = 0
        self.turned_away = 0
        """How many had to go, or were not let in, for want of places or bytes."""

    def __len__(self) -> int:
        return len(self._guests)

    def enter(self, guest: Guest) -> bool:
        """Give the guest a place, for which another one may have to go. False where everybody is known and busy."""
        if len(self._strangers.get(guest.address, ())) >= self._bounds.strangers:
            self._turn_away(self._oldest_stranger(guest.address))
        elif len(self._guests) >= self._bounds.connections:
            least_wanted = self._least_wanted()
            if least_wanted is None:
                self.turned_away += 1
                return False
            self._turn_away(least_wanted)
        self._guests[guest] = None
        self._strangers.setdefault(guest.address, {})[guest] = None
        return True

    def leave(self, guest: Guest) -> None:
        """The connection has ended; more than once does no harm."""
        if guest in self._guests:
            del self._guests[guest]
            self._held -= guest.held
            self._untaken -= guest.untaken
            if not guest.known:
                self._forget_stranger(guest)

    def know(self, guest: Guest) -> None:
        """The guest has sent an authenticated request."""
        if guest in self._guests and not guest.known:
            guest.known = True
            self._forget_stranger(guest)

    def hold(self, guest: Guest, held: int) -> None:
        """So many bytes of heads of the guest's are held. Where all are too many, the one with most has to go."""
        if guest in self._guests:
            self._held += held - guest.held
            guest.held = held
            if self._held > self._bounds.heads_bytes:
                self._turn_away(max(self._guests, key=lambda one: one.held))

    def keep(self, guest: Guest, untaken: int) -> None:
        """So many bytes of answers wait until the guest takes them. Likewise."""
        if guest in self._guests:
            self._untaken += untaken - guest.untaken
            guest.untaken = untaken
            if self._untaken > self._bounds.untaken_bytes:
                self._turn_away(max(self._guests, key=lambda one: one.untaken))

    def overdue(self, now: float) -> list[Guest]:
        """Those whose time is over."""
        return [guest for guest in self._guests if guest.due <= now]

    def _least_wanted(self) -> Guest | None:
        if self._strangers:
            return self._oldest_stranger(max(self._strangers, key=lambda address: len(self._strangers[address])))
        crowd = Counter(guest.address for guest in self._guests)
        idle = (guest for guest in self._guests if not guest.busy)
        return max(idle, key=lambda guest: crowd[guest.address], default=None)

    def _oldest_stranger(self, address: str) -> Guest:
        here = self._strangers[address]
        settled = islice(here, max(len(here) - self._bounds.fresh, 0))
        return next((guest for guest in settled if guest.silent), next(iter(here)))

    def _turn_away(self, guest: Guest) -> None:
        self.turned_away += 1
        self.leave(guest)
        guest.cut()

    def _forget_stranger(self, guest: Guest) -> None:
        here = self._strangers[guest.address]
        del here[guest]
        if not here:
            del self._strangers[guest.address]


class Turns(Generic[Key, Item]):
    """What waits for its turn: keys by turns, and of one key the newest first.

    Under a flood the newest is the one whose sender most likely still waits.
    """

    def __init__(self) -> None:
        self._waiting: dict[Key, dict[Item, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __iter__(self) -> Iterator[Item]:
        return (item for items in self._waiting.values() for item in items)

    def add(self, key: Key, item: Item) -> None:
        """It waits from now on."""
        self._waiting.setdefault(key, {})[item] = None

    def discard(self, key: Key, item: Item) -> None:
        """It waits no longer; nothing where it did not."""
        items = self._waiting.get(key, {})
        items.pop(item, None)
        if not items:
            self._waiting.pop(key, None)

    def take(self) -> Item | None:
        """The next one, None where nothing waits."""
        if not self._waiting:
            return None
        key = next(iter(self._waiting))
        items = self._waiting.pop(key)
        item, _ = items.popitem()
        if items:
            self._waiting[key] = items  # at the end: the other keys come first
        return item
