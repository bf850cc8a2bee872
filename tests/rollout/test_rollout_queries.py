"""Gates by PromQL: bound to their namespace whatever they say, about one arm, over intervals that do not overlap."""

import asyncio
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.metrics.promql.read import PromQLError, parse
from adapter.metrics.promql.walk import matchers, selectors
from adapter.metrics.sample import Sample
from adapter.metrics.source import ALWAYS, Query, Since, SourceError
from adapter.rollout.hear import MetricsEars
from adapter.rollout.model.gates import read
from adapter.rollout.model.window import Arm
from adapter.rollout.prometheus import Queries
from adapter.rollout.queries import Subject, bind, fill_in, problem_of, problems
from adapter.rollout.turns import Turns
from tests.rollout.shop import BLUE_GREEN, CANARY, Shop

SUBJECT = Subject("shop", Arm.CANARY, ("web-1", "web-2.x"), "5d4f8c7b9", 30)
BAD = 'sum(increase(http_requests_total{code=~"5..",pod=~"{{pods}}"}[{{window}}]))'
TOTAL = 'sum(increase(http_requests_total{pod=~"{{pods}}"}[{{window}}]))'
P95 = 'histogram_quantile(0.95, sum by (le) (rate(latency_bucket{pod=~"{{pods}}"}[{{window}}])))'
QUEUE = 'sum(queue_length{pod=~"{{pods}}"})'
EVENTS = {"name": "errors", "query": {"bad": BAD, "total": TOTAL, "windowSeconds": 10}, "limit": 0.02}
GAUGE = {"name": "queue", "kind": "gauge", "query": {"value": QUEUE, "windowSeconds": 10}, "limit": 5}

LABELS = st.sampled_from(["namespace", "exported_namespace", "pod", "code", "__name__"])
MATCHERS = st.builds(
    lambda label, sign, value: f"{label}{sign}'{value}'",
    LABELS, st.sampled_from(["=", "!=", "=~", "!~"]), st.sampled_from(["other", ".*", "kube-system|shop", ""]),
)  # fmt: skip
SELECTORS = st.builds(
    lambda name, matchers: f"{name}{{{','.join(matchers)}}}",
    st.sampled_from(["a", "b:c"]),
    st.lists(MATCHERS, max_size=3),
)
EXPRESSIONS = st.recursive(
    SELECTORS | SELECTORS.map(lambda inner: f"rate({inner}[5m])"),
    lambda inner: st.one_of(
        inner.map(lambda text: f"sum by (pod) ({text})"),
        inner.map(lambda text: f"max_over_time(({text})[10m:1m])"),
        inner.map(lambda text: f"label_replace({text}, 'namespace', 'x', 'pod', '.*')"),
        st.tuples(inner, st.sampled_from(["+", "or", "unless", "/ on (pod)", "and ignoring (code)"]), inner).map(
            lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
        ),
    ),
    max_leaves=6,
)


@given(EXPRESSIONS)
def test_every_selector_of_every_query_is_bound_to_the_namespace(text: str) -> None:
    try:
        bound = bind(text, SUBJECT, "namespace")
    except PromQLError:
        return  # more selectors without a range than are asked
    for query in (bound.promql, *bound.times):
        bound_selectors = list(selectors(parse(query)))
        assert bound_selectors
        assert all(("namespace", "=", "shop") in matchers(each) for each in bound_selectors)


@given(st.text(max_size=40), st.sampled_from([BAD, 'up{namespace="%s"}', "up{%s}", "%s", 'up{pod="%s"}']))
def test_no_text_in_a_query_reads_another_namespace(text: str, around: str) -> None:
    try:
        bound = bind(around.replace("%s", text), SUBJECT, "namespace")
    except PromQLError:
        return
    for each in selectors(parse(bound.promql)):
        assert ("namespace", "=", "shop") in matchers(each)


