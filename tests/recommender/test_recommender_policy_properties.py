"""What the memory policy keeps for any history: monotone, linear, prompt, unmoved by lone readings, under a ceiling."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from recommender.config import mode
from recommender.estimate.policy import RiskPolicy
from recommender.estimate.recommend import Mode, decide
from recommender.model.buckets import Rows
from recommender.model.containers import DAY, Model
from recommender.model.peaks import FOURFOLD, Days, amount, level
from recommender.settings import Settings
from tests.strategies import examples

History = list[list[int]]
Kill = tuple[int, int, int]
MIB, GIB, TB = 1024**2, 1024**3, 10**12
T0 = 1767225600.0
OURS = mode(Settings())
FREE = mode(Settings(pod_min_memory=0.0))
"""Without the floor of 250 MiB, which hides what is below."""
bytes_ = st.floats(np.log(2e6), np.log(1e12)).map(lambda x: int(np.exp(x)))
days = st.lists(st.lists(bytes_, min_size=1, max_size=6), min_size=1, max_size=24)


def _decide_targets(model: Model, rows: Rows, chosen: Mode, now: float) -> list[int]:
    made = decide(model, rows, np.ones(len(rows), dtype=np.int64), now, chosen)
    return [int(target) for target in made.memory.target]


def evenings(
    histories: Sequence[History], chosen: Mode = FREE, kills: Sequence[Kill] = (), at: float | None = None
) -> Iterator[Callable[[], list[int]]]:
    """The memory targets, bytes, after each day, of containers whose days are readings spread evenly over the day.

    Days have as many readings in all of them. `kills`: (container, day, request); `at`: days after the start.
    """
    model = Model(chosen.aggregation)
    rows = model.states.take(len(histories))
    instances = model.start(rows)
    for day, readings in enumerate(zip(*histories, strict=True)):
        for place, amounts in enumerate(zip(*readings, strict=True)):
            now = T0 + (day + place / len(readings[0])) * DAY
            model.observe_memory(instances, np.array(amounts, dtype=np.int64), np.full(len(rows), now))
        for one, killed, request in kills:
            if killed == day:
                time = np.array([T0 + (day + 0.99) * DAY])
                model.observe_oom(instances[one : one + 1], np.array([request]), time)
        now = T0 + (day + 1 if at is None else at) * DAY
        yield partial(_decide_targets, model, rows, chosen, now)


def targets(
    histories: Sequence[History], chosen: Mode = FREE, kills: Sequence[Kill] = (), at: float | None = None
) -> list[int]:
    """The targets after the last day."""
    return list(evenings(histories, chosen, kills, at))[-1]()


def flat(history: History) -> list[tuple[int, int]]:
    return [(day, place) for day, readings in enumerate(history) for place in range(len(readings))]


def with_reading(history: History, at: tuple[int, int], value: int) -> History:
    day, place = at
    return [
        [*readings[:place], value, *readings[place + 1 :]] if d == day else readings
        for d, readings in enumerate(history)
    ]


@settings(max_examples=examples(150), deadline=None)
@given(days, st.data())
def test_a_larger_reading_never_lowers_the_target(history: History, data: st.DataObject) -> None:
    at = data.draw(st.sampled_from(flat(history)))
    larger = with_reading(history, at, data.draw(st.integers(history[at[0]][at[1]], TB)))
    hours = data.draw(st.floats(0.0, 1.0))
    low, high = targets([history, larger], at=len(history) - 1 + hours)
    assert low <= high


@settings(max_examples=examples(100), deadline=None)
@given(days, st.data())
def test_a_kill_never_lowers_the_target(history: History, data: st.DataObject) -> None:
    killed = data.draw(st.integers(0, len(history) - 1))
    kills = [(1, killed, data.draw(st.integers(0, TB)))]
    low, high = targets([history, history], kills=kills)
    assert low <= high


@settings(max_examples=examples(100), deadline=None)
@given(days, st.floats(0.01, 100.0))
def test_readings_times_c_give_the_target_times_c(history: History, c: float) -> None:
    """Within 5 %, between the lowest level (1 MB) and the largest amount (100 TB)."""
    low = min(min(readings) for readings in history)
    assume(low * c > 1e6)
    scaled = [[int(value * c) for value in readings] for readings in history]
    plain, times = targets([history, scaled])
    assert times == pytest.approx(plain * c, rel=0.05)


@settings(max_examples=examples(100), deadline=None)
@given(days, bytes_)
def test_a_level_held_for_a_day_is_covered_at_the_next_decision(history: History, new: int) -> None:
    """Held: six readings of it, so that the sixth is 4^5 = 1,024 times the day before and more is not asked of it."""
    assume(new < 1000 * min(min(readings) for readings in history))
    history = [[*readings, *[readings[-1]] * (6 - len(readings))] for readings in history]
    assert targets([[*history, [new] * 6]])[0] >= new


@settings(max_examples=examples(60), deadline=None)
@given(days, bytes_)
def test_a_level_that_fell_is_followed_after_ten_days(history: History, new: int) -> None:
    history = [*history, *[[new] * 6] * 10]
    lowest = targets([[[new] * 6] * 10])[0]
    assert targets([history])[0] <= 1.2 * lowest


class Reading(NamedTuple):
    """One memory sample of one of three replicas."""

    replica: int
    day: int
    hour: int
    amount: int

    @property
    def time(self) -> float:
        return T0 + self.day * DAY + self.hour * 3600.0


READINGS = st.builds(Reading, st.integers(0, 2), st.integers(0, 24), st.integers(0, 23), bytes_)
SPARSE = st.lists(READINGS, min_size=1, max_size=24)
"""Any shape: lone readings, days of one reading, days without, replicas, none in order."""
FULL = st.builds(
    lambda levels, lone: [
        *(Reading(k, day, 8 * k + h, at) for day, at in enumerate(levels) for k in range(2) for h in range(8)),
        *(one for one in lone if one.day < len(levels)),
    ],
    st.lists(bytes_, min_size=1, max_size=24),
    st.lists(READINGS, max_size=6),
)
"""Days of sixteen readings at a level of the day's own, and some lone ones."""


