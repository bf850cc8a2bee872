"""When queries are due and plans are made anew: time is an argument."""

from adapter.collect.demand import CustomWant
from adapter.collect.plan import Planned
from adapter.collect.schedule import REPLAN_EVERY, Replanning, Timetable
from adapter.collect.snapshot import Limits
from adapter.metrics.source import Query
from adapter.rules import builtin
from adapter.rules.resources import PODS

WANT = CustomWant(PODS, "shop", "http_requests_per_second")
WANTS = frozenset([WANT])


def planned(promql: str, refresh: float = 5.0) -> Planned:
    rule = (builtin.rules().custom or ())[0]
    return Planned((WANT,), rule, Query(promql), None, "pod", "namespace", Limits(refresh=refresh))


def test_a_query_that_was_never_asked_is_due_at_once() -> None:
    query = planned("up")
    assert Timetable().due([query], 0.0) == [query]


def test_a_quick_query_is_due_after_its_refresh_and_a_slow_one_after_20_times_what_it_took() -> None:
    timetable, quick, slow = Timetable(), planned("quick"), planned("slow")
    timetable.asked(quick, started=100.0, took=0.2)  # 20 x 0.2 = 4 < 5
    timetable.asked(slow, started=100.0, took=2.0)  # 20 x 2 = 40 > 5
    assert timetable.due([quick, slow], 104.9) == []
    assert timetable.due([quick, slow], 105.0) == [quick]
    assert timetable.due([quick, slow], 140.0) == [quick, slow]


def test_what_is_asked_no_more_is_forgotten_and_due_when_it_comes_again() -> None:
    timetable, query = Timetable(), planned("up")
    timetable.asked(query, started=100.0, took=0.0)
    timetable.keep([query.query])
    assert timetable.due([query], 101.0) == []
    timetable.keep([])
    assert timetable.due([query], 101.0) == [query]


def test_a_plan_is_made_for_new_demand_new_offers_and_after_a_while() -> None:
    replanning = Replanning()
    assert replanning.is_due(frozenset(), 0, 0.0)
    replanning.made(WANTS, 1, 100.0)
    assert not replanning.is_due(WANTS, 1, 100.0 + REPLAN_EVERY - 0.1)
    assert replanning.is_due(WANTS, 1, 100.0 + REPLAN_EVERY)
    assert replanning.is_due(frozenset(), 1, 100.0)
    assert replanning.is_due(WANTS, 2, 100.0)


def test_a_plan_that_was_asked_for_is_made_once() -> None:
    replanning = Replanning()
    replanning.made(WANTS, 1, 100.0)
    replanning.ask()
    assert replanning.is_due(WANTS, 1, 100.1)
    replanning.made(WANTS, 1, 100.1)
    assert not replanning.is_due(WANTS, 1, 100.2)