def test_the_arguments_stand_where_they_are_written_and_pods_are_taken_word_by_word() -> None:
    bound = bind(f'{P95} + 0 * up{{hash="{{{{hash}}}}",arm="{{{{arm}}}}"}}', SUBJECT, "namespace")
    assert 'pod=~"web-1|web-2[.]x"' in bound.promql
    assert 'hash="5d4f8c7b9",arm="canary"' in bound.promql
    assert "[30s]" in bound.promql
    assert bound.times == ('max(timestamp(up{hash="5d4f8c7b9",arm="canary",namespace="shop"}))',)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sum(up)", "reads the same for both arms"),
        ("sum(up) # {{arm}}", "reads the same for both arms"),
        ('sum(up) # {pod=~"{{pods}}"}\n + 1', "reads the same for both arms"),
        ('up{pod=~"{{pods}}"}[5m]', "a range of values"),
        ('((up{pod=~"{{pods}}"}[{{window}}]))', "a range of values"),
        ('sum(up{pod=~"{{pods}}"})[5m:10s]', "a range of values"),
        ('sum(up{pod=~"{{pods}}"}', "no PromQL"),
        ('up{pod=~"{{pods}}"} offset 1w', "offset and @"),
        ('up{pod=~"{{pods}}"} @ 1', "offset and @"),
        ('rate(up{pod=~"{{pods}}"}[2h])', "longer than an hour"),
        ('max_over_time(up{pod=~"{{pods}}"}[5m:100ms])', "shorter than a second"),
        ('info(up{pod=~"{{pods}}"})', "info()"),
        ('up{pod=~"{{pods}}" or namespace="other"}', "joined by `or`"),
        ("vector(1) + {{pods}}", "cannot stand"),
        ('up{pod=~"{{pods}}",node="{{node}}"}', "{{node}} is no argument"),
        ('label_replace(vector(1), "a", "{{pods}}", "b", "c")', "reads no series"),
        (" + ".join(['up{pod=~"{{pods}}"}'] * 5), "more than 4 selectors"),
    ],
)  # fmt: skip
def test_a_query_that_is_not_asked_is_said_in_a_sentence(query: str, words: str) -> None:
    assert words in problem_of(query)
    gates, _ = read({"gates": [{**GAUGE, "query": {"value": query}}]})
    (problem,) = problems(gates.gates)
    assert problem.startswith("spec.gates[0].query.value: ")


@pytest.mark.parametrize(
    "query",
    [
        BAD,
        f"{BAD} # by {{{{arm}}}}",
        P95,
        'scalar(sum(up{pod=~"{{pods}}"}))',
        'max_over_time(sum(up{pod=~"{{pods}}"})[5m:10s])',
        'sum(rate(up{pod=~"{{pods}}",path="a[5m]"}[5m]))',
        'up{pod=~"{{pods}}",path="[5m]"}',
        'sum by (arm) (up) * on (arm) label_replace(vector(1), "arm", "{{arm}}", "", "")',
    ],
)
def test_a_query_that_gives_one_value_of_one_arm_is_asked(query: str) -> None:
    assert problem_of(query) == ""


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ({"query": {"bad": BAD, "total": TOTAL}, "limit": 0.1}, "name: missing"),
        ({**EVENTS, "query": {"bad": BAD}}, "query.total: missing"),
        ({**EVENTS, "query": {"bad": BAD, "total": TOTAL, "value": QUEUE}}, "value: right would be bad and total"),
        ({**GAUGE, "query": {}}, "query.value: missing"),
        ({**GAUGE, "query": {"value": QUEUE, "windowSeconds": 5}}, "windowSeconds: 5 is out of range"),
        ({**GAUGE, "query": {"value": "x" * 2001}}, "at most 2000 characters"),
        ({**EVENTS, "metric": "a"}, "query alone"),
        ({**EVENTS, "total": "a"}, "query alone"),
    ],
)  # fmt: skip
def test_a_gate_that_is_wrong_is_said_in_a_sentence(gate: dict[str, Any], words: str) -> None:
    assert words in "; ".join(read({"gates": [gate]})[1])


