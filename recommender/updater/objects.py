"""Typed views of what a namespace allows its pods: LimitRanges and ResourceQuotas (v1)."""

# ruff: noqa: RUF012 - msgspec makes a fresh one of an empty default for every object

from typing import Final

from adapter.kube.objects import Model, ObjectMeta
from adapter.kube.resources import Resource

LIMIT_RANGES: Final = Resource("", "v1", "limitranges")
RESOURCE_QUOTAS: Final = Resource("", "v1", "resourcequotas")
Amounts = dict[str, str]
"""resource -> quantity as text"""


class LimitRangeItem(Model, frozen=True):
    """What one entry allows; `type` is Container, Pod or PersistentVolumeClaim."""

    type: str = ""
    min: Amounts = {}
    max: Amounts = {}
    default: Amounts = {}
    default_request: Amounts = {}
    max_limit_request_ratio: Amounts = {}


class LimitRangeSpec(Model, frozen=True):
    """v1 LimitRangeSpec."""

    limits: tuple[LimitRangeItem, ...] = ()


class LimitRange(Model, frozen=True):
    """v1 LimitRange: all of a namespace hold together."""

    metadata: ObjectMeta = ObjectMeta()
    spec: LimitRangeSpec = LimitRangeSpec()


class ScopeRequirement(Model, frozen=True):
    """v1 ScopedResourceSelectorRequirement: which pods a quota counts."""

    scope_name: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class ScopeSelector(Model, frozen=True):
    """v1 ScopeSelector: all of them hold."""

    match_expressions: tuple[ScopeRequirement, ...] = ()


class ResourceQuotaSpec(Model, frozen=True):
    """v1 ResourceQuotaSpec; what is allowed is read of the status, as the server does."""

    scopes: tuple[str, ...] = ()
    scope_selector: ScopeSelector | None = None


class ResourceQuotaStatus(Model, frozen=True):
    """v1 ResourceQuotaStatus."""

    hard: Amounts = {}
    used: Amounts = {}


class ResourceQuota(Model, frozen=True):
    """v1 ResourceQuota: all of a namespace hold together."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ResourceQuotaSpec = ResourceQuotaSpec()
    status: ResourceQuotaStatus = ResourceQuotaStatus()
