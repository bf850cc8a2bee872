"""metrics-server as pods of its own manifests, which are read from the very module that its program is built from."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import yaml

from tests.cluster.bed import Bed
from tests.cluster.catalogue import METRICS_SERVER
from tests.cluster.modules import sources
from tests.cluster.neighbours.hosted import import_program
from tests.cluster.processes import CommandError, wait_until

NAME: Final = "metrics-server"
NAMESPACE: Final = "kube-system"
IMAGE: Final = "registry.k8s.io/metrics-server/metrics-server:test"
API: Final = "v1beta1.metrics.k8s.io"
FLAGS: Final = ("--kubelet-insecure-tls", "--kubelet-preferred-address-types=InternalIP")
"""As for every cluster whose kubelets made their own certificates."""


def manifests(bed: Bed) -> str:
    """What `kubectl apply -f components.yaml` would have, with our image."""
    rendered = bed.kubectl("kustomize", str(sources(NAME, METRICS_SERVER) / "manifests" / "base"))
    objects = list(yaml.safe_load_all(rendered))
    for one in objects:
        if one["kind"] == "Deployment":
            (container,) = one["spec"]["template"]["spec"]["containers"]
            container["image"] = IMAGE
            container["args"] = [*container["args"], *FLAGS]
    return yaml.safe_dump_all(objects)


@contextmanager
def installed(bed: Bed) -> Iterator[None]:
    """Installs metrics-server, its API available; all of it is gone afterwards."""
    import_program(bed, NAME, IMAGE)
    text = manifests(bed)
    bed.kubectl("apply", "-f", "-", stdin=text)
    try:
        bed.rollout(NAME, NAMESPACE, seconds=90)
        bed.wait(f"apiservice/{API}", "condition=Available", 60)
        yield
    finally:
        bed.kubectl("delete", "--ignore-not-found", "--timeout=60s", "-f", "-", stdin=text)


def serves(bed: Bed) -> str:
    """namespace/name of the Service that has the API."""
    service: dict[str, Any] = bed.get("apiservice", API)["spec"]["service"]
    return f"{service['namespace']}/{service['name']}"


def wait_for_top(bed: Bed, namespace: str, pod: str, seconds: float = 90) -> None:
    """Until `kubectl top` shows a pod whose name begins so, and the node."""

    def top(*arguments: str) -> str:
        try:
            return bed.kubectl("top", *arguments)
        except CommandError as error:
            return str(error)

    assert wait_until(lambda: pod in top("pods", "-n", namespace), seconds, every=1), top("pods", "-n", namespace)
    assert wait_until(lambda: "Mi" in top("nodes"), seconds, every=1), top("nodes")