def target_after(readings: Sequence[Reading], later: float, kills: Sequence[Reading] = ()) -> int:
    """The target `later` days after the newest day began. Each replica's readings come in order, replica by replica."""
    model = Model(FREE.aggregation)
    rows = model.states.take(1)
    for replica in range(3):
        instance = model.start(rows)
        for one in sorted((one for one in readings if one.replica == replica), key=lambda one: one.time):
            model.observe_memory(instance, np.array([one.amount]), np.array([one.time]))
        for one in (one for one in kills if one.replica == replica):
            model.observe_oom(instance, np.array([one.amount]), np.array([one.time]))
    now = T0 + (max(one.day for one in readings) + later) * DAY
    return _decide_targets(model, rows, FREE, now)[0]


LATER = st.floats(0.0, 1.5)


@settings(max_examples=examples(150), deadline=None)
@given(st.one_of(SPARSE, FULL), READINGS, LATER)
@example([Reading(0, 0, 0, 65659969), Reading(0, 0, 1, 3269017)], Reading(0, 0, 0, 24154952), 1.0)
@example(
    [Reading(0, 0, 0, 65659969), Reading(0, 1, 0, 2545913), Reading(0, 1, 3, 2884897)], Reading(0, 1, 6, 13615380), 1.0
)
def test_one_reading_more_asks_for_four_times_as_much_at_most(
    history: list[Reading], one: Reading, later: float
) -> None:
    """Whatever the history and the reading: the first of its day, alone on it, before all others, out of order."""
    newest = max(reading.day for reading in [*history, one])
    without = target_after(history, later + newest - max(reading.day for reading in history))
    assert target_after([*history, one], later) <= 4 * without * 1.001


