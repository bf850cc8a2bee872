"""How often each object is sampled, told from the times of its newest samples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.collect.cadence import KEPT, PASSING, SLOWEST, Cadence, Cadences

WEB, DB = ("shop", "web"), ("shop", "db")


def look(cadence: Cadence, interval: float, phase: float, *, until: float, every: float = 15.0) -> None:
    """Looks at WEB every so many s from 0 on; it is sampled each `interval` s at its own `phase`."""
    at = 0.0
    while at <= until:
        cadence.saw({WEB: (at - phase) // interval * interval + phase}, at)
        at += every


@given(interval=st.floats(15.0, 300.0), phase=st.floats(0, 300))
def test_an_interval_longer_than_the_looks_apart_is_known_within_two_samples(interval: float, phase: float) -> None:
    cadence = Cadence()
    look(cadence, interval, phase, until=2 * interval + 15)
    assert cadence.intervals()[WEB] == pytest.approx(interval) or interval < 30


@given(interval=st.floats(1.0, 300.0), every=st.floats(5.0, 120.0), phase=st.floats(0, 300))
def test_no_interval_is_told_longer_than_the_looks_are_apart_or_shorter_than_it_is(
    interval: float, every: float, phase: float
) -> None:
    cadence = Cadence()
    look(cadence, interval, phase, until=5 * max(interval, every), every=every)
    assert interval - 1e-6 <= cadence.intervals()[WEB] <= max(interval, every + interval) + 1e-6


def test_an_outage_is_no_interval() -> None:
    cadence = Cadence()
    look(cadence, 60, 0, until=180)
    cadence.saw({WEB: 480.0}, 480.0)  # nothing for 5 minutes
    assert cadence.intervals()[WEB] == 60


def test_each_object_has_its_own_interval_and_a_new_one_what_is_usual() -> None:
    cadence = Cadence()
    for at in range(0, 300, 15):
        cadence.saw({WEB: at // 60 * 60, DB: at}, at)
    assert cadence.intervals() == {WEB: 60, DB: 15}
    cadence.saw({("shop", "new"): 299.0}, 300)
    assert cadence.intervals()[("shop", "new")] == 60  # the higher one of the two in the middle


def test_a_first_idea_comes_from_the_number_of_samples_and_gives_way_to_what_is_seen() -> None:
    cadence = Cadence()
    cadence.saw({WEB: 850.0, DB: 1000.0}, 1000.0)
    assert cadence.unknown
    cadence.note_counts({WEB: 3.0, DB: 1.0, ("shop", "other"): 3.0}, 300.0)
    assert cadence.intervals() == {WEB: 50.0, DB: SLOWEST}  # (300 - 150) / 3; 300 / 1 is no sign of anything
    assert not cadence.unknown
    for at in range(1000, 1060, 15):
        cadence.saw({DB: float(at)}, at)
    assert cadence.intervals()[DB] == 15


def test_an_object_that_was_just_made_had_no_samples_before() -> None:
    """5 samples in 25 s are one every 5 s, not one in 300 / 5 = 60 s, for which a young pod would have no value."""
    cadence = Cadence()
    cadence.saw({WEB: 1000.0}, 1000.0)
    cadence.note_counts({WEB: 5.0}, 300.0, {WEB: 975.0}.__getitem__)
    assert cadence.intervals() == {WEB: 5.0}


def test_the_time_of_one_sample_may_wander_as_much_as_the_answers_took() -> None:
    """Told 4 s too old by an answer of 5 s, then right: no step of 4 s."""
    cadence = Cadence()
    cadence.saw({WEB: 56.0}, 60.0, slack=5.0)
    cadence.saw({WEB: 60.0}, 75.0)
    assert cadence.times() == {WEB: 60.0}
    assert cadence.unknown
    cadence.saw({WEB: 120.0}, 120.0)
    assert cadence.intervals() == {WEB: 60.0}


def test_what_a_look_does_not_find_keeps_its_time_and_is_forgotten_at_last() -> None:
    """A sample that Prometheus does not show any more is as old as it was, not as new as the evaluation."""
    cadence = Cadence()
    cadence.saw({WEB: 10.0, DB: 10.0}, 12.0)
    cadence.saw({DB: 400.0}, 402.0)
    assert cadence.times() == {WEB: 10.0, DB: 400.0}
    cadence.saw({DB: 700.0}, 13.0 + KEPT)
    assert cadence.times() == {DB: 700.0}


def test_topics_are_apart_and_forgotten_when_nobody_looks() -> None:
    cadences = Cadences()
    cadences.of("a").saw({WEB: 1.0}, 1.0)
    cadences.of("b").saw({WEB: 2.0}, 500.0)
    cadences.forget(500.0, set())
    assert cadences.of("a").times() == {WEB: 1.0}
    cadences.forget(602.0, set())
    assert cadences.of("a").times() == {}
    assert cadences.of("b").times() == {WEB: 2.0}


def test_of_topics_that_nobody_plans_the_last_ones_stay_and_every_planned_one() -> None:
    cadences = Cadences()
    for number in range(3 * PASSING):
        cadences.of(number).used = float(number)
    cadences.forget(200.0, {0, 1})
    assert len(cadences) == PASSING + 2
    assert {0, 1, 3 * PASSING - 1} <= cadences._of.keys()
    assert 2 * PASSING - 1 not in cadences._of
