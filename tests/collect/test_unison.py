"""Rates of pods that are averaged together are taken over the same time."""

from hypothesis import given
from hypothesis import strategies as st

from adapter.collect.snapshot import Reading
from adapter.collect.unison import (
    Cohort,
    Kept,
    Key,
    Past,
    Total,
    alike,
    anyway,
    latest_cut,
    overdue,
    overlay,
    settle_group,
    starts,
)

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


def settle(
    members: tuple[Key, ...],
    new: dict[Key, Reading],
    before: dict[Key, Reading],
    moment: float,
    *,
    former: tuple[Key, ...] = (),
    total: Total | None = None,
    held: float | None = None,
    silent: tuple[Key, ...] = (),
) -> Kept:
    cohort = Cohort(members, moment, former)
    return settle_group(
        cohort, new, before, Past(total, held), silent=silent, moment=moment, interval=INTERVAL, now=NOW
    )


def test_what_was_served_stays_until_each_has_a_value_since_the_change() -> None:
    """75 + 75 + 50 of 150 requests would count 50 twice."""
    before = {A: rate(75, 940), B: rate(75, 941)}
    kept = settle((A, B, D), {A: rate(75, 990), D: rate(50, 990)}, before, 988, former=(A, B))
    assert kept.readings == {A: before[A], B: before[B], D: None}
    assert kept.waiting == [B]
    assert kept.total == Total(988, 150, 59, 150, 59)  # over the shorter window of the two


def test_when_all_have_one_the_new_values_hold() -> None:
    new = {A: rate(50, 990), B: rate(50, 990), D: rate(50, 990)}
    assert settle((A, B, D), new, {}, 988) == Kept(new, ())  # nobody knows what there was before


def test_what_all_have_together_is_taken_over_the_time_before_too() -> None:
    """5 s say 159 requests/s, 55 s before said 150: (150 * 55 + 159 * 5) / 60 = 150.75, shared as these 5 s were."""
    new = {A: rate(53, 995), B: rate(53, 995), D: rate(53, 995)}
    kept = settle((A, B, D), new, {A: rate(75, 940), B: rate(75, 940)}, 990, former=(A, B))
    assert [reading and round(reading.value, 6) for reading in kept.readings.values()] == [50.25, 50.25, 50.25]
    assert kept.total == Total(990, 150, 60, 150.75, 60)


def test_where_load_moves_long_after_the_last_change_the_members_had_the_total() -> None:
    """C has gone long ago: what A and B had together counts, not what C and A had."""
    new, before = {A: rate(76, 995), B: rate(83, 995)}, {A: rate(100, 940), B: rate(50, 940)}
    cohort = Cohort((A, B), 500, (A, C))
    kept = settle_group(cohort, new, before, Past(), moment=995, interval=INTERVAL, now=NOW)
    assert kept.total == Total(995, 150, 60, 150.75, 60)  # (150 * 55 + 159 * 5) / 60


def test_a_load_that_did_change_is_followed_at_once() -> None:
    """240 after 150: the distance, 90, is 14 standard errors of sqrt(157.5 * (1/55 + 1/5)) = 5.9."""
    new = {A: rate(80, 995), B: rate(80, 995), D: rate(80, 995)}
    kept = settle((A, B, D), new, {A: rate(75, 940), B: rate(75, 940)}, 990, former=(A, B))
    assert kept == Kept(new, (), Total(990, 240, 5, 240, 5))


def test_a_second_change_goes_on_from_what_was_known_before_it() -> None:
    known = Total(980, 150, 60, 148, 60)
    kept = settle((A, B), {A: rate(74, 995)}, {A: rate(50, 940)}, 990, former=(A, B, C), total=known)
    assert kept.total == Total(990, 148, 60, 148, 60)


def test_a_minute_after_a_change_only_the_new_values_count() -> None:
    new = {A: rate(50, 940), B: rate(50, 940)}
    assert settle((A, B), new, {A: rate(75, 880)}, NOW - 60.1, total=Total(939, 150, 60, 150, 60)) == Kept(new, ())


def test_who_does_not_answer_holds_the_others_up_for_three_intervals() -> None:
    new, before = {A: rate(75, 985)}, {A: rate(50, 940), B: rate(50, 941)}
    assert settle((A, B), new, before, NOW - 15).readings == before
    assert settle((A, B), new, before, NOW - 15.1).readings == {A: new[A], B: None}


def test_nobody_waits_for_a_pod_that_is_silent() -> None:
    """B gave a value before and its scrapes fail now; D never gave any, so that what A and B had is the whole."""
    new, before = {A: rate(75, 990)}, {A: rate(50, 940), B: rate(50, 941)}
    kept = settle((A, B), new, before, 988, former=(A, B), silent=(B,))
    assert kept.readings == {A: new[A], B: None}
    assert kept.total == Total(988, 100, 59, 100, 59)  # for the time when B has a value again
    both = {A: rate(53, 990), B: rate(53, 990)}
    kept = settle((A, B, D), both, before, 990, former=(A, B, D), silent=(D,))
    # 106 requests/s in 10 s, 100 in the 50 s before: (106 * 10 + 100 * 50) / 60 = 101, half of it each
    assert {key: reading and round(reading.value, 6) for key, reading in kept.readings.items()} == {
        A: 50.5,
        B: 50.5,
        D: None,
    }


