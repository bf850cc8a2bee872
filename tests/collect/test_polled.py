"""Whose newest values are polled: asked for again and again, within bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.collect.answer import CustomQuestion
from adapter.collect.polled import OF_NAMESPACE, PODS, POLL_S, Polled
from adapter.rules.resources import PODS as PODS_RESOURCE
from adapter.units.selector import EVERYTHING, Selector


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def question(
    namespace: str = "shop", metric: str = "http_errors_total", selector: Selector = EVERYTHING
) -> CustomQuestion:
    return CustomQuestion(
        resource=PODS_RESOURCE,
        namespace=namespace,
        name="*",
        metric=metric,
        selector=selector,
        metric_selector=EVERYTHING,
    )


@pytest.mark.parametrize(("gap", "polled"), [(0.1, False), (1.0, True), (4.9, True), (5.1, False), (15.0, False)])
def test_who_asks_again_within_seconds_polls_and_an_hpa_does_not(gap: float, polled: bool) -> None:
    """The HPA controller asks every 15 s; two metrics of one request come at once."""
    clock = Clock()
    pods = Polled(clock)
    pods.note_question(question(), ["web-1"])
    assert not pods.holds("shop", "web-1")
    clock.now += gap
    pods.note_question(question(), ["web-1"])
    assert pods.holds("shop", "web-1") is polled


def test_two_metrics_asked_at_once_are_no_poll() -> None:
    clock = Clock()
    pods = Polled(clock)
    for metric in ("http_requests_total", "http_errors_total"):
        clock.now += 1
        pods.note_question(question(metric=metric), ["web-1"])
    assert not pods.holds("shop", "web-1")


def test_a_poll_is_over_some_seconds_after_the_last_question() -> None:
    clock = Clock()
    pods = Polled(clock)
    for _ in range(20):
        clock.now += 1
        pods.note_question(question(), ["web-1"])
    clock.now += POLL_S - 0.1
    assert pods.holds("shop", "web-1")
    clock.now += 0.2
    assert not pods.holds("shop", "web-1")
    assert pods.number == 0


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 200), st.floats(0.5, 4)), max_size=40))
def test_no_namespace_takes_more_than_its_part_and_all_no_more_than_all(asked: list[tuple[int, int, float]]) -> None:
    clock = Clock()
    pods = Polled(clock)
    names = [f"web-{number}" for number in range(200)]
    for space, count, gap in asked:
        clock.now += gap
        pods.note_question(question(f"ns-{space}"), names[:count])
        held = {(f"ns-{each}", name) for each in range(9) for name in names if pods.holds(f"ns-{each}", name)}
        assert len(held) == pods.number <= PODS
        assert all(sum(owner == f"ns-{each}" for owner, _ in held) <= OF_NAMESPACE for each in range(9))


def test_a_selector_that_is_too_long_is_not_remembered() -> None:
    clock = Clock()
    pods = Polled(clock)
    selector = Selector.parse("app in (" + ",".join(f"web-{number}" for number in range(1000)) + ")")
    for _ in range(3):
        clock.now += 1
        pods.note_question(question(selector=selector), ["web-1"])
    assert pods.number == 0


def test_who_is_newly_polled_is_told_once_while_it_lasts() -> None:
    clock, told = Clock(), list[tuple[str, str]]()
    pods = Polled(clock)
    pods.on_poll(lambda namespace, pod: told.append((namespace, pod)))
    for pause in (1, 1, 1, POLL_S + 1, 1):
        clock.now += pause
        pods.note_question(question(), ["web-1"])
    assert told == [("shop", "web-1")] * 2
