"""What all pages have: head, places to go, filter, what cannot be read, a page's neighbours. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from adapter.console.board import WORKLOADS, Ails, Board, Kind, Listed
from adapter.console.choose import Page, Wish
from adapter.console.pages.markup import NOTHING, Html, document, element, group
from adapter.console.pages.times import ago, clock
from adapter.kube.errors import Skipped
from adapter.kube.objects import Condition


class Place(NamedTuple):
    """A page of the console."""

    path: str
    title: str
    kinds: tuple[Kind, ...]
    """What it shows."""


HPAS: Final = Place("/", "HPAs", (Kind.HPAS,))
RELEASES: Final = Place("/releases", "Releases", (Kind.RELEASES,))
RECOMMENDATIONS: Final = Place("/recommendations", "Recommendations", (Kind.VPAS, *WORKLOADS))
PLACES: Final = (HPAS, RELEASES, RECOMMENDATIONS)
ABSENT: Final[Mapping[Kind, str]] = {
    Kind.RELEASES: "RolloutPolicies are not installed in this cluster: manifests/crds/rolloutpolicy.yaml has them.",
    Kind.VPAS: "VerticalPodAutoscalers are not installed in this cluster: manifests/crds/vpa.yaml has them.",
}


class Asked(NamedTuple):
    """A page that somebody asks for."""

    place: Place
    wish: Wish
    now: float
    """Unix s."""


def frame_page(board: Board, asked: Asked, content: Html) -> str:
    """The whole page around `content`. The script refreshes nothing but the element `main`."""
    place = asked.place
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{place.title} – StreamGate"),
        element("link", rel="stylesheet", href="/console.css"),
        element("script", src="/console.js", defer=True),
    )
    counts = {HPAS: len(board.hpas()), RELEASES: len(board.releases()), RECOMMENDATIONS: len(board.recommendations())}
    links = [
        element("a", one.title, " ", element("span", counts[one], class_="count"), href=_link(one, asked.wish),
                aria_current="page" if one is place else None)
        for one in PLACES
    ]  # fmt: skip
    body = element(
        "body",
        element("header", element("strong", "StreamGate"), element("nav", *links), class_="top"),
        _filter(board, asked),
        element("p", id="lost", class_="trouble", role="alert", hidden=True),
        element("main", *_troubles(board, asked), content, _foot(board, asked), id="main"),
        data_refresh=str(round(board.refresh * 1000)),
    )
    return document(head, body)


def pager(page: Page[Any], wish: Wish) -> Html:
    """Which page this is, and its neighbours."""
    if page.pages == 1:
        return NOTHING
    before = element("a", "← before", href=wish.query(page=page.number - 1)) if page.number > 1 else ""
    after = element("a", "next →", href=wish.query(page=page.number + 1)) if page.number < page.pages else ""
    return element("nav", before, f" page {page.number} of {page.pages} ", after, class_="pager")


def empty(board: Board, kind: Kind, noun: str) -> Html:
    """In place of a table without rows."""
    listed = [board.last_list(kind, namespace) for namespace in board.namespaces]
    if any(one.trouble for one in listed):
        return NOTHING  # what stands above says more
    waiting = any(one.at is None for one in listed)
    return element("p", f"reading {noun} …" if waiting else f"no {noun} that fit", class_="dim")


def _link(place: Place, wish: Wish) -> str:
    """A place, with the same filter as here."""
    return place.path + wish.query(state="")


def _filter(board: Board, asked: Asked) -> Html:
    names = sorted({one.namespace for one in _list_views(board, asked.place)} | {asked.wish.namespace} - {""})
    options = [element("option", "all namespaces", value="")]
    options += [element("option", name, value=name, selected=name == asked.wish.namespace) for name in names if name]
    return element(
        "form",
        element("select", *options, name="ns", aria_label="namespace"),
        element("input", type="search", name="q", value=asked.wish.words, placeholder="name, target, metric",
                aria_label="words to find", maxlength=253, autocomplete="off"),
        element("input", type="hidden", name="state", value=asked.wish.state) if asked.wish.state else None,
        element("button", "show"),
        id="filter", method="get", action=asked.place.path,
    )  # fmt: skip


def _list_views(board: Board, place: Place) -> Sequence[Any]:
    lists: Mapping[Place, Callable[[], Sequence[Any]]] = {
        HPAS: board.hpas,
        RELEASES: board.releases,
        RECOMMENDATIONS: board.recommendations,
    }
    return lists[place]()


def _troubles(board: Board, asked: Asked) -> Iterator[Html]:
    """What of this page cannot be read, and why; each kind by its name."""
    for kind, namespace, listed in board.troubles():
        if kind in asked.place.kinds:
            yield _trouble(kind, namespace, listed, asked.now)
    for kind, namespace, skipped in board.unreadable_objects():
        if kind in asked.place.kinds:
            yield _skipped_notice(kind, namespace, skipped)


def _trouble(kind: Kind, namespace: str, listed: Listed[Any], now: float) -> Html:
    assert listed.trouble is not None
    where = f" in namespace {namespace}" if namespace else ""
    ails, words, since = listed.trouble
    if ails is Ails.ABSENT and kind in ABSENT:
        return element("p", ABSENT[kind], class_="dim")
    if ails is Ails.FORBIDDEN:
        hint = "" if namespace else " streamgate-console -n NAMESPACE shows the namespaces that you may read."
        said = f"you may not list {kind}{where}.{hint}"
    elif ails is Ails.UNKNOWN:
        said = f"the API server does not know you any more, since {clock(since)} ({ago(since, now)}): {_old(listed)}"
    else:
        said = f"{kind}{where} cannot be read since {clock(since)} ({ago(since, now)}): {_old(listed)}"
    return element("p", element("b", said), " ", element("small", words), class_="trouble", role="alert")


def _skipped_notice(kind: Kind, namespace: str, skipped: Sequence[Skipped]) -> Html:
    where = f" in namespace {namespace}" if namespace else ""
    of = f"{len(skipped)} of {kind}{where} cannot be read and {'are' if len(skipped) > 1 else 'is'} not shown"
    words = f"{skipped[0]}: {skipped[0].why}"
    return element("p", element("b", of), " ", element("small", words), class_="trouble", role="alert")


def _old(listed: Listed[Any]) -> str:
    return "nothing was read before" if listed.at is None else f"what is shown is old, of {clock(listed.at)}"


def is_old(board: Board, kind: Kind, namespace: str) -> bool:
    """Whether a row comes from a list that could not be read again."""
    return board.last_list(kind, namespace if namespace in board.namespaces else "").trouble is not None


def _foot(board: Board, asked: Asked) -> Html:
    times = [at for namespace in board.namespaces if (at := board.last_list(asked.place.kinds[0], namespace).at)]
    read = f"read {clock(min(times))}" if times else "not read yet"
    lost = board.history.without_room
    room = f"; {lost} metrics have no line, there is room for {board.history.most}" if lost else ""
    return element("footer", f"{read}{room}", class_="dim")


def conditions(given: Sequence[Condition]) -> Html:
    """A list of them."""
    lines = (element("li", f"{c.type} {c.status} ", element("b", c.reason), f" {c.message}") for c in given)
    return element("ul", *lines)


def state_links(page: Page[Any], wish: Wish, states: Sequence[tuple[str, str, str]]) -> Html:
    """How many are in each state, to choose one. `states`: (word in the URL, words for people, class)."""
    links = [element("a", "all ", element("span", sum(page.states.values()), class_="count"),
                     href=wish.query(state=""), aria_current="true" if not wish.state else None)]  # fmt: skip
    for word, title, kind in states:
        if page.states.get(word):
            links.append(
                element("a", f"{title} ", element("span", page.states[word], class_="count"), class_=kind or None,
                        href=wish.query(state=word), aria_current="true" if wish.state == word else None)
            )  # fmt: skip
    return element("nav", group(*links), class_="states", aria_label="states")
