"""What of PromQL the embedded store evaluates, and the sentence where it does not."""

from collections.abc import Iterable

import promql_parser as ast

from adapter.metrics.matching import Matching, Operator
from adapter.metrics.promql.walk import matchers
from adapter.metrics.slices import Slices
from adapter.metrics.source import UnsupportedQuery
from adapter.metrics.store.vector import NAME

SUPPORTED = (
    "sum, avg, min, max, count and group by or without labels; rate, irate, increase, *_over_time and timestamp of"
    " plain selectors; histogram_quantile; + - * / % ^ with numbers or one-to-one between vectors; and, or, unless"
)


def unsupported_error(construct: str) -> UnsupportedQuery:
    """The refusal of a construct."""
    return UnsupportedQuery(f"the embedded store does not evaluate {construct}; it evaluates {SUPPORTED}")


def matchings(selector: ast.VectorSelector) -> Slices[list[Matching]]:
    """The matchers of a selector, the metric's name among them. Raises UnsupportedQuery."""
    if selector.offset is not None or selector.at is not None:
        raise unsupported_error("'offset' and '@'")
    if selector.matchers.or_matchers:
        raise unsupported_error("'or' between matchers")
    label_matchings = []
    for label, operator, value in matchers(selector):
        label_matchings.append(Matching(label, Operator(operator), value))
        yield  # a large expression takes milliseconds to compile
    return (
        label_matchings if selector.name is None else [Matching(NAME, Operator.EQUAL, selector.name), *label_matchings]
    )


def grouping_labels(labels: Iterable[str], modifier: ast.AggModifier | None) -> list[str]:
    """Those of `labels` that an aggregation's `by` or `without` clause leaves."""
    if modifier is None:
        return []
    if modifier.type == ast.AggModifierType.By:
        return [label for label in labels if label in modifier.labels]
    return [label for label in labels if label not in modifier.labels and label != NAME]
