"""`plan POLICY`: the exact writes of the release that is under way, or of the next one, to its end; none is made."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from adapter.kube.client import JSON_PATCH, Client
from adapter.program import tables
from adapter.program.flags import setting
from adapter.rollout.act import options, verb
from adapter.rollout.cli import cluster, files
from adapter.rollout.cli.settings import ShownPolicy, flags
from adapter.rollout.foresee.walk import Note, Write, walk
from adapter.rollout.model.actions import Create, Patch
from adapter.rollout.model.observation import Json
from adapter.rollout.observe import Reader
from adapter.units.manifest import ManifestError, mappings

ABOUT = """Show every write of a release to its end, if all gates pass and all pods become ready: method, path, body and
why; nothing is written. Of the release under way, else of the template that waits, else as if the present one were
restarted. What only the API server gives (uids, versions, hashes) stands in angle brackets."""


@dataclass(frozen=True)
class Plan(ShownPolicy):
    """What `plan` takes."""

    filename: str = setting("filename", "", "YAML with the Deployment whose template is the next one", short="f")


def run(given: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    told = flags("plan", ABOUT, Plan).parse(given).settings

    async def work(client: Client, namespace: str) -> None:
        policy, raw = await cluster.policy_of(client, namespace, told.policy)
        template = template_of(told.filename, policy.spec.target_ref.name) if told.filename else None
        entries = list(walk(policy, await Reader(client).observe(policy, raw), time.time(), template))
        if told.output == "json":
            writes = [as_json(one, namespace) for one in entries if isinstance(one, Write)]
            tables.lines([msgspec.json.encode(writes).decode()])
            for one in entries:
                if isinstance(one, Note):
                    tables.say(f"after {one.after:.0f} s, phase {one.phase}: {one.text}")
        else:
            tables.lines([f"phase {policy.status.phase}: {policy.status.message}", *lines(entries, namespace)])

    cluster.with_client(told, work)
    return 0


def template_of(path: str, name: str) -> Json:
    """The template of the Deployment in a file. Raises VerbError."""
    try:
        objects = mappings(files.read_bytes(path), path)
    except ManifestError as error:
        raise files.VerbError(str(error)) from None
    for each in objects:
        spec, metadata = each.get("spec"), each.get("metadata")
        named = isinstance(metadata, dict) and metadata.get("name") == name
        if each.get("kind") == "Deployment" and named and isinstance(spec, dict):
            template = spec.get("template")
            if isinstance(template, dict):
                return template
    right = "right would be the one that the policy's targetRef names"
    raise files.VerbError(f"{path}: there is no Deployment {name} with a template in it; {right}")


def lines(entries: Sequence[Write | Note], namespace: str) -> Iterator[str]:
    """A line and the body for each write, a line for each note."""
    for one in entries:
        if isinstance(one, Note):
            yield f"{one.after:6.0f} s  {one.phase}: {one.text}"
            continue
        write = as_json(one, namespace)
        yield f"{one.after:6.0f} s  {one.phase}  {write['method']} {write['path']}: {write['why']}"
        yield f"          {msgspec.json.encode(write['body']).decode()}"


def as_json(write: Write, namespace: str) -> dict[str, Any]:
    """A write as JSON: what is sent, and why."""
    action = write.action
    body: Any
    if isinstance(action, Patch):
        method, name, body = "PATCH", action.name, list(action.operations)
    elif isinstance(action, Create):
        method, name, body = "POST", "", action.body
    else:
        method, name, body = "DELETE", action.name, options(action)
    content = JSON_PATCH if method == "PATCH" else "application/json"
    return {
        "phase": write.phase.value,
        "after_seconds": round(write.after, 3),
        "method": method,
        "path": action.resource.path(namespace, name),
        "content_type": content,
        "write": verb(action),
        "name": action.name,
        "why": action.why,
        "body": body,
    }
