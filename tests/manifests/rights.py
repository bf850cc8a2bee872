"""Rights: what roles grant, and what requests ask for, as (API group, resource, verb)."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.manifests.conftest import Build


def granted_rights(build: Build) -> set[tuple[str, str, str]]:
    """(API group, resource, verb) of all roles."""
    return of_roles(build.of("ClusterRole", "Role"))


def of_roles(roles: Iterable[Mapping[str, Any]]) -> set[tuple[str, str, str]]:
    """(API group, resource, verb) of some roles."""
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def requested_rights(requests: Iterable[tuple[str, str]]) -> set[tuple[str, str, str]]:
    """(API group, resource, verb) of requests as FakeCluster notes them; /scale of any kind is one resource."""
    return {classify_request(method, *urlsplit(target)[2:4]) for method, target in requests}


def classify_request(method: str, path: str, query: str) -> tuple[str, str, str]:
    first, *parts = path.strip("/").split("/")
    group = "" if first == "api" else parts.pop(0)
    _version, *parts = parts
    if parts[0] == "namespaces" and len(parts) > 2:
        parts = parts[2:]
    resource = "/".join([parts[0], *parts[2:]])
    reading = "watch" if "watch" in parse_qs(query) else "get" if len(parts) > 1 else "list"
    verb = {"GET": reading, "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]
    return ("*", "*/scale", verb) if resource.endswith("/scale") else (group, resource, verb)
