"""The page of HPAs. Pure."""

from adapter.console.board import Board, Kind
from adapter.console.choose import select_page
from adapter.console.hpas import BAD, HpaView, State
from adapter.console.pages.frame import Asked, conditions, empty, frame_page, is_old, pager, state_links
from adapter.console.pages.markup import Html, element, group
from adapter.console.pages.spark import spark
from adapter.console.pages.times import ago
from adapter.console.wants import Reading

MOST_LINES = 4
"""Metrics of an HPA that have a line of their own on the page; the others are told."""
CLASSES = {State.AT_MOST: "warn", State.HELD: "warn", State.SCALES: "good"} | dict.fromkeys(BAD, "bad")
GAP = 3.5
"""Looks without an answer over which no line is drawn."""


def page(board: Board, asked: Asked, seconds: float) -> str:
    """The whole page; lines go `seconds` back."""
    every = board.hpas()
    selection = select_page(every, asked.wish, {one.key: one.state.name.lower() for one in every})
    states = [(state.name.lower(), state.value, CLASSES.get(state, "")) for state in State]
    if not selection.items:
        content = group(state_links(selection, asked.wish, states), empty(board, Kind.HPAS, "HPAs"))
        return frame_page(board, asked, content)
    heads = ("HPA", "Metrics, now against target", "Replicas", "State, and why")
    rows = [_row(board, one, asked, seconds) for one in selection.items]
    table = element(
        "table",
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        element("tbody", *rows),
    )
    return frame_page(
        board, asked, group(state_links(selection, asked.wish, states), table, pager(selection, asked.wish))
    )


def _row(board: Board, hpa: HpaView, asked: Asked, seconds: float) -> Html:
    lines = [_metric(board, hpa, at, asked.now, seconds) for at in range(min(len(hpa.readings), MOST_LINES))]
    others = max(len(hpa.readings) - MOST_LINES, 0) + hpa.more
    more = element("small", f"and {others} more") if others else None
    return element(
        "tr",
        element("td", element("b", hpa.name), element("small", hpa.namespace), element("small", hpa.target)),
        element("td", *lines, more, data_label="Metrics"),
        element("td", *_size(hpa), data_label="Replicas"),
        element("td", *_state(hpa, asked.now), data_label="State"),
        class_="old" if is_old(board, Kind.HPAS, hpa.namespace) else None,
    )


def _metric(board: Board, hpa: HpaView, at: int, now: float, seconds: float) -> Html:
    reading = hpa.readings[at]
    about = reading.metric.container or reading.metric.described
    label = f"{reading.metric.name}: {reading.shown}, target {reading.goal_shown}"
    points = board.history.of(hpa.series_key(at))
    return element(
        "div",
        element("span", reading.metric.name, element("small", about) if about else None, class_="name"),
        spark(points, target=reading.goal, now=now, seconds=seconds, gap=GAP * board.refresh, label=label),
        element("span", element("b", reading.shown), f" / {reading.goal_shown}", class_=_over(reading)),
        class_="metric",
    )


def _over(reading: Reading) -> str:
    if reading.level is None:
        return "now bad"
    return "now warn" if reading.level > 1.1 * reading.goal else "now"


def _size(hpa: HpaView) -> tuple[Html, ...]:
    size = hpa.size
    arrow = f" → {size.desired}" if size.desired != size.current else ""
    return element("b", f"{size.current}{arrow}"), element("small", f"{size.least} to {size.most}")


def _state(hpa: HpaView, now: float) -> tuple[Html, ...]:
    scaled = f"last scaled {ago(hpa.scaled, now)} ago" if hpa.scaled is not None else "never scaled"
    return (
        element("span", hpa.state.value, class_=f"state {CLASSES.get(hpa.state, '')}".strip()),
        element("p", "; ".join(hpa.why)) if hpa.why else group(),
        element("details", element("summary", scaled), conditions(hpa.conditions), id=f"hpa-{hpa.key}"),
    )
