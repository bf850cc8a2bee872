"""Everything that is the same for all who may ask: discovery, OpenAPI, paths, version."""

import hashlib
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aiohttp import web

from adapter.collect.answer import Answers
from adapter.serve import openapi
from adapter.serve.authenticate import User
from adapter.serve.discovery import VERSIONS, Discovery, etag
from adapter.serve.encode import response, to_bytes, to_json
from adapter.serve.negotiate import AS_IS, DISCOVERY, MEDIA_TYPES, Choice, Media, Transform, accepts, negotiate
from adapter.serve.requestinfo import RequestInfo, truthy
from adapter.serve.status import method_not_allowed, no_such_path, not_acceptable
from adapter.serve.wire import Object
from adapter.serve.wire_discovery import RootPaths, VersionInfo

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class Exchange(NamedTuple):
    """A request on its way through."""

    request: web.BaseRequest
    info: RequestInfo
    user: User

    @property
    def accept(self) -> str:
        return ", ".join(self.request.headers.getall("Accept", ()))


class Documents:
    """Answers for discovery, OpenAPI, `/` and `/version`."""

    def __init__(self, answers: Answers, release: str) -> None:
        self._discovery = Discovery(answers)
        self._release = release
        self._kept: dict[str, tuple[bytes, str]] = {}

    def discover(self, exchange: Exchange, rest: Sequence[str]) -> web.Response:
        """`/apis` and what is below it down to the resource lists; `rest` is the path after /apis."""
        only_get(exchange.info)
        choice = agree(exchange, () if rest else DISCOVERY)
        message: Object
        match rest:
            case [] if choice.transform != AS_IS:
                return self._aggregated_response(exchange, choice)
            case []:
                message = self._discovery.group_list()
            case [group] if group in self._discovery.groups:
                message = self._discovery.group(group)
            case [group, version] if self.serves(group, version):
                message = self._discovery.resources(group, version)
            case _:
                raise no_such_path()
        return response(to_bytes(message, choice), choice.media.value)

    def _aggregated_response(self, exchange: Exchange, choice: Choice) -> web.Response:
        version = choice.transform.version
        body = to_bytes(self._discovery.group_discovery_list(version), choice)
        kind = f"{choice.media.value};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
        return _document(exchange, body, kind, {"Vary": "Accept"})

    def openapi(self, exchange: Exchange, rest: Sequence[str]) -> web.Response:
        """`/openapi/…`, as JSON only; `rest` is the path after /openapi."""
        only_get(exchange.info)
        if not accepts(exchange.accept, Media.JSON.value):
            raise not_acceptable([Media.JSON.value])
        match rest:
            case ["v2"]:
                body, _ = self._build_once("v2", lambda: openapi.v2(self._discovery.groups, self._release))
            case ["v3"]:
                body, _ = self._build_once("v3", self._openapi_index)
            case ["v3", "apis", group, version] if self.serves(group, version):
                body, _ = self._openapi_v3(group, version)
            case _:
                raise no_such_path()
        return _document(exchange, body, Media.JSON.value, {"Vary": "Accept, Accept-Encoding"})

    def _openapi_index(self) -> Mapping[str, Any]:
        paths = {}
        for group in self._discovery.groups:
            for version in VERSIONS[group]:
                path = f"apis/{group}/{version}"
                _, digest = self._openapi_v3(group, version)
                paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
        return {"paths": paths}

    def _openapi_v3(self, group: str, version: str) -> tuple[bytes, str]:
        return self._build_once(f"{group}/{version}", lambda: openapi.v3(group, version, self._release))

    def _build_once(self, name: str, build: Callable[[], Any]) -> tuple[bytes, str]:
        """A document that never changes while we run, and its digest."""
        if name not in self._kept:
            body = to_json(build())
            self._kept[name] = body, hashlib.sha256(body).hexdigest().upper()
        return self._kept[name]

    def serves(self, group: str, version: str) -> bool:
        """Whether the group is served in that version."""
        return group in self._discovery.groups and version in VERSIONS[group]

    def paths(self, exchange: Exchange, checks: Mapping[str, Sequence[str]]) -> web.Response:
        """`/`: all paths there are; `checks` are the names of the health checks by endpoint."""
        groups = self._discovery.groups
        paths = ["/apis", "/explain", "/metrics", "/openapi/v2", "/openapi/v3", "/version"]
        paths += [f"/apis/{group}" for group in groups]
        paths += [f"/apis/{group}/{version}" for group in groups for version in VERSIONS[group]]
        for endpoint, names in checks.items():
            paths += [f"/{endpoint}", *(f"/{endpoint}/{name}" for name in names)]
        return _plain(exchange, RootPaths(sorted(paths)))

    def version(self, exchange: Exchange) -> web.Response:
        """`/version`."""
        return _plain(exchange, _version(self._release))


def only_get(info: RequestInfo) -> None:
    """Raises StatusError (405) for anything but GET."""
    if info.method != "GET":
        raise method_not_allowed("the server does not allow this method on the requested resource")


def agree(exchange: Exchange, transforms: tuple[Transform, ...]) -> Choice:
    """The form of the answer. Raises StatusError (406)."""
    choice = negotiate(exchange.accept, transforms)
    if choice is None:
        raise not_acceptable(MEDIA_TYPES)
    return choice._replace(pretty=True) if truthy(exchange.info, "pretty") else choice


def _plain(exchange: Exchange, message: object) -> web.Response:
    only_get(exchange.info)
    return response(to_json(message, pretty=True), Media.JSON.value)


def _document(exchange: Exchange, body: bytes, content_type: str, headers: Mapping[str, str]) -> web.Response:
    """A document with an ETag, or 304 where the client has it already."""
    tag = etag(body)
    known = exchange.request.headers.get("If-None-Match", "")
    if known.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in known.split(",")):
        return response(b"", content_type, 304, {"ETag": tag, **headers})
    return response(body, content_type, 200, {"ETag": tag, **headers})


def _version(release: str) -> VersionInfo:
    major, minor, *_ = (*release.split("."), "0", "0")
    machine = platform.machine()
    return VersionInfo(
        major,
        minor,
        f"v{release}",
        compiler=f"{platform.python_implementation()} {platform.python_version()}",
        platform=f"{sys.platform}/{_MACHINES.get(machine, machine)}",
    )
