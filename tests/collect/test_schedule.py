"""When queries are due and plans are made anew: time is an argument."""

from hypothesis import given
from hypothesis import strategies as st

from adapter.collect.demand import CustomWant
from adapter.collect.planned import Planned
from adapter.collect.schedule import REPLAN_EVERY, REST, SHARE, Outcome, Replanning, Timetable
from adapter.collect.snapshot import Limits
from adapter.metrics.source import Query
from adapter.rules import builtin
from adapter.rules.resources import PODS

WANT = CustomWant(PODS, "shop", "http_requests_per_second")
WANTS = frozenset([WANT])


def make_planned(promql: str, refresh: float = 5.0) -> Planned:
    rule = (builtin.rules().custom or ())[0]
    return Planned((WANT,), rule, Query(promql), None, "pod", "namespace", Limits(refresh=refresh))


def test_a_query_that_was_never_asked_is_due_at_once() -> None:
    query = make_planned("up")
    assert Timetable().due([query], 0.0) == [query]


def ask(timetable: Timetable, query: Planned, at: float, took: float, outcome: Outcome = Outcome.ANSWERED) -> float:
    """One evaluation that has its turn at once; the pause until the next."""
    timetable.note_queued(query.query, at)
    timetable.note_began(query.query, at)
    return timetable.note_ended(query, at + took, outcome)


def test_a_quick_query_is_due_after_its_refresh() -> None:
    timetable, query = Timetable(), make_planned("quick")
    assert ask(timetable, query, 100.0, took=0.2) == 5.0  # 20 x 0.2 = 4 < 5
    assert timetable.due([query], 104.9) == []
    assert timetable.due([query], 105.0) == [query]


def test_the_pause_of_a_slow_query_doubles_up_to_20_times_what_it_takes_and_ends_with_a_quick_answer() -> None:
    timetable, query = Timetable(), make_planned("slow")
    pauses, at = [], 100.0
    for took in (2.0, 2.0, 2.0, 2.0, 0.1, 2.0):
        pauses.append(ask(timetable, query, at, took))
        at += pauses[-1]
    assert pauses == [10, 20, 40, 40, 5, 10]  # 20 x 2 = 40


def test_seconds_of_slowness_are_over_within_two_refreshes() -> None:
    """7 s in which an answer takes 5 s: the query that began in them is asked again 10 s after it began."""
    timetable, query = Timetable(), make_planned("slow")
    assert ask(timetable, query, 106.9, took=5.0) == 10.0


def test_the_time_until_there_is_a_turn_is_not_the_querys() -> None:
    timetable, query = Timetable(), make_planned("waiting")
    timetable.note_queued(query.query, 100.0)
    assert (
        timetable.describe_wait(query.query, 214.0)
        == "it has waited 114.0 s for its turn, as other queries are under way"
    )
    timetable.note_began(query.query, 214.0)
    assert timetable.describe_wait(query.query, 217.0) == "it has been asked, and not answered for 3.0 s"
    assert timetable.note_ended(query, 214.001, Outcome.ANSWERED) == 5.0
    assert timetable.describe_wait(query.query, 216.0) == "it took 0.001 s and is asked again in 3.0 s"


def test_a_query_that_failed_is_asked_again_within_15_s_and_one_that_never_works_after_a_minute() -> None:
    timetable, query = Timetable(), make_planned("failing")
    pauses = [ask(timetable, query, 100.0, 10.0, Outcome.FAILED) for _ in range(4)]
    assert pauses == [10, 15, 15, 15]
    assert ask(timetable, query, 200.0, 0.1, Outcome.HOPELESS) == 60
    assert ask(timetable, make_planned("rare", 300.0), 100.0, 10.0, Outcome.FAILED) == 300


@given(st.lists(st.tuples(st.floats(0, 10), st.sampled_from(Outcome)), max_size=20), st.floats(0.5, 120))
def test_a_pause_is_never_below_the_refresh_nor_above_what_the_answer_and_the_pause_before_allow(
    answers: list[tuple[float, Outcome]], refresh: float
) -> None:
    timetable, query, before, at = Timetable(), make_planned("any", refresh), refresh, 0.0
    for took, outcome in answers:
        pause = ask(timetable, query, at, took, outcome)
        most = max(min(SHARE * took, 2 * before), REST if outcome is Outcome.HOPELESS else 0.0)
        assert refresh <= pause <= max(refresh, most) + 1e-6
        before, at = pause, at + pause


def test_what_is_asked_no_more_is_forgotten_and_due_when_it_comes_again() -> None:
    timetable, query = Timetable(), make_planned("up")
    ask(timetable, query, 100.0, took=0.0)
    timetable.keep([query.query])
    assert timetable.due([query], 101.0) == []
    timetable.keep([])
    assert timetable.due([query], 101.0) == [query]
    assert timetable.describe_wait(query.query, 101.0) == "it is not asked on schedule"


def test_a_plan_is_made_for_new_demand_new_offers_and_after_a_while() -> None:
    replanning = Replanning()
    assert replanning.is_due(frozenset(), 0, 0.0)
    replanning.note_plan(WANTS, 1, 100.0)
    assert not replanning.is_due(WANTS, 1, 100.0 + REPLAN_EVERY - 0.1)
    assert replanning.is_due(WANTS, 1, 100.0 + REPLAN_EVERY)
    assert replanning.is_due(frozenset(), 1, 100.0)
    assert replanning.is_due(WANTS, 2, 100.0)


def test_a_plan_that_was_asked_for_is_made_once() -> None:
    replanning = Replanning()
    replanning.note_plan(WANTS, 1, 100.0)
    replanning.ask()
    assert replanning.is_due(WANTS, 1, 100.1)
    replanning.note_plan(WANTS, 1, 100.1)
    assert not replanning.is_due(WANTS, 1, 100.2)
