"""What each namespace allows its pods: LimitRanges and ResourceQuotas, as last read."""

from collections.abc import Mapping
from typing import Final, TypeVar

import structlog

from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.kube.resources import Resource
from adapter.once import Once
from recommender.objects import Pod
from recommender.updater.admissible import Namespace, quota_charges
from recommender.updater.facts import Wanted
from recommender.updater.objects import LIMIT_RANGES, RESOURCE_QUOTAS, LimitRange, ResourceQuota

Rule = TypeVar("Rule", LimitRange, ResourceQuota)
NONE: Final = Namespace()
log = structlog.get_logger(__name__)


class Namespaces:
    """Read once a loop, in two calls; where one fails, what was known before holds."""

    def __init__(self, client: Client, namespace: str = "") -> None:
        """`namespace`: the only one that is looked at; '' for all."""
        self._client, self._namespace = client, namespace
        self._ranges: Mapping[str, list[LimitRange]] = {}
        self._quotas: Mapping[str, list[ResourceQuota]] = {}
        self._taken: dict[str, Mapping[str, int]] = {}
        self._unread = Once(again=None)

    async def read(self) -> None:
        """Reads the LimitRanges and ResourceQuotas of the one namespace, or of all."""
        ranges = await self._list(LIMIT_RANGES, LimitRange)
        quotas = await self._list(RESOURCE_QUOTAS, ResourceQuota)
        if ranges is not None:
            self._ranges = ranges
        if quotas is not None:
            self._quotas, self._taken = quotas, {}

    def of(self, namespace: str) -> Namespace:
        """The namespace's LimitRanges and ResourceQuotas, and what was asked of these since they were read."""
        ranges, quotas = self._ranges.get(namespace, ()), self._quotas.get(namespace, ())
        return Namespace(ranges, quotas, self._taken.get(namespace, {})) if ranges or quotas else NONE

    def take(self, pod: Pod, wanted: Mapping[str, Wanted]) -> None:
        """These changes of the pod are asked for: what they add is no longer free, until the quotas are read again."""
        namespace = pod.metadata.namespace
        self._taken[namespace] = quota_charges(pod, wanted, self.of(namespace))

    async def _list(self, resource: Resource, kind: type[Rule]) -> dict[str, list[Rule]] | None:
        try:
            rules = (await self._client.list(resource.path(self._namespace), kind)).items
        except KubeError as error:
            if self._unread.first(resource, str(error)):
                log.warning("not read: what namespaces allow is not known", what=resource.plural, cause=str(error))
            return None
        self._unread.over(resource)
        by_namespace: dict[str, list[Rule]] = {}
        for one in rules:
            by_namespace.setdefault(one.metadata.namespace, []).append(one)
        return by_namespace
