"""What a query's text tells of its values: whether they are rates."""

import pytest

from adapter.metrics.promql.meaning import is_rate
from adapter.metrics.promql.read import parse


@pytest.mark.parametrize(
    "promql",
    [
        "rate(x[1m])",
        "sum by (pod) (rate(x[1m]))",
        "(sum(increase(x[1m])))",
        "max(irate(x[1m])) by (pod)",
        'label_replace(sum by (pod) (rate(x[1m])), "a", "b", "c", "d")',
        "sum(rate(x[1m])) or sum(irate(y[1m]))",
        "topk(3, rate(x[1m]))",
    ],
)
def test_a_rate_and_what_sums_or_chooses_rates_is_a_rate(promql: str) -> None:
    assert is_rate(parse(promql))


@pytest.mark.parametrize(
    "promql",
    [
        "rate(in[1m]) - rate(out[1m])",
        "sum(rate(in[1m]) - rate(out[1m]))",
        "-rate(x[1m])",
        "log2(rate(x[1m]))",
        "deriv(x[1m])",
        "delta(x[1m])",
        "x",
        'x{path="/rate(x)"}',
        "sum(rate(x[1m])) or vector(-1)",
        "avg_over_time(rate(x[1m])[5m:])",
        "count(rate(x[1m]))",
    ],
)
def test_what_does_arithmetic_with_rates_or_only_mentions_them_is_none(promql: str) -> None:
    assert not is_rate(parse(promql))
