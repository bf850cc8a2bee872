"""What can be asked about the samples behind a query: how old they are, and whether they fill its windows."""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from itertools import chain
from typing import NamedTuple

import promql_parser as ast

from adapter.metrics.promql.meaning import Reach, reaches
from adapter.metrics.promql.read import parse
from adapter.metrics.promql.walk import children, is_without, matchers, unwrap
from adapter.metrics.promql.write import Writer, label, span

LOOK_BACK = 300.0
"""s that Prometheus looks back for a sample at most (its default); older ones are seen by a subquery alone."""
STEPS = 20
"""Of a window, at which the oldest sample in it is looked for."""
COUNTED = 300.0
"""s over which samples are counted."""
_OF_COUNTERS = frozenset(("rate", "increase"))
_OF_TWO = _OF_COUNTERS | {"irate", "delta", "idelta", "deriv", "predict_linear"}
"""Functions that need two samples of a series (promql/functions.go)."""


class Age(NamedTuple):
    """How the age of what a query reads is told, and which age it asks for."""

    promql: str
    """The time of the newest sample, Unix s, by the object's labels."""
    counts: str
    """How many samples it has in the last COUNTED s, by the same labels."""
    offset: float
    """s by which the samples are old because the query says so (`offset`)."""
    span: float
    """s by which the newest may be old beyond that because the query asks for any in a range; 0 where it does not."""


def age_query(promql: str, by: Sequence[str] | None = None) -> Age | None:
    """How to ask for the age of what `promql` reads: the newest sample of one of its selectors.

    The selector is the first of those with matchers for the most of the labels `by`, which default to the labels of the
    first aggregation; for `a or b` one of each side. None where no selector has any, or it reads at a fixed time (`@`).
    An `offset` stays: the age is the sample's own. Raises PromQLError for a query that cannot be read.
    """
    expression = parse(promql)
    grouping = list(by) if by is not None else _first_grouping(expression)
    chosen = [reach for side in _alternatives(expression) if (reach := _telling(side, grouping)) is not None]
    if not chosen:
        return None
    how = f"max by ({', '.join(map(label, grouping))})"
    times, counts = dict.fromkeys(chain(*map(_newest, chosen))), dict.fromkeys(map(_count, chosen))
    return Age(
        f"{how} ({' or '.join(times)})",
        f"{how} ({' or '.join(counts)})",
        offset=max(reach.offset for reach in chosen),
        span=max(reach.span for reach in chosen),
    )


def timestamp_query(promql: str, by: Sequence[str] | None = None) -> str | None:
    """The query of `age_query`; None where there is none. Raises PromQLError."""
    age = age_query(promql, by)
    return None if age is None else age.promql


def _newest(reach: Reach) -> Iterator[str]:
    """Queries for the newest sample's time; for a long span also of one older than Prometheus looks back."""
    series, offset = _series(reach)
    yield f"timestamp({series}{offset})"
    if reach.span > LOOK_BACK + 60:  # the last minute is not worth a subquery
        yield f"max_over_time(timestamp({series})[{_text(reach.span)}:1m]{offset})"


def _count(reach: Reach) -> str:
    series, offset = _series(reach)
    return f"count_over_time({series}[{_text(COUNTED)}]{offset})"


def _series(reach: Reach) -> tuple[str, str]:
    """The selector without the offset, and the whole offset: its own and those of the subqueries around it."""
    moved = reach.selector.offset
    whole = Writer().write(reach.selector)
    series = whole if moved is None else whole.removesuffix(f" offset {span(moved)}")
    return series, f" offset {_text(reach.offset)}" if reach.offset else ""


class Coverage(NamedTuple):
    """Tells whether the windows that a query reads are full."""

    promql: str
    """0 or more for whom they are, by the object's labels; less, or nothing, for the others."""
    window: float
    """The longest of them, s."""
    by: tuple[str, ...]
    """The object's labels."""
    windows: tuple["Window", ...]
    """One of each side of an `or` at the top."""

    def oldest(self) -> str:
        """Asks for the time of each object's oldest sample, Unix s, as far back as the windows reach; see STEPS."""
        moved = [(one, f" offset {_text(one.offset)}" if one.offset else "") for one in self.windows]
        oldest = [
            f"min_over_time(timestamp({one.series})[{_text(one.length)}:{_text(one.length / STEPS)}]{offset})"
            for one, offset in moved
        ]
        how = f"min by ({', '.join(map(label, self.by))})" if self.by else "min"
        return f"{how} ({' or '.join(oldest)})"

    def holes(self, seconds: float) -> str:
        """A query for who has fewer samples, by over one, in the last `seconds` than in those before."""
        comparisons = []
        for one in self.windows:
            lately, before = (
                f"count_over_time({one.series}[{_text(seconds)}]{f' offset {_text(moved)}' if moved else ''})"
                for moved in (one.offset, one.offset + seconds)
            )
            comparisons.append(f"({before} - ({lately} or 0 * {before}) > 1)")
        how = f"max by ({', '.join(map(label, self.by))})" if self.by else "max"
        return f"{how} ({' or '.join(comparisons)})"

    @property
    def resolution(self) -> float:
        """s by which the oldest sample may be older than what `oldest` tells."""
        return self.window / STEPS


