"""Names of what a release adds."""

import re
from typing import Final

from adapter.rollout.decide.context import MARK
from adapter.rollout.model.actions import CONTROLLER_REVISIONS, Create
from adapter.rollout.model.observation import Deployment, Json, Service
from adapter.rollout.model.policy import POLICIES, RolloutPolicy
from adapter.rollout.model.status import Release

MAX_NAME = 63
_MARK: Final = re.compile(r"(.+?)-(-?\d+)-([^-]*)-(-?\d+)")


def sibling(deployment: Deployment, number: int, fingerprint: str) -> str:
    """The sibling's name, unique per release; short enough that its pods' names are host names."""
    tail = f"-r{number}-{fingerprint[:5]}"
    return deployment.name[: 46 - len(tail)].rstrip("-.") + tail


def release_id(policy: RolloutPolicy, number: int) -> str:
    """The release's id, good as a label's value: policy, number, and the policy's own uid in short."""
    tail = f"-{number}-{policy.metadata.uid[:5]}"
    return _head(policy, tail) + tail


def mark(policy: RolloutPolicy, release: Release) -> str:
    """What a Service is marked with when traffic is moved: the release's id, made anew as a status may be lost, and
    which move it is."""
    return f"{release_id(policy, release.number)}-{release.shift}"


def is_anothers(policy: RolloutPolicy, service: Service) -> bool:
    """Whether a release of another policy has marked a Service.

    A policy that was made anew has another uid and is the same one by its name, where the mark has room for all of it.
    """
    parts = _MARK.fullmatch(service.labels.get(MARK, ""))
    if parts is None:
        return MARK in service.labels
    head, number, uid, _ = parts.groups()
    own = _head(policy, f"-{number}-{uid}")
    return head != own or (own != policy.metadata.name and not uid.startswith(policy.metadata.uid[:5]))


def _head(policy: RolloutPolicy, tail: str) -> str:
    return policy.metadata.name[: 50 - len(tail)].rstrip("-.")


def revision(policy: RolloutPolicy, fingerprint: str) -> str:
    """The name of the ControllerRevision that holds a template."""
    tail = f"-{fingerprint}"
    return policy.metadata.name[: MAX_NAME - len(tail)].rstrip("-.") + tail


def store_template(policy: RolloutPolicy, fingerprint: str, template: Json, number: int, label: str) -> Create:
    """The write that keeps a template: a ControllerRevision, which goes with the policy."""
    owner = {
        "apiVersion": POLICIES.api_version,
        "kind": "RolloutPolicy",
        "name": policy.metadata.name,
        "uid": policy.metadata.uid,
    }
    metadata = {
        "name": revision(policy, fingerprint),
        "labels": {label: policy.metadata.name},
        "annotations": {"streamgate.io/fingerprint": fingerprint},
        "ownerReferences": [owner],
    }
    body: Json = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata}
    body["revision"] = number
    body["data"] = {"template": template}
    return Create(CONTROLLER_REVISIONS, body, "the template is kept, to be put back where need be")
