"""The adapter on the test bed: installed by its own manifests, run as a host process under its own RBAC identity.

Only the Deployment is left out of the manifests, since no image of the adapter is built; APIServices, RBAC and the
namespace are what an operator applies.
"""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from adapter.reflex import ANNOTATION
from tests.cluster.bed import Bed
from tests.cluster.certs import Pair
from tests.cluster.kubectl import Kubectl
from tests.cluster.network import free_ports
from tests.cluster.processes import CommandError, wait_until

ROOT = Path(__file__).parents[2]
OVERLAYS = ROOT / "manifests" / "overlays"
NAMESPACE = "streamgate"
SERVICE = "streamgate-adapter"
USER = f"system:serviceaccount:{NAMESPACE}:streamgate-adapter"
GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated")
LEFT_OUT = frozenset({"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "ConfigMap"})
API_SERVICES = (
    "v1beta1.custom.metrics.k8s.io",
    "v1beta2.custom.metrics.k8s.io",
    "v1beta1.external.metrics.k8s.io",
    "v1beta1.metrics.k8s.io",
)
CUSTOM_API_SERVICES = API_SERVICES[:2]
FLAGS = (
    "--kubelet-insecure-tls",
    "--kubelet-preferred-address-types=InternalIP",
    "--otlp-grpc-port=0",
    "--otlp-http-port=0",
)


CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2"


def manifests(bed: Kubectl, overlay: str = "complete") -> list[dict[str, Any]]:
    """What of the overlay is applied here."""
    rendered = bed.kubectl("kustomize", str(OVERLAYS / overlay))
    return [item for item in yaml.safe_load_all(rendered) if item and item["kind"] not in LEFT_OUT]


class Reply(NamedTuple):
    """An answer of the adapter."""

    status: int
    kind: str
    body: bytes

    @property
    def json(self) -> Any:
        """The body decoded."""
        return json.loads(self.body)


class RunningAdapter:
    """One process of the adapter; it can be ended, killed and started again."""

    def __init__(self, bed: Bed, folder: Path, flags: Sequence[str] = (), overlay: str = "complete") -> None:
        self.bed = bed
        self.overlay = overlay
        self.log = folder / "adapter.log"
        self.port = free_port(bed.host_address)
        kubeconfig = bed.kubeconfig_for(USER, GROUPS)
        self._command = [
            *(sys.executable, "-m", "adapter", f"--kubeconfig={kubeconfig}", f"--secure-port={self.port}"),
            *(f"--bind-address={bed.host_address}", f"--cert-dir={folder / 'cert'}", *FLAGS, *flags),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def install(self) -> None:
        """Apply the manifests and the Service that leads to this process."""
        self.bed.apply(manifests(self.bed, self.overlay))
        self.bed.expose_host_service(NAMESPACE, SERVICE, self.port, 443)

    def start(self) -> None:
        """Start it; returns at once."""
        with self.log.open("ab") as stream:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, env=_environment()
            )

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it by a signal and wait for it."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def wait_available(self, seconds: float = 60.0, names: Sequence[str] = API_SERVICES) -> None:
        """Wait until the API server has found all its APIs."""
        if not wait_until(lambda: self.ended or self._available(names), seconds, every=0.5) or self.ended:
            said = {name: item.get("status") for name, item in self._api_services().items() if name in names}
            raise AssertionError(f"the adapter's APIs are not available: {said}; its log ends\n{self.tail()}")

    def _api_services(self) -> dict[str, Any]:
        return {item["metadata"]["name"]: item for item in self.bed.get("apiservices")["items"]}

    def _available(self, names: Sequence[str]) -> bool:
        services = self._api_services()
        return all(_is_available(services.get(name, {})) for name in names)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-4000:] if self.log.exists() else "(empty)"

    def ask(self, path: str, shown: Pair | None = None, **headers: str) -> Reply:
        """GET `path` at its own port, past the aggregator, as whom the certificate `shown` and the headers say."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if shown is not None:
            context.load_cert_chain(shown.cert, shown.key)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"https://{self.bed.host_address}:{self.port}{path}", headers=names)
        try:
            with urllib.request.urlopen(request, timeout=15, context=context) as answer:
                return Reply(answer.status, answer.headers["Content-Type"], answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.headers["Content-Type"], error.read())

    def explain(self, path: str) -> Any:
        """Why the answer to `path` of the custom metrics API is as it is."""
        return self.ask(
            f"/explain/{path}", Pair(*(self.bed.plane.pki / f"admin-client.{end}" for end in ("crt", "key")))
        ).json


def _is_available(item: dict[str, Any]) -> bool:
    conditions = item.get("status", {}).get("conditions", ())
    return any(condition["type"] == "Available" and condition["status"] == "True" for condition in conditions)


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}


def free_port(address: str) -> int:
    """A port that nobody has just now, and that no client is given while its program starts anew."""
    (port,) = free_ports(1, address)
    return port


@contextmanager
def running_adapter(
    bed: Bed, folder: Path, *flags: str, apis: Sequence[str] = API_SERVICES, overlay: str = "complete"
) -> Iterator[RunningAdapter]:
    """An installed adapter whose APIs are available; ended and its APIServices removed afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    adapter = RunningAdapter(bed, folder, flags, overlay)
    try:
        adapter.install()
        adapter.start()
        adapter.wait_available(names=apis)
        yield adapter
    finally:
        adapter.end()
        bed.kubectl("delete", "apiservices", *API_SERVICES, "--ignore-not-found")


def replicas(bed: Kubectl, name: str, namespace: str) -> int:
    """What the Deployment is asked to have."""
    return int(bed.get("deployment", name, "-n", namespace)["spec"]["replicas"])


def wait_for_replicas(bed: Kubectl, name: str, namespace: str, wanted: int, seconds: float) -> float:
    """Wait until the Deployment is asked to have `wanted` replicas; how long that took, s."""
    began = time.monotonic()
    if not wait_until(lambda: replicas(bed, name, namespace) == wanted, seconds, every=0.5):
        hpa = bed.kubectl("describe", "hpa", "-n", namespace)
        raise AssertionError(f"{name} has {replicas(bed, name, namespace)} replicas, not {wanted}\n{hpa}")
    return time.monotonic() - began


def hpa(
    name: str, namespace: str, metric: dict[str, Any], low: int = 1, high: int = 4, down: int = 5
) -> dict[str, Any]:
    """An HPA on the Deployment `name`; `down` is the stabilisation window for scaling down, s."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": low,
            "maxReplicas": high,
            "metrics": [metric],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": down}},
        },
    }


def agreeing(made: dict[str, Any]) -> dict[str, Any]:
    """The HPA, whose owner agrees to --reflex."""
    return {**made, "metadata": {**made["metadata"], "annotations": {ANNOTATION: "true"}}}


def reflex(bed: Kubectl) -> str:
    """Grants the adapter what --reflex needs; gives that flag."""
    rights = ROOT / "manifests" / "components" / "reflex" / "rbac.yaml"
    bed.apply(list(yaml.safe_load_all(rights.read_text(encoding="utf-8"))))
    return "--reflex"


def pods_metric(name: str, average: str) -> dict[str, Any]:
    """A metric of each pod, averaged."""
    target = {"type": "AverageValue", "averageValue": average}
    return {"type": "Pods", "pods": {"metric": {"name": name}, "target": target}}


def resource_metric(name: str, average: str) -> dict[str, Any]:
    """CPU or memory of each pod, averaged."""
    return {"type": "Resource", "resource": {"name": name, "target": {"type": "AverageValue", "averageValue": average}}}


def try_raw(bed: Kubectl, path: str) -> Any:
    """`kubectl get --raw`, or what kubectl said instead."""
    try:
        return bed.raw(path)
    except CommandError as error:
        return str(error)
