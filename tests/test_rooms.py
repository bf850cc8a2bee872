"""Memories that are bounded in bytes, and what is said of them."""

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from adapter import rooms
from adapter.kube.compact import SHARED_BYTES, Compactor
from adapter.kube.objects import ObjectMeta, PartialObjectMetadata
from adapter.metrics import matching
from adapter.metrics.promql.read import parse
from adapter.once import Once
from adapter.rooms import Filled, Room
from adapter.serve import questions, requestinfo
from adapter.serve.requestinfo import MAX_REMEMBERED, read_request
from adapter.serve.telemetry import Telemetry


def test_what_was_used_longest_ago_gives_way_and_what_is_too_large_is_not_held() -> None:
    room: Room[str, int] = Room("test", 100)
    assert [room.put(key, value, 40) for value, key in enumerate("ab")] == [0, 1]
    assert room.get("a") == 0
    room.put("c", 2, 40)  # 120 bytes: b was used longest ago
    room.put("d", 3, 101)
    assert [room.get(key) for key in "abcd"] == [0, None, 2, None]
    assert (room.weight, len(room)) == (80, 2)


def test_memories_of_one_name_are_counted_together_while_they_are_there() -> None:
    first: Room[str, int] = Room("twins", 100)
    second: Room[str, int] = Room("twins", 100)
    first.put("a", 1, 30)
    second.put("a", 1, 20)
    assert Filled("twins", 50, 200) in list(rooms.fill_levels())
    del second
    assert Filled("twins", 30, 100) in list(rooms.fill_levels())


def test_metrics_show_how_full_each_is() -> None:
    room: Room[str, int] = Room("shown", 100)
    room.put("a", 1, 30)
    registry = CollectorRegistry()
    Telemetry(registry)
    labels = {"memory": "shown"}
    assert registry.get_sample_value("streamgate_memory_bytes", labels) == 30
    assert registry.get_sample_value("streamgate_memory_limit_bytes", labels) == 100
    assert registry.get_sample_value("streamgate_memory_limit_bytes", {"memory": "predicates"}) == matching.CACHE_BYTES
    for name in ("queries", "requests", "selectors"):
        assert registry.get_sample_value("streamgate_memory_limit_bytes", {"memory": name}) is not None


def request(number: int) -> None:
    path = "/" + "a/" * ((MAX_REMEMBERED - 20) // 2) + str(number)
    read_request("GET", path)


def selector(number: int) -> None:
    questions._read(",".join(f"a{number}x{at}" for at in range(50)), strict=True)


def query(number: int) -> None:
    parse(f"x{number}" + "{" + ",".join(f'a{at}="b"' for at in range(90)) + "}")


@pytest.mark.parametrize(
    ("fill", "name", "each"),
    [(request, "requests", 100_000), (selector, "selectors", 20_000), (query, "queries", 50_000)],
)
def test_strangers_fill_a_memory_to_its_bound_and_no_further(fill: Callable[[int], None], name: str, each: int) -> None:
    most = next(one.most for one in rooms.fill_levels() if one.name == name)
    for number in range(2 * most // each):
        fill(number)
    [held] = [one for one in rooms.fill_levels() if one.name == name]
    assert most / 2 < held.weight <= most


def test_parts_of_objects_fill_theirs_and_no_more() -> None:
    compact = Compactor(("a",))
    for number in range(40):
        compact(PartialObjectMetadata(metadata=ObjectMeta(name="p", annotations={"a": f"{number}" + "x" * 200_000})))
    assert SHARED_BYTES / 2 < compact._parts.weight <= SHARED_BYTES


def test_what_was_said_is_held_by_a_digest_where_it_is_long() -> None:
    once = Once(most=10, again=None)
    for key in ("x" * 10**6, ("a", "y" * 10**6)):
        assert [once.first(key, "z" * 10**6) for _ in range(2)] == [True, False]
        assert once.first(key, "z" * 10**6 + "!")
    assert max(len(str(item)) for item in once._said.items()) < 500
    assert once.over("x" * 10**6)
    assert once.news(["k" * 1000, "l" * 1000]) == ["k" * 1000, "l" * 1000]
    assert once.news(["k" * 1000]) == []
    assert requestinfo.REQUEST_BYTES == 8 * 2**20
