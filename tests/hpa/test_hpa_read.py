"""From an autoscaling/v2 object to what the formula reads: each metric, each default, each refusal with its place.

That a spec which was read this way decides as the controller does is shown by test_hpa_as_kubernetes.py.
"""

import copy

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapter.hpa.fields import HpaError
from adapter.hpa.model import (
    Behavior,
    HpaSpec,
    Metric,
    Policy,
    PolicyType,
    Rules,
    SelectPolicy,
    Source,
    Target,
    TargetType,
)
from adapter.hpa.read import read_history, read_metrics, read_spec

FULL = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 0
  maxReplicas: 30
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}
  - type: Resource
    resource: {name: memory, target: {type: AverageValue, averageValue: 512Mi}}
  - type: ContainerResource
    containerResource: {name: cpu, container: app, target: {type: Utilization, averageUtilization: 75}}
  - type: ContainerResource
    containerResource: {name: cpu, container: app, target: {type: AverageValue, averageValue: 250m}}
  - type: Pods
    pods:
      metric: {name: http_requests_per_second, selector: {matchLabels: {verb: GET}}}
      target: {type: AverageValue, averageValue: "10"}
  - type: Object
    object:
      describedObject: {apiVersion: v1, kind: Service, name: front}
      metric: {name: requests}
      target: {type: Value, value: 2k}
  - type: Object
    object:
      describedObject: {apiVersion: v1, kind: Service, name: front}
      metric: {name: requests}
      target: {type: AverageValue, averageValue: 1500m, value: 2k}
  - type: External
    external: {metric: {name: queue, selector: {matchLabels: {queue: mail}}}, target: {type: Value, value: 30}}
  - type: External
    external: {metric: {name: queue}, target: {type: AverageValue, averageValue: 0.5}}
  behavior:
    scaleUp:
      stabilizationWindowSeconds: 0
      selectPolicy: Min
      policies: [{type: Pods, value: 4, periodSeconds: 60}, {type: Percent, value: 50, periodSeconds: 1800}]
      tolerance: 50m
    scaleDown: {selectPolicy: Disabled, stabilizationWindowSeconds: 3600, tolerance: "0"}
status:
  conditions: [{type: AbleToScale, status: "True"}, {type: ScaledToZero, status: "True"}]
