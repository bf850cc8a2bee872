"""A small API server for acting: pods that are resized and evicted as a real one would let them be, and who asked."""

import copy
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from adapter.kube.client import Listing
from adapter.kube.errors import Forbidden, NotFound, TooManyRequests, Unreachable
from adapter.kube.objects import Model
from adapter.units.quantity import Quantity
from adapter.units.selector import Selector
from recommender.model.cluster import TrackedVpa
from recommender.objects import Pod, Vpa

NOW: Final = 1767243600.0
Object = dict[str, Any]


def stamp(at: float) -> str:
    """Unix s as Kubernetes writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def container(name: str = "app", requests: str = "cpu=1 memory=1Gi", limits: str = "", **more: Any) -> Object:
    """A container that asks for 'cpu=1 memory=1Gi'."""
    return {"name": name, "resources": {"requests": amounts(requests), "limits": amounts(limits)}, **more}


def amounts(text: str) -> dict[str, str]:
    """'cpu=1 memory=1Gi' as an object."""
    return dict(part.split("=") for part in text.split())


def pod(
    *containers: Object,
    name: str = "web-1",
    init: Iterable[Object] = (),
    whole: Object | None = None,
    resize: str = "",
    since: float = 60.0,
    has: str = "",
    age: float = 3600.0,
    **meta: Any,
) -> Object:
    """A running pod; `resize` is 'PodResizePending Deferred', `has` what the kubelet gives its first container."""
    own = list(containers) or [container()]
    spec: Object = {"containers": own, "initContainers": list(init)} | ({"resources": whole} if whole else {})
    conditions = []
    if resize:
        kind, _, reason = resize.partition(" ")
        conditions = [{"type": kind, "status": "True", "reason": reason, "lastTransitionTime": stamp(NOW - since)}]
    status: Object = {"phase": "Running", "startTime": stamp(NOW - age), "conditions": conditions}
    if has:
        status["containerStatuses"] = [{"name": own[0]["name"], "resources": {"requests": amounts(has)}}]
    metadata = {"name": name, "namespace": "shop", "uid": name, "labels": {"app": "web"}, **meta}
    return {"metadata": metadata, "spec": spec, "status": status}


def vpa(
    mode: str,
    *,
    policies: Iterable[Object] = (),
    least: int | None = None,
    evictionRequirements: Iterable[Object] = (),  # noqa: N803 - Kubernetes' word
    **targets: str,
) -> TrackedVpa:
    """A VPA that says 'cpu=100m' for each container by name; its bounds are 0.6 and 2 times as much."""
    entries = []
    for name, text in targets.items():
        target = {key: Quantity.parse(value) for key, value in amounts(text).items()}
        bounds = {part: {key: times(item, by) for key, item in target.items()} for part, by in BOUNDS.items()}
        entries.append({"containerName": name, **bounds})
    policy: Object = {"updateMode": mode, "evictionRequirements": list(evictionRequirements)}
    policy |= {"minReplicas": least} if least is not None else {}
    item = {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"updatePolicy": policy, "resourcePolicy": {"containerPolicies": list(policies)}},
        "status": {"recommendation": {"containerRecommendations": entries}},
    }
    return TrackedVpa(msgspec.convert(item, Vpa), selector=Selector.parse("app=web"))


BOUNDS: Final = {"lowerBound": 0.6, "target": 1.0, "upperBound": 2.0}


def times(quantity: Quantity, by: float) -> str:
    """The quantity times `by`, as text."""
    return str(Quantity(int(quantity.nano * by), quantity.format))


class Server:
    """Stands for a Client: lets through what a real API server would of a resize, and notes what it is asked."""

    def __init__(self, *pods: Object, budget: int | None = None, **lists: Iterable[Object]) -> None:
        """`lists`: limitranges, resourcequotas, deployments; `budget`: what a PodDisruptionBudget allows."""
        self.pods = {each["metadata"]["name"]: copy.deepcopy(each) for each in pods}
        self.lists, self.budget = {name: list(each) for name, each in lists.items()}, budget
        self.asked: list[str] = []
        """'resize web-1 app cpu=100m', 'evict web-1'"""
        self.refused: list[str] = []
        self.away: set[str] = set()
        """Kinds, by plural name, that cannot be listed."""

    def typed_pods(self) -> list[Pod]:
        """Its pods, as the loop sees them."""
        return [msgspec.convert(raw, Pod) for raw in self.pods.values()]

    async def get(self, path: str, kind: type[Any]) -> Any:
        """Nobody asks but for a lease that is not there."""
        raise NotFound(404, "NotFound", path)

    async def list(self, path: str, kind: type[Model], *, params: object = None) -> Listing[Any]:
        """The objects of a kind."""
        plural = path.rsplit("/", 1)[1]
        if plural in self.away:
            raise Unreachable("no answer")
        return Listing([msgspec.convert(raw, kind) for raw in self.lists.get(plural, ())], "1")

    async def patch(self, path: str, body: Object, kind: type[Any], *, content: str) -> None:
        """A resize: requests and limits by container's name."""
        name = path.split("/")[-2]
        changed = copy.deepcopy(self.pods[name])
        for part, entries in body["spec"].items():
            for entry in entries:
                own = next(raw for raw in changed["spec"][part] if raw["name"] == entry["name"])
                for side, values in entry["resources"].items():
                    own["resources"].setdefault(side, {}).update(values)
                    said = " ".join(f"{key}={value}" for key, value in sorted(values.items()))
                    self.asked.append(f"resize {name} {entry['name']} {side} {said}")
        if wrong := resize_problem(self.pods[name], changed):
            self.refused.append(wrong)
            raise Forbidden(403, "Forbidden", wrong)
        changed["status"]["conditions"] = []
        changed["status"].pop("containerStatuses", None)
        self.pods[name] = changed

    async def create(self, path: str, body: Object, kind: type[Any]) -> None:
        """An eviction."""
        name = path.split("/")[-2]
        self.asked.append(f"evict {name}")
        if self.budget is not None and self.budget <= 0:
            raise TooManyRequests(429, "TooManyRequests", "it would violate the pod's disruption budget")
        del self.pods[name]


