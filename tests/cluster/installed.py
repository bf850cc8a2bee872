"""Our programs as pods of our manifests, with images of our Dockerfile that are on the nodes (`image.install`)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.adapter import OVERLAYS
from tests.cluster.kubectl import Kubectl


@contextmanager
def installed(bed: Kubectl, overlay: str, name: str, namespace: str) -> Iterator[None]:
    """`kubectl apply -k`, its Deployment complete; `kubectl delete -k` afterwards."""
    path = str(OVERLAYS / overlay)
    bed.kubectl("apply", "-k", path)
    try:
        bed.rollout(name, namespace, seconds=120)
        yield
    finally:
        bed.kubectl("delete", "-k", path, "--ignore-not-found", "--timeout=90s", seconds=120)


def remove_leftovers(bed: Kubectl) -> None:
    """Other tests' adapters are processes that use the objects of an overlay, and leave them."""
    path = str(OVERLAYS / "complete")
    bed.kubectl("delete", "-k", path, "--ignore-not-found", "--timeout=90s", seconds=120)


def ours(bed: Kubectl) -> list[str]:
    """Names of our cluster-wide objects, but for the group of RolloutPolicy, which goes with its definition."""
    names = bed.kubectl("get", "apiservices,clusterroles,clusterrolebindings,namespaces", "-o", "name").splitlines()
    mine = [name for name in names if "streamgate" in name or "metrics.k8s.io" in name]
    return [name for name in mine if not name.endswith("v1alpha1.streamgate.io")]


def trust_any_kubelet(bed: Kubectl) -> None:
    """The bed's kubelets have certificates of their own making, as kubeadm's have; so docs/install.md says to."""
    path = "/spec/template/spec/containers/0/args/-"
    flags = ("--kubelet-insecure-tls", "--kubelet-preferred-address-types=InternalIP")  # the bed has no DNS either
    patch = [{"op": "add", "path": path, "value": flag} for flag in flags]
    target = ("deployment", "streamgate-adapter", "-n", "streamgate")
    bed.kubectl("patch", *target, "--type=json", "-p", json.dumps(patch))
    bed.rollout("streamgate-adapter", "streamgate", seconds=120)
