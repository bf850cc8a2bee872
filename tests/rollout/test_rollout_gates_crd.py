"""The definition that the API server checks by, and `lint`, say the same: of gates, and of each bound of each field."""

import copy
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.rollout.cli.lint import CHECKS
from adapter.rollout.model import gates
from adapter.rollout.model import query as query_model
from adapter.rollout.model.gates import Kind, Scope, Then, Worse, read
from adapter.rollout.model.policy import RolloutPolicy
from adapter.rollout.model.verdict import Stage
from tests.rollout.judging import LIMIT, QUEUE

CRDS = Path(__file__).resolve().parents[2] / "manifests" / "crds"


def schema() -> dict[str, Any]:
    definition = yaml.safe_load((CRDS / "rolloutpolicy.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    openapi: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return openapi


WHOLE = schema()
SPEC = WHOLE["properties"]["spec"]["properties"]
GATE = SPEC["gates"]["items"]["properties"]


def test_the_fields_are_the_same() -> None:
    assert set(GATE) == set(gates.FIELDS)
    query = GATE["query"]["properties"]
    assert set(query) == set(query_model.FIELDS)
    assert (query["windowSeconds"]["minimum"], query["windowSeconds"]["maximum"]) == query_model.WINDOWS
    assert {query[field]["maxLength"] for field in ("bad", "total", "value")} == {query_model.MOST_CHARACTERS}
    assert SPEC["gates"]["maxItems"] == gates.MOST_GATES


@pytest.mark.parametrize(
    ("field", "words"),
    [("kind", Kind), ("worse", Worse), ("scope", Scope), ("stage", Stage)],
    ids=lambda each: str(each),
)
def test_the_words_are_the_same(field: str, words: Any) -> None:
    assert set(GATE[field]["enum"]) == set(words)


@pytest.mark.parametrize("field", ["onUndecided", "noEvidence"])
def test_the_rules_of_time_are_the_same(field: str) -> None:
    inner = GATE[field]["properties"]
    assert set(inner) == {"afterSeconds", "then"}
    assert (inner["afterSeconds"]["minimum"], inner["afterSeconds"]["maximum"]) == (1, gates.MOST_SECONDS)
    assert set(inner["then"]["enum"]) == set(Then)


def test_the_bounds_are_the_same() -> None:
    bounds = [(each["minimum"], each["maximum"]) for each in (GATE["margin"], GATE["share"], SPEC["alpha"])]
    assert bounds == [(0, gates.MOST_MARGIN), (0.01, gates.MOST_SHARE), gates.ALPHAS]


TEXTS = st.from_regex(r"[-a-zA-Z0-9_:./ ]{0,70}", fullmatch=True)


@given(TEXTS, st.sampled_from(["name", "metric"]))
def test_the_names_are_the_same(text: str, field: str) -> None:
    there = GATE[field]
    fits = bool(re.search(there["pattern"], text)) and len(text) <= there.get("maxLength", 1 << 30)
    _, problems = read({"gates": [{**LIMIT, "name": "a", field: text}]})
    assert fits == (not problems)


def test_a_gauge_that_should_be_high_may_not_fall_to_nothing_there_either() -> None:
    rules = [rule["rule"] for rule in SPEC["gates"]["items"]["x-kubernetes-validations"]]
    assert any("'lower'" in rule and "self.margin < 1.0" in rule for rule in rules)
    assert read({"gates": [{**QUEUE, "worse": "lower", "margin": 1.0}]})[1]


# ---- every bound of the definition, just outside and just inside

Json = dict[str, Any]
ONES = {"onUndecided": {"afterSeconds": 9, "then": "hold"}, "noEvidence": {"afterSeconds": 9, "then": "promote"}}
EVENTS = {"name": "errors", "limit": 0.5, "share": 1, **ONES}
BY_METRIC = {**EVENTS, "metric": "errors", "total": "requests", "kind": "events"}
BY_QUERY = {**EVENTS, "query": {"bad": 'a{pod="{{pods}}"}', "total": 'b{pod="{{pods}}"}', "windowSeconds": 30}}
VALUE = {"name": "queue", "kind": "gauge", "limit": 5, "worse": "lower", "query": {"value": 'a{pod="{{pods}}"}'}}
STEPS = {"steps": [{"weight": 10, "pauseSeconds": 5, "manual": False}]}
REF = {"name": "web", "service": "web"}
PEM = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1BQT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
"""An empty ASN.1 sequence, which is the least that passes for a certificate."""
TLS = {"serverName": "web", "caBundle": PEM, "insecureSkipVerify": False}
ASKED = {"port": 80, "host": "web", "scheme": "HTTPS", "tls": TLS}
PROBE = {"name": "a", "path": "/", **dict.fromkeys(("everySeconds", "timeoutSeconds", "successes", "failures"), 2)}
BLUE_GREEN = {
    "previewService": "look", "previewSeconds": 1, "verifySeconds": 1, "manual": True,
    "probes": [PROBE | ASKED],
    "generate": {"paths": ["/"], "requestsPerSecond": 1, "requests": 1, "limit": 0.5, **ASKED},
}  # fmt: skip
RECEIVERS: list[Json] = [
    {"format": "slack", "url": "https://a/b", "reasons": ["Promoted"]},
    {"urlFrom": {"secret": "a", "key": "b"}, "tokenFrom": {"secret": "a", "key": "b"}},
]


def policy(gate: Json, receiver: int = 0, **spec: Any) -> Json:
    common = {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "alpha": 0.05, "settleSeconds": 5, "progressDeadlineSeconds": 600, "allowParallel": True,
        "triggers": {"configMaps": ["a"], "secrets": ["b"]}, "notifications": [RECEIVERS[receiver]],
    }  # fmt: skip
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": {**common, **spec, "gates": [gate]}}


GOOD = [
    policy({**BY_METRIC, "margin": 0.5, "scope": "step", "stage": "canary"}, canary=STEPS),
    policy({**QUEUE, "margin": 0.5, "worse": "lower"}, 1, canary={**STEPS, "traffic": {"httpRoute": REF}}),
    policy(VALUE, canary={**STEPS, "traffic": {"nginx": REF}}),
    policy(BY_QUERY, rolling=STEPS),
    policy({**BY_METRIC, "scope": "release", "stage": "pre"}, blueGreen=BLUE_GREEN),
    policy(BY_METRIC, blueGreen={"generate": {"scheme": "HTTP"}, "probes": [{"name": "a", "scheme": "HTTP"}]}),
]
"""Policies without a problem, in which every field of the definition is given at least once."""
NARROWER = [("spec.rolling.steps[0].weight", 100)]
"""What one rule more forbids (see RULES)."""


def parts(path: str) -> list[int | str]:
    return [int(part) if part.isdigit() else part for part in path.replace("[", ".").replace("]", "").split(".")]


def replace_field(policy: Json, path: str, value: Any) -> Json:
    """A copy with `value` at `path`, which is written as in the messages; None takes the field away."""
    edited = copy.deepcopy(policy)
    inner: Any = edited
    *way, last = parts(path)
    for part in way:
        inner = inner[part]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return edited


def at(policy: Any, path: str) -> Any:
    """The value at `path`; None where there is none."""
    for part in parts(path):
        if not (part < len(policy) if isinstance(part, int) and isinstance(policy, list) else part in policy):
            return None
        policy = policy[part]
    return policy


def lint(policy: Json) -> list[str]:
    return [problem for check in CHECKS for problem in check(policy)]


def nodes(node: Json, path: str) -> Iterator[tuple[str, Json]]:
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    if "items" in node:
        yield from nodes(node["items"], f"{path}[0]")


NODES = dict(nodes(WHOLE["properties"]["spec"], "spec"))
TEXTS_WITH_A_PATTERN = [path for path, node in NODES.items() if "pattern" in node]


OF_TYPES: Json = {"object": {}, "array": [], "string": "x", "integer": 7, "boolean": True}
GOES_FOR = {"number": "integer"}


def bounds(node: Json, given: Any) -> Iterator[tuple[Any, bool]]:
    """Values at the edges of a field, and whether the definition takes them. `given`: one that it takes."""
    kind = node.get("type")
    if kind is None:  # a number or a text
        yield from ((8080, True), ("http", True), (1.5, False), ([], False))
        return
    yield from ((other, False) for name, other in OF_TYPES.items() if name not in (kind, GOES_FOR.get(kind)))
    if kind in ("integer", "number"):
        whole = kind == "integer"
        for edge, way in (("minimum", -math.inf), ("maximum", math.inf)):
            if edge in node:
                yield node[edge], True
                yield node[edge] + int(math.copysign(1, way)) if whole else math.nextafter(node[edge], way), False
        if whole:
            yield node["minimum"] + 0.5, False
    elif kind == "boolean":
        yield from ((True, True), (False, True))
    elif kind == "string":
        yield from texts(node, given)
    elif kind == "array":
        least, most = node.get("minItems", 0), node["maxItems"]
        yield from ((many(given, count), least <= count <= most) for count in {0, least, most, most + 1})
        yield [None], False


def texts(node: Json, given: str) -> Iterator[tuple[str, bool]]:
    if "enum" in node:
        yield from ((word, True) for word in node["enum"])
        yield "nope", False
        return
    if node.get("format") == "byte":
        yield from (("", False), (f"{PEM[:4]} {PEM[4:]}", False), (PEM + "\n", False), (PEM[:-1], False))
        return
    yield "", fits(node, "")
    begin = {"^/": "/", "^h": "http://"}.get(node.get("pattern", "")[:2], "")
    for length in (node["maxLength"], node["maxLength"] + 1) if "maxLength" in node else ():
        text = f"{given}#".ljust(length) if "{{pods}}" in given else begin.ljust(length, "a")
        yield text, fits(node, text)


def fits(node: Json, text: str) -> bool:
    """As Go has it: `$` is the end of the text, and \\s is of ASCII."""
    long_enough = node.get("minLength", 0) <= len(text) <= node.get("maxLength", len(text))
    return long_enough and bool(re.search(go(node.get("pattern", "")), text))


def go(pattern: str) -> "re.Pattern[str]":
    return re.compile(re.sub(r"\$$", r"\\Z", pattern), re.ASCII)


def many(given: list[Any], count: int) -> list[Any]:
    """`count` copies of the first entry; fields that must be unique get different values."""
    entries = []
    for number in range(count):
        differ = {"name": f"n{number}", "weight": number + 1}
        own = {field: value for field, value in differ.items() if field in given[0]}
        entries.append({**given[0], **own} if isinstance(given[0], dict) else given[0])
    return entries


def test_the_policies_have_no_problem_and_every_field_of_the_definition() -> None:
    assert [lint(policy) for policy in GOOD] == [[]] * len(GOOD)
    missing = [path for path in NODES if all(at(policy, path) is None for policy in GOOD)]
    assert missing == []


@pytest.mark.parametrize("path", NODES)
def test_lint_and_the_definition_have_the_same_bounds(path: str) -> None:
    having = [policy for policy in GOOD if at(policy, path) is not None]
    for value, inside in bounds(NODES[path], at(having[0], path)):
        answers = [lint(replace_field(policy, path, value)) for policy in having]
        if inside:
            assert [] in answers or (path, value) in NARROWER, (value, answers)
        else:
            assert all(any(problem.startswith(path) for problem in said) for said in answers), (value, answers)


@pytest.mark.parametrize("path", NODES)
def test_what_has_to_be_there_is_missed_and_null_is_as_nothing(path: str) -> None:
    """The API server takes null away where a field is not nullable, and none is."""
    for field in NODES[path].get("properties", {}):
        for policy in GOOD:
            if at(policy, f"{path}.{field}") is None:
                continue
            without = lint(replace_field(policy, f"{path}.{field}", None))
            null = copy.deepcopy(policy)
            at(null, path)[field] = None
            assert lint(null) == without
            if field in NODES[path].get("required", ()):
                assert any(problem.startswith(f"{path}.{field}") for problem in without), (field, without)


@pytest.mark.parametrize("path", TEXTS_WITH_A_PATTERN)
@settings(max_examples=40)
@given(data=st.data())
def test_lint_and_the_definition_take_the_same_texts(path: str, data: st.DataObject) -> None:
    node, pattern = NODES[path], go(NODES[path]["pattern"])
    text = data.draw(st.text(st.sampled_from("aZ09-_.:/?#@ \n\x7fé\xa0"), max_size=12) | st.from_regex(pattern))
    having = [policy for policy in GOOD if at(policy, path) is not None]
    taken = any(not lint(replace_field(policy, path, text)) for policy in having)
    assert taken == fits(node, text)


def test_what_is_left_out_is_read_as_the_definition_fills_it_in() -> None:
    for path, default in ((path, node["default"]) for path, node in NODES.items() if "default" in node):
        for policy in GOOD:
            if at(policy, path) is not None:
                without, filled = (replace_field(policy, path, value) for value in (None, default))
                assert msgspec.convert(without, RolloutPolicy) == msgspec.convert(filled, RolloutPolicy), path


BLUE, ROUTED, PLAIN = GOOD[4], GOOD[1], GOOD[0]
RULES: dict[str, list[tuple[Json, str, Any]]] = {
    "a name has at most 63 characters": [(PLAIN, "metadata.name", "n" * 64)],
    "exactly one of blueGreen, canary and rolling": [
        (PLAIN, "spec.canary", None), (PLAIN, "spec.blueGreen", {}), (PLAIN, "spec.rolling", STEPS),
    ],
    "blue-green has no concurrent stable traffic": [
        (BLUE, "spec.gates[0].margin", 0.5), (BLUE, "spec.gates[0].scope", "step"),
        (BLUE, "spec.gates[0].stage", "canary"),
    ],
    "the gates of a canary or a rolling release": [(PLAIN, "spec.gates[0].stage", "pre")],
    "tls is for scheme HTTPS": [
        (BLUE, "spec.blueGreen.generate.scheme", "HTTP"), (BLUE, "spec.blueGreen.probes[0].scheme", None),
    ],
    "https needs a name to verify": [(GOOD[5], "spec.blueGreen.probes[0].scheme", "HTTPS")],
    "weights rise from step to step": [
        (PLAIN, "spec.canary.steps", [{"weight": 9}, {"weight": 9}]),
        (ROUTED, "spec.canary.steps", [{"weight": 9}, {"weight": 8}]),
    ],
    "the ratio of pods gives at most 50 percent": [(PLAIN, "spec.canary.steps[0].weight", 51)],
    "httpRoute and nginx exclude each other": [(ROUTED, "spec.canary.traffic.nginx", REF)],
    "new pods beside all stable ones get at most 50": [(GOOD[3], "spec.rolling.steps[0].weight", 51)],
    "a gate names a metric, or a query": [
        (GOOD[3], "spec.gates[0].metric", "a"), (GOOD[3], "spec.gates[0].name", None),
        (GOOD[3], "spec.gates[0].total", "a"), (PLAIN, "spec.gates[0].metric", None),
    ],
    "the query of a gate on events has bad and total": [
        (GOOD[3], "spec.gates[0].query.bad", None), (GOOD[3], "spec.gates[0].kind", "gauge"),
        (GOOD[2], "spec.gates[0].query.total", 'a{pod="{{pods}}"}'),
    ],
    "a gate on events names as total": [
        (PLAIN, "spec.gates[0].total", None), (PLAIN, "spec.gates[0].total", "errors"),
        (ROUTED, "spec.gates[0].total", "a"),
    ],
    "a limit, a margin or both are wanted": [(BLUE, "spec.gates[0].limit", None)],
    "the limit of a gate on events is a share": [(PLAIN, "spec.gates[0].limit", edge) for edge in (0, 1, -1, 2)],
    "a margin of 1 lets a gauge": [(ROUTED, "spec.gates[0].margin", 1)],
    "only gauges have worse": [(PLAIN, "spec.gates[0].worse", "higher")],
    "exactly one of url and urlFrom": [
        (PLAIN, "spec.notifications[0].url", None), (ROUTED, "spec.notifications[0].url", "http://a"),
    ],
}  # fmt: skip
OF_CHANGES = "what a policy releases cannot change"
"""`lint` sees no policy before this one."""


def messages(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (rule["message"] for rule in node.get("x-kubernetes-validations", ()))
        for inner in node.values():
            yield from messages(inner)


def test_every_rule_of_the_definition_has_a_case() -> None:
    for message in messages(WHOLE):
        assert any(message.startswith(begin) for begin in (*RULES, OF_CHANGES)), message


@pytest.mark.parametrize("rule", RULES)
def test_lint_has_every_rule_of_the_definition(rule: str) -> None:
    assert any(message.startswith(rule) for message in messages(WHOLE))
    for policy, path, value in RULES[rule]:
        assert lint(replace_field(policy, path, value)), (path, value)