@settings(max_examples=examples(80), deadline=None)
@given(st.one_of(SPARSE, FULL), READINGS, st.integers(0, 3), st.floats(0.0, 1.0))
def test_after_a_week_nothing_is_left_of_what_a_reading_was_above_all_others(
    history: list[Reading], one: Reading, over: int, hour: float
) -> None:
    """Seven days after the end of its day it counts like the largest of the others, whatever it was.

    Once the newest day has been read fifteen times: until then the target may be what it would be without that day.
    """
    now = one.day + 7 + over
    read = [history[0]._replace(day=now, hour=at) for at in range(15)]
    history = [*(reading for reading in history if reading.day < now), *read]
    largest = max(reading.amount for reading in history)
    high, same = (target_after([*history, one._replace(amount=amount)], hour) for amount in (max(largest, TB), largest))
    assert high <= same * 1.001


@settings(max_examples=examples(80), deadline=None)
@given(st.one_of(SPARSE, FULL), st.data())
def test_a_larger_reading_of_any_shape_never_lowers_the_target(history: list[Reading], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(history) - 1))
    larger = history[at]._replace(amount=data.draw(st.integers(history[at].amount, TB)))
    later = data.draw(LATER)
    assert target_after(history, later) <= target_after([*history[:at], larger, *history[at + 1 :]], later)


@settings(max_examples=examples(100), deadline=None)
@given(st.one_of(SPARSE, FULL), READINGS, LATER)
def test_a_kill_in_any_shape_never_lowers_the_target(history: list[Reading], kill: Reading, later: float) -> None:
    assert target_after(history, later) <= target_after(history, later, [kill])


@settings(max_examples=examples(150), deadline=None)
@given(st.one_of(SPARSE, FULL), st.floats(0.01, 100.0), LATER)
def test_readings_of_any_shape_times_c_give_the_target_times_c(history: list[Reading], c: float, later: float) -> None:
    assume(min(reading.amount for reading in history) * c > 1e6)
    scaled = [reading._replace(amount=int(reading.amount * c)) for reading in history]
    assert target_after(scaled, later) == pytest.approx(target_after(history, later) * c, rel=0.05)


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(SPARSE, min_size=2, max_size=5))
def test_containers_of_any_shape_get_what_each_gets_alone(histories: list[list[Reading]]) -> None:
    """Decided together, at one time."""
    model = Model(FREE.aggregation)
    rows = model.states.take(len(histories))
    alone = []
    for row, history in zip(rows, histories, strict=True):
        mine = [one._replace(replica=0) for one in history]
        instance = model.start(np.array([row]))
        for one in sorted(mine, key=lambda one: one.time):
            model.observe_memory(instance, np.array([one.amount]), np.array([one.time]))
        alone.append(target_after(mine, 26.0 - max(one.day for one in mine)))
    assert _decide_targets(model, rows, FREE, T0 + 26 * DAY) == alone


@settings(max_examples=examples(20), deadline=None)
@given(st.lists(st.floats(-0.1, 0.1), min_size=24, max_size=24), st.sampled_from([10 * GIB, TB]), st.integers(0, 23))
def test_a_lone_reading_is_forgotten_after_a_week(noise: list[float], value: int, hour: int) -> None:
    """Two weeks of noise about 100 MiB and one reading beyond: at most 4 times for 7 days, then nothing is left."""
    usual = [int(100 * MIB * np.exp(x)) for x in noise]
    spike = [*usual[:hour], value, *usual[hour + 1 :]]
    days = [decided() for decided in evenings([[*[usual] * 14, spike, *[usual] * 11], [usual] * 26])]
    for later, (with_, without) in enumerate(days[14:]):
        assert with_ <= 4 * without * 1.001 if later < 7 else with_ <= 1.1 * without


