"""Workloads under release by `streamgate-rollout`: their pods are left alone until it has ended.

A release compares old pods with new ones and moves traffic between them; a resize or an eviction in its midst would
change what it measures, or take away pods that it counts on. It is known by its sibling Deployment, which carries the
label `streamgate.io/release` from the start of the new pods to the moment at which they become the Deployment's own.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.kube.objects import Model, ObjectMeta
from adapter.kube.resources import Resource
from adapter.once import Once
from recommender.model.cluster import TrackedVpa

DEPLOYMENTS: Final = Resource("apps", "v1", "deployments")
SIBLINGS: Final = "streamgate.io/release"
"""The label of siblings, whatever its value."""
log = structlog.get_logger(__name__)


class PodTemplate(Model, frozen=True):
    """What of a template is read."""

    metadata: ObjectMeta = ObjectMeta()


class SiblingSpec(Model, frozen=True):
    """apps/v1 DeploymentSpec."""

    template: PodTemplate = PodTemplate()


class Sibling(Model, frozen=True):
    """apps/v1 Deployment: the pods of a release."""

    metadata: ObjectMeta = ObjectMeta()
    spec: SiblingSpec = SiblingSpec()


class Releases:
    """The releases under way, as last read."""

    def __init__(self, client: Client, namespace: str = "") -> None:
        """`namespace`: the only one that is looked at; '' for all."""
        self._client, self._namespace = client, namespace
        self._labels: Mapping[str, Sequence[Mapping[str, str]]] = {}
        self._unread, self._waiting = Once(again=None), Once(again=None)

    async def read(self) -> None:
        """Reads the releases in one call; where that fails, what was known before holds."""
        path, params = DEPLOYMENTS.path(self._namespace), {"labelSelector": SIBLINGS}
        try:
            siblings = (await self._client.list(path, Sibling, params=params)).items
        except KubeError as error:
            if self._unread.first(DEPLOYMENTS, str(error)):
                log.warning("releases not read: pods may be changed in the midst of one", cause=str(error))
            return
        self._unread.over(DEPLOYMENTS)
        labels: dict[str, list[Mapping[str, str]]] = {}
        for one in siblings:
            labels.setdefault(one.metadata.namespace, []).append(one.spec.template.metadata.labels)
        self._labels = labels

    def holds(self, tracked: TrackedVpa) -> bool:
        """Whether the VPA's pods are under release; said once in the log, and when it is over, told anew next time."""
        namespace, name = tracked.vpa.key
        selector = tracked.selector
        held = selector is not None and any(selector.matches(one) for one in self._labels.get(namespace, ()))
        if not held:
            self._waiting.over(tracked.vpa.key)
        elif self._waiting.first(tracked.vpa.key, ""):
            log.info("pods left alone: they are under release", vpa=f"{namespace}/{name}")
        return held