class Window(NamedTuple):
    """The range that a rate is taken over."""

    series: str
    """The selector, without range and offset."""
    length: float
    """s."""
    offset: float
    """s; below 0 where it is moved into the future."""


def coverage_query(promql: str, by: Sequence[str]) -> Coverage | None:
    """Whether the windows of the rates in `promql` have as many samples in their older half as in their newer one.

    Prometheus divides by the whole window, however little of it has samples (promql/functions.go, extrapolatedRate
    reaches half a sample interval further at most): after an outage, or the loss of its data, a rate is too low until
    its window is full. Per object the shortest-known series counts, without labels `by` the longest-known. None where
    there is no rate that tells the labels apart. Raises PromQLError for a query that cannot be read.
    """
    chosen = [window for side in _alternatives(parse(promql)) if (window := _telling_window(side, by)) is not None]
    windows = tuple(dict.fromkeys(map(_window, chosen)))
    if not windows:
        return None
    counts = " or ".join(map(_older_half, windows))
    return Coverage(f"{_how(by)} ({counts})", max(one.length for one in windows), tuple(by), windows)


def over(promql: str, seconds: float) -> str | None:
    """`promql` with its rate taken over so many s; None where it is no sum of one rate over a longer window.

    Of such a query alone the values of objects add up, and mean the same over whichever window. Raises PromQLError.
    """
    expression = parse(promql)
    inner = unwrap(expression.expr) if isinstance(expression, ast.AggregateExpr) else None
    if str(getattr(expression, "op", "")) != "sum" or not isinstance(inner, ast.Call) or inner.func.name != "rate":
        return None
    window = unwrap(inner.args[0])
    if not isinstance(window, ast.MatrixSelector) or window.range.total_seconds() <= seconds:
        return None
    if window.vector_selector.offset is not None or window.vector_selector.at is not None:
        return None
    whole = Writer().write(window)
    shorter = f"{whole.removesuffix(f'[{span(window.range)}]')}[{span(timedelta(seconds=seconds))}]"
    return Writer().write(expression).replace(whole, shorter)


def shortest_range(promql: str) -> float:
    """The shortest range, s, in which an object needs two samples to have a value; 0 where it needs none.

    Raises PromQLError.
    """
    return min((window.range.total_seconds() for window in _windows(parse(promql), _OF_TWO)), default=0.0)


def _how(by: Sequence[str]) -> str:
    return f"min by ({', '.join(map(label, by))})" if by else "max"


def _window(window: ast.MatrixSelector) -> Window:
    moved = window.vector_selector.offset
    series = Writer().write(window).rpartition(f"[{span(window.range)}]")[0]
    return Window(series, window.range.total_seconds(), 0.0 if moved is None else moved.total_seconds())


def _older_half(window: Window) -> str:
    """How many more samples its older half has than its newer."""
    offset = f" offset {_text(window.offset)}" if window.offset else ""
    whole, newer = (f"{window.series}[{_text(length)}]{offset}" for length in (window.length, window.length / 2))
    return f"(count_over_time({whole}) - 2 * count_over_time({newer}))"


def _text(seconds: float) -> str:
    return span(timedelta(seconds=seconds))


def _telling_window(node: ast.Expr, grouping: Sequence[str]) -> ast.MatrixSelector | None:
    """The window of the first rate or increase that has matchers for the most of the labels."""
    windows = [window for window in _windows(node, _OF_COUNTERS) if window.vector_selector.at is None]
    best = max(windows, key=lambda window: _count_matched_labels(window.vector_selector, grouping), default=None)
    return (
        best if best is not None and (not grouping or _count_matched_labels(best.vector_selector, grouping)) else None
    )


def _windows(node: ast.Expr, functions: Collection[str]) -> Iterator[ast.MatrixSelector]:
    """The ranges that these functions are taken over."""
    if isinstance(node, ast.Call) and node.func.name in functions:
        yield from (part for part in node.args if isinstance(part, ast.MatrixSelector))
    for child in children(node):
        yield from _windows(child, functions)


def _alternatives(node: ast.Expr) -> list[ast.Expr]:
    """The sides of an `or` at the top, of any number."""
    if isinstance(node, ast.ParenExpr):
        return _alternatives(node.expr)
    if isinstance(node, ast.BinaryExpr) and str(node.op) == "or":
        return [*_alternatives(node.lhs), *_alternatives(node.rhs)]
    return [node]


def _telling(expression: ast.Expr, grouping: Sequence[str]) -> Reach | None:
    """The first of the selectors that have matchers for the most of the labels."""
    candidates = [one for one in reaches(expression) if not one.fixed]
    best = max(candidates, key=lambda one: _count_matched_labels(one.selector, grouping), default=None)
    return best if best is not None and _count_matched_labels(best.selector, grouping) else None


def _count_matched_labels(selector: ast.VectorSelector, grouping: Sequence[str]) -> int:
    """How many of the labels in `grouping` the selector has matchers for."""
    return len({name for name, _, _ in matchers(selector)}.intersection(grouping))


def _first_grouping(node: ast.Expr) -> list[str]:
    if isinstance(node, ast.AggregateExpr) and node.modifier is not None and not is_without(node):
        return [name for name in node.modifier.labels if name != "le"]
    return next(filter(None, map(_first_grouping, children(node))), [])