@settings(max_examples=examples(60), deadline=None)
@given(days, st.floats(0.01, 0.5))
def test_no_supported_history_gets_a_target_above_the_ceiling(history: History, ceiling: float) -> None:
    peaks = np.array([[max(readings) for readings in history][::-1]], dtype=float)
    known, policy = Days.of(np.pad(peaks, ((0, 0), (0, 28 - peaks.shape[1])))), RiskPolicy(ceiling=ceiling)
    assert policy.risk(known, policy.targets(known))[0] <= ceiling


@settings(max_examples=examples(60), deadline=None)
@given(days)
def test_a_lower_ceiling_never_lowers_the_target(history: History) -> None:
    peaks = np.array([[max(readings) for readings in history][::-1]], dtype=float)
    known = Days.of(np.pad(peaks, ((0, 0), (0, 28 - peaks.shape[1]))))
    asked = [RiskPolicy(ceiling=ceiling).targets(known)[0] for ceiling in (0.3, 0.1, 0.05, 0.02, 0.01)]
    assert asked == sorted(asked)


def test_where_a_lone_reading_and_the_ceiling_conflict_the_risk_is_said() -> None:
    """One reading of 10 GiB yesterday: a third of the weight says more, 4 times 130 MiB is asked for."""
    peaks = np.zeros((1, 28))
    peaks[0, :15] = 100 * MIB
    repeated = level(peaks)
    peaks[0, 0] = 10 * GIB
    known = Days.of(peaks)._replace(repeated=repeated)
    target = RiskPolicy().targets(known)
    assert target[0] < 600 * MIB
    assert RiskPolicy().risk(known, target)[0] > 0.3


def test_a_kill_is_a_lower_bound_of_what_was_needed() -> None:
    """The same day's peak of 1.2 GB, seen or cut by a kill: cut, it asks for more, and for less as days pass."""
    seen, cut = targets([[[10**9] * 4] * 14] * 2, kills=[(1, 13, 10**9)])
    assert cut > 1.2 * max(seen, 1.2e9)
    later = targets([[[10**9] * 4] * 22], kills=[(0, 13, 10**9)])[0]
    assert later < 1.4 * 10**9


@given(st.integers(10**6, 10**14))
def test_a_level_is_the_amount_to_three_in_ten_thousand(value: int) -> None:
    back = amount(level(np.array([value])))
    assert value * 0.9996 <= back[0] <= value + 1
    assert level(back) == level(np.array([value]))


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(bytes_, min_size=3, max_size=9), st.data())
def test_one_reading_more_of_a_day_lifts_what_repeats_to_four_times_at_most(
    values: list[int], data: st.DataObject
) -> None:
    """Wherever it stands in their order, and never above the largest of the others."""
    gone = data.draw(st.integers(0, len(values) - 1))
    with_, without = (Model(OURS.aggregation).states for _ in range(2))
    for states, left in ((with_, values), (without, [*values[:gone], *values[gone + 1 :]])):
        rows = states.take(1)
        for value in left:
            states.peaks.add(rows, np.array([value]), np.array([T0]))
    day = [states.peaks.days(np.array([0]), T0) for states in (with_, without)]
    lifted, known, largest = (int(one[0, 0]) for one in (day[0].repeated, day[1].repeated, day[1].highest))
    assert lifted <= min(known + FOURFOLD, largest)


@given(st.lists(bytes_, min_size=1, max_size=40))
def test_readings_at_once_count_like_readings_one_by_one(values: list[int]) -> None:
    """Replicas of one container, all read in the same minute."""
    ordered = sorted(values)
    together, apart = (Model(OURS.aggregation).states for _ in range(2))
    rows = together.take(1)
    apart.take(1)
    together.peaks.add(np.repeat(rows, len(values)), np.array(values), np.full(len(values), T0))
    for value in ordered:
        apart.peaks.add(rows, np.array([value]), np.array([T0]))
    assert together.peaks.ring.tolist() == apart.peaks.ring.tolist()
    assert together.peaks.supported.tolist() == apart.peaks.supported.tolist()
