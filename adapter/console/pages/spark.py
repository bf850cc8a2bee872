"""A metric of the last minutes as a small picture, its target as a dashed line. Pure."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from adapter.console.history import Point
from adapter.console.pages.markup import NOTHING, Html, element
from adapter.console.pages.markup import points as drawn

WIDTH: Final = 140
HEIGHT: Final = 32
PAD: Final = 2


def spark(points: Sequence[Point], *, target: float, now: float, seconds: float, gap: float, label: str) -> Html:
    """The last `seconds` up to `now`, scaled with the target; no line is drawn over `gap` s without a value."""
    seen = [one for one in points if now - seconds <= one.time <= now and math.isfinite(one.value)]
    if not seen:
        return NOTHING
    top = max(target, *(one.value for one in seen), 0.0) * 1.1 or 1.0
    low = min(0.0, *(one.value for one in seen))

    def y(value: float) -> float:
        return PAD + (HEIGHT - 2 * PAD) * (1 - (value - low) / (top - low))

    def x(time: float) -> float:
        return PAD + (WIDTH - 2 * PAD) * (1 - (now - time) / seconds)

    lines = [
        element("polyline", class_="value", points=drawn((x(one.time), y(one.value)) for one in _bends(run)))
        for run in _runs(points, seen, gap)
        if len(run) > 1
    ]
    last = seen[-1]
    goal = f"{y(target):.1f}"
    return element(
        "svg",
        element("title", label),
        element("line", class_="goal", x1=0, x2=WIDTH, y1=goal, y2=goal),
        *lines,
        element("circle", class_="last", cx=f"{x(last.time):.1f}", cy=f"{y(last.value):.1f}", r="2"),
        class_="spark",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        preserveAspectRatio="none",
    )


def _bends(run: Sequence[Point]) -> Iterator[Point]:
    """A line without the points in the midst of a level part: an HPA's status changes every third look."""
    for at, one in enumerate(run):
        around = run[max(at - 1, 0) : at + 2]
        if len(around) < 3 or any(other.value != one.value for other in around):
            yield one


def _runs(points: Sequence[Point], seen: Sequence[Point], gap: float) -> Iterator[list[Point]]:
    """What is drawn in one line: cut where a look had no value, and where nobody looked."""
    known = set(map(id, seen))
    run: list[Point] = []
    for one in points:
        if id(one) not in known:
            if run and math.isnan(one.value):
                yield run
                run = []
            continue
        if run and one.time - run[-1].time > gap:
            yield run
            run = []
        run.append(one)
    if run:
        yield run
