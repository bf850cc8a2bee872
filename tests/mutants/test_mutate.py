"""Faults are small, each is one, and the file around it stays as it was."""

import ast

import pytest

from tests.mutants.__main__ import AREAS, ROOT
from tests.mutants.mutate import mutants


def changes(source: str) -> list[tuple[str, str]]:
    return [(each.was, each.now) for each in mutants(source)]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("a < b", [("a < b", "a <= b")]),
        ("a < b <= c", [("a < b <= c", "a <= b <= c"), ("a < b <= c", "a < b < c")]),
        ("a + b", [("a + b", "a - b")]),
        ("a and b", [("a and b", "a or b")]),
        ("not a", [("not a", "a")]),
        ("-a", [("-a", "a")]),
        ("x = True", [("True", "False")]),
        ("x = 3", [("3", "4")]),
        ("b if a else c", [("b if a else c", "c if a else b")]),
        ("a in b", [("a in b", "a not in b")]),
        ("a is None", [("a is None", "a is not None")]),
    ],
)
def test_what_may_go_wrong_goes_wrong(source: str, wanted: list[tuple[str, str]]) -> None:
    assert changes(source) == wanted


@pytest.mark.parametrize(
    "source",
    [
        "assert a < b",
        "x: Final[3] = y",
        "def f(a: Literal[3]) -> Literal[4]: pass",
        "raise ValueError(3)",
        "f'{a < b}'",
        "X: TypeAlias = int | str",
        "match a:\n    case 3: pass",
        '"""text"""',
    ],
)
def test_what_no_test_could_see_is_left_alone(source: str) -> None:
    assert changes(source) == []


def test_each_fault_is_one_and_the_lines_around_it_stay() -> None:
    source = "# é\nif (a <\n    b):\n    x = 1  # one\n"
    for each in mutants(source):
        assert each.source.startswith("# é\n")
        assert each.source.endswith("# one\n")
        ast.parse(each.source)
    assert [each.line for each in mutants(source)] == [2, 4]


@pytest.mark.parametrize("area", AREAS)
def test_every_area_is_there_and_every_fault_in_it_is_python(area: str) -> None:
    sources, tests = AREAS[area]
    for path in (*sources, *tests):
        assert (ROOT / path).exists(), path
    below = sorted((ROOT / sources[0]).rglob("*.py"), key=lambda each: each.stat().st_size)
    faults = list(mutants((below[-1] if below else ROOT / sources[0]).read_text()))
    assert faults
    for each in faults[:50]:
        ast.parse(each.source)
