"""What others check of manifests without a cluster: Kubernetes' own schemas (as kubeconform does), and kube-score."""

import json
import re
import subprocess
from collections.abc import Iterable
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.cluster.binaries import find
from tests.manifests.charts import FIRST_BUILD_S, at, render, together
from tests.manifests.conftest import MANIFESTS, OVERLAYS, Object, by_hand, documents
from tests.manifests.effects import EFFECTS

pytestmark = pytest.mark.timeout(FIRST_BUILD_S)
OLDEST, NEWEST = "1.30", "1.37"
OTHERS = {"cert-manager.io", "monitoring.coreos.com", "autoscaling.k8s.io", "streamgate.io"}
"""API groups that Kubernetes has no schema of; test_samples.py holds ours against their definitions."""
SINCE = {"MutatingAdmissionPolicy": (1, 36), "MutatingAdmissionPolicyBinding": (1, 36)}
"""Kinds of samples that older Kubernetes have not; the sample says so."""
SHAPED = (
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "env",
    "extraManifests",
    "hostNetwork.enabled",
    "podDisruptionBudget.unhealthyPodEvictionPolicy",
    "rbac.useAuthReaderClusterRole",
    "service.ipDualStack.enabled",
    "serviceAccount.automountServiceAccountToken",
    "strategy",
    "tls.enable",
)
"""Values that change the form of what is rendered."""
EVERYTHING = (
    "networkPolicy",
    "otlp",
    "reflex",
    "serviceMonitor",
    "podMonitor",
    "recommender",
    "rollout",
    "console",
    "certManager",
)
REASONS = {
    "container-resources": "no limit of CPU: throttled, it would answer late, and one late answer delays every HPA",
    "container-ephemeral-storage-request-and-limit": "the root is read-only, /tmp is limited by its emptyDir, and the "
    "kubelet turns logs over; a limit would only add evictions",
    "container-image-pull-policy": "the tag is a version, and a registry that is away must keep no pod from starting",
    "deployment-replicas": "with otlp there is one replica, as a push reaches only one",
    "pod-networkpolicy": "the component network-policy has it for the adapter; the others serve health alone",
    "pod-probes-identical": "the paths are the same, the patience differs: what waits for the lease is well and ready",
    "deployment-has-host-podantiaffinity": "topologySpreadConstraints do it, preferred, so that one node is enough",
}
"""kube-score's check -> why it stays as it is."""


def failing(objects: Iterable[Object]) -> set[str]:
    """The checks of kube-score that some object fails or is warned by."""
    done = subprocess.run(
        [find(["kube-score"])["kube-score"], "score", "--kubernetes-version", f"v{NEWEST}", "-o", "json", "-"],
        input=yaml.safe_dump_all(objects), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    scored = json.loads(done.stdout)
    assert scored, done.stderr
    checks = [check for item in scored for check in item["checks"]]
    return {check["check"]["id"] for check in checks if not check["skipped"] and check["grade"] < 10}


@cache
def whole_chart() -> list[Object]:
    """The chart with all that can be on at once."""
    on = [at(f"{name}.enabled", True) for name in EVERYTHING]
    return render(together(*on, at("apis.resource", True), at("rollout.gateway", True), at("rollout.triggers", True)))


def ours() -> dict[str, Object]:
    """Every object of overlays, definitions and samples, and of the chart; by where it stands and its name."""
    by_place = {f"overlay {name}": by_hand(MANIFESTS / "overlays" / name) for name in OVERLAYS}
    by_place |= {path.name: documents(path) for path in MANIFESTS.glob("samples/*.yaml")}
    by_place |= {"definitions": by_hand(MANIFESTS / "crds"), "chart": whole_chart()}
    return {
        f"{place}: {item['kind']} {item['metadata']['name']}": item
        for place, objects in by_place.items()
        for item in objects
        if item["apiVersion"].split("/")[0] not in OTHERS
    }


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_is_as_that_kubernetes_schema_says(version: str) -> None:
    """Strictly: a field that is not known is an error, and so is a version of an API that it does not serve."""
    objects = ours()
    assert len(objects) > 100
    for place, item in objects.items():
        if tuple(map(int, version.split("."))) < SINCE.get(item["kind"], (1, 0)):
            continue
        try:
            assert kubernetes_validate.validate(item, version, strict=True) == version
        except kubernetes_validate.ValidationError as error:
            pytest.fail(f"{place}: {error.message} at {list(error.path)}")


def test_a_field_that_is_misspelt_is_found() -> None:
    deployment: Any = next(item for item in whole_chart() if item["kind"] == "Deployment")
    wrong = {**deployment, "spec": {**deployment["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError, match="'replica' was unexpected"):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


@pytest.mark.parametrize("path", SHAPED)
def test_what_values_make_is_valid_too(path: str) -> None:
    under, value = EFFECTS[path]
    for item in render(together(under, at(path, value))):
        kubernetes_validate.validate(item, OLDEST, strict=True)


@pytest.mark.parametrize("name", ["complete", "prometheus", "recommender", "rollout"])
def test_kube_score_finds_only_what_has_a_reason(name: str) -> None:
    assert failing(by_hand(MANIFESTS / "overlays" / name)) <= REASONS.keys()


def test_of_the_chart_too_and_no_reason_is_left_over() -> None:
    failures = failing(whole_chart()) | failing(by_hand(MANIFESTS / "overlays" / "embedded"))
    assert failures == REASONS.keys()


def test_the_page_has_the_reasons() -> None:
    page = (MANIFESTS.parent / "docs/install.md").read_text()
    _, _, section = page.partition("## What checkers say")
    assert set(re.findall(r"^\| `([\w-]+)` \|", section.partition("\n## ")[0], re.MULTILINE)) == REASONS.keys()
