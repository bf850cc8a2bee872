"""The samples work with each other: HPAs find their target, and rules offer what HPAs ask for."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter.rules import builtin
from adapter.rules.config import load
from adapter.rules.model import RuleFile
from adapter.rules.naming import api_name
from adapter.units.quantity import Quantity
from loadtest.sample.metrics import Metrics

SAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "samples"
OVERLAYS = SAMPLES.parent / "overlays"
HPAS = sorted(path.name for path in SAMPLES.glob("hpa-*.yaml"))


def read(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((SAMPLES / name).read_text()))


def hpa(name: str) -> dict[str, Any]:
    (autoscaler,) = read(name)
    return autoscaler


def app() -> tuple[Any, ...]:
    deployment, service = read("app.yaml")
    return deployment, service


def rules_of(overlay: str) -> RuleFile:
    return load((OVERLAYS / overlay / "rules.yaml").read_text(), overlay)


def metric_of(name: str, kind: str) -> str:
    (metric,) = hpa(name)["spec"]["metrics"]
    return metric[kind]["metric"]["name"]


@pytest.mark.parametrize("name", HPAS)
def test_an_hpa_scales_the_sample_app_within_bounds(name: str) -> None:
    deployment, _ = app()
    autoscaler = hpa(name)
    target = autoscaler["spec"]["scaleTargetRef"]
    assert (autoscaler["apiVersion"], autoscaler["kind"]) == ("autoscaling/v2", "HorizontalPodAutoscaler")
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"]}
    assert autoscaler["metadata"]["namespace"] == deployment["metadata"]["namespace"]
    assert 1 <= autoscaler["spec"]["minReplicas"] < autoscaler["spec"]["maxReplicas"]


def test_the_hpas_share_a_name_so_that_no_two_scale_one_deployment() -> None:
    assert len(HPAS) == 5
    assert {hpa(name)["metadata"]["name"] for name in HPAS} == {"sample"}


@pytest.mark.parametrize("name", HPAS)
def test_a_target_has_the_value_that_its_type_names(name: str) -> None:
    for metric in hpa(name)["spec"]["metrics"]:
        target = metric[metric["type"].lower()]["target"]
        field = target["type"][0].lower() + target["type"][1:]
        if field == "utilization":
            assert 0 < target["averageUtilization"] <= 100
        else:
            assert Quantity.parse(target[field]) > Quantity.of(0)


def test_the_vpa_and_the_requests_leave_room_for_the_app() -> None:
    deployment, _ = app()
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (vpa,) = read("vpa-config.yaml")
    (policy,) = vpa["spec"]["resourcePolicy"]["containerPolicies"]
    limits, quota = read("resource-requests.yaml")
    (bounds,) = limits["spec"]["limits"]
    assert vpa["spec"]["targetRef"]["name"] == deployment["metadata"]["name"]
    assert policy["containerName"] == container["name"]
    for name, asked in container["resources"]["requests"].items():
        least, most = policy["minAllowed"][name], policy["maxAllowed"][name]
        assert Quantity.parse(least) <= Quantity.parse(asked) <= Quantity.parse(most)
        assert Quantity.parse(most) <= Quantity.parse(bounds["max"][name])
        assert 10 * float(Quantity.parse(most)) <= float(Quantity.parse(quota["spec"]["hard"][f"requests.{name}"]))


def test_the_pods_metric_is_on_offer_by_the_built_in_rules_and_by_those_for_prometheus() -> None:
    wanted = metric_of("hpa-pods.yaml", "pods")
    assert wanted in {rule.name_as for rule in builtin.rules().custom}
    assert wanted in {api_name(rule, "http_requests_total") for rule in rules_of("prometheus").custom}


@pytest.mark.parametrize(
    "name", ["canary-setup.yaml", "blue-green-setup.yaml", "rolling-setup.yaml", "tutorial-canary.yaml"]
)
def test_the_gates_ask_for_what_the_built_in_rules_offer_and_the_app_has(name: str) -> None:
    (policy,) = read(name)
    wanted = {gate[field] for gate in policy["spec"]["gates"] for field in ("metric", "total") if field in gate}
    assert wanted <= {rule.name_as for rule in builtin.rules().custom}
    assert policy["spec"]["targetRef"]["name"] == app()[0]["metadata"]["name"]


def test_the_counters_for_gates_are_on_offer_by_rules_in_prometheus_adapters_format() -> None:
    file = load((SAMPLES / "rules" / "rollout.yaml").read_text(), "rollout")
    assert file.problems == ()
    assert {api_name(rule, "http_requests_total") for rule in file.custom} == {
        "http_requests_total",
        "http_errors_total",
    }


def test_the_external_metric_is_on_offer_by_the_rules_of_the_complete_overlay_and_the_app_has_it() -> None:
    wanted = metric_of("hpa-external.yaml", "external")
    offered = {api_name(rule, wanted): rule.series_query for rule in rules_of("complete").external}
    assert f'__name__="{wanted}"' in offered[wanted]
    assert f"\n{wanted} " in Metrics(started=0.0).text(queued=0)


def test_the_app_exposes_the_requests_that_the_rule_counts() -> None:
    metrics = Metrics(started=0.0)
    metrics.count(200, "GET", 0.05)
    assert "http_requests_total{" in metrics.text(queued=0)
    assert "http_requests_total" in builtin.REQUESTS


def test_the_app_is_scraped_and_served_where_it_listens() -> None:
    deployment, service = app()
    template = deployment["spec"]["template"]
    (container,) = template["spec"]["containers"]
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    variables = {item["name"]: item["value"] for item in container["env"]}
    annotations = template["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == ports["http"] == variables["PORT"]
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    assert (
        service["spec"]["selector"] == template["metadata"]["labels"] == deployment["spec"]["selector"]["matchLabels"]
    )


def test_the_target_of_requests_is_below_what_one_pod_can_serve() -> None:
    """8 slots / 0.050 s = 160 requests per second; above that an HPA could never bring the average down."""
    deployment, _ = app()
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    variables = {item["name"]: float(item["value"]) for item in container["env"]}
    capacity = variables["SLOTS"] / (variables["WORK_MS"] / 1000)
    target = hpa("hpa-pods.yaml")["spec"]["metrics"][0]["pods"]["target"]["averageValue"]
    assert capacity == 160
    assert 0 < float(target) < capacity


def test_the_load_wants_two_pods_of_the_hpa_of_the_tutorial() -> None:
    """30 clients that ask, get an answer after 50 ms and wait 150 ms: 30 / 0.2 s = 150, and 150 / 100 are two pods."""
    (load,) = read("load.yaml")
    (container,) = load["spec"]["template"]["spec"]["containers"]
    (program,) = container["args"]
    clients, pause = re.findall(r"range\((\d+)\)|sleep\(([\d.]+)\)", program)[::-1]
    deployment, service = app()
    (served,) = deployment["spec"]["template"]["spec"]["containers"]
    answer = next(float(item["value"]) for item in served["env"] if item["name"] == "WORK_MS") / 1000
    rate = int(clients[0]) / (answer + float(pause[1]))
    target = hpa("hpa-pods.yaml")["spec"]["metrics"][0]["pods"]["target"]["averageValue"]
    assert rate == pytest.approx(150)
    assert math.ceil(rate / float(target)) == 2
    assert f"{service['metadata']['name'].upper()}_SERVICE_HOST" in program
    compile(program, "load.yaml", "exec")


def test_a_placeholder_is_as_large_as_a_pod_of_the_app_and_everybody_may_take_its_place() -> None:
    priority, placeholder = read("over-provisioning.yaml")
    (container,) = placeholder["spec"]["template"]["spec"]["containers"]
    deployment, _ = app()
    (served,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"] == served["resources"]["requests"]
    assert placeholder["spec"]["template"]["spec"]["priorityClassName"] == priority["metadata"]["name"]
    assert -10 <= priority["value"] < 0  # the cluster autoscaler orders nodes down to -10; a pod without a class has 0


def test_the_complete_overlay_begins_with_the_built_in_rules() -> None:
    """A file replaces the built-in rules, and this one is to add to them."""
    _, _, rest = (OVERLAYS / "complete/rules.yaml").read_text().partition("\n")
    written, _, _ = rest.partition("externalRules:")
    assert written == builtin.text(), "put what adapter.rules.builtin.text() returns in place of the file's `rules`"


@pytest.mark.parametrize("sections", [("external",), ("resource",), ("external", "resource")])
def test_the_sections_for_other_apis_can_be_appended_to_the_rules_for_prometheus(sections: tuple[Any, ...]) -> None:
    texts = [(OVERLAYS / "prometheus/rules.yaml").read_text()]
    texts += [(SAMPLES / "rules" / f"{section}.yaml").read_text() for section in sections]
    rules = load("\n".join(texts), "together")
    assert rules.problems == ()
    assert (bool(rules.custom), bool(rules.external), bool(rules.resource)) == (
        True,
        "external" in sections,
        "resource" in sections,
    )
    if rules.resource:
        assert (rules.resource.cpu is not None, rules.resource.memory is not None) == (True, True)
        assert rules.resource.window == 180