def test_changes_in_a_row_are_waited_for_no_longer_than_one() -> None:
    before = {A: rate(50, 940), B: rate(50, 941)}
    kept = settle((A, B), {}, before, NOW - 3, held=NOW - 15)
    assert (kept.readings, kept.held, overdue(kept, INTERVAL, NOW)) == (before, NOW - 15, False)
    kept = settle((A, B), {}, before, NOW - 3, held=NOW - 15.1)
    assert (kept.readings, kept.held, overdue(kept, INTERVAL, NOW)) == ({A: None, B: None}, NOW - 15.1, True)


def test_changes_in_a_row_do_not_make_the_total_of_before_unknown_for_a_minute() -> None:
    """A rollout of pods that take 5 s each: its first rates are of few requests, as after any other change."""
    known = Total(NOW - 20, 150, 60, 150, 60)
    assert settle((A, B), {}, {}, NOW - 3, held=NOW - 20, total=known).total == Total(NOW - 3, 150, 60, 150, 60)
    assert settle((A, B), {}, {}, NOW - 3, held=NOW - 60.1, total=known).total is None


def test_what_is_served_in_the_end_has_the_total_of_before_unless_somebody_is_missing() -> None:
    kept = Kept({A: None, B: None}, [B], Total(NOW - 20, 100, 55, 100, 55), NOW - 20)
    new = {A: rate(56, 995), B: rate(56, 995)}
    # 112 requests/s in 5 s, 100 in the 55 s before: (112 * 5 + 100 * 55) / 60 = 101
    assert {key: reading and round(reading.value, 6) for key, reading in anyway(kept, new).readings.items()} == {
        A: 50.5,
        B: 50.5,
    }
    assert anyway(kept, {A: new[A]}).readings == {A: new[A], B: None}
    assert not anyway(kept, new).waiting
    assert anyway(kept, new).held == NOW - 20


def waiting(*values: float) -> Kept:
    """A group of A, B … that waits with these rates, of a minute each."""
    return Kept({key: rate(value, 935, 995) for key, value in zip((A, B, C), values, strict=False)}, [B], held=990)


def test_nobody_waits_where_all_have_risen_or_all_have_fallen() -> None:
    """B's newest interval is half a mix: 60 and 120 make 90, 30 more; chance: sqrt(62 / 60 + 62 / 5) * 3 = 11."""
    recent = {A: rate(120, 995), B: rate(90, 995)}
    assert alike(waiting(60, 60), recent) == Kept(recent, (), held=990)
    fallen = {A: rate(60, 995), B: rate(90, 995)}
    assert alike(waiting(120, 120), fallen) == Kept(fallen, (), held=990)


def test_all_wait_where_one_has_not_changed_the_same_way_beyond_chance() -> None:
    risen = rate(120, 995)
    assert alike(waiting(60, 60), {A: risen, B: rate(30, 995)}) is None  # load has moved from B to A
    assert alike(waiting(60, 60), {A: risen, B: rate(68, 995)}) is None  # 8 more in 5 s are chance
    assert alike(waiting(60, 60), {A: risen}) is None
    assert alike(waiting(60, 60, 0), {A: risen, B: risen, C: rate(0, 995)}) is None
    assert alike(waiting(60, 60), {A: risen, B: Reading(120, NOW, 0)}) is None  # a plain value is no rate
    assert alike(Kept({A: rate(60, 935), B: None}, [B]), {A: risen, B: risen}) is None


rates = st.floats(0.0, 1e4)


@given(before=st.lists(rates, min_size=3, max_size=3), after=st.lists(rates, min_size=3, max_size=3))
def test_without_waiting_nobody_gets_more_than_it_had_while_another_gets_less(
    before: list[float], after: list[float]
) -> None:
    kept = alike(waiting(*before), {key: rate(value, 995) for key, value in zip((A, B, C), after, strict=True)})
    changes = [now - was for was, now in zip(before, after, strict=True)]
    assert kept is None or all(change > 0 for change in changes) or all(change < 0 for change in changes)


def test_once_all_have_a_value_since_the_last_change_nothing_is_held() -> None:
    new = {A: rate(50, 990), B: rate(50, 990)}
    assert settle((A, B), new, {}, 988, held=NOW - 100).held is None


def test_of_a_pod_in_two_groups_the_one_that_waits_counts() -> None:
    new, old = rate(50, 990), rate(75, 940)
    assert overlay({A: new, C: new}, [Kept({A: old}, [B]), Kept({A: new}, ())]) == {A: old, C: new}
    assert overlay({A: new, C: new}, [Kept({A: new}, ()), Kept({A: None}, [B])]) == {C: new}


@given(st.dictionaries(st.sampled_from([A, B, C, D]), st.floats(900, 995)), st.floats(900, 1000))
def test_nobody_outside_a_group_is_touched(begins: dict[Key, float], moment: float) -> None:
    readings = {key: rate(1, begin) for key, begin in begins.items()}
    kept = settle((A, B), readings, {}, moment)
    assert {key: value for key, value in overlay(readings, [kept]).items() if key in (C, D)} == {
        key: value for key, value in readings.items() if key in (C, D)
    }


@given(st.floats(0.1, 1e6), st.lists(st.floats(0, 1e6), min_size=2, max_size=2), st.floats(1, 59))
def test_values_scale_with_each_other_alone(before: float, now: list[float], lasted: float) -> None:
    """Whatever was before, the pods' shares of the whole are those since the change."""
    new = {key: rate(value, NOW - lasted) for key, value in zip((A, B), now, strict=True)}
    kept = settle((A, B), new, {C: rate(before, 900)}, NOW - lasted, former=(C,))
    one, other = (kept.readings[key] for key in (A, B))
    assert one is not None
    assert other is not None
    assert abs(one.value * now[1] - other.value * now[0]) <= 1e-6 * max(1.0, one.value * now[1])
    assert one.value >= 0 <= other.value
