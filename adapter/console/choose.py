"""What of a list is shown: by namespace, by words, by state, a page of it. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar
from urllib.parse import urlencode

PER_PAGE: Final = 50
MOST_SIGNS: Final = 253
"""Of a filter: no name is longer."""
MOST_PAGES: Final = 10_000


class Shown(Protocol):
    """Something with a place and words."""

    @property
    def key(self) -> str:
        """Which it is."""
        ...

    @property
    def namespace(self) -> str:
        """Where it is."""
        ...

    @property
    def text(self) -> str:
        """What a search looks at."""
        ...


V = TypeVar("V", bound=Shown)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants to see."""

    namespace: str = ""
    words: str = ""
    state: str = ""
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Wish":
        """From a URL; what cannot be meant is not heard."""
        page = query.get("page", "")
        return cls(
            query.get("ns", "")[:MOST_SIGNS],
            query.get("q", "")[:MOST_SIGNS].strip(),
            query.get("state", "")[:MOST_SIGNS],
            max(1, min(int(page), MOST_PAGES)) if page.isascii() and page.isdecimal() and 0 < len(page) < 8 else 1,
        )

    def query(self, *, page: int = 1, state: str | None = None) -> str:
        """A URL's query with another page, or another state."""
        wanted = {"ns": self.namespace, "q": self.words, "state": self.state if state is None else state}
        given = {name: value for name, value in wanted.items() if value} | ({"page": str(page)} if page > 1 else {})
        return f"?{urlencode(given, errors='replace')}" if given else "?"


@dataclass(frozen=True, slots=True)
class Page(Generic[V]):
    """A page of what was found."""

    items: Sequence[V]
    number: int
    """From 1."""
    pages: int
    found: int
    """On all pages."""
    states: Mapping[str, int]
    """How many of each state, whichever is chosen."""


def select_page(items: Sequence[V], wish: Wish, states: Mapping[str, str]) -> Page[V]:
    """The page that is wished for, or the last. `states`: the state of each item, by its key."""
    words = wish.words.casefold().split()
    fits = [
        one
        for one in items
        if (not wish.namespace or one.namespace == wish.namespace)
        and all(word in one.text.casefold() for word in words)
    ]
    counts = Counter(state for one in fits if (state := states.get(one.key, "")))
    if wish.state:
        fits = [one for one in fits if states.get(one.key, "") == wish.state]
    pages = max(1, -(-len(fits) // PER_PAGE))
    number = max(1, min(wish.page, pages))
    return Page(fits[(number - 1) * PER_PAGE : number * PER_PAGE], number, pages, len(fits), counts)
