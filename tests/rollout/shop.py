"""A shop with one Deployment, a Service and an HPA under a RolloutPolicy, in simulated time: one second per step."""

import asyncio
from collections.abc import Callable
from typing import Any

from adapter.kube.errors import KubeError
from adapter.kube.fake.server import FakeCluster
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, PODS
from adapter.rollout.model.actions import (
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    EVENTS,
    HTTP_ROUTES,
    INGRESSES,
    REPLICA_SETS,
    SERVICES,
)
from adapter.rollout.model.policy import COMMAND, POLICIES
from adapter.rollout.model.verdict import FREE, Said, Verdict
from adapter.rollout.turns import Checked, Deaf, Heard, Turns
from tests.rollout.local import Killed, LocalClient
from tests.rollout.objects import clone, is_ready, owner
from tests.rollout.simulator import Simulator

Object = dict[str, Any]
NAMESPACE = "shop"
DELETED = "2026-11-26T08:00:00Z"
BLUE_GREEN: Object = {"blueGreen": {"previewSeconds": 3, "verifySeconds": 8}}
CANARY: Object = {"canary": {"steps": [{"weight": 25, "pauseSeconds": 5}, {"weight": 50, "pauseSeconds": 5}]}}
ROLLING: Object = {"rolling": {"steps": [{"weight": 25, "pauseSeconds": 5}, {"weight": 50, "pauseSeconds": 5}]}}


class Ears:
    """A judge that says what the test wants, per phase."""

    def __init__(self) -> None:
        self.say: Callable[[str], Verdict] = lambda phase: FREE

    async def hear(self, policy: Any, raw: Any, seen: Any, now: float) -> Heard:
        return Heard(self.say(policy.status.phase.value))

    async def check(self, policy: Any, raw: Any, seen: Any, now: float) -> Checked:
        return Checked()


