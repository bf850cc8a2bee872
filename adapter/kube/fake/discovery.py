"""The fake API server's discovery documents, in both forms. Pure."""

from collections.abc import Sequence

from adapter.kube.fake.api import Refusal
from adapter.kube.fake.store import Object
from adapter.kube.resources import ApiResource


def discovery(path: str, resources: Sequence[ApiResource], broken: set[str], accept: str) -> Object | None:
    """The document at `path`, or None where it is none of discovery's. `broken` groups do not tell their resources."""
    parts = [part for part in path.split("/") if part]
    known = [(one.group, one.version) for one in resources]
    offers = list(dict.fromkeys(known))
    if parts in (["api"], ["apis"]):
        here = [offer for offer in offers if bool(offer[0]) == (parts == ["apis"])]
        if "as=APIGroupDiscoveryList" in accept:
            return _group_discovery_list(here, resources, broken)
        return _versions(here) if parts == ["api"] else _groups(here)
    if len(parts) == (2 if parts[:1] == ["api"] else 3) and parts[0] in {"api", "apis"}:
        group = parts[1] if parts[0] == "apis" else ""
        if group in broken:
            raise Refusal(503, "ServiceUnavailable", "the server is currently unable to handle the request")
        return _resources(group, parts[-1], resources)
    return None


def _versions(offers: list[tuple[str, str]]) -> Object:
    return {"kind": "APIVersions", "versions": [version for _, version in offers]}


def _groups(offers: list[tuple[str, str]]) -> Object:
    groups: dict[str, list[Object]] = {}
    for group, version in offers:
        groups.setdefault(group, []).append({"groupVersion": f"{group}/{version}", "version": version})
    told = [{"name": name, "versions": versions, "preferredVersion": versions[0]} for name, versions in groups.items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": told}


def _resources(group: str, version: str, resources: Sequence[ApiResource]) -> Object:
    told = [
        {"name": one.plural, "singularName": one.singular, "namespaced": one.namespaced, "kind": one.kind}
        for one in resources
        if (one.group, one.version) == (group, version)
    ]
    told += [{**one, "name": f"{one['name']}/status", "singularName": ""} for one in told]
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": told}


def _group_discovery_list(offers: list[tuple[str, str]], resources: Sequence[ApiResource], broken: set[str]) -> Object:
    groups: dict[str, list[Object]] = {}
    for group, version in offers:
        told = [_resource_discovery(one) for one in resources if (one.group, one.version) == (group, version)]
        stale: Object = {"version": version, "freshness": "Stale"}
        current: Object = {"version": version, "freshness": "Current", "resources": told}
        groups.setdefault(group, []).append(stale if group in broken else current)
    items = [{"metadata": {"name": name, "creationTimestamp": None}, "versions": told} for name, told in groups.items()]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _resource_discovery(one: ApiResource) -> Object:
    return {
        "resource": one.plural,
        "responseKind": {"group": one.group, "version": one.version, "kind": one.kind},
        "scope": "Namespaced" if one.namespaced else "Cluster",
        "singularResource": one.singular,
        "verbs": ["get", "list", "watch"],
    }
