"""The label index against brute force, and at the size it is for."""

from collections.abc import Mapping
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.kube.index import Index
from adapter.kube.objects import ObjectMeta, PartialObjectMetadata
from adapter.units.selector import EVERYTHING, Selector
from tests.strategies import requirements


def thing(name: str, namespace: str = "x", version: str = "", uid: str = "", **labels: str) -> PartialObjectMetadata:
    meta = ObjectMeta(name=name, namespace=namespace, labels=labels, resource_version=version, uid=uid)
    return PartialObjectMetadata(metadata=meta)


KEYS = st.sampled_from(["app", "tier", "pod"])
VALUES = st.sampled_from(["", "a", "b", "c"])
THINGS = st.builds(
    lambda name, namespace, labels: thing(name, namespace, **labels),
    st.sampled_from("pqrst"),
    st.sampled_from(["x", "y"]),
    st.dictionaries(KEYS, VALUES, max_size=3),
)
STEPS = st.lists(st.tuples(st.sampled_from(["put", "put", "remove"]), THINGS), max_size=25)
SELECTORS = st.builds(lambda given: Selector(tuple(given)), st.lists(requirements(KEYS, VALUES), max_size=3))


@settings(max_examples=300)
@given(STEPS, st.lists(SELECTORS, min_size=1, max_size=4))
def test_after_any_history_every_selection_is_that_of_brute_force(steps: list[Any], selectors: list[Selector]) -> None:
    index, held, told = Index[Any](), dict[Any, Any](), dict[Any, Any]()

    def note(old: PartialObjectMetadata | None, new: PartialObjectMetadata | None) -> None:
        key = (old or new).metadata.namespace, (old or new).metadata.name
        assert told.pop(key, None) == old
        if new:
            told[key] = new

    index.on_change(note)
    for verb, one in steps:
        key = (one.metadata.namespace, one.metadata.name)
        if verb == "put":
            index.put(one)
            held[key] = one
        else:
            assert index.remove(*key) == held.pop(key, None)
    assert told == held, "what handlers were told adds up to what is held"
    assert len(index) == len(held)
    assert {(one.metadata.namespace, one.metadata.name) for one in index} == set(held)
    for selector in selectors:
        for namespace in (None, "x", "y"):
            expected = [
                one
                for key, one in sorted(held.items())
                if namespace in (None, key[0]) and selector.matches(one.metadata.labels)
            ]
            assert index.select(namespace, selector) == expected


def test_the_same_version_again_changes_nothing_and_another_does() -> None:
    index, told = Index[Any](), list[Any]()
    index.on_change(lambda old, new: told.append((old, new)))
    first, second = thing("a", version="1", app="w"), thing("a", version="2", app="w")
    index.put(first)
    index.put(thing("a", version="1", app="w"))
    assert told == [(None, first)]
    assert index.revision == 1
    index.put(second)
    assert told[1:] == [(first, second)]


def test_an_object_made_anew_under_its_name_is_one_gone_and_one_new() -> None:
    index, told = Index[Any](), list[Any]()
    index.on_change(lambda old, new: told.append((old, new)))
    first, second = thing("a", uid="1"), thing("a", uid="2")
    index.put(first)
    index.put(second)
    assert told == [(None, first), (first, None), (None, second)]
    assert len(index) == 1


def test_retain_forgets_all_others() -> None:
    index: Index[Any] = Index()
    for name in "abc":
        index.put(thing(name))
    index.retain([("x", "b"), ("x", "never there")])
    assert [one.metadata.name for one in index] == ["b"]


def test_what_is_not_there_is_found_as_nothing() -> None:
    index: Index[Any] = Index()
    assert index.get("x", "a") is None
    assert index.remove("x", "a") is None
    assert list(index.namespace("x")) == index.select("x", EVERYTHING) == index.select(None, EVERYTHING) == []
    index.put(thing("a", app="w"))
    assert index.select("x", Selector.parse("app=other")) == []
    assert index.get("x", "b") is None
    index.remove("x", "a")
    assert not index.namespaces()


def test_the_members_of_a_label_set_share_their_labels() -> None:
    index: Index[Any] = Index()
    index.put(thing("a", app="w"))
    index.put(thing("b", app="w"))
    assert index.get("x", "a").metadata.labels is index.get("x", "b").metadata.labels


class Counted:
    """A selector that counts the label sets it is asked about."""

    def __init__(self, text: str) -> None:
        self._selector = Selector.parse(text)
        self.equals = self._selector.equals
        self.asked = 0

    def matches(self, labels: Mapping[str, str]) -> bool:
        self.asked += 1
        return self._selector.matches(labels)


@pytest.mark.parametrize("selector", ["app=a7", "app=a7,tier in (x,y)", "tier!=z,app=a7"])
def test_three_among_50_000_in_one_namespace_are_found_without_a_scan(selector: str) -> None:
    """16,667 label sets of three objects each: only the one that has app=a7 is looked at."""
    index: Index[Any] = Index()
    for number in range(50_000):
        index.put(thing(f"p{number}", app=f"a{number % 16_667}", tier="x"))
    wanted = Counted(selector)
    assert [one.metadata.name for one in index.select("x", cast(Selector, wanted))] == ["p16674", "p33341", "p7"]
    assert wanted.asked == 1
