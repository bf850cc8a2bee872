"""Values at the ends of the floats: the store evaluates them without a warning, Prometheus' odd text is NaN."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.metrics.sample import Series
from adapter.metrics.source import Query
from adapter.metrics.store.store import Store
from tests import answers

ODD = st.sampled_from([1.8e305, -1.8e305, math.inf, -math.inf, math.nan, 5e-324, -0.0, 1.0, 2.0**63])
ROWS = st.lists(st.lists(ODD, min_size=6, max_size=6), min_size=1, max_size=3)
QUERIES = (
    "x",
    "sum(x)",
    "avg(x)",
    "sum(x) / sum(x)",
    "x * 1000",
    "sum by (pod) (rate(x[1m]))",
    "sum(irate(x[1m]))",
    "sum(increase(x[1m]))",
    "avg_over_time(x[1m])",
    "histogram_quantile(0.9, sum by (le) (rate(x[1m])))",
)


@given(rows=ROWS, promql=st.sampled_from(QUERIES), adaptive=st.booleans())
def test_the_store_evaluates_whatever_was_scraped(rows: list[list[float]], promql: str, adaptive: bool) -> None:
    store = Store()
    for number, values in enumerate(rows):
        series = Series.of("x", {"pod": f"web-{number}", "le": "+Inf" if number else "1"})
        store.extend((series, value, 1000.0 + 5 * place) for place, value in enumerate(values))
    assert len(store.query(Query(promql, adaptive), 1025.0)) <= len(rows)


@pytest.mark.parametrize("text", ["", "one", "0x10"])
def test_a_value_of_prometheus_that_is_no_number_costs_its_own_sample_alone(text: str) -> None:
    result = [{"metric": {"pod": pod}, "value": [1000, value]} for pod, value in (("odd", text), ("web", "2.5"))]
    body = msgspec.json.encode({"status": "success", "data": {"resultType": "vector", "result": result}})
    values = {sample.labels["pod"]: sample.value for sample in answers.samples(body)}
    assert values["web"] == 2.5
    assert math.isnan(values["odd"])
