"""Kubernetes' own controllers, small and honest: Deployment, ReplicaSet, EndpointSlice, garbage collection.

Each step, every controller looks once; what one writes another sees in the next step, as in life. The Deployment
controller follows pkg/controller/deployment of Kubernetes 1.37 where releases depend on it: a paused Deployment still
scales, adopts orphaned ReplicaSets, takes the *oldest* ReplicaSet of its template as the new one, and scales old ones
to 0 as soon as the new one is saturated.
"""

import hashlib
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime

from adapter.kube.fake.server import FakeCluster
from adapter.kube.resources import PODS, Resource
from adapter.rollout.model.actions import DEPLOYMENTS, ENDPOINT_SLICES, REPLICA_SETS, SERVICES
from adapter.rollout.model.template import HASH, without_hash
from tests.rollout.objects import (
    DESIRED,
    MOST,
    Object,
    clone,
    creation_time,
    is_ready,
    is_saturated,
    owner,
    ready_of,
    ref,
    surge,
    unavailable,
)


class Simulator:
    """The controllers over the objects of a FakeCluster."""

    def __init__(self, cluster: FakeCluster, *, boot: int = 2, grace: int = 3) -> None:
        """`boot`: steps until a pod is ready; `grace`: steps that a deleted pod goes on."""
        self.cluster, self.boot, self.grace = cluster, boot, grace
        self.now = 0.0
        """Unix seconds, of the nodes' clocks too."""
        self.ages: dict[str, int] = {}
        self.dying: dict[str, int] = {}
        self.ready_for: dict[str, int] = {}
        """Steps for which a pod has been ready without a break."""
        self.adopts = True
        self.room = 1000
        """Pods that the namespace's ResourceQuota allows."""
        self.health: Callable[[Object], str] = lambda pod: "ok"
        """Of a pod: ok, crash (crash-loops), never (is never ready)."""
        self.ends: Callable[[Object], bool] = lambda pod: True
        """Whether a deleted pod ends when its grace is over; one whose node is lost does not."""
        self.restarts: dict[str, int] = {}
        """Pod -> how often its container was restarted so far."""
        self.made = itertools.count()
        self.gone: list[str] = []
        """Names of all pods that ended."""

    def objects(self, resource: Resource) -> list[Object]:
        return [clone(each) for each in self.cluster.store.collection(resource.group, resource.plural).objects.values()]

    def put(self, resource: Resource, body: Object) -> Object:
        return self.cluster.store.collection(resource.group, resource.plural).put(body)

    def remove(self, resource: Resource, body: Object) -> None:
        collection = self.cluster.store.collection(resource.group, resource.plural)
        collection.remove(body["metadata"]["namespace"], body["metadata"]["name"])

    def step(self) -> None:
        self._endpoints()
        self._pods()
        for each in self.objects(REPLICA_SETS):
            self._replica_set(each)
        for each in self.objects(DEPLOYMENTS):
            if not each["metadata"].get("deletionTimestamp"):
                self._deployment(each)
        self._garbage()

    # ------------------------------------------------------------------------------------------------------- pods

    def _pods(self) -> None:
        sets = {each["metadata"]["uid"] for each in self.objects(REPLICA_SETS)}
        for pod in self.objects(PODS):
            uid = pod["metadata"]["uid"]
            self.ages[uid] = self.ages.get(uid, 0) + 1
            if owner(pod) not in sets and not pod["metadata"].get("deletionTimestamp"):
                self.end(pod)
                continue
            if pod["metadata"].get("deletionTimestamp"):
                self.dying[uid] = self.dying.get(uid, 0) + 1
                if self.dying[uid] > self.grace and self.ends(pod):
                    self.gone.append(pod["metadata"]["name"])
                    self.remove(PODS, pod)
                continue
            health = self.health(pod)
            ready = self.ages[uid] > self.boot and health == "ok"
            self.ready_for[uid] = self.ready_for.get(uid, 0) + 1 if ready else 0
            before = pod.get("status") or {}
            status: Object = {"phase": "Running", "startTime": before.get("startTime", self._stamp())}
            status["conditions"] = [self._readiness(before, str(ready))]
            waiting = (
                {"waiting": {"reason": "CrashLoopBackOff"}} if health == "crash" and self.ages[uid] > self.boot else {}
            )
            restarts = self.restarts.get(pod["metadata"]["name"], 0)
            status["containerStatuses"] = [{"name": "web", "ready": ready, "restartCount": restarts, "state": waiting}]
            if pod.get("status") != status:
                self.put(PODS, {**pod, "status": status})

    def _stamp(self, later: int = 0) -> str:
        return datetime.fromtimestamp(self.now + later, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _readiness(self, before: Object, ready: str) -> Object:
        old: Object = next(iter(before.get("conditions") or ()), {})
        changed = self._stamp() if old.get("status") != ready else old.get("lastTransitionTime")
        return {"type": "Ready", "status": ready, "lastTransitionTime": changed}

    def end(self, pod: Object) -> None:
        pod["metadata"]["deletionTimestamp"] = self._stamp(self.grace)
        pod["status"]["conditions"] = [self._readiness(pod["status"], "False")]
        self.put(PODS, pod)

    # ------------------------------------------------------------------------------------------------ ReplicaSets

    def _replica_set(self, replica_set: Object) -> None:
        mine = [pod for pod in self.objects(PODS) if owner(pod) == replica_set["metadata"]["uid"]]
        alive = [pod for pod in mine if not pod["metadata"].get("deletionTimestamp")]
        wanted = replica_set["spec"]["replicas"]
        for _ in range(min(wanted - len(alive), self.room - len(self.objects(PODS)))):
            name = f"{replica_set['metadata']['name']}-{next(self.made):05d}"
            meta = {
                "name": name,
                "namespace": replica_set["metadata"]["namespace"],
                "ownerReferences": [ref("ReplicaSet", replica_set)],
            }
            meta["labels"] = dict(replica_set["spec"]["template"]["metadata"]["labels"])
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": replica_set["spec"]["template"]["spec"]}
            self.put(PODS, clone({**pod, "status": {"phase": "Pending"}}))
        for pod in sorted(alive, key=is_ready)[: max(0, len(alive) - wanted)]:
            self.end(pod)
        alive = [pod for pod in self.objects(PODS) if owner(pod) == replica_set["metadata"]["uid"]]
        alive = [pod for pod in alive if not pod["metadata"].get("deletionTimestamp")]
        status = {
            "replicas": len(alive),
            "availableReplicas": sum(
                self._available(pod, replica_set["spec"].get("minReadySeconds", 0)) for pod in alive
            ),
            "observedGeneration": replica_set["metadata"]["generation"],
        }
        if replica_set.get("status") != status:
            self.put(REPLICA_SETS, {**replica_set, "status": status})

    def _available(self, pod: Object, least: int) -> bool:
        return is_ready(pod) and self.ready_for.get(pod["metadata"]["uid"], 0) >= least

    # ------------------------------------------------------------------------------------------------ Deployments

    def _deployment(self, deployment: Object) -> None:
        selector = deployment["spec"]["selector"]["matchLabels"]
        for each in self.objects(REPLICA_SETS):
            if self.adopts and not owner(each) and selector.items() <= each["metadata"]["labels"].items():
                each["metadata"]["ownerReferences"] = [ref("Deployment", deployment)]
                self.put(REPLICA_SETS, each)
        own = sorted(
            (each for each in self.objects(REPLICA_SETS) if owner(each) == deployment["metadata"]["uid"]),
            key=creation_time,
        )
        template = deployment["spec"]["template"]
        new = next((each for each in own if without_hash(each["spec"]["template"]) == template), None)
        least = deployment["spec"].get("minReadySeconds", 0)
        if new is not None and new["spec"].get("minReadySeconds", 0) != least:  # of the new ReplicaSet alone
            new["spec"]["minReadySeconds"] = least
            self.put(REPLICA_SETS, clone(new))
        if deployment["spec"].get("paused"):
            self._scale(deployment, new, own)
        else:
            if new is None:
                new = self._make(deployment)
                own.append(new)
            if any(
                each["metadata"]["annotations"].get(DESIRED) != str(deployment["spec"]["replicas"])
                for each in own
                if each["spec"]["replicas"]
            ):
                self._scale(deployment, new, own)
            else:
                self._roll(deployment, new, own)
        self._clean(deployment, new)
        self._status(deployment)

    def _scale(self, deployment: Object, new: Object | None, own: list[Object]) -> None:
        """Sizes the ReplicaSets after a new number of replicas: deployment/sync.go, scale."""
        wanted = deployment["spec"]["replicas"]
        active = [each for each in own if each["spec"]["replicas"]]
        if len(active) <= 1:
            only = active[0] if active else new or (own[-1] if own else None)
            if only is not None and (
                only["spec"]["replicas"] != wanted or DESIRED not in only["metadata"]["annotations"]
            ):
                self._resize(deployment, only, wanted)
            return
        if new and is_saturated(new, wanted):
            for each in active:
                if each is not new:
                    self._resize(deployment, each, 0)
            return
        self._share(deployment, sorted(active, key=lambda each: -each["spec"]["replicas"]))

    def _share(self, deployment: Object, active: list[Object]) -> None:
        """Shares replicas in proportion, the rest to the largest: deployment_util.go, GetReplicaSetProportion."""
        allowed = deployment["spec"]["replicas"] + surge(deployment)
        left = more = allowed - sum(each["spec"]["replicas"] for each in active)
        sizes = []
        for each in active:
            size = each["spec"]["replicas"]
            most = int(each["metadata"]["annotations"].get(MOST, allowed))
            part = round(size * allowed / most) - size
            part = min(part, left) if more > 0 else max(part, left)
            left -= part
            sizes.append(size + part)
        sizes[0] = max(0, sizes[0] + left)
        for each, size in zip(active, sizes, strict=True):
            self._resize(deployment, each, size)

    def _roll(self, deployment: Object, new: Object, own: list[Object]) -> None:
        """Scales up within the surge, then down while enough stay available: deployment/rolling.go."""
        wanted = deployment["spec"]["replicas"]
        total = sum(each["spec"]["replicas"] for each in own)
        if new["spec"]["replicas"] > wanted:
            self._resize(deployment, new, wanted)
            return
        if new["spec"]["replicas"] < wanted and total < wanted + surge(deployment):
            more = min(wanted - new["spec"]["replicas"], wanted + surge(deployment) - total)
            self._resize(deployment, new, new["spec"]["replicas"] + more)
            return
        least, old = (
            wanted - unavailable(deployment),
            [each for each in own if each is not new and each["spec"]["replicas"]],
        )
        most = total - least - (new["spec"]["replicas"] - ready_of(new))
        if most <= 0:
            return
        for each in old:  # cleanupUnhealthyReplicas
            less = max(0, min(most, each["spec"]["replicas"] - ready_of(each)))
            if less:
                self._resize(deployment, each, each["spec"]["replicas"] - less)
                most -= less
        spare = sum(ready_of(each) for each in own) - least
        for each in old:  # scaleDownOldReplicaSetsForRollingUpdate
            less = min(spare, each["spec"]["replicas"])
            if less > 0:
                self._resize(deployment, each, each["spec"]["replicas"] - less)
                spare -= less

    def _make(self, deployment: Object) -> Object:
        template = clone(deployment["spec"]["template"])
        text = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        template["metadata"].setdefault("labels", {})[HASH] = text
        meta = {
            "name": f"{deployment['metadata']['name']}-{text}",
            "namespace": deployment["metadata"]["namespace"],
            "labels": dict(template["metadata"]["labels"]),
            "annotations": {DESIRED: str(deployment["spec"]["replicas"])},
            "ownerReferences": [ref("Deployment", deployment)],
            "creationTimestamp": f"2026-11-26T00:00:00.{next(self.made):06d}Z",
        }
        spec = {"replicas": 0, "template": template, "minReadySeconds": deployment["spec"].get("minReadySeconds", 0)}
        made = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": spec}
        return clone(self.put(REPLICA_SETS, made))

    def _resize(self, deployment: Object, each: Object, replicas: int) -> None:
        each["spec"]["replicas"] = replicas
        each["metadata"]["annotations"] = {
            **each["metadata"].get("annotations", {}),
            DESIRED: str(deployment["spec"]["replicas"]),
            MOST: str(deployment["spec"]["replicas"] + surge(deployment)),
        }
        self.put(REPLICA_SETS, clone(each))

    def _clean(self, deployment: Object, new: Object | None) -> None:
        """Removes old ReplicaSets of size 0 beyond the history limit, the oldest first."""
        own = sorted(
            (each for each in self.objects(REPLICA_SETS) if owner(each) == deployment["metadata"]["uid"]),
            key=creation_time,
        )
        name = new["metadata"]["name"] if new else ""
        empty = [
            each
            for each in own
            if not each["spec"]["replicas"]
            and not each.get("status", {}).get("replicas")
            and each["metadata"]["name"] != name
        ]
        for each in empty[: max(0, len(empty) - deployment["spec"].get("revisionHistoryLimit", 10))]:
            self.remove(REPLICA_SETS, each)

    def _status(self, deployment: Object) -> None:
        own = sorted(
            (each for each in self.objects(REPLICA_SETS) if owner(each) == deployment["metadata"]["uid"]),
            key=creation_time,
        )
        new = next(
            (each for each in own if without_hash(each["spec"]["template"]) == deployment["spec"]["template"]), None
        )
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": sum(each.get("status", {}).get("replicas", 0) for each in own),
            "availableReplicas": sum(each.get("status", {}).get("availableReplicas", 0) for each in own),
            "updatedReplicas": (new or {}).get("status", {}).get("replicas", 0),
        }
        if deployment.get("status") != status:
            self.put(DEPLOYMENTS, {**deployment, "status": status})

    # -------------------------------------------------------------------------------------- garbage and endpoints

    def _garbage(self) -> None:
        for deployment in self.objects(DEPLOYMENTS):
            meta = deployment["metadata"]
            if meta.get("deletionTimestamp") and "orphan" in meta.get("finalizers", ()):
                for each in self.objects(REPLICA_SETS):
                    if owner(each) == meta["uid"]:
                        each["metadata"]["ownerReferences"] = []
                        self.put(REPLICA_SETS, each)
                self.remove(DEPLOYMENTS, deployment)
        alive = {deployment["metadata"]["uid"] for deployment in self.objects(DEPLOYMENTS)}
        for each in self.objects(REPLICA_SETS):
            if owner(each) and owner(each) not in alive:
                self.remove(REPLICA_SETS, each)

    def _endpoints(self) -> None:
        slices = {
            endpoint_slice["metadata"]["name"]: endpoint_slice for endpoint_slice in self.objects(ENDPOINT_SLICES)
        }
        for service in self.objects(SERVICES):
            meta, selector = service["metadata"], service["spec"].get("selector") or {}
            pods = [pod for pod in self.objects(PODS) if selector.items() <= pod["metadata"]["labels"].items()]
            ends = [
                {"targetRef": {"kind": "Pod", "name": pod["metadata"]["name"]}, "conditions": {"ready": is_ready(pod)}}
                for pod in pods
            ]
            labels = {**meta.get("labels", {}), "kubernetes.io/service-name": meta["name"]}
            endpoint_slice = {
                "metadata": {"name": meta["name"], "namespace": meta["namespace"], "labels": labels},
                "endpoints": ends,
            }
            held = slices.pop(meta["name"], None)
            if held is None or held["metadata"]["labels"] != labels or held["endpoints"] != ends:
                self.put(ENDPOINT_SLICES, endpoint_slice)
        for endpoint_slice in slices.values():
            self.remove(ENDPOINT_SLICES, endpoint_slice)
