"""A cluster in which every pod becomes ready and every controller has done its work before anybody looks again.

What only the API server or a controller can give stands in angle brackets: uids, resourceVersions, hashes.
"""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from adapter.kube.jsonpatch import json_patch
from adapter.kube.resources import Resource
from adapter.rollout.decide.inplace import HOLD
from adapter.rollout.model.actions import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    HTTP_ROUTES,
    INGRESSES,
    REPLICA_SETS,
    SERVICES,
    Action,
    Create,
    Delete,
    Patch,
)
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
from adapter.rollout.model.policy import POLICIES
from adapter.rollout.model.template import HASH, labels_of

LATER: Final = "<resourceVersion as read then>"
FINGERPRINT: Final = "streamgate.io/fingerprint"


class World:
    """What there is, raw, by resource and name; `observe` shows it as the controller would read it."""

    def __init__(self, seen: Observation) -> None:
        self._first, self._made = seen, 0
        self.finalizers = list(seen.finalizers)
        self._held: dict[Resource, dict[str, Json]] = {
            DEPLOYMENTS: _by_name(filter(None, [seen.deployment, *seen.siblings])),
            REPLICA_SETS: _by_name(seen.replica_sets),
            SERVICES: _by_name([*seen.services, *(each for each in seen.extras if isinstance(each, Service))]),
            INGRESSES: _by_name(each for each in seen.extras if not isinstance(each, Service)),
            CONTROLLER_REVISIONS: _by_name(seen.kept),
        }
        self._pods = _by_name(each for each in seen.pods if not each.going)
        self._own = {each.name for each in seen.services}
        self._hpa = copy.deepcopy(seen.hpa.raw) if seen.hpa else None
        self._route = copy.deepcopy(seen.route.raw) if seen.route else None
        self._slices = list(seen.slices)

    def observe(self) -> Observation:
        """What the controller would read now."""
        first, target = self._first, self._first.deployment
        deployments = [Deployment(raw) for raw in self._held[DEPLOYMENTS].values()]
        services = [Service(raw) for raw in self._held[SERVICES].values()]
        kept = [Seen(raw) for raw in self._held[CONTROLLER_REVISIONS].values()]
        return replace(
            first,
            deployment=next((each for each in deployments if target and each.name == target.name), None),
            siblings=tuple(each for each in deployments if not target or each.name != target.name),
            replica_sets=tuple(ReplicaSet(raw) for raw in self._held[REPLICA_SETS].values()),
            pods=tuple(Pod(raw) for raw in self._pods.values()),
            services=tuple(each for each in services if each.name in self._own),
            slices=tuple(self._slices),
            route=Seen(self._route) if self._route else None,
            extras=(
                *(each for each in services if each.name not in self._own),
                *(Seen(raw) for raw in self._held[INGRESSES].values()),
            ),
            hpa=Hpa(self._hpa) if self._hpa else None,
            revisions={each.annotations.get(FINGERPRINT, ""): each.raw["data"]["template"] for each in kept},
            kept=tuple(kept),
            finalizers=tuple(self.finalizers),
        )

    def write(self, template: Json) -> None:
        """Somebody writes another template into the Deployment."""
        assert self._first.deployment is not None
        raw = self._held[DEPLOYMENTS][self._first.deployment.name]
        raw["spec"] = {**raw["spec"], "template": template}
        _touch(raw)

    def apply(self, action: Action) -> None:
        """Makes a write."""
        if isinstance(action, Create):
            self._held[action.resource].setdefault(action.name, self._create(action))
        elif isinstance(action, Patch):
            self._patch(action)
        else:
            self._delete(action)

    def settle(self) -> None:
        """What Kubernetes' controllers make of what there is."""
        self._adopt()
        for raw in self._held[DEPLOYMENTS].values():
            self._roll(raw)
        self._populate()
        for raw in self._held[DEPLOYMENTS].values():
            self._report(raw)
        self._slices = [self._slice(raw) for raw in self._held[SERVICES].values()]
        if self._route is not None:
            _accept(self._route)

    # ------------------------------------------------------------------------------------------------- the API server

    def _create(self, action: Create) -> Json:
        raw = copy.deepcopy(action.body)
        self._made += 1
        kind = str(raw.get("kind", ""))
        raw["metadata"] |= {
            "uid": f"<uid of {kind} {action.name}>",
            "resourceVersion": LATER,
            "creationTimestamp": f"9999-01-01T00:00:{self._made:09d}Z",
            "generation": 1,
        }
        return raw

    def _patch(self, action: Patch) -> None:
        operations = [one for one in action.operations if one["op"] != "test"]
        if action.resource == POLICIES:
            meta = json_patch({"metadata": {"finalizers": self.finalizers}}, operations)
            self.finalizers = list(meta["metadata"]["finalizers"])
        elif self._hpa is not None and action.resource.group == "autoscaling":
            self._hpa = _touch(json_patch(self._hpa, operations))
        elif self._route is not None and action.resource == HTTP_ROUTES:
            self._route = _touch(json_patch(self._route, operations))
        else:
            held = self._held[action.resource]
            held[action.name] = _touch(json_patch(held[action.name], operations))

    def _delete(self, action: Delete) -> None:
        gone = self._held[action.resource].pop(action.name, None)
        if gone is None or action.resource != DEPLOYMENTS:
            return
        sets = self._held[REPLICA_SETS]
        for name in [name for name, raw in sets.items() if Seen(raw).owner == gone["metadata"].get("uid")]:
            if action.propagation == "Orphan":
                sets[name]["metadata"]["ownerReferences"] = []
            else:
                del sets[name]

    # --------------------------------------------------------------------------------------------------- controllers

    def _adopt(self) -> None:
        target = self._first.deployment
        if target is None or target.name not in self._held[DEPLOYMENTS]:
            return
        for raw in self._held[REPLICA_SETS].values():
            if not Seen(raw).owner:
                raw["metadata"]["ownerReferences"] = [{"kind": "Deployment", "uid": target.uid, "controller": True}]

    def _roll(self, raw: Json) -> None:
        """The Deployment controller at its end: of a paused one, of one held by minReadySeconds, of any other."""
        deployment, wanted = Deployment(raw), Deployment(raw).replicas
        own = sorted((each for each in self._sets(deployment.uid)), key=lambda each: ReplicaSet(each).created)
        new = next((each for each in own if ReplicaSet(each).fingerprint == deployment.fingerprint), None)
        if new is None and not deployment.paused:
            new = self._make(deployment)
            own.append(new)
        active = [each for each in own if ReplicaSet(each).replicas]
        if deployment.paused:
            sized = new if new is not None and ReplicaSet(new).replicas == wanted else None
            sized = sized or (active[0] if len(active) == 1 else None)
            if sized is not None:
                _resize(own, {id(sized): wanted})
        elif int(deployment.spec.get("minReadySeconds") or 0) >= HOLD and new is not None:
            stable = next((each for each in active if each is not new), None)
            surge = int((deployment.spec["strategy"].get("rollingUpdate") or {}).get("maxSurge", 1))
            _resize(own, {id(new): min(surge, wanted), **({id(stable): wanted} if stable is not None else {})})
        else:
            _resize(own, {id(new): wanted})

    def _make(self, deployment: Deployment) -> Json:
        self._made += 1
        name = f"{deployment.name}-<hash>"
        if name in self._held[REPLICA_SETS]:
            name = f"{name}-{self._made}"
        template = copy.deepcopy(deployment.template)
        meta = template.setdefault("metadata", {})
        meta["labels"] = {**(meta.get("labels") or {}), HASH: f"<hash of {deployment.name}>"}
        raw: Json = {"kind": "ReplicaSet", "spec": {"replicas": 0, "template": template}, "metadata": {"name": name}}
        raw["metadata"] |= {
            "uid": f"<uid of ReplicaSet {name}>",
            "labels": dict(meta["labels"]),
            "resourceVersion": LATER,
            "creationTimestamp": f"9999-01-01T00:00:{self._made:09d}Z",
            "ownerReferences": [{"kind": "Deployment", "uid": deployment.uid, "controller": True}],
        }
        self._held[REPLICA_SETS][name] = raw
        return raw

    def _populate(self) -> None:
        """Each ReplicaSet has its pods, all ready; pods of none are gone."""
        before, self._pods = self._pods, {}
        alive = {Seen(raw).uid for raw in self._held[DEPLOYMENTS].values()}
        for name, raw in self._held[REPLICA_SETS].items():
            uid, wanted = Seen(raw).uid, ReplicaSet(raw).replicas
            if Seen(raw).owner not in alive:
                continue
            own = [pod for pod in before.values() if Pod(pod).owner == uid][:wanted]
            own += [_pod(f"{name}-<pod {number + 1}>", raw) for number in range(len(own), wanted)]
            for pod in own:
                self._pods[pod["metadata"]["name"]] = {**pod, "status": {"conditions": [_condition("Ready")]}}
            generation = int(raw["metadata"].get("generation") or 0)
            raw["status"] = {"observedGeneration": generation, "replicas": wanted, "availableReplicas": wanted}

    def _report(self, raw: Json) -> None:
        deployment = Deployment(raw)
        own = list(self._sets(deployment.uid))
        total = sum(ReplicaSet(each).replicas for each in own)
        new = sum(ReplicaSet(each).replicas for each in own if ReplicaSet(each).fingerprint == deployment.fingerprint)
        generation = deployment.meta.get("generation", 1)
        raw["status"] = {"observedGeneration": generation, "replicas": total, "availableReplicas": total}
        raw["status"]["updatedReplicas"] = new

    def _slice(self, raw: Json) -> Slice:
        """The EndpointSlice of a Service, with its labels."""
        service = Service(raw)
        ready = [
            {"targetRef": {"name": name}, "conditions": {"ready": True}}
            for name, pod in self._pods.items()
            if service.selector and service.selector.items() <= labels_of(pod).items()
        ]
        labels = {**service.labels, "kubernetes.io/service-name": service.name}
        return Slice({"metadata": {"name": service.name, "labels": labels}, "endpoints": ready})

    def _sets(self, uid: str) -> Iterator[Json]:
        return (raw for raw in self._held[REPLICA_SETS].values() if Seen(raw).owner == uid)