"""
AVERAGE, VALUE, UTILIZATION = TargetType.AVERAGE_VALUE, TargetType.VALUE, TargetType.UTILIZATION


@pytest.fixture
def full() -> dict:
    return yaml.safe_load(FULL)


def test_every_source_and_target_is_read_in_milli_units(full: dict) -> None:
    assert read_spec(full).metrics == (
        Metric(Source.RESOURCE, "cpu", Target(UTILIZATION, 60)),
        Metric(Source.RESOURCE, "memory", Target(AVERAGE, 512 * 2**20 * 1000)),
        Metric(Source.CONTAINER_RESOURCE, "cpu", Target(UTILIZATION, 75), container="app"),
        Metric(Source.CONTAINER_RESOURCE, "cpu", Target(AVERAGE, 250), container="app"),
        Metric(Source.PODS, "http_requests_per_second", Target(AVERAGE, 10_000)),
        Metric(Source.OBJECT, "requests", Target(VALUE, 2_000_000), described="Service front"),
        Metric(Source.OBJECT, "requests", Target(AVERAGE, 1_500), described="Service front"),
        Metric(Source.EXTERNAL, "queue", Target(VALUE, 30_000)),
        Metric(Source.EXTERNAL, "queue", Target(AVERAGE, 500)),
    )


def test_behavior_is_read_with_its_tolerances_and_completed_with_the_api_servers_defaults(full: dict) -> None:
    up = (Policy(PolicyType.PODS, 4, 60), Policy(PolicyType.PERCENT, 50, 1800))
    down = (Policy(PolicyType.PERCENT, 100, 15),)  # not written
    assert read_spec(full).behavior == Behavior(
        Rules(0, SelectPolicy.MIN, up, 0.05), Rules(3600, SelectPolicy.DISABLED, down, 0.0)
    )


def test_a_bare_spec_gets_the_api_servers_defaults() -> None:
    assert read_spec({"spec": {"maxReplicas": 3}}) == HpaSpec(
        max=3, min=1, metrics=(Metric(Source.RESOURCE, "cpu", Target(UTILIZATION, 80)),), behavior=None
    )


@pytest.mark.parametrize("written", [{}, {"scaleUp": {}}, {"scaleUp": None, "scaleDown": {"policies": None}}])
def test_an_empty_behavior_is_the_default_one(written: dict) -> None:
    up = (Policy(PolicyType.PODS, 4, 15), Policy(PolicyType.PERCENT, 100, 15))
    assert read_spec({"spec": {"maxReplicas": 3, "behavior": written}}).behavior == Behavior(
        Rules(0, SelectPolicy.MAX, up), Rules(None, SelectPolicy.MAX, (Policy(PolicyType.PERCENT, 100, 15),))
    )


def test_null_counts_as_absent(full: dict) -> None:
    full["spec"] |= {"behavior": None, "metrics": None, "minReplicas": None}
    assert read_spec(full) == read_spec({"spec": {"maxReplicas": 30}})


def test_the_memory_of_having_scaled_to_zero_is_read_from_the_status(full: dict) -> None:
    assert read_history(full).scaled_to_zero
    full["status"]["conditions"][1]["status"] = "False"
    assert not read_history(full).scaled_to_zero
    assert not read_history({"spec": {}}).scaled_to_zero


@pytest.mark.parametrize("kind", [[], {}, 0, None])
def test_a_condition_whose_type_is_no_text_is_none(kind: object) -> None:
    status = {"conditions": [{"type": kind, "status": "True"}, {"type": "ScaledToZero", "status": "True"}]}
    assert read_history({"status": status}).scaled_to_zero


M = "spec.metrics[0]"
T = f"{M}.resource.target"
UP = "spec.behavior.scaleUp"


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("spec", None, "spec is missing"),
        ("spec", [], "spec must be a map"),
        ("spec.maxReplicas", None, "spec.maxReplicas is missing"),
        ("spec.maxReplicas", 0, "spec.maxReplicas must be a whole number from 1 to 2147483647, not 0"),
        ("spec.maxReplicas", True, "spec.maxReplicas must be a whole number from 1 to 2147483647, not True"),
        ("spec.maxReplicas", "3", "spec.maxReplicas must be a whole number from 1 to 2147483647, not '3'"),
        ("spec.minReplicas", -1, "spec.minReplicas must be a whole number from 0 to 2147483647, not -1"),
        ("spec.minReplicas", 31, "spec.maxReplicas must be at least minReplicas, 31, not 30"),
        ("spec.metrics", {}, "spec.metrics must be a list"),
        ("spec.metrics", [], "spec.minReplicas can be 0 only with an Object or External metric"),
        (M, 7, f"{M} must be a map"),
        (f"{M}.type", None, f"{M}.type is missing"),
        (f"{M}.type", "Cpu", f"{M}.type must be one of Resource, ContainerResource, Pods, Object, External, not 'Cpu'"),
        (f"{M}.type", "Pods", f"{M}.resource must be absent beside the type Pods"),
        (f"{M}.resource", None, f"{M}.resource is missing"),
        (f"{M}.resource.name", "", f"{M}.resource.name must be a text that is not empty"),
        (f"{T}", None, f"{T} is missing"),
        (f"{T}.type", "Each", f"{T}.type must be one of Utilization, AverageValue, Value"),
        (
            f"{T}.averageUtilization",
            None,
            f"{T} must hold either averageUtilization or averageValue, as the target of a Resource metric",
        ),
        (f"{T}.averageValue", "1", f"{T} must hold either averageUtilization or averageV"),
        (f"{T}.averageUtilization", 0, f"{T}.averageUtilization must be a whole number"),
        (
            "spec.metrics[1].resource.target.averageValue",
            "0",
            "must be greater than 0 and at most 9223372036854775807m",
        ),
        (
            "spec.metrics[1].resource.target.averageValue",
            "1e19",
            "averageValue must be greater than 0 and at most 92233",
        ),
        (
            "spec.metrics[1].resource.target.averageValue",
            "1 GB",
            "averageValue '1 GB' is not a quantity: it must be dig",
        ),
        ("spec.metrics[1].resource.target.averageValue", [1], "averageValue must be a quantity such as 500m or 10"),
        ("spec.metrics[2].containerResource.container", None, "spec.metrics[2].containerResource.container is missing"),
        ("spec.metrics[4].pods.metric", None, "spec.metrics[4].pods.metric.name is missing"),
        (
            "spec.metrics[4].pods.target.averageValue",
            None,
            "spec.metrics[4].pods.target must hold averageValue, as the",
        ),
        ("spec.metrics[5].object.describedObject", None, "spec.metrics[5].object.describedObject is missing"),
        (
            "spec.metrics[5].object.target.value",
            None,
            "must hold value or averageValue, the one that its type Value names",
        ),
        ("spec.metrics[5].object.target.type", "Utilization", "the one that its type Utilization names"),
        (
            "spec.metrics[7].external.target.averageValue",
            1,
            "must hold either value or averageValue, as the target of a",
        ),
        ("spec.behavior", "fast", "spec.behavior must be a map"),
        (
            f"{UP}.stabilizationWindowSeconds",
            3601,
            f"{UP}.stabilizationWindowSeconds must be a whole number from 0 to 3600",
        ),
        (f"{UP}.selectPolicy", "Best", f"{UP}.selectPolicy must be one of Max, Min, Disabled, not 'Best'"),
        (f"{UP}.policies", [], f"{UP}.policies must have a policy, or be absent"),
        (f"{UP}.policies[1].value", 0, f"{UP}.policies[1].value must be a whole number from 1 to 2147483647, not 0"),
        (
            f"{UP}.policies[1].periodSeconds",
            1801,
            f"{UP}.policies[1].periodSeconds must be a whole number from 1 to 1800",
        ),
        (f"{UP}.policies[0].type", "Nodes", f"{UP}.policies[0].type must be one of Pods, Percent, not 'Nodes'"),
        (f"{UP}.tolerance", "-1m", f"{UP}.tolerance must be 0 or more, not '-1m'"),
    ],
)
def test_what_the_api_server_would_refuse_is_refused_with_its_field(
    full: dict, place: str, value: object, sentence: str
) -> None:
    put(full, place, value)
    with pytest.raises(HpaError) as refused:
        read_spec(full)
    assert sentence in str(refused.value)


def put(node: dict, place: str, value: object) -> None:
    """Write `value` at a place such as `spec.metrics[0].type`."""
    *way, last = [int(key) if key.isdigit() else key for key in place.replace("[", ".").replace("]", "").split(".")]
    for key in way:
        node = node[key]
    node[last] = value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["Pods", "Value"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLACES = st.sampled_from([
    "spec", "spec.metrics", M, f"{M}.resource", "spec.metrics[1].resource.target.averageValue", UP, f"{UP}.policies[0]",
    "spec.metrics[5].object.target", "spec.behavior", f"{UP}.tolerance", "spec.minReplicas", "spec.metrics[4].type",
    "status", "status.conditions",
])  # fmt: skip


@given(st.lists(st.tuples(PLACES, JSON), min_size=1, max_size=1))
def test_whatever_the_object_it_is_read_or_refused_with_its_own_error(changes: list[tuple[str, object]]) -> None:
    changed = copy.deepcopy(yaml.safe_load(FULL))
    for place, value in changes:
        put(changed, place, value)
    for read in (read_spec, read_history):
        try:
            read(changed)
        except HpaError as refusal:
            assert str(refusal).startswith(("spec", "status"))  # noqa: PT017 - either outcome is right


def test_a_metric_of_a_kind_that_is_not_known_hides_no_other(full: dict) -> None:
    full["spec"]["metrics"][1] = {"type": "Carbon", "carbon": {}}
    metrics, [refusal] = read_metrics(full)
    assert len(metrics) == 8
    assert "spec.metrics[1].type must be one of" in str(refusal)
    assert read_metrics({"spec": {}}) == ([Metric(Source.RESOURCE, "cpu", Target(UTILIZATION, 80))], [])
