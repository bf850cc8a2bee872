"""Which rights are asked for, and how. Pure."""

from collections.abc import Sequence
from typing import Any

from adapter.doctor.checks.programs import account
from adapter.doctor.pods import flag
from adapter.doctor.rights import RIGHTS, Right
from adapter.doctor.snapshot import RESOURCE, Program, Snapshot
from adapter.kube.objects import Model
from adapter.kube.resources import SUBJECT_ACCESS_REVIEWS
from adapter.kube.reviews import SubjectAccessReviewStatus


class Reviewed(Model, frozen=True):
    """A SubjectAccessReview, of which only the answer is read."""

    status: SubjectAccessReviewStatus = SubjectAccessReviewStatus()


def rights_needed(seen: Snapshot, program: Program) -> Sequence[Right]:
    """What a program must be allowed: an adapter that serves metrics.k8s.io reads nodes, too, and kubelets where it
    has no Prometheus to ask."""
    groups = {one.spec.group for one in seen.apis_in(program.namespace)}
    if program.kind != "adapter" or RESOURCE not in groups:
        return RIGHTS[program.kind]
    asks_prometheus = bool(flag(program.deployment, "prometheus-url"))
    nodes = [right for right in RIGHTS["nodes"] if not (asks_prometheus and right.resource == "nodes/metrics")]
    return [*RIGHTS["adapter"], *nodes]


def review_of(program: Program, right: Right) -> dict[str, Any]:
    """The SubjectAccessReview for a program's account."""
    resource, _, subresource = right.resource.partition("/")
    wanted = {
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "verb": right.verb,
        "name": right.name,
        "namespace": program.namespace if right.own else "",
    }
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{program.namespace}", "system:authenticated"]
    return {
        "apiVersion": SUBJECT_ACCESS_REVIEWS.api_version,
        "kind": "SubjectAccessReview",
        "spec": {"user": account(program), "groups": groups, "resourceAttributes": wanted},
    }
