"""The rules file: prometheus-adapter's format, and one sentence for each mistake."""

import contextlib
import re
import textwrap
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.kube.resources import GroupResource
from adapter.rules.config import load
from adapter.rules.document import RulesError
from adapter.rules.model import OnNegative, OnOddValue, Policy, RuleFile, ServedPods
from adapter.units import duration

GOOD = {
    "seriesQuery": 'http_requests_total{pod!=""}',
    "resources": {"overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}},
    "name": {"matches": "^(.*)_total$", "as": "${1}_per_second"},
    "metricsQuery": "sum(rate(<<.Series>>{<<.LabelMatchers>>}[2m])) by (<<.GroupBy>>)",
}


def read(*rules: Any, **sections: Any) -> RuleFile:
    return load(
        yaml.safe_dump({**({"rules": list(rules)} if rules else {}), **sections}, sort_keys=False), "config.yaml"
    )


def test_a_whole_file_is_read() -> None:
    text = textwrap.dedent("""
        rules:
        - seriesQuery: '{__name__=~"^container_.*",pod!=""}'
          seriesFilters: [{is: "^container_"}, {isNot: "^container_.*_seconds_total$"}]
          resources:
            template: "kube_<<.Group>>_<<.Resource>>"
            overrides: {pod: {group: "", resource: pod}, deployment: {group: apps, resource: deployments}}
            namespaced: false
          name: {matches: "^container_(.*)_total$", as: ""}
          metricsQuery: "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)"
          x-streamgate: {maxAge: 90s, nan: zero, negative: serve, refresh: 2, adaptive: true, pods: any}
        externalRules:
        - seriesQuery: queue_depth
          metricsQuery: max(<<.Series>>{<<.LabelMatchers>>})
        resourceRules:
          cpu: &cpu
            containerQuery: sum(x{<<.LabelMatchers>>}) by (<<.GroupBy>>)
            nodeQuery: sum(y{<<.LabelMatchers>>}) by (<<.GroupBy>>)
            resources: {overrides: {pod: {resource: pod}}}
            containerLabel: container
          memory:
            <<: *cpu
            containerLabel: name
          window: 3m
    """)
    file = load(text, "config.yaml")
    assert file.problems == ()
    (rule,) = file.custom
    assert rule.place == "rules[0], line 3"
    assert rule.name_as == "$1"  # one group, so its text is the name
    assert rule.resources.overrides["deployment"] == GroupResource("apps", "deployments")
    assert not rule.resources.namespaced
    assert [each.accepts("container_x_total") for each in rule.filters] == [
        True,
        True,
        True,
    ]  # the last is name.matches
    assert not all(each.accepts("container_x_seconds_total") for each in rule.filters)
    assert rule.policy == Policy(90.0, OnOddValue.ZERO, OnNegative.SERVE, 2.0, True, ServedPods.ANY)
    assert file.external[0].policy == Policy()
    assert file.resource.window == 180.0
    assert (file.resource.cpu.container_label, file.resource.memory.container_label) == ("container", "name")


def test_a_section_that_is_absent_or_empty_is_not_served() -> None:
    file = load("rules: []\nexternalRules:\n", "c")
    assert (file.custom, file.external, file.resource) == (None, None, None)


def test_a_section_of_which_no_rule_works_is_served_empty() -> None:
    assert read({"seriesQuery": "x"}).custom == ()


def broken_rule(**changes: Any) -> dict[Any, Any]:
    rule = {**GOOD, **changes}
    return {key: value for key, value in rule.items() if value != "-"}


@pytest.mark.parametrize(("rule", "problem"), [
    (
        broken_rule(metricQuery="x"),
        r"rules\[1\], line \d+: 'metricQuery' is no field there; right would be one of seriesQuery, ",
    ),
    (
        broken_rule(name={"match": "x"}),
        r"rules\[1\]\.name, line \d+: 'match' is no field there; right would be one of matches, as",
    ),
    (
        broken_rule(resources={"overrides": {"pod": {"kind": "x"}}}),
        r"'kind' is no field there; right would be one of resource, group",
    ),
    (
        broken_rule(seriesFilters=[{"is": "a", "isNot": "b"}]),
        r"seriesFilters\[0\], line \d+: it has both of `is` and `isNot`",
    ),
    (
        broken_rule(seriesFilters=[{}]),
        r"seriesFilters\[0\], line \d+: it has none of `is` and `isNot`; right would be exactly one",
    ),
    (broken_rule(seriesFilters=[{"is": "(?=a)"}]), r"seriesFilters\[0\]\.is, line \d+: '\(\?=a\)' does not compile"),
    (broken_rule(seriesFilters="x"), r"expected a list, got a text|Expected|expected"),
    (broken_rule(name={"matches": "(a)(b)"}), r"name, line \d+: '\(a\)\(b\)' has 2 groups and no `as` says which"),
    (broken_rule(name={"matches": "("}), r"name\.matches, line \d+: '\(' does not compile"),
    (
        broken_rule(metricsQuery="<<.Serie>>"),
        r"metricsQuery, line \d+: the template does not work: column 3: there is no field \.Serie",
    ),
    (broken_rule(metricsQuery="-"), r"metricsQuery, line \d+: it is missing or empty"),
    (broken_rule(metricsQuery="<<if eq .Series \"a\">>x<<end>>"), r"the template gives nothing"),
    (broken_rule(seriesQuery="-"), r"seriesQuery, line \d+: it is missing"),
    (
        broken_rule(resources={"template": "kube_<<.Group>>"}),
        r"resources\.template, line \d+: the template leaves out the resource",
    ),
    (
        broken_rule(resources={"template": "<<.Kind>>"}),
        r"there is no field \.Kind; right would be one of \.Group, \.Resource",
    ),
    (broken_rule(resources={"overrides": {"pod": {"group": "x"}}}), r"overrides\.pod, line \d+: `resource` is missing"),
    (broken_rule(resources={"namespaced": "maybe"}), r"namespaced, line \d+: 'maybe' is neither true nor false"),
    (
        broken_rule(**{"x-streamgate": {"nan": "drop"}}),
        r"x-streamgate\.nan, line \d+: 'drop' is unknown; right would be omit or zero",
    ),
    (
        broken_rule(**{"x-streamgate": {"pods": "running"}}),
        r"x-streamgate\.pods, line \d+: 'running' is unknown; right would be ready or any",
    ),
    (broken_rule(**{"x-streamgate": {"maxAge": "soon"}}), r"x-streamgate\.maxAge, line \d+: 'soon' is no duration"),
    (broken_rule(**{"x-streamgate": {"refresh": 0}}), r"'0' is no time above 0"),
    (broken_rule(**{"x-streamgate": {"max": 1}}), r"'max' is no field there; right would be one of maxAge, nan"),
    ("text", r"rules\[1\], line \d+: expected a mapping, got a text"),
    (None, r"rules\[1\], line \d+: expected a mapping"),
])  # fmt: skip
def test_a_mistake_costs_its_rule_alone_and_is_one_sentence(rule: Any, problem: str) -> None:
    file = read(GOOD, rule, GOOD)
    assert len(file.custom) == 2
    (sentence,) = file.problems
    assert sentence.startswith("config.yaml: rules[1]")
    assert re.search(problem, sentence)


def test_the_line_is_that_of_the_field() -> None:
    text = "rules:\n- seriesQuery: a\n  metricsQuery: b\n  name:\n    matches: a\n    as: b\n    to: c\n"
    assert load(text, "c").problems[0].startswith("c: rules[0].name, line 5: 'to' is no field")


def test_one_half_of_the_resource_rules_can_work_alone() -> None:
    half = {"containerQuery": "a", "nodeQuery": "b", "containerLabel": "c"}
    file = read(resourceRules={"cpu": half, "memory": {**half, "nodeQuery": "<<"}, "window": "x", "disk": {}})
    assert file.resource.cpu is not None
    assert file.resource.memory is None
    assert file.resource.window == 0
    assert [problem.split(": ")[1].split(",")[0] for problem in file.problems] == [
        "resourceRules.disk", "resourceRules.memory.nodeQuery", "resourceRules.window",
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), [
    ("", "c, line 1: the file holds no mapping; right would be one with rules, externalRules, resourceRules"),
    ("- a", "c, line 1: the file holds no mapping"),
    ("rules: []\nrule: []", "c, line 2: 'rule' is no field of a rules file"),
    ("rules:\n  a: b", "c, line 2: rules is no list"),
    ("resourceRules: []\nrules: []\nrules: []", "c, line 3: the key 'rules' is there twice"),
    ("rules:\n- a: [", "c, line 2: this is no YAML|c, line 3: this is no YAML"),
    ("rules:\n\t- a", "c, line 2: this is no YAML"),
    ("rules: [&a [*a]]", "too many values, or too deep"),
    ("resourceRules: x", "c, line 1: resourceRules is no mapping"),
    ("? [a]\n: b", "c, line 1: a key is a list or a mapping"),
    ("a: 1\n---\nb: 2", "this is no YAML"),
    ("\x00", "this is no YAML"),
])  # fmt: skip
def test_what_is_no_rules_file_is_refused_with_the_line(text: str, problem: str) -> None:
    with pytest.raises(RulesError, match=problem):
        load(text, "c")


