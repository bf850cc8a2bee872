"""A query of another controller -> the templates of a gate, about the pods of one arm. Pure.

Matchers that told the arms apart give way to one on `pod` (`foreign.arms`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import promql_parser as ast

from adapter.metrics.promql.read import PromQLError, parse
from adapter.metrics.promql.walk import children
from adapter.rollout.foreign.arms import HASH, Arms, Names
from adapter.rollout.foreign.condition import Bound
from adapter.rollout.foreign.ratio import Part, Ratio, ratio
from adapter.rollout.foreign.raw import Why
from adapter.rollout.model.query import MOST_CHARACTERS, WINDOW, WINDOWS

LEAST_LIMIT: Final = 0.001
"""A share of bad requests that can be shown to be kept, by 3,000 good ones."""
MOST_LIMIT: Final = 0.999999

_ARGUMENT: Final = re.compile(r"\{\{-?\s*(?:args\.)?([A-Za-z_$][\w.$-]{0,99})\s*-?\}\}")


class Gate(NamedTuple):
    """The part of a gate that a query and a bound give."""

    fields: Mapping[str, object]
    told: bool
    """Whether the query itself told the pods of the arms apart; else a matcher on `pod` was added."""
    dropped: Sequence[str]
    """Matchers that gave way."""
    doubts: Sequence[Why]
    """Matchers that were kept, and what has to be so that they find something."""
    rounded: bool
    """Whether a limit of nothing at all, which cannot be shown, became the smallest that can."""


def fill_in(template: str, values: Mapping[str, str]) -> str:
    """Fills in the arguments. Raises PromQLError for one without a value, or if the query becomes too long."""
    if len(template) > MOST_CHARACTERS:
        raise PromQLError(f"it has more than {MOST_CHARACTERS} characters")
    missing = sorted({match[1] for match in _ARGUMENT.finditer(template)} - values.keys())
    if missing:
        raise PromQLError(f"the argument {missing[0]} has no value that is known here")
    text = _ARGUMENT.sub(lambda match: values[match[1]][: MOST_CHARACTERS + 1], template)
    if len(text) > MOST_CHARACTERS:
        raise PromQLError(f"with its arguments it has more than {MOST_CHARACTERS} characters")
    if "{{" in text.replace(HASH, ""):
        raise PromQLError("it has an argument that cannot be read")
    return text


def gate(query: str, bound: Bound, names: Names, every: float | None = None) -> Gate:
    """What a gate needs to ask `query` for `bound`. `every`: s between two measurements. Raises PromQLError."""
    tree = parse(query)
    arms = Arms(names)
    window = _window(tree, every)
    fraction = ratio(tree)
    share = _share(fraction, bound) if fraction else None
    if fraction and share is not None:
        limit = share or LEAST_LIMIT
        fields: dict[str, object] = {"kind": "events", "query": _events(fraction, bound, arms, window), "limit": limit}
    else:
        asked = {"value": arms.writer.write(tree), "windowSeconds": window}
        fields = {"kind": "gauge", "query": asked, "limit": _whole(bound.limit)} | (
            {"worse": "lower"} if bound.lower else {}
        )
    dropped, doubts = tuple(dict.fromkeys(arms.dropped)), tuple(dict.fromkeys(arms.doubts))
    return Gate(fields, arms.told, dropped, doubts, rounded=share == 0)


def _write_increase(arms: Arms, part: Part) -> str:
    """PromQL for how many the counter counted in the window."""
    return f"sum(increase({arms.writer.write(part.selector)}[{{{{window}}}}]))"


def _whole(number: float) -> float:
    """Without a point where it needs none."""
    return int(number) if number == int(number) and abs(number) < 1e15 else number


def _share(fraction: Ratio, bound: Bound) -> float | None:
    """The share of bad requests that the bound allows; None where it is no share between 0 and 1."""
    share = bound.limit / fraction.scale
    bad = 1 - share if bound.lower else share
    if not 0 <= bad < 1:
        return None
    return float(f"{min(bad, MOST_LIMIT):.6g}")


def _events(fraction: Ratio, bound: Bound, arms: Arms, window: int) -> dict[str, object]:
    part, whole = _write_increase(arms, fraction.part), _write_increase(arms, fraction.whole)
    good = fraction.inverse != bound.lower
    # without a single good request the series of good ones may be missing: then all were bad
    bad = f"clamp_min({whole} - ({part} or vector(0)), 0)" if good else part
    return {"bad": bad, "total": whole, "windowSeconds": window}


def _window(tree: ast.Expr, every: float | None) -> int:
    """The longest range of the query, so that no two windows overlap; else the time between measurements."""
    ranges = [each / timedelta(seconds=1) for each in _ranges(tree)]
    wanted = max(ranges, default=every or WINDOW)
    return round(min(max(wanted, WINDOWS[0]), WINDOWS[1]))


def _ranges(node: ast.Expr) -> Iterator[timedelta]:
    if isinstance(node, ast.MatrixSelector | ast.SubqueryExpr) and node.range is not None:
        yield node.range
    for child in children(node):
        yield from _ranges(child)
