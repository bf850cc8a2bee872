"""Our decisions beside those of the HPA controller itself (see golden/generate.py): every look of every scenario."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from adapter.hpa.decide import Decision, decide
from adapter.hpa.model import (
    ExternalValues,
    History,
    HpaSpec,
    Invalid,
    ObjectValue,
    Observed,
    PodState,
    PodValue,
    PodValues,
    Scale,
)
from adapter.hpa.read import read_spec

GOLDEN = Path(os.environ.get("HPA_GOLDEN", Path(__file__).parents[1] / "golden/hpa-replicas.json"))


class Look(NamedTuple):
    """One look at an HPA: what the controller answered, what we decide, and the replicas that existed."""

    where: str
    theirs: dict
    ours: Decision
    existing: int


TARGETS = {"Utilization": "averageUtilization", "AverageValue": "averageValue", "Value": "value"}


def rules(raw: dict | None) -> dict:
    """`behavior.scaleUp` or `scaleDown` as autoscaling/v2 writes it."""
    raw = dict(raw or {})
    fields = {"stabilizationWindowSeconds": raw.get("window"), "selectPolicy": raw.get("select")}
    fields["policies"] = [
        dict(zip(("type", "value", "periodSeconds"), each, strict=True)) for each in raw.get("policies", ())
    ] or None
    return fields | {"tolerance": f"{raw['tolerance']}m" if "tolerance" in raw else None}


def metric(raw: dict) -> dict:
    """An element of `spec.metrics`; fields that its source has not are there, too, and do no harm."""
    value = raw["value"] if raw["type"] == "Utilization" else f"{raw['value']}m"
    own = {
        "name": raw["name"],
        "container": raw["container"],
        "metric": {"name": raw["name"]},
        "describedObject": {"kind": "Service", "name": "web"},
        "target": {"type": raw["type"], TARGETS[raw["type"]]: value},
    }
    return {"type": raw["source"], raw["source"][0].lower() + raw["source"][1:]: own}


def spec_of(raw: dict, low: int | None) -> HpaSpec:
    """By way of the object that the controller was given."""
    spec = {"minReplicas": low, "maxReplicas": raw["max"], "metrics": [metric(each) for each in raw["metrics"]]}
    if written := raw.get("behavior"):
        spec["behavior"] = {"scaleUp": rules(written["up"]), "scaleDown": rules(written["down"])}
    return read_spec({"spec": spec})


def pod_of(raw: dict, now: float) -> PodState:
    return PodState(
        raw["name"],
        raw["phase"],
        raw["deleted"],
        None if raw["start"] is None else now + raw["start"],
        raw["ready"] or None,
        now + raw["since"],
        raw.get("requests", {}),
        raw.get("whole"),
    )


def read_observed(raw: dict, now: float) -> Observed:
    if "invalid" in raw:
        return Invalid(raw["invalid"])
    if "object" in raw:
        return ObjectValue(raw["object"])
    if "external" in raw:
        return ExternalValues(raw["external"])
    return PodValues({name: PodValue(value, now + at, window) for name, (value, at, window) in raw["pods"].items()})


def looks(case: dict, where: str) -> list[Look]:
    """Play a scenario as the oracle does: a step without a scale goes on from the replicas that were decided."""
    raw, now, history, seen = case["scenario"], 946_684_800.0, History(), []
    low, scale = raw["spec"]["min"], Scale(0, 0)
    for number, (step, theirs) in enumerate(zip(raw["steps"], case["answers"], strict=True)):
        now += step["after"]
        scale = Scale(*step["scale"]) if "scale" in step else Scale(scale.spec, scale.spec)
        low = step.get("min", low)
        pods = [pod_of(one, now) for one in step["pods"]]
        observed = [read_observed(one, now) for one in step["observed"]]
        ours = decide(spec_of(raw["spec"], low), scale, observed, pods, history, now)
        seen.append(Look(f"{where}, step {number}: {ours.explanation}", theirs, ours, scale.status))
        scale, history = Scale(ours.desired, scale.status), ours.history
    return seen


@pytest.fixture(scope="module")
def seen() -> list[Look]:
    golden = json.loads(GOLDEN.read_text())
    return [look for number, case in enumerate(golden["cases"]) for look in looks(case, f"case {number}")]


def test_every_replica_count_is_that_of_the_controller(seen: list[Look]) -> None:
    wrong = [
        f"{look.where} -- the controller: {look.theirs['desired']}"
        for look in seen
        if (look.ours.desired, look.ours.rescales) != (look.theirs["desired"], look.theirs["rescaled"])
    ]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(seen)}", *wrong[:10]])


def test_every_condition_has_the_controllers_status_and_reason(seen: list[Look]) -> None:
    for look in seen:
        ours = {(c.type, str(c.status), c.reason) for c in look.ours.conditions}
        theirs = {tuple(condition) for condition in look.theirs["conditions"]}
        if not look.ours.condition("ScaledToZero"):
            theirs = {condition for condition in theirs if condition[0] != "ScaledToZero"}  # kept from an earlier look
        assert ours == theirs, look.where


def test_every_current_value_is_the_one_that_the_status_shows(seen: list[Look]) -> None:
    compared = 0
    for look in seen:
        for ours, theirs in zip(look.ours.proposals, look.theirs["current"] or [], strict=False):
            if ours.usage is None and look.existing == 0:
                continue  # the controller divides by 0 here and shows the smallest int64
            assert [ours.usage, ours.utilization] == theirs, look.where
            compared += 1
    assert compared > 100


def test_the_golden_cases_reach_every_reason(seen: list[Look]) -> None:
    reasons = {condition[2] for look in seen for condition in look.theirs["conditions"]}
    assert reasons == {
        "SucceededGetScale",
        "SucceededRescale",
        "ReadyForNewScale",
        "ScaleUpStabilized",
        "ScaleDownStabilized",
        "DesiredWithinRange",
        "TooFewReplicas",
        "TooManyReplicas",
        "ScaleUpLimit",
        "ScaleDownLimit",
        "ValidMetricFound",
        "ScalingDisabled",
        "ScaledToZero",
        "NotScaledToZero",
        "FailedGetResourceMetric",
        "FailedGetContainerResourceMetric",
        "FailedGetPodsMetric",
        "FailedGetObjectMetric",
        "FailedGetExternalMetric",
    }
