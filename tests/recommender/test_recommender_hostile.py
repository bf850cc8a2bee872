"""What the memory policy keeps for histories as they come: late, twice, killed, restarted, looked at in between."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recommender.checkpoint import codec
from recommender.config import mode
from recommender.estimate.recommend import decide
from recommender.model.buckets import Rows
from recommender.model.containers import DAY, Model
from recommender.model.runs import observe_runs
from recommender.settings import Settings
from tests.strategies import examples

MIB, GIB, TB = 1024**2, 1024**3, 10**12
T0 = 1767225600.0
FREE = mode(Settings(pod_min_memory=0.0))
LATEST = 26
"""The last day: 28 are kept."""


@dataclass(frozen=True)
class Event:
    """A reading or a kill of one of three pods, or what happens to the recommender at that place of the history."""

    kind: str
    pod: int = 0
    minute: float = 0.0
    amount: int = 0


class World:
    """One container of three pods in a recommender that may be restarted."""

    def __init__(self) -> None:
        self.model, self.now = Model(FREE.aggregation), T0
        self.row: Rows = self.model.states.take(1)
        self.pods = [self.model.start(self.row) for _ in range(3)]

    def target(self, at: float) -> int:
        """Bytes at Unix time `at`, s."""
        made = decide(self.model, self.row, np.ones(1, dtype=np.int64), at, FREE)
        return int(made.memory.target[0])

    def take(self, event: Event) -> None:
        pod, time = self.pods[event.pod], np.array([T0 + event.minute * 60])
        self.now = max(self.now, float(time[0]))
        if event.kind == "read":
            self.model.observe_memory(pod, np.array([event.amount]), time)
        elif event.kind == "kill":
            self.model.observe_oom(pod, np.array([event.amount]), time)
        elif event.kind == "restart":
            self.restart()
        elif event.kind == "look":
            self.target(self.now)
        else:
            self.model.stop(np.concatenate(self.pods))
            self.pods = [self.model.start(self.row) for _ in range(3)]

    def restart(self) -> None:
        (saved,), (extra,) = (
            codec.encode(self.model, self.row, self.now),
            codec.encode_extra(self.model.states, self.row),
        )
        self.model = Model(FREE.aggregation)
        self.row = self.model.states.take(1)
        codec.restore(self.model.states, self.row, [saved])
        if extra:
            codec.restore_extra(self.model.states, 0, extra)
        self.pods = [self.model.start(self.row) for _ in range(3)]


def target_after(events: Sequence[Event], end: float) -> int:
    """The target at minute `end`, or at the newest event's."""
    world = World()
    for event in events:
        world.take(event)
    return world.target(max(T0 + end * 60, world.now))


