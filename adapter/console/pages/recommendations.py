"""The page of recommendations. Pure."""

from collections.abc import Iterator

from adapter.console.board import Board, Kind
from adapter.console.choose import select_page
from adapter.console.pages.frame import Asked, empty, frame_page, is_old, pager, state_links
from adapter.console.pages.markup import Html, element, group
from adapter.console.recommendations import BAD, Amounts, Requests, VpaView, change, format_amount

STATES = (
    ("bad", "to look at", "bad"),
    ("risky", "risk above the ceiling", "warn"),
    ("unsure", "not sure yet", "warn"),
    ("none", "without numbers", ""),
    ("good", "recommended", ""),
)
FAR = 20
"""Percent from which a difference stands out."""


def page(board: Board, asked: Asked) -> str:
    """The whole page."""
    every = board.recommendations()
    selection = select_page(every, asked.wish, {one.key: _state(one) for one in every})
    links = state_links(selection, asked.wish, STATES)
    if not selection.items:
        return frame_page(board, asked, group(links, empty(board, Kind.VPAS, "VerticalPodAutoscalers")))
    heads = ("VPA", "Container", "CPU: request → target", "Memory: request → target", "How sure, and the risk")
    requests = board.requests()
    table = element(
        "table",
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        *(_body(board, one, requests) for one in selection.items),
    )
    return frame_page(board, asked, group(links, table, pager(selection, asked.wish)))


def _state(vpa: VpaView) -> str:
    if any(one.type in BAD for one in vpa.warnings):
        return "bad"
    if not vpa.advice:
        return "none"
    if vpa.risk is not None and vpa.risk.status == "True":
        return "risky"
    return "unsure" if vpa.warnings else "good"


def _body(board: Board, vpa: VpaView, requests: Requests) -> Html:
    """The rows of one VPA: one for each container."""
    about = element(
        "td",
        element("b", vpa.name),
        element("small", vpa.namespace),
        element("small", f"{vpa.kind} {vpa.target}"),
        element("small", f"mode {vpa.mode}"),
    )
    sure = element("td", *_sure(vpa))
    rows = []
    for at, advice in enumerate(vpa.advice):
        asked = ((one, vpa.request(requests, advice.container, one.resource)) for one in advice.amounts)
        cells = [element("td", *_amounts(one, request), data_label=one.resource) for one, request in asked]
        name = element("td", advice.container, data_label="Container")
        first, last = (about, sure) if at == 0 else (element("td"), element("td"))
        rows.append(element("tr", first, name, *cells, last, class_="more" if at else None))
    if not rows:
        rows = [element("tr", about, element("td", "no recommendation", colspan=3, class_="dim"), sure)]
    return element("tbody", *rows, class_="old" if is_old(board, Kind.VPAS, vpa.namespace) else None)


def _amounts(one: Amounts, request: int | None) -> Iterator[Html]:
    moved = change(request, one.target)
    kind = "warn" if moved is not None and abs(moved) >= FAR else ""
    yield element(
        "span", f"{format_amount(one.resource, request)} → ", element("b", format_amount(one.resource, one.target))
    )
    if moved is not None:
        yield element("small", f"{moved:+d} %", class_=kind or None)
    if one.lower is not None and one.upper is not None:
        yield element("small", f"{format_amount(one.resource, one.lower)} to {format_amount(one.resource, one.upper)}")
    if one.is_capped:
        yield element("small", f"without its caps {format_amount(one.resource, one.uncapped)}")


def _sure(vpa: VpaView) -> Iterator[Html]:
    for one in vpa.warnings:
        kind = "bad" if one.type in BAD else "warn"
        yield element("p", element("span", one.type, class_=f"state {kind}"), f" {one.message or one.reason}")
    if vpa.risk is not None:
        kind = "state warn" if vpa.risk.status == "True" else "dim"
        yield element("p", element("span", vpa.risk.type, class_=kind), f" {vpa.risk.message}")
    if vpa.note:
        yield element("p", vpa.note)