def test_aliases_cannot_make_a_small_file_grow_without_bound() -> None:
    lines = ["a: &a0 [x,x,x,x,x,x,x,x,x,x]"] + [f"b{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(RulesError, match="too many values"):
        load("\n".join(lines), "c")


def test_scalars_are_texts_as_in_go() -> None:
    file = read({**GOOD, "name": {"as": 5}, "seriesQuery": True})
    assert file.problems == ()
    assert (file.custom[0].name_as, file.custom[0].series_query) == ("5", "true")


def test_a_generation_changes_with_the_rule_and_not_with_its_place() -> None:
    first, second, third = read(GOOD, {**GOOD, "name": {"as": "x"}}, GOOD).custom
    assert first.generation == third.generation != second.generation
    (external,) = read(externalRules=[GOOD]).external
    assert external.generation != first.generation


@pytest.mark.parametrize(("text", "seconds"), [
    ("5m", 300.0), ("1h30m", 5400.0), ("500ms", 0.5), ("1d", 86400.0), ("0", 0.0), ("1.5h", 5400.0), ("2w", 1209600.0),
])  # fmt: skip
def test_durations_are_those_of_prometheus_and_go(text: str, seconds: float) -> None:
    assert duration.parse_mixed(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "5x", "-5m", "5m ", "1e3s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration; right would be like 5m"):
        duration.parse_mixed(text)


@given(st.integers(0, 10**12))
def test_a_duration_that_is_shown_reads_back(milliseconds: int) -> None:
    assert duration.parse_mixed(duration.show(milliseconds)) * 1000 == pytest.approx(milliseconds, abs=0.01)


PIECES = ["rules:", "externalRules:", "\n", "- ", "  ", "seriesQuery: a", "metricsQuery: <<.Series>>", "name: {as: b}",
          "{", "]", "&a", "*a", "<<: ", "? ", "\t", "'", '"', "resourceRules:", "cpu: ", "null", "#", "|"]  # fmt: skip


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_any_text_is_read_or_refused_never_more(text: str) -> None:
    with contextlib.suppress(RulesError):
        assert all(problem.startswith("c: ") for problem in load(text, "c").problems)
