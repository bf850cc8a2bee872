"""The page of releases. Pure."""

from collections.abc import Iterator

from adapter.console.board import Board, Kind
from adapter.console.choose import select_page
from adapter.console.pages.frame import Asked, conditions, empty, frame_page, is_old, pager, state_links
from adapter.console.pages.markup import NOTHING, Html, element, group
from adapter.console.pages.times import ago, clock
from adapter.console.releases import Progress, ReleaseView
from adapter.hpa.words import count
from adapter.kube.objects import unix
from adapter.rollout.explain import GateView, Outcome
from adapter.rollout.model.status import Outcome as End

OUTCOMES = {Outcome.PASSED: "good", Outcome.FAILED: "bad"}
ENDS = {End.PROMOTED: "good", End.ROLLED_BACK: "bad", End.ABORTED: "bad"}
STATES = (("under-way", "under way", "good"), ("look", "to look at", "bad"), ("idle", "idle", ""))


def page(board: Board, asked: Asked) -> str:
    """The whole page."""
    every = board.releases()
    selection = select_page(every, asked.wish, {one.key: _state(one) for one in every})
    cards = [_card(board, one, asked.now) for one in selection.items]
    shown = element("div", *cards, class_="cards") if cards else empty(board, Kind.RELEASES, "RolloutPolicies")
    links = state_links(selection, asked.wish, STATES)
    return frame_page(board, asked, group(links, shown, pager(selection, asked.wish)))


def _state(release: ReleaseView) -> str:
    if release.is_bad:
        return "look"
    return "idle" if release.progress is None else "under-way"


def _card(board: Board, one: ReleaseView, now: float) -> Html:
    phase = one.phase + (", held by a person" if one.held else "")
    kinds = {"look": "bad", "under-way": "good"}
    return element(
        "article",
        element("h2", one.name, " ", element("small", one.namespace)),
        element("p", element("span", phase, class_=f"state {kinds.get(_state(one), '')}".strip()),
                f" {one.strategy} of {one.target}"),
        *(element("p", problem, class_="bad") for problem in one.problems),
        element("p", one.says),
        element("p", f"template {one.refused} is refused: retry, undo, or write another one", class_="bad")
        if one.refused else None,
        *(_progress(one, one.progress, now) if one.progress else ()),
        element("ul", *(_gate(gate) for gate in one.gates), class_="gates") if one.gates else None,
        element("details", element("summary", count(len(one.conditions), "condition")),
                conditions(one.conditions), id=f"conditions-{one.key}") if one.conditions else None,
        _history(one, now),
        class_="old" if is_old(board, Kind.RELEASES, one.namespace) else None,
    )  # fmt: skip


def _progress(one: ReleaseView, release: Progress, now: float) -> Iterator[Html]:
    said = f"release {release.number}, template {release.template}, for {ago(release.started, now)}"
    yield element("p", said)
    if release.waiting is not None:
        said = f"the cluster does not show what this phase wants, for {ago(release.waiting, now)}"
        yield element("p", said, class_="warn")
    if one.weights:
        marks = [
            element("li", f"{weight} %", class_="done" if at < release.step else "now" if at == release.step else None)
            for at, weight in enumerate(one.weights)
        ]
        yield element("ol", *marks, class_="steps", aria_label="steps")
        yield element("p", f"step {release.step + 1} of {len(one.weights)}, ", element("b", f"{release.weight} %"),
                      " of the traffic")  # fmt: skip
    elif release.weight:
        yield element("p", element("b", f"{release.weight} %"), " of the traffic")


def _gate(gate: GateView) -> Html:
    """In the judge's own words, with the evidence beside the bars that it has to reach."""
    against = f"against it {gate.against:.4g} of {gate.against_bar:.4g}"
    return element(
        "li",
        element("span", gate.outcome.value, class_=f"state {OUTCOMES.get(gate.outcome, '')}".strip()),
        f" {gate.sentence}",
        element("small", f"{against}, in favour {gate.in_favour:.4g} of {gate.in_favour_bar:.4g}"),
    )


def _history(one: ReleaseView, now: float) -> Html:
    if not one.history:
        return NOTHING
    rows = [
        element(
            "li",
            element("span", past.outcome.value, class_=f"state {ENDS.get(past.outcome, '')}".strip()),
            f" {past.number}, {clock(unix(past.ended_at))} ({ago(unix(past.ended_at), now)} ago). {past.reason}",
        )
        for past in one.history
    ]
    last = one.history[0]
    summary = element("summary", f"{count(len(rows), 'release')} before, the last one {last.outcome.value}")
    return element("details", summary, element("ul", *rows), id=f"history-{one.key}")
