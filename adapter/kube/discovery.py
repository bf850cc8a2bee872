"""Which resources the API server has, and how they are called in singular and plural."""

import asyncio
from collections.abc import Iterator

import structlog

from adapter.kube.client import JSON, Client
from adapter.kube.errors import KubeError, NotFound
from adapter.kube.objects import Model, ObjectMeta
from adapter.kube.resources import ApiResource, segment

log = structlog.get_logger(__name__)

AGGREGATED = f"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,{JSON}"
TIMEOUT = 10.0
"""Seconds for one call: an aggregated API that hangs must not hold up the others."""
AT_ONCE = 8


async def api_resources(client: Client) -> list[ApiResource]:
    """Every resource of every group: the core group first, the preferred version of each group first.

    A group that cannot tell (an aggregated API that is down, perhaps our own) is left out and logged. Raises KubeError
    where the server itself does not answer.
    """
    resources: list[ApiResource] = []
    for root in ("/api", "/apis"):
        answer = await client.get(root, _Answer, accept=AGGREGATED, timeout=TIMEOUT)
        if answer.kind == "APIGroupDiscoveryList":
            resources += [resource for group in answer.items for resource in _of_group(group)]
        else:
            resources += await _legacy(client, answer)
    return resources


class _Kind(Model, frozen=True):
    kind: str = ""


class _Resource(Model, frozen=True):
    """A resource as either form of discovery writes it."""

    name: str = ""
    resource: str = ""
    singular_name: str = ""
    singular_resource: str = ""
    kind: str = ""
    response_kind: _Kind = _Kind()
    namespaced: bool = False
    scope: str = ""


class _Version(Model, frozen=True):
    """A version of a group as either form writes it."""

    version: str = ""
    group_version: str = ""
    freshness: str = ""
    resources: tuple[_Resource, ...] = ()


class _Group(Model, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    name: str = ""
    versions: tuple[_Version, ...] = ()
    preferred_version: _Version = _Version()


class _Answer(Model, frozen=True):
    """APIGroupDiscoveryList (apidiscovery.k8s.io/v2), APIGroupList or APIVersions, by `kind`."""

    kind: str = ""
    items: tuple[_Group, ...] = ()
    groups: tuple[_Group, ...] = ()
    versions: tuple[str, ...] = ()


class _ResourceList(Model, frozen=True):
    resources: tuple[_Resource, ...] = ()


def _of_group(group: _Group) -> Iterator[ApiResource]:
    """The resources of an aggregated group; its versions come in the order of preference."""
    for version in group.versions:
        if version.freshness == "Stale":
            log.warning("discovery is stale", group=group.metadata.name, version=version.version)
        for told in version.resources:
            yield ApiResource(
                group=group.metadata.name,
                version=version.version,
                plural=told.resource,
                singular=told.singular_resource,
                kind=told.response_kind.kind,
                namespaced=told.scope == "Namespaced",
            )


async def _legacy(client: Client, answer: _Answer) -> list[ApiResource]:
    """One call per group and version, a few at once."""
    turns = asyncio.Semaphore(AT_ONCE)
    names = [("", version) for version in answer.versions]
    names += [(group.name, version) for group in answer.groups for version in _versions_by_preference(group)]
    per_version = await asyncio.gather(*(_of_version(client, turns, group, version) for group, version in names))
    return [resource for resources in per_version for resource in resources]


def _versions_by_preference(group: _Group) -> list[str]:
    versions = [version.version for version in group.versions]
    return sorted(versions, key=lambda version: version != group.preferred_version.version)


async def _of_version(client: Client, turns: asyncio.Semaphore, group: str, version: str) -> list[ApiResource]:
    path = f"/apis/{segment(group)}/{segment(version)}" if group else f"/api/{segment(version)}"
    try:
        async with turns:
            told = await client.get(path, _ResourceList, timeout=TIMEOUT)
    except NotFound:
        return []  # a group that came and went
    except KubeError as error:
        log.warning("discovery left out a group", group=group, version=version, cause=str(error))
        return []
    return [
        ApiResource(
            group=group,
            version=version,
            plural=one.name,
            singular=one.singular_name,
            kind=one.kind,
            namespaced=one.namespaced,
        )
        for one in told.resources
        if "/" not in one.name
    ]
