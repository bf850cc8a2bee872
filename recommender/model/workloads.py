"""From pods to the workloads that made them, by owner where it is known, else by the form of the pod's name."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from adapter.kube.objects import ObjectMeta

_DEPLOYMENT: Final = re.compile(r"(?P<name>.+)-[bcdf0-9][bcdfghjklmnpqrstvwxz0-9]{4,9}-[bcdfghjklmnpqrstvwxz0-9]{5}")
_STATEFUL: Final = re.compile(r"(?P<name>.+)-\d{1,5}")
_DAEMON: Final = re.compile(r"(?P<name>.+)-[bcdfghjklmnpqrstvwxz2456789]{5}")
_CRON: Final = re.compile(r"(?P<name>.+)-\d{8,10}")


class Workload(NamedTuple):
    """A controller."""

    kind: str
    name: str


def of_pod(meta: ObjectMeta) -> Workload:
    """By the pod's controller: a ReplicaSet with the pod's template hash is a Deployment's, a dated Job a CronJob's."""
    owner = meta.controller
    if owner is None:
        return Workload("Pod", meta.name)
    return of_owner(owner.kind, owner.name, meta.labels.get("pod-template-hash", ""))


def of_owner(kind: str, name: str, template_hash: str = "") -> Workload:
    """What stands behind an owner."""
    if kind == "ReplicaSet" and template_hash and name.endswith(f"-{template_hash}"):
        return Workload("Deployment", name.removesuffix(f"-{template_hash}"))
    if kind == "Job" and (match := _CRON.fullmatch(name)):
        return Workload("CronJob", match["name"])
    return Workload(kind, name)


def of_name(pod: str) -> Workload:
    """By the form of a pod's name alone."""
    for kind, form in (("Deployment", _DEPLOYMENT), ("StatefulSet", _STATEFUL), ("DaemonSet", _DAEMON)):
        if match := form.fullmatch(pod):
            return Workload(kind, match["name"])
    return Workload("Pod", pod)


def of_metrics(pod: str, owners: Mapping[str, Workload], replica_sets: Mapping[str, str]) -> Workload:
    """By kube-state-metrics: pod -> owner, ReplicaSet -> Deployment; by name where it knows nothing."""
    owner = owners.get(pod)
    if owner is None:
        return of_name(pod)
    if owner.kind == "ReplicaSet" and owner.name in replica_sets:
        return Workload("Deployment", replica_sets[owner.name])
    return of_owner(*owner)
