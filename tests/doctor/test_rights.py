"""The rights that the doctor asks for are those of the roles that are installed."""

from collections.abc import Callable

import pytest

from adapter.doctor.rights import RIGHTS, Right
from tests.manifests.conftest import BUILDERS, MANIFESTS, Build

REVIEWS = {
    ("authentication.k8s.io", "tokenreviews", "create"),
    ("authorization.k8s.io", "subjectaccessreviews", "create"),
}
"""Kubernetes' own role system:auth-delegator."""


def granted(build: Build, *names: str) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for role in build.of("ClusterRole", "Role")
        if role["metadata"]["name"] in names
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def asked(*programs: str) -> set[tuple[str, str, str]]:
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
    assert asked(*programs) - REVIEWS == granted(Build(builder(MANIFESTS / "overlays" / overlay)), *roles)


def test_a_right_is_shown_as_kubectl_auth_can_i_takes_it() -> None:
    assert str(Right("apps", "deployments/scale", "get")) == "get deployments/scale.apps"
    assert str(Right("", "pods", "list")) == "list pods"
