"""How busy the processors were, from /proc/stat."""

from loadtest.machine import Ticks, busy, parse

TEXT = """cpu  100 5 50 800 20 1 4 20 7 0
cpu0 50 2 25 400 10 0 2 10 3 0
"""


def test_ticks_are_those_of_all_processors_and_guests_count_once() -> None:
    # 100 + 5 + 50 + 800 + 20 + 1 + 4 + 20: the guest's 7 are within the user's 100
    assert parse(TEXT) == Ticks(total=1000, idle=820, stolen=20)


def test_what_is_not_idle_is_busy() -> None:
    assert busy(Ticks(1000, 820, 20), Ticks(1200, 870, 20)) == 0.75  # 50 of 200 idle
    assert busy(Ticks(1000, 820, 20), Ticks(1000, 820, 20)) == 0