def resize_problem(before: Object, after: Object) -> str:
    """Why a real server would refuse the change: validation's rules of a resize; '' if it would not."""
    if qos(before) != qos(after):
        return "Pod QOS Class may not change as a result of resizing"
    for part in ("containers", "initContainers"):
        for old, new in zip(before["spec"][part], after["spec"][part], strict=True):
            requests, limits = new["resources"].get("requests", {}), new["resources"].get("limits", {})
            for side in ("requests", "limits"):
                if old["resources"].get(side, {}).keys() - new["resources"].get(side, {}).keys():
                    return f"{side} cannot be removed"
            if part == "initContainers" and new.get("restartPolicy") != "Always" and old != new:
                return "only sidecars among init containers can be resized"
            for name, amount in requests.items():
                if name in limits and Quantity.parse(amount) > Quantity.parse(limits[name]):
                    return f"{name} request of {new['name']} must be less than or equal to its limit"
    return ""


def qos(raw: Object) -> str:
    """The pod's QoS class."""
    every = [*raw["spec"]["containers"], *raw["spec"]["initContainers"]]
    asked = [(one["resources"].get("requests", {}), one["resources"].get("limits", {})) for one in every]
    if not any(requests or limits for requests, limits in asked):
        return "BestEffort"
    same = all(
        name in limits and Quantity.parse(requests.get(name, limits[name])) == Quantity.parse(limits[name])
        for requests, limits in asked
        for name in ("cpu", "memory")
    )
    return "Guaranteed" if same else "Burstable"


def limit_range(kind: str = "Container", name: str = "small", **bounds: str) -> Object:
    """A LimitRange of one entry: min='cpu=1', maxLimitRequestRatio='cpu=2'."""
    item = {"type": kind} | {bound: amounts(text) for bound, text in bounds.items()}
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"limits": [item]}}


def quota(hard: str, used: str, name: str = "compute", **spec: Any) -> Object:
    """A ResourceQuota: hard='requests.cpu=4', used='requests.cpu=3'."""
    status = {"hard": amounts(hard), "used": amounts(used)}
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": spec, "status": status}


def sibling(**labels: str) -> Object:
    """The Deployment of a release's new pods."""
    template = {"metadata": {"labels": labels}}
    return {"metadata": {"name": "web-r2", "namespace": "shop"}, "spec": {"template": template}}