class Shop:
    """The cluster, its controllers, our controller, and what clients of the Service would have seen."""

    def __init__(self, strategy: Object = BLUE_GREEN, *, replicas: int = 3, hpa: bool = False, **spec: Any) -> None:
        self.cluster = FakeCluster()
        self.client = LocalClient(self.cluster)
        self.simulator = Simulator(self.cluster)
        self.ears = Ears()
        self.now = 1_800_000_000.0
        self.kills = 0
        self.seen: list[set[str]] = []
        """Images that the Service sent requests to, step by step."""
        self.phases: list[str] = []
        self.blackouts: list[str] = []
        self.since: dict[str, float] = {}
        self.every_step: list[Callable[[], None]] = []
        self.turns = Turns(self.client, self.ears)
        self.put(DEPLOYMENTS, deployment(replicas))
        self.put(SERVICES, service("web"))
        if hpa:
            self.put(HORIZONTAL_POD_AUTOSCALERS, autoscaler())
        self.simulator.now = self.now
        for _ in range(8):
            self.simulator.step()
        body = {
            "metadata": {"name": "web", "namespace": NAMESPACE},
            "spec": {"targetRef": {"name": "web"}, "settleSeconds": 2, **strategy, **spec},
        }
        self.policy: Object = {"apiVersion": "streamgate.io/v1alpha1", "kind": "RolloutPolicy", **body}
        """As its author wrote it."""
        self.put(POLICIES, self.policy)

    # -------------------------------------------------------------------------------------------------------- objects

    def put(self, resource: Any, body: Object) -> Object:
        return self.cluster.store.collection(resource.group, resource.plural).put(clone(body))

    def get(self, resource: Any, name: str = "web") -> Any:
        body = self.cluster.store.collection(resource.group, resource.plural).objects.get((NAMESPACE, name))
        return clone(body) if body else None

    def all(self, resource: Any) -> list[Object]:
        return self.simulator.objects(resource)

    def edit(self, resource: Any, change: Callable[[Object], object], name: str = "web") -> None:
        body = self.get(resource, name)
        change(body)
        self.put(resource, body)

    def release(self, image: str) -> None:
        """Changes the image of the template, as `kubectl set image` does."""

        def change(deployment: Object) -> None:
            deployment["spec"]["template"]["spec"]["containers"][0]["image"] = image

        self.edit(DEPLOYMENTS, change)

    def scale(self, replicas: int) -> None:
        self.edit(DEPLOYMENTS, lambda raw: raw["spec"].update(replicas=replicas))

    def command(self, verb: str, *, key: str = "1", full: bool = False) -> None:
        text = f'{{"verb": "{verb}", "id": "{key}", "full": {str(full).lower()}}}'
        self.edit(POLICIES, lambda raw: raw["metadata"].setdefault("annotations", {}).update({COMMAND: text}))

    def delete_policy(self) -> None:
        self.delete(POLICIES, self.get(POLICIES))

    def delete(self, resource: Any, body: Object) -> None:
        """Deletes an object as the API server does: one with a finalizer only gets a deletionTimestamp."""
        if not body["metadata"].get("finalizers"):
            self.simulator.remove(resource, body)
        elif not body["metadata"].get("deletionTimestamp"):
            self.put(resource, {**body, "metadata": {**body["metadata"], "deletionTimestamp": DELETED}})

    @property
    def status(self) -> Object:
        policy = self.get(POLICIES)
        return dict(policy.get("status", {})) if policy else {}

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", ""))

    @property
    def outcomes(self) -> list[str]:
        return [past["outcome"] for past in self.status.get("history", ())]

    @property
    def template(self) -> Object:
        return dict(self.get(DEPLOYMENTS)["spec"]["template"])

    @property
    def interfered(self) -> str:
        """The message of the condition Interfered; '' where it is absent or not True."""
        known = [condition for condition in self.status.get("conditions", ()) if condition["type"] == "Interfered"]
        return str(known[0]["message"]) if known and known[0]["status"] == "True" else ""

    @property
    def events(self) -> list[str]:
        return [event["reason"] for event in self.all(EVENTS)]

    def pods(self, image: str = "") -> list[str]:
        """Pods that are not ending."""
        return [
            pod["metadata"]["name"]
            for pod in self.all(PODS)
            if not pod["metadata"].get("deletionTimestamp") and image in ("", image_of(pod))
        ]

    # ----------------------------------------------------------------------------------------------------------- time

    async def step(self) -> None:
        """One second passes: our controller may take some turns, then everybody else looks once."""
        for _ in range(6):
            try:
                turned = await self.turns.turn(NAMESPACE, "web", self.now)
            except (Killed, asyncio.CancelledError):  # no more, or the leader no more: another one begins
                self.kills += 1
                self.turns = Turns(self.client, self.ears)
                continue
            except KubeError:
                break
            finally:
                self._note()
            if turned.again > 0.5:
                break
        for _ in range(5):
            await asyncio.sleep(0)  # what is done beside turns
        self.simulator.now = self.now
        self.simulator.step()
        self._look()
        for hook in self.every_step:
            hook()
        self.now += 1.0

    def _note(self) -> None:
        if self.phase and (not self.phases or self.phases[-1] != self.mark):
            self.phases.append(self.mark)
            self.since[self.mark] = self.now

    @property
    def mark(self) -> str:
        """The phase, with the step of a canary."""
        release = self.status.get("release") or {}
        return f"Stepping {release.get('step', 0)}" if self.phase == "Stepping" else self.phase

    def _look(self) -> None:
        images = {pod["metadata"]["name"]: pod for pod in self.all(PODS)}
        for endpoint_slice in self.all(ENDPOINT_SLICES):
            if endpoint_slice["metadata"]["labels"]["kubernetes.io/service-name"] != "web":
                continue
            names = [end["targetRef"]["name"] for end in endpoint_slice["endpoints"] if end["conditions"]["ready"]]
            alive = [name for name in names if name in images and is_ready(images[name])]
            if not alive and (deployment := self.get(DEPLOYMENTS)) and deployment["spec"]["replicas"]:
                self.blackouts.append(f"{self.now:.0f} in {self.mark}")
            self.seen.append({image_of(images[name]) for name in alive})

    async def until(self, true: Callable[[], object], *, steps: int = 300) -> None:
        """Steps until `true()` holds."""
        for _ in range(steps):
            if true():
                return
            await self.step()
        raise AssertionError(f"never; the status is {self.status}")

    async def until_outcome(self, outcome: str) -> None:
        """Steps until a release has ended with `outcome`, and 5 s more."""
        before = len(self.outcomes)
        await self.until(lambda: len(self.outcomes) > before)
        assert self.outcomes[0] == outcome, self.status
        await self.some(5)

    async def some(self, steps: int) -> None:
        for _ in range(steps):
            await self.step()

    async def ready(self) -> "Shop":
        """Steps until the Deployment is taken over and nothing is to be released; gives the shop back."""
        await self.until(lambda: self.phase == "Idle" and self.get(DEPLOYMENTS)["spec"].get("paused"))
        return self

    # --------------------------------------------------------------------------------------------------- what must hold

    def clean(self, image: str, *, replicas: int = 3) -> None:
        """Asserts that no release has left a trace: one ReplicaSet serves `image`, all Services are as before."""
        assert [each["metadata"]["name"] for each in self.all(DEPLOYMENTS)] == ["web"]
        active = [each for each in self.all(REPLICA_SETS) if each["spec"]["replicas"]]
        assert [image_of(each["spec"]["template"]) for each in active] == [image]
        assert owner(active[0]) == self.get(DEPLOYMENTS)["metadata"]["uid"]
        assert len(self.pods(image)) == len(self.pods()) == replicas
        for each in self.all(SERVICES):
            assert each["spec"]["selector"] == {"app": "web"}, each
            assert "streamgate.io/release" not in each["metadata"].get("labels", {})
        assert not self.blackouts


