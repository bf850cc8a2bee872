"""The definition that the API server checks by, and the reader of files, say the same of gates."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapter.rollout.model import gates
from adapter.rollout.model import query as query_model
from adapter.rollout.model.gates import Kind, Scope, Then, Worse, read
from adapter.rollout.model.verdict import Stage
from tests.rollout.judging import LIMIT, QUEUE

CRDS = Path(__file__).resolve().parents[2] / "manifests" / "crds"


def schema() -> dict[str, Any]:
    definition = yaml.safe_load((CRDS / "rolloutpolicy.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    spec: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return spec


SPEC = schema()
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
