"""Pod templates as raw JSON: the same or not, and what a Deployment's ReplicaSet adds to one.

A typed view would drop the fields that it does not know, so templates are compared and copied as they are.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

HASH: Final = "pod-template-hash"
"""The label by which Kubernetes tells the ReplicaSets of a Deployment apart. It is read, never computed."""


def fingerprint(template: Mapping[str, Any]) -> str:
    """16 hex digits that two templates share exactly when they are equal, however they are written."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def without_hash(template: Mapping[str, Any]) -> dict[str, Any]:
    """A ReplicaSet's template as its Deployment had it."""
    meta = dict(template.get("metadata") or {})
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != HASH}
    return {**template, "metadata": {**meta, "labels": labels}}


def labels_of(template: Mapping[str, Any]) -> dict[str, str]:
    """The labels of the pods."""
    return dict((template.get("metadata") or {}).get("labels") or {})


def host_ports(template: Mapping[str, Any]) -> list[int]:
    """Ports of the node that a pod takes: a second pod on the node could not start."""
    spec = template.get("spec") or {}
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return sorted(
        {port["hostPort"] for container in containers for port in container.get("ports") or () if port.get("hostPort")}
    )


def claims(template: Mapping[str, Any]) -> list[str]:
    """The PersistentVolumeClaims that all pods share."""
    volumes = (template.get("spec") or {}).get("volumes") or ()
    return [volume["persistentVolumeClaim"]["claimName"] for volume in volumes if volume.get("persistentVolumeClaim")]
