"""What holds for every HPA, whatever the values."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.hpa.decide import Decision, decide
from adapter.hpa.model import (
    Behavior,
    History,
    HpaSpec,
    Invalid,
    Metric,
    PodState,
    PodValue,
    PodValues,
    Policy,
    PolicyType,
    Recommendation,
    Rules,
    Scale,
    ScaleEvent,
    SelectPolicy,
    Source,
    Target,
    TargetType,
)

NOW = 1_800_000_000.0
FAST = settings(max_examples=60, deadline=None)
RPS = Metric(Source.PODS, "rps", Target(TargetType.AVERAGE_VALUE, 10_000))
ERRORS = Metric(Source.PODS, "errors", Target(TargetType.AVERAGE_VALUE, 1_000))

ages = st.integers(0, 700)
counts = st.integers(0, 60)
rules = st.builds(
    Rules,
    st.none() | st.integers(0, 600),
    st.none() | st.sampled_from(SelectPolicy),
    st.lists(st.builds(Policy, st.sampled_from(PolicyType), st.integers(1, 300), st.integers(1, 600)), max_size=3).map(
        tuple
    ),
    st.none() | st.floats(0, 1),
)
events = st.lists(st.builds(ScaleEvent, counts, ages.map(lambda ago: NOW - ago)), max_size=4).map(tuple)
memories = st.builds(
    History,
    st.lists(st.builds(Recommendation, counts, ages.map(lambda ago: NOW - ago)), max_size=6).map(tuple),
    events,
    events,
)
specs = st.builds(
    lambda low, more, behavior: HpaSpec(max=low + more, min=low, metrics=(RPS,), behavior=behavior),
    st.integers(1, 20),
    st.integers(0, 40),
    st.none() | st.builds(Behavior, rules, rules),
)
loads = st.lists(st.none() | st.integers(0, 100_000), min_size=1, max_size=12)


def pods(number: int) -> list[PodState]:
    return [PodState(f"p{index}", start=NOW - 3600, ready_since=NOW - 3590) for index in range(number)]


def values(load: list[int | None]) -> PodValues:
    return PodValues({f"p{index}": PodValue(value) for index, value in enumerate(load) if value is not None})


def look(spec: HpaSpec, load: list[int | None], history: History, current: int) -> Decision:
    return decide(spec, Scale(current, current), [values(load)], pods(len(load)), history, NOW)


@FAST
@given(specs, loads, memories, st.integers(1, 80))
def test_the_target_is_within_its_bounds_or_left_alone(
    spec: HpaSpec, load: list[Any], history: History, current: int
) -> None:
    decision = look(spec, load, history, current)
    inside = (spec.min or 0) <= decision.desired <= spec.max
    assert inside or (decision.desired == current and decision.condition("ScalingActive").status is False)


@FAST
@given(specs, st.lists(st.integers(0, 100_000), min_size=1, max_size=12), memories, st.integers(0, 50_000))
def test_more_load_never_asks_for_fewer_replicas(spec: HpaSpec, load: list[int], history: History, more: int) -> None:
    before = look(spec, load, history, len(load))
    after = look(spec, [value + more for value in load], history, len(load))
    assert before.desired <= after.desired


@FAST
@given(st.integers(1, 40), st.integers(9_000, 11_000))
def test_within_the_tolerance_nothing_moves(number: int, value: int) -> None:
    spec = HpaSpec(max=60, min=1, metrics=(RPS,))
    assert not look(spec, [value] * number, History(), number).rescales


@FAST
@given(specs, loads, memories, st.integers(1, 60), st.randoms(use_true_random=False))
def test_the_order_of_the_pods_does_not_matter(
    spec: HpaSpec, load: list[Any], history: History, current: int, rng: Any
) -> None:
    straight, mixed = pods(len(load)), pods(len(load))
    rng.shuffle(mixed)
    shuffled = list(values(load).values.items())
    rng.shuffle(shuffled)
    one = decide(spec, Scale(current, current), [values(load)], straight, history, NOW)
    other = decide(spec, Scale(current, current), [PodValues(dict(shuffled))], mixed, history, NOW)
    assert one == other


@FAST
@given(specs, loads, memories, st.integers(1, 60))
def test_beside_an_invalid_metric_the_metrics_never_bring_replicas_down(
    spec: HpaSpec, load: list[Any], history: History, current: int
) -> None:
    both = HpaSpec(spec.max, spec.min, (RPS, ERRORS), spec.behavior)
    decision = decide(both, Scale(current, current), [values(load), Invalid("away")], pods(len(load)), history, NOW)
    assert decision.desired >= min(current, spec.max)


@FAST
@given(specs, loads, memories, st.integers(0, 60))
def test_what_is_remembered_stays_small(spec: HpaSpec, load: list[Any], history: History, current: int) -> None:
    for _ in range(3):
        history = look(spec, load, history, current).history
    assert len(history.recommendations) <= 9
    assert len(history.ups) + len(history.downs) <= 11
