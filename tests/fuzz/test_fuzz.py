"""Every reader of bytes from outside bears its seeds and mutations of them; `make fuzz` tries many more."""

import random

import pytest

from tests.fuzz.doors import DOORS, SEEDS, Door
from tests.fuzz.fuzzer import Lines, fuzz, mutate, try_input

MUTATIONS = 60
SECONDS = 5.0
"""CPU time for one input, as other tests may run beside this one; `make fuzz` gives one second."""


def test_every_reader_has_seeds_and_every_folder_of_seeds_a_reader() -> None:
    assert {folder.name for folder in SEEDS.iterdir()} == {door.name for door in DOORS}
    assert all(door.seeds() for door in DOORS)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_reader_bears_its_seeds_and_mutations_of_them(door: Door) -> None:
    pool = door.seeds()
    chance = random.Random(door.name)
    for body in [*pool, *(mutate(chance, pool) for _ in range(MUTATIONS))]:
        failure = try_input(door, body, SECONDS)
        assert failure is None, f"{failure.problem}\n{body[:2000]!r}"


def test_a_reader_that_fails_or_hangs_is_found() -> None:
    """The fuzzer itself: one reader that divides by zero for a byte, one that never ends for another."""

    def weak(body: bytes) -> None:
        if b"?" in body:
            raise ZeroDivisionError
        while b"!" in body:
            pass

    door = Door("promql", weak, (ValueError,))
    assert try_input(door, b"a") is None
    for body, place in ((b"?", "ZeroDivisionError"), (b"!", "slow")):
        failure = try_input(door, body, 0.1)
        assert failure is not None
        assert failure.place.startswith(place)


def test_inputs_that_reach_new_lines_are_kept() -> None:
    door = next(door for door in DOORS if door.name == "quantity")
    lines = Lines()
    count, fresh, failures = fuzz(door, random.Random(1), lines, lambda count: count < 200)
    assert (count, failures) == (200, [])
    assert fresh  # of 200 changes of six quantities
    assert len(set(fresh)) == len(fresh)
    assert [lines.follow(door, body)[0] for body in fresh] == [False] * len(fresh)  # nothing new the second time
