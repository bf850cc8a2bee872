"""What the fake API server does with a request: reads, writes, scale, reviews. Answers are plain JSON objects."""

import bisect
import copy
import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from aiohttp import web

from adapter.kube.fake import store
from adapter.kube.fake.store import Collection, Matcher, Object
from adapter.kube.jsonpatch import json_patch
from adapter.units.requirement import key_problem, value_problem
from adapter.units.selector import SelectorError

SCALED = {"deployments", "replicasets", "statefulsets", "replicationcontrollers"}
"""What has a scale subresource without being asked."""

IDENTITY = ("name", "namespace", "uid", "creationTimestamp")
"""What no write changes."""


class Target(NamedTuple):
    """What a request is about."""

    group: str
    version: str
    namespace: str
    plural: str
    name: str
    subresource: str

    @property
    def api_version(self) -> str:
        """As objects write it."""
        return f"{self.group}/{self.version}" if self.group else self.version


class Refusal(Exception):  # noqa: N818 - it is what the server says
    """An answer with a metav1.Status."""

    def __init__(self, code: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.headers = headers or {}

    def status(self) -> Object:
        """The body."""
        kind = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        return {**kind, "message": str(self), "reason": self.reason, "code": self.code}


EXPIRED = Refusal(410, "Expired", "too old resource version")


def target_of(path: str) -> Target | None:
    """What `path` names; None where it is no resource."""
    parts = [part for part in path.split("/") if part]
    if not parts or parts[0] not in {"api", "apis"}:
        return None
    group = parts.pop(1) if parts[0] == "apis" and len(parts) > 1 else ""
    version, rest, namespace = parts[1] if len(parts) > 1 else "", parts[2:], ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    if not rest or len(rest) > 3:
        return None
    plural, name, subresource = (*rest, "", "")[:3]
    return Target(group=group, version=version, namespace=namespace, plural=plural, name=name, subresource=subresource)


def matcher(request: web.Request, target: Target) -> Matcher:
    """Whether an object is in what was asked for."""
    try:
        by_label = store.label_matcher(request.query.get("labelSelector", ""))
    except SelectorError as error:
        raise Refusal(400, "BadRequest", str(error)) from error
    by_field = store.field_matcher(request.query.get("fieldSelector", ""))

    def matches(item: Object) -> bool:
        here = not target.namespace or item["metadata"].get("namespace") == target.namespace
        named = not target.name or item["metadata"]["name"] == target.name
        return here and named and by_label(item) and by_field(item)

    return matches


def represent(request: web.Request, item: Object) -> Object:
    """The object as the Accept header asks for it: whole, or its metadata alone."""
    if "as=PartialObjectMetadata" not in request.headers.get("Accept", ""):
        return item
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def list_page(request: web.Request, target: Target, collection: Collection, version: int) -> Object:
    """A list, or one page of it. A token holds the list's version and the last key of the page before."""
    matches = matcher(request, target)
    after: tuple[str, ...] = ()
    if token := request.query.get("continue"):
        asked, *after_parts = token.split("|")
        version, after = int(asked), tuple(after_parts)
        if version < collection.compacted:
            raise EXPIRED
    limit = int(request.query.get("limit", "0")) or len(collection.objects) + 1
    keys = collection.keys()
    rest = (key for key in keys[bisect.bisect_right(keys, after) :] if matches(collection.objects[key]))
    page = list(itertools.islice(rest, limit))
    meta: Object = {"resourceVersion": str(version)}
    if next(rest, None):
        meta["continue"] = "|".join((str(version), *page[-1]))
    items = [represent(request, collection.objects[key]) for key in page]
    return {"kind": "List", "apiVersion": target.api_version, "metadata": meta, "items": items}


async def answer_call(request: web.Request, target: Target, collection: Collection) -> Object:
    """Answer a call about one object, its scale or its status: create, read, write or delete it."""
    if request.method == "POST":
        return _create(target, collection, await request.json())
    held = collection.objects.get((target.namespace, target.name))
    if held is None:
        raise Refusal(404, "NotFound", f'{target.plural} "{target.name}" not found')
    if request.method == "DELETE":
        return _delete(collection, held, await request.json() if request.can_read_body else {})
    scaled = target.subresource == "scale"
    if scaled and target.plural not in SCALED and "replicas" not in held.get("spec", {}):
        raise Refusal(404, "NotFound", "the server could not find the requested resource")
    before = scale_of(held) if scaled else held
    if request.method == "GET":
        return represent(request, before)
    after = await _apply_body(request, before)
    _guard(target, held, after)
    if scaled:
        replicas = after.get("spec", {}).get("replicas", 0)
        after = store.merge_patch(held, {"spec": {"replicas": replicas}})
    elif target.subresource == "status":
        after = {**held, "status": after.get("status", {})}
    kept = {key: held["metadata"][key] for key in IDENTITY if key in held["metadata"]}
    stored = collection.put(copy.deepcopy({**after, "metadata": {**after.get("metadata", {}), **kept}}))
    if stored["metadata"].get("deletionTimestamp") and not stored["metadata"].get("finalizers"):
        collection.remove(target.namespace, target.name)
    return scale_of(stored) if scaled else stored


def _delete(collection: Collection, held: Object, options: Object) -> Object:
    """A deletion: preconditions first; finalizers put it off, and so does orphaning, which is a collector's work."""
    meta = held["metadata"]
    for key, value in (options.get("preconditions") or {}).items():
        if meta[key] != value:
            raise Refusal(409, "Conflict", f"precondition failed: {key} is {meta[key]}, not {value}")
    waits = [*(meta.get("finalizers") or ()), *(["orphan"] if options.get("propagationPolicy") == "Orphan" else [])]
    if waits:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        marked = {**meta, "deletionTimestamp": meta.get("deletionTimestamp", now), "finalizers": waits}
        return collection.put(copy.deepcopy({**held, "metadata": marked}))
    collection.remove(meta.get("namespace", ""), meta["name"])
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


def _create(target: Target, collection: Collection, item: Object) -> Object:
    meta = item.setdefault("metadata", {})
    if target.namespace:
        meta["namespace"] = target.namespace
    if (meta.get("namespace", ""), meta["name"]) in collection.objects:
        raise Refusal(409, "AlreadyExists", f'{target.plural} "{meta["name"]}" already exists')
    return collection.put({"apiVersion": target.api_version, **item})


async def _apply_body(request: web.Request, held: Object) -> Object:
    body = await request.json()
    if request.method == "PUT":
        return dict(body)
    if request.method != "PATCH":
        raise Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    if request.content_type != "application/json-patch+json":
        return dict(store.merge_patch(held, body))
    try:
        return json_patch(held, body)
    except (ValueError, KeyError, IndexError) as error:
        raise Refusal(422, "Invalid", f"the patch does not apply: {error}") from error


def _guard(target: Target, held: Object, after: Object) -> None:
    """Optimistic locking: a version that is given must be the one that is held."""
    version = after.get("metadata", {}).get("resourceVersion")
    if version and version != held["metadata"]["resourceVersion"]:
        message = f'Operation cannot be fulfilled on {target.plural} "{target.name}": the object has been modified'
        raise Refusal(409, "Conflict", message)


def scale_of(item: Object) -> Object:
    """The scale subresource of an object with spec.replicas and spec.selector."""
    spec, status, meta = item.get("spec", {}), item.get("status", {}), item["metadata"]
    wanted = spec.get("selector") or {}
    labels = wanted.get("matchLabels", wanted)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion") if key in meta},
        "spec": {"replicas": spec.get("replicas", 1)},
        "status": {
            "replicas": status.get("replicas", spec.get("replicas", 1)),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }


def _review_problem(asked: Object) -> str:
    """What keeps the selectors of resourceAttributes from being reviewed; '' where nothing does."""
    for requirement in (asked.get("labelSelector") or {}).get("requirements", ()):
        problems = [key_problem(requirement["key"]), *map(value_problem, requirement.get("values", ()))]
        if problem := next(filter(None, problems), ""):
            return f"labelSelector.requirements: {requirement['key']!r}: {problem}"
    fields = (asked.get("fieldSelector") or {}).get("requirements", ())
    return "" if all(requirement["key"] for requirement in fields) else "fieldSelector.requirements: key: is missing"


def access_review(review: Object, authorize: Callable[[Object], bool]) -> Object:
    """A SubjectAccessReview with its verdict. Raises Refusal (422), as pkg/apis/authorization/validation does."""
    if problem := _review_problem(review["spec"].get("resourceAttributes") or {}):
        raise Refusal(422, "Invalid", problem)
    allowed = authorize(review["spec"])
    return {**review, "status": {"allowed": allowed, "reason": "" if allowed else "no rule of the fake allows it"}}


def token_review(review: Object, tokens: Mapping[str, Object]) -> Object:
    """A TokenReview with its verdict."""
    user = tokens.get(review["spec"]["token"])
    status = {"authenticated": True, "user": user} if user else {"authenticated": False, "error": "unknown token"}
    return {**review, "status": status}
