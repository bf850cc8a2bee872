"""Reads all that a decision looks at, straight from the API server: Deployment, Services and routes are the truth,
whatever we remember. Lists are narrowed by label where labels can do it.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from adapter.kube.client import Client
from adapter.kube.errors import Forbidden, NotFound
from adapter.kube.resources import CONFIG_MAPS, HORIZONTAL_POD_AUTOSCALERS, NAMESPACES, PODS, Resource
from adapter.rollout.decide.context import MARK, POLICY_LABEL
from adapter.rollout.model.actions import (
    CLAIMS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    HTTP_ROUTES,
    INGRESSES,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
)
from adapter.rollout.model.fields import without_nulls
from adapter.rollout.model.observation import (
    Deployment,
    Hpa,
    Json,
    Observation,
    Pod,
    ReplicaSet,
    Seen,
    Service,
    Slice,
)
from adapter.rollout.model.policy import POLICIES, RolloutPolicy, in_force
from adapter.rollout.model.remembered import readable
from adapter.rollout.model.status import Phase
from adapter.rollout.model.template import claims
from adapter.rollout.rivals import older, overlapping, sharing

MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
BY_SELECTOR: Final = "endpointslice-controller.k8s.io"
"""Kubernetes' own controller of EndpointSlices; those of anybody else follow no Service's selector."""
S = TypeVar("S", bound=Seen)
T = TypeVar("T")


class Found(NamedTuple):
    """A policy, typed and raw, with the part of its status that can be used."""

    policy: RolloutPolicy
    raw: Json
    lost: str
    """What of the status cannot be read; '' where all can."""
    keeps: bool = False
    """The policy's own gates do not fit the release under way, which keeps those that it has."""


class Reader:
    """Looks at one namespace for one policy at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def policy(self, namespace: str, name: str) -> Found | None:
        """The policy with strategy and gates in force; None where it is gone. Raises KubeError."""
        raw = await self._get(POLICIES, namespace, name)
        if raw is None:
            return None
        raw, lost = readable(raw)
        used = in_force(raw)
        keeps = used is not raw and used["spec"].get("gates") != raw["spec"].get("gates")
        return Found(msgspec.convert(without_nulls(used), RolloutPolicy), used, lost, keeps)

    async def observe(self, policy: RolloutPolicy, raw: Json) -> Observation:
        """All that belongs to the policy. Raises KubeError; an object that is not there is no error."""
        where, mine = policy.metadata.namespace, f"{POLICY_LABEL}={policy.metadata.name}"
        target, siblings, services, kept, hpas = await asyncio.gather(
            self._get(DEPLOYMENTS, where, policy.spec.target_ref.name),
            self._list(DEPLOYMENTS, where, Deployment, mine),
            self._list(SERVICES, where, Service),
            self._list(CONTROLLER_REVISIONS, where, Seen, mine),
            self._list(HORIZONTAL_POD_AUTOSCALERS, where, Hpa),
        )
        deployment, denied = Deployment(target) if target else None, list[str]()
        selector = selector_text(deployment.spec.get("selector") or {}) if deployment else mine
        sets, pods, route, ingresses = await asyncio.gather(
            self._list(REPLICA_SETS, where, ReplicaSet, selector),
            self._list(PODS, where, Pod, selector),
            self._may(self._route(policy), None, policy, _component(policy), denied),
            self._may(self._ingresses(policy, mine), [], policy, "rollout-nginx", denied),
        )
        extras = [each for each in services if each.labels.get(POLICY_LABEL) == policy.metadata.name]
        ours = _ours(policy, _serving_templates(policy, deployment, sets), services)
        slices = await self._slices(where, [each.name for each in [*ours, *extras]])
        return Observation(
            deployment=deployment,
            siblings=tuple(siblings),
            replica_sets=tuple(sets),
            pods=tuple(pods),
            services=tuple(ours),
            slices=tuple(slices),
            route=route,
            extras=(*extras, *ingresses),
            hpa=next((each for each in hpas if _scales(each, policy.spec.target_ref.name)), None),
            revisions=_templates(kept),
            kept=tuple(kept),
            finalizers=tuple(raw["metadata"].get("finalizers") or ()),
            watched=await self._may(
                self._read_watched(policy), policy.status.watched, policy, "rollout-triggers", denied
            ),
            **await self._rarely(policy, deployment, ours, denied),
        )

    # --------------------------------------------------------------------------------------------------------- within

    async def _rarely(
        self, policy: RolloutPolicy, deployment: Deployment | None, ours: Sequence[Service], denied: Sequence[str]
    ) -> dict[str, Any]:
        """What matters only between releases, whether one may begin, and where the policy goes: whether all does."""
        where = policy.metadata.namespace
        going = policy.metadata.deletion_timestamp is not None
        namespace = await self._get(NAMESPACES, "", where) if going else None
        if deployment is None or going or policy.status.phase not in (Phase.PENDING, Phase.IDLE):
            return {"namespace_going": bool(namespace and namespace["metadata"].get("deletionTimestamp"))}
        policies, deployments = await asyncio.gather(
            self._list(POLICIES, where, Seen), self._list(DEPLOYMENTS, where, Deployment)
        )
        rivals = [*denied, *older(policy, policies), *overlapping(deployment, deployments)]
        rivals += sharing(policy, ours, deployments)
        return {"rivals": tuple(rivals), "once": tuple(await self._once(where, deployment))}

    async def _once(self, namespace: str, deployment: Deployment) -> list[str]:
        """The template's claims that only one pod may mount."""
        exclusive = []
        for name in claims(deployment.template):
            claim = await self._get(CLAIMS, namespace, name)
            if claim and "ReadWriteOncePod" in (claim.get("spec", {}).get("accessModes") or ()):
                exclusive.append(name)
        return exclusive

    async def _route(self, policy: RolloutPolicy) -> Seen | None:
        traffic = policy.spec.canary.traffic if policy.spec.canary else None
        if traffic is None or (ref := traffic.http_route or traffic.nginx) is None:
            return None
        resource = HTTP_ROUTES if traffic.http_route else INGRESSES
        raw = await self._get(resource, policy.metadata.namespace, ref.name)
        return None if raw is None else Seen(raw)

    async def _ingresses(self, policy: RolloutPolicy, mine: str) -> list[Seen]:
        uses = policy.spec.canary is not None and policy.spec.canary.traffic.nginx is not None
        return await self._list(INGRESSES, policy.metadata.namespace, Seen, mine) if uses else []

    async def _slices(self, namespace: str, services: list[str]) -> list[Slice]:
        if not services:
            return []
        names = ",".join(sorted(set(services)))
        slices = await self._list(ENDPOINT_SLICES, namespace, Slice, f"kubernetes.io/service-name in ({names})")
        return [each for each in slices if each.labels.get(MANAGED_BY, BY_SELECTOR) == BY_SELECTOR]

    async def _read_watched(self, policy: RolloutPolicy) -> dict[str, str]:
        """Kind/name of each object that the policy watches -> the fingerprint of its data."""
        triggers, where = policy.spec.triggers, policy.metadata.namespace
        named = [(CONFIG_MAPS, name) for name in triggers.config_maps] + [(SECRETS, name) for name in triggers.secrets]
        if policy.status.phase is not Phase.IDLE:
            return {}
        objects = {(resource, name): await self._get(resource, where, name) for resource, name in named}
        return {
            f"{resource.plural}/{name}": _data_of(each, secret=resource == SECRETS)
            for (resource, name), each in objects.items()
        }

    async def _may(
        self, wanted: Awaitable[T], without: T, policy: RolloutPolicy, component: str, denied: list[str]
    ) -> T:
        """What a component of its own has to be installed for. Between releases its absence is said in `denied`; a
        policy that is being deleted wants none of it. Raises KubeError."""
        try:
            return await wanted
        except Forbidden as error:
            if policy.status.phase not in (Phase.PENDING, Phase.IDLE):
                raise
            denied.append(f"{error}: install the component {component}, which gives the right")
            return without

    async def _get(self, resource: Resource, namespace: str, name: str) -> Json | None:
        try:
            return await self._client.get(resource.path(namespace, name), dict)
        except NotFound:
            return None

    async def _list(self, resource: Resource, namespace: str, kind: type[S], selector: str = "") -> list[S]:
        params = {"labelSelector": selector} if selector else {}
        listing = await self._client.list(resource.path(namespace), dict, params=params)
        return [kind(raw) for raw in listing.items]


