"""Why there is no value, as the client is told: by whether asking again can help. Pure.

404 where the adapter knows no such metric or object, 400 where the question can mean nothing, 500 where what the rule
says can never work, 503 where it may pass. An HPA treats all of them, and an empty list, as a missing metric; the
sentence is what a person sees in the HPA's condition.
"""

from collections.abc import Iterable, Mapping

from adapter.collect.answer import BadQuestion, Missing, Unanswerable, Unavailable
from adapter.collect.demand import CustomWant, Want
from adapter.collect.judge import Judged
from adapter.collect.planned import UnknownMetric
from adapter.collect.snapshot import Table
from adapter.collect.unison import Key
from adapter.metrics.source import SourceError, UnsupportedQuery
from adapter.rules.queries import QueryError, SelectorQueryError
from adapter.units.regexp import RegexpError, compile_pattern
from adapter.units.requirement import LISTS, Requirement

TOLD_TO = 1.1
"""An interval is told from few samples: [1m] at one a minute is too short, though it may look like 59 s."""
EXPRESSION_BYTES = 512 * 1024
"""That a selector's values may take as an expression, as in the embedded store."""


def of_plan(error: LookupError | QueryError, trouble: str = "", lacking: str = "") -> Exception:
    """No query can be made for what was asked; `trouble`: why not every rule's series are known, and which are not."""
    text = str(error.args[0])
    if isinstance(error, UnknownMetric) and trouble:
        return Unavailable(f"{text}; but {trouble}")
    if isinstance(error, UnknownMetric) and lacking:
        return Missing(f"{text}; but {lacking}")
    if isinstance(error, SelectorQueryError):
        return BadQuestion(text)
    return Unanswerable(text) if isinstance(error, QueryError) else Missing(text)


def code(error: Exception) -> int:
    """The HTTP status of what asking for a value raised."""
    return next((number for kind, number in _CODES if isinstance(error, kind)), 500)


_CODES = ((Missing, 404), (BadQuestion, 400), (Unavailable, 503))


def of_source(error: SourceError, want: Want) -> Exception:
    """The query for `want` failed, and there is nothing from before. Its selector may be why."""
    if not isinstance(error, UnsupportedQuery):
        return Unavailable(str(error))
    selector = want.metric_selector if isinstance(want, CustomWant) else want.selector
    problem = next(filter(None, map(_no_expression, selector.requirements)), "")
    return BadQuestion(problem) if problem else Unanswerable(str(error))


def _no_expression(requirement: Requirement) -> str:
    """What keeps the values of `in` and `notin`, which are asked for as an expression, from being one."""
    if requirement.operator not in LISTS:
        return ""
    try:
        compile_pattern("|".join(requirement.values), memory=EXPRESSION_BYTES)
    except RegexpError as error:
        return f"the values of {requirement.key!r}: {error}"
    return ""


def of_object(name: str, verdict: Judged | None, error: SourceError | None, short: str = "") -> Exception:
    """The one object that was asked for has no value, or it is left out; `short`: see `too_short`."""
    if verdict is None and error is None and not short:
        return Missing(f"{name} has no sample")
    why = f"{name} has no sample" if verdict is None else f"the value of {name} is left out: {verdict.why}"
    return Unavailable("; ".join(filter(None, [why, short, _failure(error)])))


def of_list(verdicts: Mapping[str, Judged | None], error: SourceError | None, short: str = "") -> Exception | None:
    """Nothing of a list can be served although there are values, or there can be none; None where neither is so.

    There can be none where the last query failed or its range is too short (`too_short`).
    """
    left_out = [(name, item) for name, item in verdicts.items() if item is not None and item.value is None]
    parts = [short, _failure(error)]
    if left_out:
        (name, first), count = left_out[0], len(left_out)
        whose = f", of {name}," if name else ""
        which = f"the only value{whose} is" if count == 1 else f"all {count} values are"
        parts.insert(0, f"{which} left out: {f'{name}: ' if name and count > 1 else ''}{first.why}")
    told = "; ".join(filter(None, parts))
    return Unavailable(told) if told else None


def _failure(error: SourceError | None) -> str:
    return "" if error is None else f"the last query failed: {error}"


def too_short(keys: Iterable[Key], table: Table, needs: float) -> str:
    """That the query's range cannot hold two samples of any of these, which are known to be sampled more rarely."""
    interval = min((table.intervals[key] for key in keys if key in table.intervals), default=0.0)
    if not needs or needs > TOLD_TO * interval:
        return ""
    return (
        f"the query takes a rate over {needs:.0f} s, which needs two samples, and there is one each {interval:.0f} s"
        f" or so; right would be a range of {4 * interval:.0f} s, or a shorter scrape interval"
    )


def of_unnamed(count: int, label: str) -> Exception:
    """A query's result of `count` elements, none of which says whose it is."""
    elements = "one element" if count == 1 else f"{count} elements"
    return Unanswerable(
        f"the rule's query gives {elements} without the label {label!r} (a scalar, or grouped by other labels), so"
        " nobody knows whose value that is; right would be `by (<<.GroupBy>>)`"
    )