class Prometheus:
    """A source whose answers are counted; `say` gives the values for a query."""

    name, knows_sample_times = "prometheus", False

    def __init__(self, say: Callable[[str], list[float]]) -> None:
        self.say, self.asked = say, list[tuple[float, str]]()

    async def query(self, query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
        self.asked.append((at, query.promql))
        if "timestamp(" in query.promql and self.stale is not None:
            return [Sample({}, at - self.stale, at)]
        return [Sample({"n": str(number)}, value, at) for number, value in enumerate(self.say(query.promql))]

    stale: float | None = 1.0


def answer_with_errors(bad: float, *, stable: float = 0.001) -> Callable[[str], list[float]]:
    """Answers to queries: 1,000 requests of each arm in a window, of which these shares are bad."""

    def say(query: str) -> list[float]:
        share = stable if 'pod=~"web-0' in query else bad
        return [1000 * share] if "5.." in query else [1000.0]

    return say


async def release_with_prometheus(strategy: dict[str, Any], prometheus: Prometheus, *gates: dict[str, Any]) -> Shop:
    shop = Shop(strategy, gates=list(gates or (EVENTS,)))
    shop.turns = Turns(shop.client, MetricsEars(shop.client, Queries(prometheus, "namespace")))  # type: ignore[arg-type]
    await shop.ready()
    shop.release("web:2")
    return shop


STRATEGIES = pytest.mark.parametrize("strategy", [BLUE_GREEN, CANARY], ids=["blue-green", "canary"])


@STRATEGIES
async def test_a_good_release_is_promoted_and_a_bad_one_rolled_back(strategy: Any) -> None:
    for bad, end in ((0.001, "Promoted"), (0.2, "RolledBack")):
        shop = await release_with_prometheus(strategy, Prometheus(answer_with_errors(bad)))
        await shop.until_outcome(end)
        shop.clean("web:2" if end == "Promoted" else "web:1")


async def test_each_arm_is_asked_about_its_own_pods_and_no_moment_twice() -> None:
    prometheus = Prometheus(answer_with_errors(0.001))
    shop = await release_with_prometheus(CANARY, prometheus)
    await shop.until_outcome("Promoted")
    totals = [(at, query) for at, query in prometheus.asked if "5.." not in query]
    for arm in ('pod=~"web-0', 'pod=~"web-r1'):  # the simulator names pods by their ReplicaSets
        times = [at for at, query in totals if arm in query]
        assert len(times) >= 2
        assert all(later - earlier >= 10 for earlier, later in pairwise(times))
    assert all('namespace="shop"' in query for _, query in prometheus.asked)


@pytest.mark.parametrize(
    "values", [[], [math.nan], [math.inf], [1.0, 1.0], [-1.0]], ids=["none", "NaN", "infinite", "several", "negative"]
)
async def test_what_is_no_value_is_no_evidence_and_never_a_pass(values: list[float]) -> None:
    shop = await release_with_prometheus(CANARY, Prometheus(lambda query: values))
    await shop.some(120)
    assert shop.mark == "Stepping 0"
    assert shop.outcomes == []
    assert shop.status["evidence"]["gates"][0]["windows"] == 0


async def test_a_service_without_errors_has_no_series_of_them_and_passes() -> None:
    shop = await release_with_prometheus(CANARY, Prometheus(lambda query: [] if "5.." in query else [1000.0]))
    await shop.until_outcome("Promoted")


async def test_a_stale_gauge_is_no_evidence() -> None:
    prometheus = Prometheus(lambda query: [1.0])
    prometheus.stale = 61.0
    shop = await release_with_prometheus(CANARY, prometheus, GAUGE)
    await shop.some(60)
    assert shop.mark == "Stepping 0"
    assert shop.status["evidence"]["gates"][0]["heard"] == "no values of the new pods"
    prometheus.stale = 60.0
    await shop.until_outcome("Promoted")


async def test_a_prometheus_that_is_away_holds_and_then_follows_the_policy() -> None:
    def say(query: str) -> list[float]:
        raise SourceError("away")

    shop = await release_with_prometheus(
        CANARY, Prometheus(say), {**EVENTS, "noEvidence": {"afterSeconds": 60, "then": "rollback"}}
    )
    await shop.some(50)
    assert shop.mark == "Stepping 0"
    await shop.until_outcome("RolledBack")
    assert "no evidence" in shop.status["history"][0]["reason"]


async def test_a_prometheus_that_never_answers_delays_no_turn() -> None:
    class Slow(Prometheus):
        async def query(self, query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
            await asyncio.Event().wait()
            return []

    slow = await release_with_prometheus(CANARY, Slow(lambda query: []))
    await slow.some(60)  # which would not end if a turn waited
    assert slow.mark == "Stepping 0"
    await cast(Any, slow.turns)._ears.close()


async def test_a_gauge_beyond_its_limit_rolls_back() -> None:
    shop = await release_with_prometheus(CANARY, Prometheus(lambda query: [9.0 if "web-r1" in query else 1.0]), GAUGE)
    await shop.until(lambda: shop.outcomes, steps=600)
    assert shop.outcomes == ["RolledBack"]


@pytest.mark.parametrize("known", [False, True])
async def test_a_query_that_cannot_be_asked_is_refused_before_a_release(known: bool) -> None:
    gate = {**EVENTS, "query": {"bad": "sum(up)", "total": TOTAL}} if known else EVENTS
    shop = Shop(CANARY, gates=[gate])
    queries = Queries(Prometheus(answer_with_errors(0.0)), "namespace") if known else None  # type: ignore[arg-type]
    shop.turns = Turns(shop.client, MetricsEars(shop.client, queries))
    await shop.some(5)
    (refused,) = [each for each in shop.status["conditions"] if each["type"] == "Refused"]
    assert refused["status"] == "True"
    assert ("spec.gates[0].query.bad" if known else "--prometheus-url") in refused["message"]
    assert shop.phase == "Pending"


def test_an_argument_that_does_not_end_is_text_however_many_blanks_it_has() -> None:
    """These took the cube of their number: 5,000 over a minute."""
    assert fill_in("x{{" + " " * 100_000, {}) == "x{{" + " " * 100_000
    assert fill_in('x{pod=~"{{ pods }}"}', {"pods": "a"}) == 'x{pod=~"a"}'
