"""Who gives way when places are short: addresses by their number of strangers, the silent, the oldest."""

from hypothesis import given
from hypothesis import strategies as st

from adapter.inbound.places import Bounds, Guest, Places, Turns

BOUNDS = Bounds(connections=6, strangers=4, fresh=1, heads_bytes=100, untaken_bytes=1000)


class Room:
    """Places, and who was cut, in order."""

    def __init__(self, bounds: Bounds = BOUNDS) -> None:
        self.places = Places(bounds)
        self.cut: list[str] = []
        self.refused: list[str] = []

    def enter(self, name: str, address: str = "a", *, silent: bool = False, known: bool = False) -> Guest:
        guest = Guest(address, 10.0, lambda: self.cut.append(name))
        guest.silent = silent
        if not self.places.enter(guest):
            self.refused.append(name)
        if known:
            self.places.know(guest)
        return guest


def test_the_oldest_stranger_of_an_address_gives_way_beyond_its_share() -> None:
    room = Room()
    for number in range(6):
        room.enter(str(number))
    assert room.cut == ["0", "1"]  # 4 strangers of one address
    assert len(room.places) == 4


def test_one_that_has_said_nothing_gives_way_before_one_that_has() -> None:
    room = Room()
    for number in range(4):
        room.enter(str(number), silent=number in (2, 3))
    room.enter("4")
    assert room.cut == ["2"]
    room.enter("5")
    assert room.cut == ["2", "3"]


def test_the_newest_are_not_yet_asked_whether_they_speak() -> None:
    room = Room()
    for number in range(4):
        room.enter(str(number), silent=number == 3)
    room.enter("4")
    assert room.cut == ["0"]


def test_whoever_is_known_stays_and_the_address_with_most_strangers_gives_way() -> None:
    room = Room()
    room.enter("aggregator", known=True)
    for number in range(3):
        room.enter(f"a{number}")
    room.enter("b0", "b")
    room.enter("b1", "b")
    room.enter("c", "c")  # the seventh of six
    assert room.cut == ["a0"]


def test_where_all_are_known_the_idle_of_the_most_frequent_address_gives_way_and_else_nobody_comes_in() -> None:
    room = Room()
    guests = [room.enter(str(number), "a" if number < 4 else "b", known=True) for number in range(6)]
    guests[0].busy = guests[1].busy = True
    room.enter("new", "c", known=True)
    assert room.cut == ["2"]
    for guest in guests:
        guest.busy = True
    room.enter("newer", "d", known=True).busy = True  # "new" is idle and has to go
    assert room.cut == ["2", "new"]
    room.enter("newest", "e")
    assert room.refused == ["newest"]
    assert room.places.turned_away == 3


def test_a_place_is_free_once_the_guest_has_left_and_leaving_twice_does_no_harm() -> None:
    room = Room()
    guests = [room.enter(str(number)) for number in range(4)]
    for _ in range(2):
        room.places.leave(guests[3])
    room.enter("4")
    assert (room.cut, len(room.places)) == ([], 4)


def test_of_too_many_bytes_of_heads_or_answers_the_largest_share_goes() -> None:
    room = Room()
    small, large, other = room.enter("small"), room.enter("large"), room.enter("other")
    room.places.hold(small, 40)
    room.places.hold(large, 55)
    assert room.cut == []
    room.places.hold(other, 6)  # 101 of 100
    assert room.cut == ["large"]
    room.places.hold(other, 60)  # what has left does not count
    assert room.cut == ["large"]
    room.places.keep(small, 600)
    room.places.keep(other, 500)
    assert room.cut == ["large", "small"]


def test_those_whose_time_is_over() -> None:
    room = Room()
    first, second = room.enter("first"), room.enter("second")
    second.due = 10.5
    assert room.places.overdue(9.9) == []
    assert room.places.overdue(10.0) == [first]
    assert room.places.overdue(10.5) == [first, second]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans(), st.integers(0, 99)), max_size=60))
def test_places_and_bytes_never_exceed_their_bounds(comers: list[tuple[str, bool, bool, int]]) -> None:
    room = Room()
    inside: list[Guest] = []
    for address, silent, known, held in comers:
        guest = Guest(address, 0.0, lambda: None)
        guest.silent = silent
        if room.places.enter(guest):
            inside.append(guest)
        if known:
            room.places.know(guest)
        room.places.hold(guest, held)
        left = [one for one in inside if one in room.places.overdue(0.0)]
        assert len(left) == len(room.places) <= BOUNDS.connections
        assert sum(one.held for one in left) <= BOUNDS.heads_bytes
        for name in "abc":
            assert sum(not one.known and one.address == name for one in left) <= BOUNDS.strangers


def test_keys_come_by_turns_and_of_each_the_newest_first() -> None:
    turns: Turns[str, int] = Turns()
    for key, item in (("a", 1), ("a", 2), ("a", 3), ("b", 4), ("a", 5)):
        turns.add(key, item)
    turns.discard("a", 3)
    turns.discard("z", 3)
    assert [turns.take() for _ in range(5)] == [5, 4, 2, 1, None]