def _by_name(objects: Any) -> dict[str, Json]:
    return {each.name: copy.deepcopy(each.raw) for each in objects}


def _touch(raw: Json) -> Json:
    meta = raw["metadata"]
    meta |= {"resourceVersion": LATER, "generation": int(meta.get("generation") or 0) + 1}
    return raw


def _resize(own: list[Json], sizes: dict[int, int]) -> None:
    for raw in own:
        raw["spec"] = {**raw["spec"], "replicas": sizes.get(id(raw), 0)}


def _pod(name: str, replica_set: Json) -> Json:
    template = replica_set["spec"]["template"]
    meta = {"name": name, "labels": labels_of(template)}
    return {
        "metadata": {**meta, "ownerReferences": [{"uid": replica_set["metadata"]["uid"], "controller": True}]},
        "spec": template.get("spec") or {},
    }


def _condition(kind: str, generation: int = 0) -> Json:
    return {"type": kind, "status": "True", "observedGeneration": generation}


def _accept(route: Json) -> None:
    """Every gateway that has not answered for this generation of the route takes it; an answer stands."""
    generation = int(route["metadata"].get("generation") or 0)
    for parent in (route.get("status") or {}).get("parents") or ():
        parent["conditions"] = [
            each if int(each.get("observedGeneration") or 0) >= generation else _condition(each["type"], generation)
            for each in parent.get("conditions") or ()
        ]
