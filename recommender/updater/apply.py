"""Optional: acts on recommendations as VPA's updater would, resizing pods in place or evicting them. Off by default."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

import structlog

from adapter.kube.client import Client
from adapter.kube.errors import KubeError, NotFound, ServerError, TooManyRequests, Unreachable
from adapter.kube.objects import unix
from adapter.kube.resources import PODS
from adapter.units.quantity import Quantity
from recommender.model.cluster import TrackedVpa
from recommender.objects import OOM_KILLED, ContainerPolicy, EvictionRequirement, Pod, UpdatePolicy, quantities
from recommender.updater.admission import Admission
from recommender.updater.decide import Action, Advice, Decision, Group, Rules, Running, decide
from recommender.updater.decide import Pod as PodFacts

CHOICES: Final = ("off", "in-place", "all")
OBSERVED: Final = "vpaObservedContainers"
"""The annotation in which VPA's admission controller lists the containers that it saw."""
PENDING: Final = "PodResizePending"
IN_PROGRESS: Final = "PodResizeInProgress"
INFEASIBLE: Final = "Infeasible"
REFUSED: Final = 3600.0
"""s after which a resize that the server refused is tried again as it was."""
PASSING: Final = (NotFound, ServerError, TooManyRequests, Unreachable)
"""What says nothing against a resize."""
Wanted: TypeAlias = tuple[Pod, Decision, Mapping[str, Any]]
log = structlog.get_logger(__name__)


class Applier:
    """Acts on the pods of one VPA after another, on one pod of each per loop."""

    def __init__(
        self, client: Client, how: str, rules: Rules | None = None, admission: Admission | None = None
    ) -> None:
        """`how`: one of CHOICES; 'in-place' never evicts, 'all' only while `admission`, if given, answers."""
        self._client, self._how, self._admission = client, how, admission
        self._rules = rules or Rules()
        self._turns = asyncio.Semaphore(4)
        self._evicts = False
        self._refused: dict[str, tuple[float, Any]] = {}
        """uid of a pod -> (when, which patch) the server refused"""

    async def act(self, vpas: Sequence[tuple[TrackedVpa, Sequence[Pod]]], now: float) -> int:
        """Acts where a VPA's update mode asks for it; returns on how many pods."""
        if self._how == "off":
            return 0
        self._evicts = self._how == "all" and (self._admission is None or await self._admission.answers(now))
        self._refused = {uid: entry for uid, entry in self._refused.items() if now - entry[0] < REFUSED}
        done = await asyncio.gather(*(self._act_on(tracked, pods, now) for tracked, pods in vpas))
        return sum(done)

    async def _act_on(self, tracked: TrackedVpa, pods: Sequence[Pod], now: float) -> bool:
        wanted = self._wanted(tracked, pods, now)
        if not wanted:
            return False
        pod, made, body = max(wanted, key=lambda entry: entry[1].urgency)
        async with self._turns:
            return await self._do(pod, made, body, now)

    def _wanted(self, tracked: TrackedVpa, pods: Sequence[Pod], now: float) -> list[Wanted]:
        """Pods to act on, how, and the patch that a resize would take."""
        spec, advice = tracked.vpa.spec, advised(tracked)
        if spec.update_mode in ("Off", "Initial") or not advice:
            return []
        rules, requirements = self._terms(spec.update_policy)
        staying = [pod for pod in pods if pod.metadata.deletion_timestamp is None]
        running = [pod for pod in staying if pod.status.phase == "Running"]
        group = Group(configured=max(tracked.replicas, len(staying)), running=len(running))
        policies = {name: spec.resource_policy.of(name) for name in advice}
        wanted: list[Wanted] = []
        for pod in running:
            body = resize(pod, advice, policies)
            in_vain = self._is_in_vain(pod, body)
            made = decide(_seen(pod, in_vain), advice, spec.update_mode, now, group, rules, requirements)
            if (made.action is Action.IN_PLACE and not in_vain) or (made.action is Action.EVICT and self._evicts):
                wanted.append((pod, made, body))
        return wanted

    def _terms(self, policy: UpdatePolicy | None) -> tuple[Rules, Sequence[EvictionRequirement]]:
        """The rules as a VPA changes them, and what it requires of an eviction."""
        if policy is None:
            return self._rules, ()
        least = policy.min_replicas
        rules = self._rules if least is None else replace(self._rules, min_replicas=least)
        return rules, policy.eviction_requirements

    def _is_in_vain(self, pod: Pod, body: Mapping[str, Any]) -> bool:
        """Whether the patch would change nothing, or is one that the server has just refused."""
        _, refused = self._refused.get(pod.metadata.uid, (0.0, None))
        return not body["spec"]["containers"] or refused == body

    async def _do(self, pod: Pod, made: Decision, body: Mapping[str, Any], now: float) -> bool:
        meta = pod.metadata
        try:
            if made.action is Action.IN_PLACE:
                await self._client.patch(PODS.path(meta.namespace, meta.name, "resize"), body, dict, content=STRATEGIC)
            else:
                eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": meta.name}}
                await self._client.create(PODS.path(meta.namespace, meta.name, "eviction"), eviction, dict)
        except KubeError as error:
            if made.action is Action.IN_PLACE and not isinstance(error, PASSING):
                self._refused[meta.uid] = now, body
            log.warning("pod not changed", pod=f"{meta.namespace}/{meta.name}", wanted=made.action, cause=str(error))
            return False
        log.info("pod changed", pod=f"{meta.namespace}/{meta.name}", how=made.action, why=made.reason)
        return True