def deployment(replicas: int) -> Object:
    container = {"name": "web", "image": "web:1", "ports": [{"containerPort": 8080}]}
    template = {
        "metadata": {"labels": {"app": "web", "tier": "front"}},
        "spec": {"containers": [container], "odd": {"kept": [1]}},
    }
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": template,
        "strategy": strategy,
    }
    meta = {"name": "web", "namespace": NAMESPACE}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {**spec, "revisionHistoryLimit": 10},
    }


def service(name: str) -> Object:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def autoscaler(least: int | None = 2) -> Object:
    spec: Object = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 10}
    if least is not None:
        spec["minReplicas"] = least
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": spec,
    }


def add_route_and_ingress(shop: Shop) -> None:
    """Adds an HTTPRoute, which a gateway accepts at once, and an Ingress."""
    meta = {"name": "web", "namespace": NAMESPACE}
    shop.put(HTTP_ROUTES, {"metadata": meta, "spec": {"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}})
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    shop.put(INGRESSES, {"metadata": meta, "spec": {"rules": [{"http": {"paths": [path]}}]}})

    def accept() -> None:
        route = shop.get(HTTP_ROUTES)
        held = {"status": "True", "observedGeneration": route["metadata"]["generation"]}
        route["status"] = {
            "parents": [{"conditions": [{"type": kind, **held} for kind in ("Accepted", "ResolvedRefs")]}]
        }
        shop.put(HTTP_ROUTES, route)

    shop.every_step.append(accept)


def image_of(pod: Object) -> str:
    return str(pod["spec"]["containers"][0]["image"])


def rolls_back(reason: str = "bad rate above the limit") -> Verdict:
    return Verdict(Said.ROLLBACK, reason)


__all__ = ["BLUE_GREEN", "CANARY", "ROLLING", "Deaf", "Shop", "rolls_back", "service"]
