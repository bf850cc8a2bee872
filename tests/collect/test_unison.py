"""Rates of pods that are averaged together are taken over the same time."""

from hypothesis import given
from hypothesis import strategies as st

from adapter.collect.snapshot import Reading
from adapter.collect.unison import Cohort, Kept, Key, latest_cut, overlay, settled, starts

A, B, C, D = (("shop", name) for name in "abcd")
INTERVAL = 5.0
NOW = 1000.0


def rate(value: float, begin: float, end: float = NOW) -> Reading:
    return Reading(value, end, end - begin)


def test_samples_count_since_the_pod_is_ready_and_since_the_group_changed() -> None:
    born = {A: 100.0, B: 990.0}
    assert starts(Cohort((A, B), 980.0), born.__getitem__) == {A: 980.0, B: 990.0}


def test_a_window_that_a_change_cut_is_the_others_too() -> None:
    begins = {A: 0.0, B: 0.0, C: 0.0}
    even = {A: rate(50, 940), B: rate(50, 943), C: rate(50, 944)}
    assert latest_cut(even, begins, INTERVAL) is None  # a pod's phase of the scrape: 4 s apart
    assert latest_cut(even | {B: rate(75, 985)}, begins, INTERVAL) == 985


def test_a_pod_that_has_just_become_ready_cuts_nobody() -> None:
    readings = {A: rate(50, 940), B: rate(50, 943), D: rate(50, 988)}
    assert latest_cut(readings, {A: 0.0, B: 0.0, D: 987.0}, INTERVAL) is None


def test_plain_values_have_no_window_to_cut() -> None:
    assert latest_cut({A: Reading(3, NOW, 0), B: Reading(4, NOW - 4, 0)}, {A: 0.0, B: 0.0}, INTERVAL) is None


def test_what_was_served_stays_until_each_has_a_value_since_the_change() -> None:
    """75 + 75 + 50 of 150 requests would count 50 twice."""
    before = {A: rate(75, 940), B: rate(75, 941)}
    new = {A: rate(75, 990), D: rate(50, 990)}
    kept = settled(Cohort((A, B, D), 988.0), new, before, moment=988.0, interval=INTERVAL, now=NOW)
    assert kept == Kept({A: before[A], B: before[B], D: None}, [B])


def test_when_all_have_one_the_new_values_hold() -> None:
    new = {A: rate(50, 990), B: rate(50, 990), D: rate(50, 990)}
    kept = settled(Cohort((A, B, D), 988.0), new, {A: rate(75, 940)}, moment=988.0, interval=INTERVAL, now=NOW)
    assert kept == Kept(new, ())


def test_who_does_not_answer_holds_the_others_up_for_three_intervals() -> None:
    new, before = {A: rate(75, 985)}, {A: rate(50, 940), B: rate(50, 941)}

    def served(moment: float) -> Kept:
        return settled(Cohort((A, B), moment), new, before, moment=moment, interval=INTERVAL, now=NOW)

    assert served(NOW - 15).readings == before
    assert served(NOW - 15.1).readings == {A: new[A], B: None}


def test_of_a_pod_in_two_groups_the_one_that_waits_counts() -> None:
    new, old = rate(50, 990), rate(75, 940)
    assert overlay({A: new, C: new}, [Kept({A: old}, [B]), Kept({A: new}, ())]) == {A: old, C: new}
    assert overlay({A: new, C: new}, [Kept({A: new}, ()), Kept({A: None}, [B])]) == {C: new}


@given(st.dictionaries(st.sampled_from([A, B, C, D]), st.floats(900, 995)), st.floats(900, 1000))
def test_nobody_outside_a_group_is_touched(begins: dict[Key, float], moment: float) -> None:
    readings = {key: rate(1, begin) for key, begin in begins.items()}
    kept = settled(Cohort((A, B), moment), readings, {}, moment=moment, interval=INTERVAL, now=NOW)
    assert {key: value for key, value in overlay(readings, [kept]).items() if key in (C, D)} == {
        key: value for key, value in readings.items() if key in (C, D)
    }