amounts = st.one_of(
    st.floats(np.log(2e6), np.log(9e11)).map(lambda x: int(np.exp(x))),
    st.floats(-0.3, 0.3).map(lambda x: int(2e8 * np.exp(x))),
)
minutes = st.one_of(
    st.integers(0, LATEST * 1440),
    st.builds(
        lambda day, by: max(day * 1440 + by, 0), st.integers(1, LATEST - 1), st.sampled_from([-60, -1, 0, 1, 60])
    ),
).map(float)
pods = st.integers(0, 2)
readings = st.builds(Event, st.just("read"), pods, minutes, amounts)
kills = st.builds(Event, st.just("kill"), pods, minutes, amounts)
full_days = st.builds(
    lambda day, amount, count: [Event("read", 0, day * 1440.0 + 1440 * k // count, amount) for k in range(count)],
    st.integers(0, LATEST - 1), amounts, st.integers(2, 17),
)  # fmt: skip
parts = st.one_of(
    readings.map(lambda one: [one]),
    full_days,
    kills.map(lambda one: [one]),
    st.sampled_from(["restart", "look", "pods"]).map(lambda kind: [Event(kind)]),
)


def _join_histories(parts: list[list[Event]], in_order: bool) -> list[Event]:
    """As one history, in which no pod has two samples of the same time; in order of time or as they stand."""
    events = [event for part in parts for event in part]
    timed = [replace(e, minute=e.minute + k / 1000) for k, e in enumerate(events) if e.kind in ("read", "kill")]
    following = iter(sorted(timed, key=lambda event: event.minute) if in_order else timed)
    return [next(following) if event.kind in ("read", "kill") else event for event in events]


histories = (
    st.builds(_join_histories, st.lists(parts, min_size=1, max_size=20), st.booleans())
    .filter(lambda events: any(event.kind == "read" for event in events))
    .map(tuple)
)
ends = st.floats(0, (LATEST + 1) * 1440 - 1)


def _with(events: Sequence[Event], at: int, one: Event) -> list[Event]:
    """One more at a place, at a time of its own between those beside it, so that it comes neither late nor makes late.

    Where these stand in no order it is as early or as late as it says.
    """
    before = [event.minute for event in events[:at] if event.kind in ("read", "kill")][-1:]
    after = [event.minute for event in events[at:] if event.kind in ("read", "kill")][:1]
    minute = one.minute
    if before + after == sorted(before + after):
        minute = min(max([minute, *before]), *(after or [minute]), LATEST * 1440)
    return [*events[:at], replace(one, minute=minute + 0.0005), *events[at:]]


@settings(max_examples=examples(80), deadline=None)
@given(histories, st.data(), ends)
def test_a_larger_reading_never_lowers_the_target(history: tuple[Event, ...], data: st.DataObject, end: float) -> None:
    at = data.draw(st.sampled_from([place for place, event in enumerate(history) if event.kind == "read"]))
    larger = replace(history[at], amount=data.draw(st.integers(history[at].amount, TB)))
    assert target_after(history, end) <= target_after([*history[:at], larger, *history[at + 1 :]], end)


@settings(max_examples=examples(80), deadline=None)
@given(histories, st.data(), kills, ends)
def test_a_kill_never_lowers_the_target(
    history: tuple[Event, ...], data: st.DataObject, kill: Event, end: float
) -> None:
    """Wherever it comes, also where it makes VPA's windows drop what is older."""
    more = _with(history, data.draw(st.integers(0, len(history))), kill)
    end = max(end, *(event.minute for event in more))
    assert target_after(history, end) <= target_after(more, end)


@settings(max_examples=examples(80), deadline=None)
@given(histories, st.data(), readings, ends)
def test_one_reading_more_asks_for_four_times_as_much_at_most(
    history: tuple[Event, ...], data: st.DataObject, one: Event, end: float
) -> None:
    """Also beside kills, which say nothing of what a lone reading was."""
    more = _with(history, data.draw(st.integers(0, len(history))), one)
    end = max(end, *(event.minute for event in more))
    assert target_after(more, end) <= 4 * target_after(history, end) * 1.001


@settings(max_examples=examples(60), deadline=None)
@given(histories, st.floats(0.02, 50.0), ends)
def test_readings_times_c_give_the_target_times_c(history: tuple[Event, ...], c: float, end: float) -> None:
    """Without kills: what they add is 100 MiB at least."""
    read = [event for event in history if event.kind != "kill"]
    assume(min(event.amount for event in read if event.kind == "read") * c > 2e6)
    scaled = [replace(event, amount=int(event.amount * c)) for event in read]
    assert target_after(scaled, end) == pytest.approx(c * target_after(read, end), rel=0.05)


@settings(max_examples=examples(60), deadline=None)
@given(histories, ends)
def test_a_restart_changes_nothing(history: tuple[Event, ...], end: float) -> None:
    lasting = [event for event in history if event.kind not in ("restart", "pods", "kill")]
    often = [each for event in lasting for each in (event, Event("restart"))]
    assert target_after(often, end) == target_after(lasting, end)


def steady(days: int) -> list[Event]:
    """A reading of 100 MiB an hour."""
    return [Event("read", 0, hour * 60.0, 100 * MIB) for hour in range(24 * days)]


def test_a_sample_that_is_read_again_and_again_is_one_reading() -> None:
    """A loop of 15 s reads metrics of 60 s four times; the last is 10 GiB, alone."""
    spike = Event("read", 0, 8 * 1440.0, 10 * GIB)
    once, often = target_after([*steady(8), spike], 0), target_after([*steady(8), *[spike] * 4], 0)
    assert often == once < GIB


def test_a_sample_that_is_read_again_after_a_restart_is_one_reading() -> None:
    """A recommender that crashes every half minute: its checkpoint has the sample that metrics still show."""
    world, spike = World(), np.array([T0 + 8 * DAY])
    for event in steady(8):
        world.take(event)
    for _ in range(5):
        world.model.observe_cpu(world.pods[0], np.array([10]), spike)
        world.model.observe_memory(world.pods[0], np.array([10 * GIB]), spike)
        world.restart()
    assert world.target(spike[0]) < GIB
    world.model.observe_memory(world.pods[0], np.array([10 * GIB]), spike + 60)
    assert world.target(spike[0] + 60) > GIB


def test_a_history_that_names_a_sample_twice_has_it_once() -> None:
    """As it comes from Prometheus, all at once."""
    many, once = (World() for _ in range(2))
    hours = np.arange(24 * 8 + 1, dtype=np.float64)
    values = np.append(np.full(24 * 8, 100 * MIB), 10 * GIB)
    for world, times in ((once, 1), (many, 3)):
        repeated = np.repeat(T0 + hours * 3600, times)
        pod = np.full(len(repeated), world.pods[0][0])
        observe_runs(world.model, pod, repeated, np.full(len(repeated), -1), np.repeat(values, times))
    assert many.target(T0 + 8 * DAY) == once.target(T0 + 8 * DAY) < GIB


def test_a_kill_beside_a_lone_reading_says_nothing_of_that_reading() -> None:
    """A reading of 1 TB among 100 MiB, then a kill at 200 MiB: 300 MiB were needed, not 1.2 TB for a week."""
    spike, kill = Event("read", 0, 8 * 1440.0, TB), Event("kill", 0, 8 * 1440.0 + 1, 200 * MIB)
    assert target_after([*steady(8), spike, kill], 0) <= 4 * target_after([*steady(8), kill], 0) * 1.001


def test_a_kill_where_no_limit_was_leaves_what_readings_say() -> None:
    """4 GiB for a day, killed by a node that is full at a request of 100 MiB: not below what VPA says."""
    used = [Event("read", 0, minute * 60.0, 4 * GIB) for minute in range(12)]
    assert target_after([*used, Event("kill", 0, 12 * 60.0, 100 * MIB)], 0) >= int(1.2 * 4 * GIB * 0.995)


def test_a_kill_does_not_hide_readings_of_before_that_come_late() -> None:
    late: list[Any] = [Event("kill", 0, 60.0, 10 * MIB), *(Event("read", 0, float(m), 4 * GIB) for m in range(20, 40))]
    assert target_after(late, 60.0) > 4 * GIB


def test_a_kill_before_any_reading_outlives_a_restart() -> None:
    """A pod that is killed as it starts, at 1 GiB; its recommender is restarted before metrics come."""
    killed = [Event("kill", 0, 1.0, GIB), Event("read", 1, 5.0, 10 * MIB)]
    assert target_after([killed[0], Event("restart"), killed[1]], 5.0) == target_after(killed, 5.0) > GIB
