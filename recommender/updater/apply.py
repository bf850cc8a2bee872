"""Optional: acts on recommendations as VPA's updater would, resizing pods in place or evicting them. Off by default."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import structlog

from adapter.kube.client import Client
from adapter.kube.errors import KubeError, NotFound, ServerError, TooManyRequests, Unreachable
from adapter.kube.objects import unix
from adapter.kube.resources import PODS
from adapter.once import Once
from recommender.model.cluster import TrackedVpa
from recommender.objects import Pod
from recommender.updater.admission import Admission
from recommender.updater.backoff import Backoff
from recommender.updater.decide import ACTING, Action, Decision, decide
from recommender.updater.facts import Advice, InPlace, PodFacts, ResizeState
from recommender.updater.namespaces import Namespaces
from recommender.updater.releases import Releases
from recommender.updater.resize import Wish, advice_of, facts, resizing, wish
from recommender.updater.terms import Group, Rules, Terms

CHOICES: Final = ("off", "in-place", "all")
STRATEGIC: Final = "application/strategic-merge-patch+json"
PASSING: Final = (NotFound, ServerError, TooManyRequests, Unreachable)
"""What says nothing against a resize."""
log = structlog.get_logger(__name__)


class Wanted(NamedTuple):
    """A pod to act on, and how."""

    pod: Pod
    seen: PodFacts
    decision: Decision
    wished: Wish


class Shares(NamedTuple):
    """Which VPA decides of which pods."""

    own: list[tuple[TrackedVpa, list[Pod]]]
    """VPAs that touch running pods, with those that are theirs"""
    outdone: list[tuple[TrackedVpa, str]]
    """VPAs that lost pods to another one, and the name of one such"""


def assign_pods(vpas: Sequence[tuple[TrackedVpa, Sequence[Pod]]]) -> Shares:
    """Gives each pod to one of the VPAs that would touch it: the oldest, then the first by name; as in VPA.

    Else two with different targets change it back and forth for ever.
    """
    acting = [one for one in vpas if one[0].vpa.spec.update_mode in ACTING]
    shares, owner = Shares([], []), dict[str, str]()
    for tracked, pods in sorted(acting, key=lambda one: _seniority(one[0])):
        taken = [owner[pod.metadata.uid] for pod in pods if pod.metadata.uid in owner]
        own = [pod for pod in pods if pod.metadata.uid not in owner]
        owner.update((pod.metadata.uid, tracked.vpa.metadata.name) for pod in own)
        shares.own.append((tracked, own))
        shares.outdone.extend((tracked, name) for name in taken[:1])
    return shares


def _seniority(tracked: TrackedVpa) -> tuple[float, str]:
    meta = tracked.vpa.metadata
    return unix(meta.creation_timestamp) or math.inf, meta.name


class Applier:
    """Acts on the pods of one VPA after another, on one pod of each per loop."""

    def __init__(
        self,
        client: Client,
        how: str,
        *,
        namespace: str = "",
        rules: Rules | None = None,
        admission: Admission | None = None,
    ) -> None:
        """`how`: one of CHOICES; 'in-place' never evicts, 'all' only while `admission`, if given, answers.

        `namespace`: the only one whose pods are looked after; '' for all.
        """
        self._namespace = namespace
        self._client, self._how, self._admission = client, how, admission
        self._rules = rules or Rules()
        self._turns = asyncio.Semaphore(4)
        self._evicts = False
        self._backoff = Backoff()
        self._namespaces = Namespaces(client, namespace)
        self._outdone, self._refused, self._failed = Once(again=None), Once(again=None), Once()
        self._releases = Releases(client, namespace)

    async def act(self, vpas: Sequence[tuple[TrackedVpa, Sequence[Pod]]], now: float) -> int:
        """Acts where a VPA's update mode asks for it; returns on how many pods."""
        if self._how == "off":
            return 0
        self._evicts = self._how == "all" and (self._admission is None or await self._admission.answers(now))
        await self._namespaces.read()
        await self._releases.read()
        self._backoff.keep({pod.metadata.uid for _, pods in vpas for pod in pods}, now)
        shares = assign_pods(vpas)
        for tracked, other in shares.outdone:
            if self._outdone.first(tracked.vpa.key, other):
                log.warning("pods left to an older VPA", vpa="/".join(tracked.vpa.key), older=other)
        done = await asyncio.gather(*(self._act_on(tracked, pods, now) for tracked, pods in shares.own))
        return sum(done)

    async def _act_on(self, tracked: TrackedVpa, pods: Sequence[Pod], now: float) -> bool:
        seen = self._pods_to_change(tracked, pods, now)
        self._say_refused(tracked, seen)
        wanted = [one for one in seen if one.decision.action is not Action.NONE]
        if not wanted:
            return False
        chosen = max(wanted, key=lambda entry: entry.decision.urgency)
        by_resize = chosen.decision.action is Action.IN_PLACE
        # Before anything is waited for: the next VPA of the namespace reckons with it.
        self._namespaces.take(chosen.pod, chosen.wished.resized.wanted if by_resize else chosen.wished.anew)
        async with self._turns:
            return await self._do(tracked, chosen, now)

    def _say_refused(self, tracked: TrackedVpa, seen: Sequence[Wanted]) -> None:
        """Once for each quota or LimitRange and resource that is against what the VPA recommends."""
        left = [one for one in seen if one.decision.action is Action.NONE]
        refused = [(one.pod, one.decision.refusal) for one in left if one.decision.refusal is not None]
        if not refused:
            self._refused.over(tracked.vpa.key)
        for pod, refusal in refused[:1]:
            if self._refused.first(tracked.vpa.key, f"{refusal.by} {refusal.resource}"):
                name, cause = f"{pod.metadata.namespace}/{pod.metadata.name}", str(refusal)
                log.warning("pod left as it is: its namespace would refuse what is recommended", pod=name, cause=cause)

    def _pods_to_change(self, tracked: TrackedVpa, pods: Sequence[Pod], now: float) -> list[Wanted]:
        advice = advice_of(tracked)
        never = tracked.vpa.spec.update_mode == "Recreate" and not self._evicts
        if not advice or never or self._releases.holds(tracked):
            return []
        staying = [pod for pod in pods if pod.metadata.deletion_timestamp is None]
        running = [pod for pod in staying if pod.status.phase == "Running"]
        group = Group(configured=max(tracked.replicas, len(staying)), running=len(running))
        terms = self._terms(tracked, group)
        return [wanted for pod in running if (wanted := self._of_pod(tracked, pod, advice, terms, now))]

    def _terms(self, tracked: TrackedVpa, group: Group) -> Terms:
        """The rules as the VPA changes them, and what it requires of an eviction."""
        mode, policy = tracked.vpa.spec.update_mode, tracked.vpa.spec.update_policy
        if policy is None:
            return Terms(mode, group, self._rules)
        least = policy.min_replicas
        rules = self._rules if least is None else replace(self._rules, min_replicas=least)
        return Terms(mode, group, rules, policy.eviction_requirements)

    def _of_pod(
        self, tracked: TrackedVpa, pod: Pod, advice: Mapping[str, Advice], terms: Terms, now: float
    ) -> Wanted | None:
        """What to do with the pod, if anything, or what keeps it from being done."""
        vpa, uid = tracked.vpa, pod.metadata.uid
        wished = wish(pod, advice, vpa.spec.resource_policy, self._namespaces.of(pod.metadata.namespace))
        body, in_place, _ = wished.resized
        if in_place is InPlace.POSSIBLE and self._backoff.is_refused(uid, body, now):
            in_place = InPlace.REFUSED
        failing = self._backoff.failing_since(uid, resizing(pod)[1] is ResizeState.ERROR, now)
        seen = facts(pod, wished, in_place=in_place, failing=failing)
        made = decide(seen, wished.advice, now, terms)
        if made.action is Action.EVICT and made.cause is not None:
            requests = {container.name: container.requests for container in seen.containers}
            if not self._evicts or self._backoff.has_returned(
                vpa.key, made.cause, requests, started=seen.started, now=now
            ):
                made = replace(made, action=Action.NONE)
        return Wanted(pod, seen, made, wished) if made.action is not Action.NONE or made.refusal else None

    async def _do(self, tracked: TrackedVpa, wanted: Wanted, now: float) -> bool:
        meta, made = wanted.pod.metadata, wanted.decision
        path = PODS.path(meta.namespace, meta.name, "resize" if made.action is Action.IN_PLACE else "eviction")
        try:
            if made.action is Action.IN_PLACE:
                await self._client.patch(path, wanted.wished.resized.body, dict, content=STRATEGIC)
            else:
                eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": meta.name}}
                await self._client.create(path, eviction, dict)
        except KubeError as error:
            if made.action is Action.IN_PLACE and not isinstance(error, PASSING):
                self._backoff.refuse(meta.uid, wanted.wished.resized.body, now)
            if self._failed.first((meta.namespace, meta.name, made.action), str(error)):
                pod = f"{meta.namespace}/{meta.name}"
                log.warning("pod not changed", pod=pod, wanted=made.action, cause=str(error))
            return False
        self._failed.over((meta.namespace, meta.name, made.action))
        if made.action is Action.EVICT and made.cause is not None:
            requests = {container.name: container.requests for container in wanted.seen.containers}
            self._backoff.evict(tracked.vpa.key, made.cause, requests, now)
        log.info("pod changed", pod=f"{meta.namespace}/{meta.name}", how=made.action, why=made.reason)
        return True