STRATEGIC: Final = "application/strategic-merge-patch+json"


def advised(tracked: TrackedVpa) -> dict[str, Advice]:
    """The recommendation in the VPA's status, by container."""
    made = tracked.vpa.status.recommendation
    return {
        entry.container_name: Advice(
            quantities(entry.target), quantities(entry.lower_bound), quantities(entry.upper_bound)
        )
        for entry in (made.container_recommendations if made else ())
    }


def facts(pod: Pod) -> PodFacts:
    """What the decision reads of a pod."""
    note = pod.metadata.annotations.get(OBSERVED)
    observed = frozenset(part.strip() for part in note.split(",")) if note is not None else None
    killed = {status.name: _killed(status) for status in pod.status.container_statuses}
    containers = [
        Running(container.name, quantities(container.resources.requests), killed.get(container.name))
        for container in pod.spec.containers
    ]
    since, state = _resizing(pod)
    policies = [policy.restart_policy for container in pod.spec.containers for policy in container.resize_policy]
    restarts = "RestartContainer" in policies
    return PodFacts(pod.metadata.name, containers, unix(pod.status.start_time), observed, since, state, restarts)


def _seen(pod: Pod, in_vain: bool) -> PodFacts:
    """The facts; where a resize would be in vain and none is under way, it is as infeasible as one the node refuses."""
    seen = facts(pod)
    return replace(seen, resize_state=INFEASIBLE) if in_vain and not seen.resize_state else seen


def resize(pod: Pod, advice: Mapping[str, Advice], policies: Mapping[str, ContainerPolicy | None]) -> dict[str, Any]:
    """The patch of the `resize` subresource: new requests; limits keep their ratio unless only requests are controlled.

    A container that has no request of a resource gets none: adding one would change the pod's QoS class, which a
    resize may not. Containers of which nothing would change are left out.
    """
    containers = []
    for container in pod.spec.containers:
        own = advice.get(container.name)
        if own is None:
            continue
        policy = policies.get(container.name)
        requests, limits = quantities(container.resources.requests), quantities(container.resources.limits)
        keeps_limits = policy is not None and policy.controlled_values == "RequestsOnly"
        wanted, capped = scaled(requests, limits, own.target, keeps_limits)
        if {**requests, **wanted} != requests or {**limits, **capped} != limits:
            resources = {"requests": _texts(wanted)} | ({"limits": _texts(capped)} if capped else {})
            containers.append({"name": container.name, "resources": resources})
    return {"spec": {"containers": containers}}


def scaled(
    requests: Mapping[str, Quantity], limits: Mapping[str, Quantity], target: Mapping[str, Quantity], keep_limits: bool
) -> tuple[dict[str, Quantity], dict[str, Quantity]]:
    """(new requests, new limits): limit × new request / old request, or, limits kept, requests held to them."""
    wanted, capped = {}, {}
    for name, amount in target.items():
        request, limit = requests.get(name), limits.get(name)
        if request is None or not request.nano:
            continue
        wanted[name] = amount if limit is None or not keep_limits else min(amount, limit)
        if limit is not None and not keep_limits:
            unit = 10**6 if name == "cpu" else 10**9
            capped[name] = Quantity(limit.nano * amount.nano // request.nano // unit * unit, limit.format)
    return wanted, capped


def _killed(status: Any) -> tuple[float, float] | None:
    last = status.last_state.terminated
    if last is None or last.reason != OOM_KILLED or last.started_at is None or last.finished_at is None:
        return None
    return unix(last.started_at) or 0.0, unix(last.finished_at) or 0.0


def _resizing(pod: Pod) -> tuple[float | None, str]:
    """(since when, state) of a resize that is not done."""
    for condition in pod.status.conditions:
        if condition.status == "True" and condition.type in (PENDING, IN_PROGRESS):
            state = condition.reason if condition.type == PENDING else condition.reason or "InProgress"
            return unix(condition.last_transition_time), state
    return None, ""


def _texts(amounts: Mapping[str, Quantity]) -> dict[str, str]:
    return {name: str(amount) for name, amount in amounts.items()}
