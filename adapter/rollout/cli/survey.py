"""What a cluster says about a policy that is not written yet: its namespace's objects, and the author's rights."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from adapter.kube.client import Client
from adapter.kube.errors import Forbidden, KubeError, NotFound
from adapter.kube.objects import Model
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, Resource
from adapter.kube.reviews import SubjectAccessReviewStatus
from adapter.rollout.model.actions import CLAIMS, DEPLOYMENTS, HTTP_ROUTES, INGRESSES, SERVICES
from adapter.rollout.model.fields import without_nulls
from adapter.rollout.model.observation import Json
from adapter.rollout.model.policy import POLICIES, RolloutPolicy
from adapter.rollout.neighbours import gather, route_of, sentences

VPAS: Final = Resource("autoscaling.k8s.io", "v1", "verticalpodautoscalers")
LOOKED_AT: Final = {
    "Deployment": DEPLOYMENTS,
    "Service": SERVICES,
    "PersistentVolumeClaim": CLAIMS,
    "HorizontalPodAutoscaler": HORIZONTAL_POD_AUTOSCALERS,
    "VerticalPodAutoscaler": VPAS,
    "RolloutPolicy": POLICIES,
}
ROUTES: Final = {"HTTPRoute": HTTP_ROUTES, "Ingress": INGRESSES}
SELF: Final = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", namespaced=False)
OTHER: Final = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", namespaced=False)


class Author(NamedTuple):
    """Who will write the policy; no name: whoever asks."""

    user: str = ""
    groups: tuple[str, ...] = ()


class _Reviewed(Model, frozen=True):
    status: SubjectAccessReviewStatus = SubjectAccessReviewStatus()


async def survey(client: Client, raw: Json, namespace: str, author: Author) -> list[str]:
    """A sentence for everything in the namespace that a release would fail by. Raises KubeError without an answer."""
    try:
        policy = msgspec.convert({**without_nulls(raw), "status": {}}, RolloutPolicy)
    except msgspec.ValidationError:
        return []  # its reader says so
    said: list[str] = []
    if name := policy.spec.target_ref.name:
        said += await _rights(client, namespace, name, author)
    kinds = dict(LOOKED_AT)
    if by := route_of(policy):
        kinds[by[0]] = ROUTES[by[0]]
    objects: list[Json] = []
    whole = []
    for kind, resource in kinds.items():
        try:
            items = (await client.list(resource.path(namespace), dict)).items
        except NotFound:
            items = []  # the definition is not installed
        except Forbidden as error:
            said.append(f"{kind}s could not be looked at: {error}")
            continue
        whole.append(kind)
        objects += ({**each, "kind": kind, "apiVersion": resource.api_version} for each in items)
    return [*said, *sentences(raw, gather(objects, namespace, whole=whole))]


async def _rights(client: Client, namespace: str, name: str, author: Author) -> Sequence[str]:
    """Whether the author may do by himself what the policy makes the controller do."""
    wanted = {"namespace": namespace, "verb": "patch", "group": "apps", "resource": "deployments", "name": name}
    kind, resource = ("SubjectAccessReview", OTHER) if author.user else ("SelfSubjectAccessReview", SELF)
    spec: Json = {"resourceAttributes": wanted}
    if author.user:
        spec |= {"user": author.user, "groups": list(author.groups)}
    body = {"apiVersion": resource.api_version, "kind": kind, "spec": spec}
    who = f"user {author.user}" if author.user else "you"
    try:
        review = await client.create(resource.path(), body, _Reviewed)
    except KubeError as error:
        if not error.status:
            raise
        return [f"whether {who} may patch Deployment {name} could not be asked: {error}"]
    if review.status.allowed:
        return []
    return [
        f"{who} may not patch Deployment {name} in namespace {namespace}, which a RolloutPolicy makes the controller "
        "do for its author; right would be a Role with verb patch on deployments of apps"
    ]
