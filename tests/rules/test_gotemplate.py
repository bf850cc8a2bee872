"""Templates mean what Go's text/template says: tests/golden/rules/gotemplate.json holds Go's own answers."""

import contextlib
import json
import pathlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.rules.go.template import MAX_TEMPLATE, Template, TemplateError
from adapter.units.text import quote

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "rules"
FIELDS: dict[str, Any] = {
    "Series": "foo_total",
    "LabelMatchers": 'pod=~"a|b"',
    "LabelValuesByName": {"namespace": "ns", "pod": "a|b"},
    "GroupBy": "pod,container",
    "GroupBySlice": ["pod", "container"],
}
CASES = json.loads((GOLDEN / "gotemplate.json").read_text())


def render(text: str) -> str:
    return Template.parse(text).render(FIELDS)


@pytest.mark.parametrize("case", [case for case in CASES if "error" not in case], ids=lambda case: case["template"])
def test_what_go_renders_is_rendered_the_same(case: dict[str, str]) -> None:
    assert render(case["template"]) == case.get("output", "")


@pytest.mark.parametrize("case", [case for case in CASES if "error" in case], ids=lambda case: case["template"])
def test_what_go_refuses_is_refused_with_a_place(case: dict[str, str]) -> None:
    with pytest.raises(TemplateError, match=r"column \d+: "):
        render(case["template"])


@pytest.mark.parametrize("case", json.loads((GOLDEN / "goquote.json").read_text()), ids=lambda case: case["quoted"])
def test_strings_are_quoted_as_go_quotes_them(case: dict[str, str]) -> None:
    assert quote(case["text"]) == case["quoted"]


def test_an_unknown_field_is_answered_with_the_known_ones() -> None:
    with pytest.raises(TemplateError, match=r"column 3: there is no field \.Label; right would be one of \.Series, "):
        render("<<.Label>>")


def test_the_place_names_the_line_of_a_template_with_several() -> None:
    with pytest.raises(TemplateError, match=r"line 2 of the template, column 5: there is no function 'nope'"):
        render("sum(\n  <<nope>>)")


@pytest.mark.parametrize("text", ["<<.>>", "<<$>>", '<<printf "%v" .>>'])
def test_all_fields_at_once_are_not_written_into_a_query(text: str) -> None:
    with pytest.raises(TemplateError, match="stands for all fields"):
        render(text)


@pytest.mark.parametrize(
    "text", ['<<define "x">><<end>>', '<<template "x">>', '<<block "x" .>><<end>>', "<<html .Series>>"]
)
def test_what_is_not_supported_says_so(text: str) -> None:
    with pytest.raises(TemplateError, match="is not supported in rules"):
        render(text)


@pytest.mark.parametrize(("text", "problem"), [
    ('<<printf "%s">>', "no value is left"),
    ('<<printf "%d" "a">>', "does not fit"),
    ('<<printf "a" 1>>', "leaves 1 values over"),
    ('<<.Series "a">>', "only functions take any"),
    ("<<break>>", "outside of a range"),
    ("<<if true>>a<<else>>b<<else>>c<<end>>", "a second `else`"),
    ('<<.Series"a">>', "a space is missing"),
    ("<<.Series #>>", "has no meaning"),
    ("<<slice .Series 5 2>>", "no ascending integers"),
    ("<<'ab'>>", "is not one character"),
    ("<<lt .GroupBySlice 1>>", "cannot be compared"),
])  # fmt: skip
def test_a_mistake_is_one_sentence(text: str, problem: str) -> None:
    with pytest.raises(TemplateError, match=problem):
        render(text)


def test_a_template_is_bounded_in_length_depth_and_steps() -> None:
    with pytest.raises(TemplateError, match="at most 65536"):
        Template.parse("x" * (MAX_TEMPLATE + 1))
    with pytest.raises(TemplateError, match="more than 50 blocks"):
        Template.parse("<<if true>>" * 60 + "<<end>>" * 60)
    loops = "<<range $.GroupBySlice>>" * 20 + "<<$.Series>>" + "<<end>>" * 20  # 2^20 turns
    with pytest.raises(TemplateError, match="steps"):
        render(loops)


@pytest.mark.parametrize(("text", "uses", "alters"), [
    ("{<<.LabelMatchers>>}", True, False),
    ("{<<- .LabelMatchers ->>}", True, False),
    ("<<if .LabelMatchers>>{<<.LabelMatchers>>}<<end>>", True, False),
    ("<<with .LabelMatchers>>{<<.>>}<<end>>", True, True),
    ("<<$m := .LabelMatchers>><<$m>>", True, True),
    ("<<printf \"%s\" .LabelMatchers>>", True, True),
    ("<<if eq .LabelMatchers \"a\">>x<<end>>", True, True),
    ("<<range .GroupBySlice>><<$.LabelMatchers>><<end>>", True, True),
    ("<<.Series>>", False, False),
    ("<<print $>>", True, True),
    ("<<range .GroupBySlice>>x<<else>><<len .LabelMatchers>><<end>>", True, True),
])  # fmt: skip
def test_a_template_knows_what_it_does_with_a_field(text: str, uses: bool, alters: bool) -> None:
    template = Template.parse(text)
    assert template.uses("LabelMatchers") is uses
    assert template.alters("LabelMatchers") is alters


PIECES = ["<<", ">>", "<<- ", " ->>", ".Series", "$x", ":=", "=", "|", "(", ")", "if ", "range ", "with ", "else",
          "end", '"a"', "index ", "printf ", " ", ",", "1", "/*", "*/", "`", "'", ".", "text", "\n"]  # fmt: skip


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_any_text_is_rendered_or_refused_never_more(text: str) -> None:
    with contextlib.suppress(TemplateError):
        assert isinstance(render(text), str)
