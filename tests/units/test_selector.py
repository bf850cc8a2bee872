"""Label selectors: what is read, what is refused and where, what matches."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.units.requirement import Operator, Requirement
from adapter.units.selector import EVERYTHING, Selector, SelectorError
from tests.strategies import selectors

KEYS = st.sampled_from(["a", "b", "c", "in", "notin"])
VALUES = st.sampled_from(["", "1", "5", "07", "x", "in", "exists"])
LABELS = st.dictionaries(KEYS, st.sampled_from(["", "1", "5", "6", "x", "in", "-3", "9223372036854775808"]))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        ("  ", ""),
        ("a", "a"),
        ("!a", "!a"),
        ("! a", "!a"),
        ("a=b", "a=b"),
        ("a==b", "a=b"),
        ("a = b", "a=b"),
        ("a=", "a="),
        ("a=,b", "a=,b"),
        ("a!=b", "a!=b"),
        ("a in (c,b)", "a in (b,c)"),
        ("a in(b)", "a in (b)"),
        ("a\tin\n( b , c )", "a in (b,c)"),
        ("a notin (b,,c)", "a notin (,b,c)"),
        ("a in ()", "a in ()"),
        ("a in (,)", "a in ()"),
        ("a>1", "a>1"),
        ("a<10", "a<10"),
        ("in in (in,notin)", "in in (in,notin)"),
        ("notin", "notin"),
        ("z,b=1,a!=2", "a!=2,b=1,z"),
        ("a=1,a=1", "a=1"),
        ("app.kubernetes.io/name=web", "app.kubernetes.io/name=web"),
        (f"{'x' * 63}={'y' * 63}", f"{'x' * 63}={'y' * 63}"),
    ],
)
def test_the_syntax_of_kubectl_is_read_and_written_in_one_canonical_form(text: str, canonical: str) -> None:
    selector = Selector.parse(text)

    assert str(selector) == canonical
    assert Selector.parse(canonical) == selector


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        (",", 1, "where a label's name belongs"),
        ("a,", 3, "where a label's name belongs"),
        ("a,,b", 3, "where a label's name belongs"),
        ("!", 2, "where a label's name belongs"),
        ("=b", 1, "where a label's name belongs"),
        ("a b", 3, "where one of = == != in notin > < belongs"),
        ("a!b", 2, "where one of = == != in notin > < belongs"),
        ("a===b", 4, "where a value belongs"),
        ("a=b c", 5, "where ',' or the end belongs"),
        ("!a=b", 3, "where ',' or the end belongs"),
        ("a in b", 6, "where '(' belongs"),
        ("a in (b", 8, "where ',' or ')' belongs"),
        ("a in (b c)", 9, "where ',' or ')' belongs"),
        ("a in ((b))", 7, "where a value belongs"),
        ("a=-b", 3, "with a letter or digit at both ends"),
        ("a=.*", 3, "with a letter or digit at both ends"),
        ("_a=b", 1, "with a letter or digit at both ends"),
        (f"a={'y' * 64}", 3, "at most 63"),
        (f"{'x' * 64}", 1, "1 to 63"),
        ("A.b/c=d", 1, "lower-case"),
        ("a/b/c=d", 1, "only '/'"),
        (f"{'a.' * 127}b/c", 1, "at most 253"),
        ("/a", 1, "DNS name"),
        ("a>b", 3, "64-bit integer"),
        ("a>", 3, "64-bit integer"),
        ("a<9223372036854775808", 3, "64-bit integer"),
        ("ключ=b", 1, "letters"),
        ("a=b\0", 3, "letters"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, place: int, reason: str) -> None:
    with pytest.raises(SelectorError) as caught:
        Selector.parse(text)

    assert f"at character {place}: " in str(caught.value)
    assert reason in str(caught.value)


def test_a_giant_selector_is_refused_without_repeating_it() -> None:
    for text in ("a" * 70_000, "a=b," * 10_000 + "!"):
        with pytest.raises(SelectorError) as caught:
            Selector.parse(text)

        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("path in (.*x.*)", (".*x.*",)),
        ("path in (/api/(v1|v2)/.*, other)", ("/api/(v1|v2)/.*", "other")),
        ("path in (a(b,c)d,)", ("", "a(b,c)d")),
        ("path=.*", (".*",)),
        (f"path in ({'x' * 500})", ("x" * 500,)),
    ],
)
def test_values_that_no_label_can_have_pass_where_the_caller_wants_them(text: str, values: tuple[str, ...]) -> None:
    with pytest.raises(SelectorError):
        Selector.parse(text)

    selector = Selector.parse(text, strict_values=False)

    assert selector.requirements[0].values == values
    assert Selector.parse(str(selector), strict_values=False) == selector


def test_an_inner_parenthesis_must_be_closed() -> None:
    with pytest.raises(SelectorError, match=r"at character 12: found '' where '\)' belongs"):
        Selector.parse("a in (b(c),", strict_values=False)


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("a=1", {"a": "1"}, True),
        ("a=1", {"a": "2"}, False),
        ("a=1", {}, False),
        ("a=", {}, False),
        ("a=", {"a": ""}, True),
        ("a!=1", {}, True),
        ("a!=1", {"a": "1"}, False),
        ("a in (1,2)", {"a": "2"}, True),
        ("a in (1,2)", {}, False),
        ("a in ()", {"a": ""}, True),
        ("a notin (1,2)", {}, True),
        ("a notin (1,2)", {"a": "3"}, True),
        ("a notin (1,2)", {"a": "2"}, False),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("!a", {}, True),
        ("a>5", {"a": "10"}, True),
        ("a>5", {"a": "5"}, False),
        ("a>5", {"a": "x"}, False),
        ("a>5", {}, False),
        ("a<5", {"a": "-10"}, True),
        ("a<5", {"a": "-9223372036854775809"}, False),
        ("a<5", {"a": "1_0"}, False),
        ("a=1,b", {"a": "1"}, False),
        ("", {"x": "y"}, True),
    ],
)
def test_a_selector_matches_as_in_kubernetes(text: str, labels: dict[str, str], expected: bool) -> None:
    assert Selector.parse(text).matches(labels) is expected


def test_an_object_is_read_like_its_text() -> None:
    selector = Selector.from_object(
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["b", "a"]},
                {"key": "env", "operator": "NotIn", "values": ["dev"]},
                {"key": "x", "operator": "Exists"},
                {"key": "y", "operator": "DoesNotExist", "values": []},
            ],
        }
    )

    assert selector == Selector.parse("app=web,tier in (a,b),env notin (dev),x,!y")
    assert Selector.from_object({}) == EVERYTHING
    assert Selector.from_object({"matchLabels": None, "matchExpressions": None}).empty


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ({"matchLabels": []}, None),
        ({"matchLabels": "a"}, "matchLabels must be a map"),
        ({"matchLabels": {"a": 1}}, r"matchLabels\['a'\]: the value '1' must be a text"),
        ({"matchLabels": {"-": "b"}}, r"matchLabels\['-'\]: '-' must be 1 to 63"),
        ({"matchExpressions": {"a": 1}}, "matchExpressions must be a list"),
        ({"matchExpressions": ["a"]}, r"matchExpressions\[0\] must be a map"),
        ({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}, r"\[0\]\.operator must be one of In"),
        ({"matchExpressions": [{"key": "a", "operator": "In"}]}, r"\[0\]\.values must be a list"),
        ({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}, r"\[0\]\.values"),
        ({"matchExpressions": [{"operator": "Exists"}]}, r"\[0\]: 'None' must be a text"),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", ".*"]}]}, r"the value '\.\*' must be"),
    ],
)
def test_a_bad_object_is_refused_with_its_field(selector: dict[str, object], message: str | None) -> None:
    if message is None:
        assert Selector.from_object(selector).empty
        return
    with pytest.raises(SelectorError, match=message):
        Selector.from_object(selector)


def test_an_object_may_hold_any_value_where_the_caller_wants_it() -> None:
    selector = Selector.from_object({"matchLabels": {"path": "/api/.*"}}, strict_values=False)

    assert selector.requirements == (Requirement("path", Operator.EQUALS, ("/api/.*",)),)


LONGEST = "x" * 1024


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"path in ({LONGEST})", ""),
        (f"path in ({LONGEST}x)", "must have at most 1024 characters"),
        (f"path={LONGEST}x", "must have at most 1024 characters"),
        ("path=a\0b", "must have printable characters only"),
        ("path in (a\x7f.*)", "must have printable characters only"),
        ("path in (\ud800)", "must have printable characters only"),
        ("path in (/é/(v1|v2)/.*,b c)", ""),
        (",".join(f"a{number}=b" for number in range(64)), ""),
        (",".join(f"a{number}=b" for number in range(65)), "more than 64 requirements or 1000 values"),
        (f"a in ({','.join(map(str, range(1000)))})", ""),
        (f"a in ({','.join(map(str, range(999)))}),b in (x,y)", "more than 64 requirements or 1000 values"),
    ],
    ids=range(11),
)
def test_values_for_a_metrics_labels_have_bounds_of_their_own(text: str, problem: str) -> None:
    """In a request and in an HPA alike; an object's labels are Kubernetes' business."""
    if problem:
        with pytest.raises(SelectorError, match=problem):
            Selector.parse(text, strict_values=False)
        return
    selector = Selector.parse(text, strict_values=False)
    expressions = [{"key": key, "operator": "In", "values": list(values)} for key, _, values in selector.requirements]
    assert Selector.from_object({"matchExpressions": expressions}, strict_values=False).requirements


def test_an_hpas_selector_is_bounded_likewise() -> None:
    many = [{"key": f"a{number}", "operator": "Exists"} for number in range(65)]
    for selector, problem in (
        ({"matchExpressions": many}, "more than 64 requirements"),
        (
            {"matchLabels": {"a": LONGEST + "x"}},
            r"matchLabels\['a'\]: the value 'xxx.*must have at most 1024 characters",
        ),
    ):
        with pytest.raises(SelectorError, match=problem):
            Selector.from_object(selector, strict_values=False)
    assert len(Selector.from_object({"matchExpressions": many}).requirements) == 65


def test_equalities_are_offered_for_an_index() -> None:
    selector = Selector.parse("a=1,b in (2),c in (3,4),d!=5,e,f>6")

    assert selector.equals == {"a": "1", "b": "2"}
    assert (selector.empty, EVERYTHING.empty) == (False, True)


@given(selectors())
def test_writing_and_reading_give_the_selector_back(selector: Selector) -> None:
    again = Selector.parse(str(selector))

    assert again == selector
    assert hash(again) == hash(selector)
    assert str(again) == str(selector)


@given(selectors(KEYS, VALUES), LABELS)
def test_whatever_matches_has_the_labels_that_the_index_looks_for(selector: Selector, labels: dict[str, str]) -> None:
    if selector.matches(labels):
        assert all(labels.get(key) == value for key, value in selector.equals.items())


@given(selectors(KEYS, VALUES), selectors(KEYS, VALUES), LABELS)
def test_requirements_add_up(one: Selector, other: Selector, labels: dict[str, str]) -> None:
    both = Selector([*one.requirements, *other.requirements])

    assert both.matches(labels) == (one.matches(labels) and other.matches(labels))


@given(KEYS, VALUES, LABELS)
def test_each_operator_and_its_opposite_split_all_objects(key: str, value: str, labels: dict[str, str]) -> None:
    for one, other in (("{k}={v}", "{k}!={v}"), ("{k} in ({v})", "{k} notin ({v})"), ("{k}", "!{k}")):
        chosen = Selector.parse(one.format(k=key, v=value)).matches(labels)
        assert chosen != Selector.parse(other.format(k=key, v=value)).matches(labels)


@given(st.text(alphabet="ab=!<>(), in\t1", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    for strict in (True, False):
        try:
            selector = Selector.parse(text, strict_values=strict)
        except SelectorError:
            continue
        assert Selector.parse(str(selector), strict_values=strict) == selector


GOLDEN = Path(__file__).parents[1] / "golden" / "selector.tsv"


@pytest.mark.parametrize("line", GOLDEN.read_text().splitlines())
def test_kubernetes_selects_the_same(line: str) -> None:
    """The lines (selector, labels, whether it matches; '-' for a refusal) were made with apimachinery v0.37.2."""
    text, labels, expected = line.split("\t")
    if expected == "-":
        with pytest.raises(SelectorError):
            Selector.parse(text)
        return

    matches = Selector.parse(text).matches(dict(pair.split("=", 1) for pair in labels.split(";") if pair))

    assert str(matches).lower() == expected
