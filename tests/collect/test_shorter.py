"""With Prometheus: rates since a pod of an HPA has left, over shorter windows than the rule's."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from adapter.collect.groups import GroupKey, Groups
from adapter.collect.presence import Presences
from adapter.collect.shorter import Since, since_changes
from adapter.collect.snapshot import Reading
from adapter.collect.transition import Span, Transitions
from adapter.collect.unison import Total
from adapter.kube.index import Index
from adapter.kube.objects import Condition, ObjectMeta, Pod, PodStatus
from adapter.units.selector import Selector
from tests.collect.test_transition import run_to_end

START = 1_000_000.0
WEB = Selector.parse("app=web")
GROUP = GroupKey("shop", WEB)
SPAN = Span(120.0, 15.0)
Rates = Mapping[str, float]


class Shop:
    """Pods of one HPA, and a Prometheus that is told what to answer for each window."""

    def __init__(self, *pods: str) -> None:
        self.now = START - 1000
        self.index: Index[Pod] = Index()
        presences = Presences(lambda: self.now)
        self.index.on_change(presences.note_change)
        self.transitions = Transitions(presences, Groups(presences, self.index.select), 0.0)
        self.come(*pods)
        self.now = START
        self.transitions.groups.note_request("shop", WEB, self.now, "hpas")
        self.asked: list[float] = []
        self.totals: Mapping[GroupKey, Total] = {}

    def come(self, *pods: str) -> None:
        """These take traffic from now on."""
        since = datetime.fromtimestamp(self.now, UTC)
        status = PodStatus("Running", conditions=(Condition("Ready", "True", last_transition_time=since),))
        for name in pods:
            self.index.put(Pod(metadata=ObjectMeta(namespace="shop", name=name, labels={"app": "web"}), status=status))

    def evaluate(self, whole: Rates, short: Rates | None = None, span: Span = SPAN) -> Since:
        """One evaluation: the rates over the rule's window, and over any shorter one."""

        async def ask(window: float) -> dict[tuple[str, str], Reading]:
            self.asked.append(window)
            return self._readings(short or {})

        evaluation = since_changes(
            self.transitions,
            {"shop"},
            self._readings(whole),
            self.totals,
            ask=ask,
            window=span.window,
            intervals={("shop", pod.metadata.name): span.interval for pod in self.index},
            at=self.now,
        )
        since = run_to_end(evaluation)
        self.totals = since.totals
        return since

    def _readings(self, rates: Rates) -> dict[tuple[str, str], Reading]:
        return {("shop", name): Reading(rate, self.now, 0.0) for name, rate in rates.items()}


def values(since: Since) -> dict[str, float]:
    return {name: round(reading.value, 3) for (_, name), reading in since.readings.items()}


@pytest.fixture
def replaced() -> Shop:
    """b has left at START, c has come; together they had 100 requests/s before."""
    shop = Shop("a", "b")
    shop.evaluate({"a": 50, "b": 50})
    shop.index.remove("shop", "b")
    shop.come("c")
    return shop


def test_where_nobody_has_left_nothing_shorter_is_asked_for() -> None:
    shop = Shop("a", "b")
    shop.come("c")
    shop.now += 40
    since = shop.evaluate({"a": 45, "b": 45, "c": 10})
    assert (values(since), dict(since.begins), shop.asked) == ({"a": 45, "b": 45, "c": 10}, {}, [])


def test_two_intervals_after_the_change_the_rates_since_are_served(replaced: Shop) -> None:
    replaced.now += 30.9  # a second until all clients know, and 2 * 15
    assert values(replaced.evaluate({"a": 50, "c": 12})) == {"a": 50, "c": 12}
    assert replaced.asked == []
    replaced.now += 0.1
    since = replaced.evaluate({"a": 50, "c": 12}, {"a": 53, "c": 49})
    # 102 in 30 s, 100 in the 30 s before: 101 in all, shared as 53 to 49
    assert values(since) == {"a": round(101 * 53 / 102, 3), "c": round(101 * 49 / 102, 3)}
    assert replaced.asked == [30]
    assert dict(since.begins) == {("shop", "a"): START, ("shop", "c"): START}
    assert {reading.window for reading in since.readings.values()} == {30}


def test_a_load_that_did_change_is_followed(replaced: Shop) -> None:
    replaced.now += 31
    assert values(replaced.evaluate({"a": 50, "c": 12}, {"a": 100, "c": 100})) == {"a": 100, "c": 100}


def test_the_window_grows_by_whole_intervals_up_to_the_rules(replaced: Shop) -> None:
    for after in (47, 110, 121, 149):
        replaced.now = START + after
        since = replaced.evaluate({"a": 50, "c": 50}, {"a": 51, "c": 51})
        assert since.begins
    assert replaced.asked == [45, 105]
    replaced.now = START + 151  # two intervals after the window is whole: a sample may be so old
    assert not replaced.evaluate({"a": 50, "c": 50}).begins


def test_a_pod_that_has_no_rate_yet_is_waited_for(replaced: Shop) -> None:
    replaced.now += 31
    assert not replaced.evaluate({"a": 50}, {"a": 53}).begins


def test_a_pod_that_never_has_one_is_waited_for_three_intervals_and_nothing_is_scaled_without_it(
    replaced: Shop,
) -> None:
    replaced.now += 46
    since = replaced.evaluate({"a": 50}, {"a": 53})
    assert (values(since), list(since.begins)) == ({"a": 53}, [("shop", "a")])


def test_where_a_pod_is_scraped_too_rarely_for_the_shorter_window_the_whole_one_holds(replaced: Shop) -> None:
    replaced.now += 61
    assert values(replaced.evaluate({"a": 50, "c": 20}, {"a": 53})) == {"a": 50, "c": 20}


def test_of_rates_over_less_than_twenty_seconds_nothing_is_made(replaced: Shop) -> None:
    replaced.now += 15
    assert not replaced.evaluate({"a": 50, "c": 12}, {"a": 53, "c": 49}, Span(60.0, 5.0)).begins
    replaced.now += 6
    assert replaced.evaluate({"a": 50, "c": 12}, {"a": 53, "c": 49}, Span(60.0, 5.0)).begins
    assert replaced.asked == [20]


@pytest.mark.parametrize("span", [Span(0.0, 15.0), Span(120.0, 0.0)])
def test_without_a_window_or_an_interval_nothing_is_done(replaced: Shop, span: Span) -> None:
    replaced.now += 60
    assert not replaced.evaluate({"a": 50}, {"a": 53}, span).begins


def test_the_windows_that_are_asked_for_at_once_are_bounded() -> None:
    """Eight HPAs whose pods changed in different intervals: four queries, of those that have waited the longest."""
    shop = Shop()
    for number in range(8):
        shop.transitions.groups.note_request("shop", Selector.parse(f"app=w{number}"), shop.now, "hpas")
        for name in (f"old-{number}", f"new-{number}"):
            labels = {"app": f"w{number}"}
            since = datetime.fromtimestamp(shop.now, UTC)
            status = PodStatus("Running", conditions=(Condition("Ready", "True", last_transition_time=since),))
            shop.index.put(Pod(metadata=ObjectMeta(namespace="shop", name=name, labels=labels), status=status))
        shop.index.remove("shop", f"old-{number}")
        shop.now += 15
    shop.evaluate({})
    assert shop.asked == [105, 90, 75, 60]
    assert set(shop.totals) == set()
