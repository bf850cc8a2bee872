"""Senders whose clocks are set: their samples stay, and are as old as they are. One batch comes every 5 s."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.metrics.scrape.exposition import Parser
from adapter.metrics.sender import AHEAD_S, BACK_S, MOST_AHEAD_S, SenderClock
from adapter.metrics.source import Query
from adapter.metrics.store.store import Store

NOW = 1_731_200_000.0
EVERY = 5.0
STEPS = st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=4)
"""s by which a sender's clock is wrong from then on."""


@given(steps=STEPS, lag=st.floats(0, 150))
def test_a_sample_is_never_younger_than_it_is_by_more_than_can_be_seen(steps: list[float], lag: float) -> None:
    """A step forward of less than the sender's own lag, and the 10 s that clocks differ by anyway, shows nowhere."""
    sender, now, error = SenderClock(), NOW, 0.0
    for step in [0.0, *steps]:
        error = step
        for batch in range(4):
            now += EVERY
            sender.begin(now)
            ours = sender.ours(1, now - lag + error)
            sender.end()
            assert ours <= now + MOST_AHEAD_S
            if batch == 3:
                assert -BACK_S - lag - AHEAD_S <= ours - (now - lag) <= lag + AHEAD_S


@pytest.mark.parametrize("hour", [3600.0, -3600.0])
def test_after_an_hours_step_its_samples_are_as_late_as_before(hour: float) -> None:
    sender = SenderClock()
    late = []
    for second in range(0, 60, 5):
        now = NOW + second
        sender.begin(now)
        late.append(round(now - sender.ours(1, now - 12 + (hour if second >= 30 else 0.0)), 3))
        sender.end()
    assert late[:6] == [12.0] * 6
    assert late[8:] == [12.0] * 4  # two batches show that it goes on at the pace of our clock


def test_a_backlog_that_comes_faster_than_time_passes_is_no_step() -> None:
    sender = SenderClock()
    for now, told in [
        (NOW, NOW),
        (NOW + 1, NOW - 300),
        (NOW + 1.1, NOW - 290),
        (NOW + 1.2, NOW - 280),
        (NOW + 5, NOW + 5),
    ]:
        sender.begin(now)
        assert sender.ours(1, told) == told
        sender.end()


def test_one_series_whose_time_goes_astray_moves_no_other() -> None:
    sender = SenderClock()
    for second in range(0, 60, 5):
        now = NOW + second
        sender.begin(now)
        sender.ours(1, now - 3600 if second >= 30 else now)
        assert sender.ours(2, now) == now
        sender.end()


def test_of_a_sender_never_heard_of_the_wall_clock_is_all_that_is_known() -> None:
    """Ours was set an hour forward since the start: other machines' clocks are right, so an hour ahead of `now`."""
    sender = SenderClock()
    sender.begin(NOW, wall=NOW + 3600)
    assert sender.ours(1, NOW + 3595) == NOW - 5


@pytest.mark.parametrize("hour", [3600.0, -3600.0, 600.0, -90.0, 45.0, -45.0, 25.0])
@pytest.mark.parametrize("openmetrics", [False, True])
def test_a_pods_clock_set_by_anything_loses_its_value_for_a_minute_at_most(hour: float, openmetrics: bool) -> None:
    store, parser, missing = Store(lookback_s=60.0), Parser({"pod": "web-1"}), 0
    for second in range(300):
        now = NOW + second
        if second % 5 == 0:
            told = now - 2 + (hour if second >= 100 else 0.0)
            stamp = f"{told:.3f}" if openmetrics else f"{told * 1000:.0f}"
            body = f'depth{{queue="mail"}} {second} {stamp}\n' + "# EOF\n" * openmetrics
            store.extend(parser.parse(body.encode(), now, openmetrics=openmetrics).points)
        samples = store.query(Query("depth"), now)
        missing += not samples
        for sample in samples:
            age, true_age = now - sample.time, second - sample.value + 2
            assert age >= true_age - 2 - MOST_AHEAD_S - 1e-3
    assert missing <= 60