def selector_text(selector: Json) -> str:
    """A LabelSelector as a query has it."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for each in selector.get("matchExpressions") or ():
        key, values = each["key"], ",".join(each.get("values") or ())
        forms = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }
        parts.append(forms[each["operator"]])
    return ",".join(parts)


def _component(policy: RolloutPolicy) -> str:
    """Which of the manifests' components allows what the policy's route takes."""
    nginx = policy.spec.canary is not None and policy.spec.canary.traffic.nginx is not None
    return "rollout-nginx" if nginx else "rollout-gateway"


def _data_of(raw: Json | None, *, secret: bool) -> str:
    """The fingerprint of an object's data, 16 hex digits. Whoever reads policies sees it, and could guess a
    short secret by it: so a Secret's has its uid in it, which only its readers see. Made anew, it is changed."""
    data = None
    if raw:
        data = [raw.get("data"), raw.get("binaryData"), raw["metadata"].get("uid") if secret else ""]
    return hashlib.sha256(msgspec.json.encode(data, order="sorted")).hexdigest()[:16]


def _serving_templates(policy: RolloutPolicy, deployment: Deployment | None, sets: Iterable[ReplicaSet]) -> list[Json]:
    """Templates whose pods may have traffic: the one in the Deployment, and the stable one."""
    stable = [each.template for each in sets if each.hash == policy.status.stable.hash]
    return [*([deployment.template] if deployment else []), *stable]


def _ours(policy: RolloutPolicy, templates: Iterable[Json], services: Iterable[Service]) -> list[Service]:
    """Services whose traffic a release moves: that select the pods of a template, or that a release has marked."""
    release = policy.status.release.id if policy.status.release else ""
    ours = []
    for each in services:
        marked = bool(release) and each.labels.get(MARK, "").startswith(f"{release}-")
        mine = each.labels.get(POLICY_LABEL) == policy.metadata.name
        if not mine and (marked or any(each.selects(template) for template in templates)):
            ours.append(each)
    return ours


def _scales(hpa: Hpa, name: str) -> bool:
    target = hpa.spec.get("scaleTargetRef") or {}
    return (target.get("kind"), target.get("name")) == ("Deployment", name)


def _templates(kept: Iterable[Seen]) -> Mapping[str, Json]:
    return {
        each.annotations.get("streamgate.io/fingerprint", ""): dict((each.raw.get("data") or {}).get("template") or {})
        for each in kept
    }
