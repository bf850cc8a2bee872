"""From a VPA's targetRef to the selector of its pods."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from adapter.kube.autoscaling import CrossVersionObjectReference
from adapter.kube.client import Client
from adapter.kube.errors import KubeError, NotFound
from adapter.kube.known import CONTROLLERS
from adapter.kube.resources import Resource
from adapter.units.selector import Selector, SelectorError
from recommender.objects import Vpa

FRESH: Final = 600.0
"""s for which a selector is believed; one that could not be had is asked for again in the next loop."""


class Found(NamedTuple):
    """A selector, or why there is none."""

    selector: Selector | None
    problem: str
    replicas: int = 0
    """Pods that the target asks for; 0: it does not say"""
    is_outage: bool = False
    """Whether the problem is the API server's, and says nothing about the target"""


class Targets:
    """Selectors by VPA, remembered for ten minutes; a target that cannot be reached for a while keeps its selector."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[tuple[str, CrossVersionObjectReference], tuple[float, Found]] = {}

    def forget(self, vpas: list[Vpa]) -> None:
        """Keeps only what these VPAs need."""
        needed = {(vpa.metadata.namespace, vpa.spec.target_ref) for vpa in vpas if vpa.spec.target_ref}
        self._known = {key: known for key, known in self._known.items() if key in needed}

    async def find(self, vpa: Vpa, now: float) -> Found:
        """The selector of a VPA's pods."""
        target = vpa.spec.target_ref
        if target is None or not target.name:
            return Found(None, "spec.targetRef is empty; the controller of the pods is wanted")
        key = vpa.metadata.namespace, target
        at, before = self._known.get(key, (0.0, Found(None, "")))
        if before.selector is not None and now - at < FRESH:
            return before
        answer = await self._ask(vpa.metadata.namespace, target)
        if answer.is_outage and (before.selector is not None or before.problem):
            return before  # what was known still holds
        self._known[key] = now, answer
        return answer

    async def _ask(self, namespace: str, target: CrossVersionObjectReference) -> Found:
        try:
            made, replicas = await self._selector(namespace, target)
        except NotFound:
            return Found(None, f"{target.kind} {namespace}/{target.name} does not exist")
        except KubeError as error:
            return Found(None, str(error), is_outage=True)
        except (SelectorError, ValueError) as error:
            return Found(None, f"{target.kind} {namespace}/{target.name}: {error}")
        if made is None or made.empty:
            return Found(None, f"{target.kind} {namespace}/{target.name} has no selector of pods")
        return Found(made, "", replicas)

    async def _selector(self, namespace: str, target: CrossVersionObjectReference) -> tuple[Selector | None, int]:
        group, _, version = target.api_version.rpartition("/")
        known = CONTROLLERS.get(target.kind)
        resource = Resource(group, version or "v1", known.plural if known else f"{target.kind.lower()}s")
        if known is None:  # others are asked for their /scale
            scale = await self._client.get(resource.path(namespace, target.name, "scale"), dict)
            text = (scale.get("status") or {}).get("selector") or ""
            return Selector.parse(text) if text else None, _replicas(scale)
        workload = await self._client.get(resource.path(namespace, target.name), dict)
        _check_topmost(workload.get("metadata") or {})
        return _of_object(target.kind, workload.get("spec") or {}), _replicas(workload)


def _check_topmost(meta: Mapping[str, Any]) -> None:
    """Raises ValueError for a target that a well-known controller has made: VPA's rule, its pods are that one's."""
    for owner in meta.get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") in CONTROLLERS:
            raise ValueError(f"it is made by {owner['kind']} {owner.get('name')}, which spec.targetRef should name")


def _of_object(kind: str, spec: Mapping[str, Any]) -> Selector | None:
    """The selector as each kind holds it; a CronJob's pods are known by their template's labels."""
    if kind == "CronJob":
        template = ((spec.get("jobTemplate") or {}).get("spec") or {}).get("template") or {}
        labels = (template.get("metadata") or {}).get("labels") or {}
        return Selector.from_object({"matchLabels": labels}) if labels else None
    selector = spec.get("selector") or {}
    if kind == "ReplicationController":
        selector = {"matchLabels": selector}
    return Selector.from_object(selector) if selector else None


def _replicas(workload: Mapping[str, Any]) -> int:
    """How many replicas a Deployment or the like asks for, or how many nodes a DaemonSet is for."""
    asked = (workload.get("spec") or {}).get("replicas")
    return int(asked if asked is not None else (workload.get("status") or {}).get("desiredNumberScheduled") or 0)
