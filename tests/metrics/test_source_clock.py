"""A source whose clock is set: its values are never taken for younger than they are, and no older once it is right."""

import math

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapter.metrics.prometheus.source_clock import AGREE, STEPS, Past, SourceClock, tell_step

START, HOUR, EVERY = 1_800_000_000.0, 3600.0, 5.0
LATENCY = 0.05


class Source:
    """Scrapes each 5 s, remembers all, and shows the newest sample of the last 5 minutes, by its own clock."""

    def __init__(self) -> None:
        self.now, self.ahead = START, 0.0
        self.samples: list[tuple[float, float]] = []
        """(time by its clock, true time)."""

    def scrape(self, accepts_old: bool = False) -> None:
        time = self.now + self.ahead
        if accepts_old or not self.samples or time > max(self.samples)[0]:  # Prometheus refuses what is out of order
            self.samples.append((time, self.now))

    def newest(self) -> tuple[float, float] | None:
        time = self.now + self.ahead
        seen = [one for one in self.samples if time - 300 <= one[0] <= time]
        return max(seen, default=None)


def newest_ages(source: Source, clock: SourceClock) -> tuple[float, float] | None:
    """The newest sample's age, s: by the clock under test, and the true one; None without samples."""
    newest, evaluated = source.newest(), source.now + source.ahead
    if newest is None:
        return None
    clock.note_evaluation(evaluated, asked=source.now - LATENCY, answered=source.now + LATENCY)
    ours = clock.ours(newest[0], evaluated=evaluated, asked=source.now - LATENCY)
    return source.now - ours, source.now - newest[1]


steps = st.lists(
    st.tuples(st.sampled_from([0.0, -3.0, -60.0, -HOUR, 30.0, HOUR, 900.0]), st.integers(1, 40)), max_size=12
)


@given(steps=steps, accepts_old=st.booleans())
def test_however_the_clock_is_set_no_value_is_told_younger_than_it_is(
    steps: list[tuple[float, int]], accepts_old: bool
) -> None:
    source, clock = Source(), SourceClock()
    for step, rounds in [(0.0, 10), *steps]:
        source.ahead += step
        for _ in range(rounds):
            source.now += EVERY
            source.scrape(accepts_old)
            ages = newest_ages(source, clock)
            if ages is not None:
                assert ages[0] >= ages[1] - AGREE - 2 * LATENCY


def watch_ages(*, ahead: float, rounds: int, source: Source, clock: SourceClock) -> list[tuple[float, float]]:
    source.ahead = ahead
    all_ages = []
    for _ in range(rounds):
        source.now += EVERY
        source.scrape()
        if (ages := newest_ages(source, clock)) is not None:
            all_ages.append(ages)
    return all_ages


def test_a_clock_set_back_by_an_hour_shows_the_past_as_the_past() -> None:
    source, clock = Source(), SourceClock()
    assert max(age for age, _ in watch_ages(ahead=0, rounds=int(HOUR // EVERY), source=source, clock=clock)) < 1
    back = watch_ages(ahead=-HOUR + 60, rounds=60, source=source, clock=clock)
    assert back
    assert min(age for age, _ in back) > HOUR - 120  # its own clock says 0 s
    again = watch_ages(ahead=0, rounds=10, source=source, clock=clock)
    assert max(age for age, _ in again) < 1  # the clock was put right


def test_a_clock_set_ahead_loses_nothing_and_makes_nothing_older() -> None:
    source, clock = Source(), SourceClock()
    watch_ages(ahead=0, rounds=20, source=source, clock=clock)
    source.ahead = 100.0
    source.now += 1  # before the next scrape: the newest sample is one second old, its own clock says 101 s
    ages = newest_ages(source, clock)
    assert ages is not None
    assert math.isclose(ages[0], ages[1], abs_tol=0.2)
    assert max(age for age, _ in watch_ages(ahead=100.0, rounds=20, source=source, clock=clock)) < 1


def test_a_slow_answer_is_no_step() -> None:
    steps: list[float] = []
    clock = SourceClock(steps.append)
    for number in range(50):
        began = START + 20 * number
        took = 9.0 if number % 5 == 0 else 0.01
        clock.note_evaluation(began + took / 2, asked=began, answered=began + took)
        assert clock.ours(began, evaluated=began + took / 2, asked=began) >= began - took / 2 - 1e-6
    assert steps == []


def test_two_servers_behind_one_address_are_told_of_once() -> None:
    steps: list[float] = []
    clock = SourceClock(steps.append)
    for number in range(50):
        ahead = -HOUR if number % 2 else 0.0
        clock.note_evaluation(START + 5 * number + ahead, asked=START + 5 * number, answered=START + 5 * number)
    assert len(steps) == 1


async def test_of_a_long_query_that_was_asked_about_the_past_a_digest_is_kept() -> None:
    asked: list[str] = []

    async def ask(promql: str, before: float) -> bool:
        asked.append(promql)
        return True

    past, clock = Past(ask), SourceClock()
    for query in ("x" * 1_000_000, "y", "x" * 1_000_000):
        assert await past.is_remembered(query, 1000.0, clock)
    assert asked == ["x" * 1_000_000, "y"]
    assert all(len(digest) == 16 for digest, *_ in past._known)


def test_a_server_that_tells_another_time_at_each_answer_is_some_lines() -> None:
    with capture_logs() as said:
        for number in range(100):
            tell_step("http://of-many-times", float(number))
    assert len(said) == STEPS
