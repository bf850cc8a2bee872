"""The rights that the doctor asks for are those of the roles that are installed."""

from collections.abc import Callable

import pytest

from adapter.doctor.reviews import rights_needed
from adapter.doctor.rights import RIGHTS, Right
from adapter.doctor.snapshot import Program, Snapshot
from tests.doctor.conftest import api, make_snapshot, program
from tests.manifests.conftest import BUILDERS, MANIFESTS, Build

REVIEWS = {
    ("authentication.k8s.io", "tokenreviews", "create"),
    ("authorization.k8s.io", "subjectaccessreviews", "create"),
}
"""Kubernetes' own role system:auth-delegator."""


def rights_granted(build: Build, *names: str) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for role in build.of("ClusterRole", "Role")
        if role["metadata"]["name"] in names
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def rights_asked(*programs: str) -> set[tuple[str, str, str]]:
    return {right[:3] for program in programs for right in RIGHTS[program]}


@pytest.mark.parametrize(
    ("overlay", "roles", "programs"),
    [
        ("complete", ("streamgate-adapter", "streamgate-adapter-nodes"), ("adapter", "nodes")),
        ("recommender", ("streamgate-recommender",), ("recommender",)),
        ("rollout", ("streamgate-rollout",), ("rollout",)),
    ],
)
def test_they_are_those_of_the_manifests(overlay: str, roles: tuple[str, ...], programs: tuple[str, ...]) -> None:
    builder: Callable[..., list[dict]] = BUILDERS["by hand"]
    assert rights_asked(*programs) - REVIEWS == rights_granted(Build(builder(MANIFESTS / "overlays" / overlay)), *roles)


def test_an_adapter_needs_nodes_where_it_serves_metrics_k8s_io_and_kubelets_where_it_scrapes_them() -> None:
    ours = "streamgate/streamgate-adapter"
    resource = make_snapshot(api_services=[api(), api("v1beta1.metrics.k8s.io", ours)])
    scraping, asking = program(), program("adapter", "--prometheus-url=http://prometheus:9090")

    def nodes(snapshot: Snapshot, of: Program) -> set[str]:
        return {right.resource for right in rights_needed(snapshot, of) if right.resource.startswith("nodes")}

    assert nodes(resource, scraping) == {"nodes", "nodes/metrics"}
    assert nodes(resource, asking) == {"nodes"}
    assert nodes(resource, program("recommender")) == set()
    assert nodes(make_snapshot(api_services=[api()]), scraping) == set()
    elsewhere = make_snapshot(api_services=[api("v1beta1.metrics.k8s.io", "kube-system/metrics-server")])
    assert nodes(elsewhere, scraping) == set()


def test_a_right_is_shown_as_kubectl_auth_can_i_takes_it() -> None:
    assert str(Right("apps", "deployments/scale", "get")) == "get deployments/scale.apps"
    assert str(Right("", "pods", "list")) == "list pods"
