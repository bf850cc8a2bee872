"""The component `cert-manager` beside a real cert-manager: who issues, who injects, and what a renewal costs."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import image
from tests.cluster.adapter import CUSTOM, CUSTOM_API_SERVICES, NAMESPACE, OVERLAYS, SERVICE, try_raw
from tests.cluster.bed import Bed
from tests.cluster.installed import installed
from tests.cluster.neighbours import cert_manager
from tests.cluster.processes import wait_until

CERTIFICATE = "streamgate-adapter"
SECRET = "streamgate-adapter-tls"
PORT = 6443
TAKEN_S = 180.0
"""A kubelet brings a Secret's new content within a minute and a half, the adapter looks every 10 s."""


@pytest.fixture(scope="module")
def secured(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The overlay `cert-manager`, as a user applies it, where cert-manager is."""
    folder: Path = tmp_path_factory.mktemp("cert-manager").resolve()
    image.install(bed, folder, ["adapter"])
    bed.kubectl("delete", "-k", str(OVERLAYS / "complete"), "--ignore-not-found", "--timeout=90s", seconds=120)
    with cert_manager.installed(bed, folder), installed(bed, "cert-manager", SERVICE, NAMESPACE):
        for name in CUSTOM_API_SERVICES:
            bed.wait(f"apiservice/{name}", "condition=Available", 60)
        yield


def secret(bed: Bed, entry: str) -> str:
    """An entry of the Secret with the certificate of the adapter, PEM."""
    data = bed.get("secret", SECRET, "-n", NAMESPACE)["data"]
    return base64.b64decode(data[entry]).decode()


def pods(bed: Bed) -> dict[str, tuple[str, int]]:
    """Name -> address, and how often its container was started again."""
    items = bed.get("pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/name={SERVICE}")["items"]
    states = ((pod["metadata"]["name"], pod["status"]) for pod in items)
    return {name: (status["podIP"], status["containerStatuses"][0]["restartCount"]) for name, status in states}


def presented_certificates(bed: Bed) -> set[str]:
    """The certificates that the pods show now, PEM."""
    return {ssl.get_server_certificate((address, PORT), timeout=5) for address, _ in pods(bed).values()}


def leaf(chain: str) -> str:
    """A chain's first certificate, as `ssl` writes it."""
    return ssl.DER_cert_to_PEM_cert(
        ssl.PEM_cert_to_DER_cert(chain[: chain.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)])
    )


@contextmanager
def collect_failures(bed: Bed, path: str) -> Iterator[list[str]]:
    """Asks every half second; what `kubectl get --raw` said each time that it had no answer."""
    failures: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.5):
            if isinstance(said := try_raw(bed, path), str):
                failures.append(said)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield failures
    finally:
        over.set()
        asking.join()


def renew(bed: Bed) -> None:
    """What `cmctl renew` does."""
    status = bed.get("certificate", CERTIFICATE, "-n", NAMESPACE)["status"]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "lastTransitionTime": now}
    conditions = [*status["conditions"], {**told, "message": "a test renews it"}]
    where = ("certificate", CERTIFICATE, "-n", NAMESPACE, "--subresource=status", "--type=merge")
    bed.kubectl("patch", *where, "-p", json.dumps({"status": {"conditions": conditions}}))


def test_the_api_server_verifies_what_cert_manager_issued(bed: Bed, secured: None) -> None:
    for kind, names in (("issuer", ("self-signed", "ca")), ("certificate", ("ca",))):
        for name in names:
            bed.wait(f"{kind}/{SERVICE}-{name}", "condition=Ready", 30, NAMESPACE)
    bed.wait(f"certificate/{CERTIFICATE}", "condition=Ready", 30, NAMESPACE)
    authority = secret(bed, "ca.crt")
    for name in CUSTOM_API_SERVICES:
        spec: dict[str, Any] = bed.get("apiservice", name)["spec"]
        assert base64.b64decode(spec["caBundle"]).decode() == authority
        assert not spec.get("insecureSkipTLSVerify")
    assert presented_certificates(bed) == {leaf(secret(bed, "tls.crt"))}
    assert bed.raw(CUSTOM)["groupVersion"] == "custom.metrics.k8s.io/v1beta2"


def test_another_ca_is_not_believed(bed: Bed, secured: None) -> None:
    """Were it, the test above would say nothing. cert-manager's cainjector puts the right one back."""
    name = CUSTOM_API_SERVICES[0]
    wrong = base64.b64encode(bed.ca.read_bytes()).decode()
    right = bed.get("apiservice", name)["spec"]["caBundle"]
    bed.kubectl("scale", "deployment", "cert-manager-cainjector", "-n", cert_manager.NAMESPACE, "--replicas=0")
    bed.kubectl("patch", "apiservice", name, "--type=merge", "-p", json.dumps({"spec": {"caBundle": wrong}}))
    try:
        bed.wait(f"apiservice/{name}", "condition=Available=false", 60)
        assert "x509" in str(bed.get("apiservice", name)["status"])
    finally:
        bed.kubectl("scale", "deployment", "cert-manager-cainjector", "-n", cert_manager.NAMESPACE, "--replicas=1")
    assert wait_until(lambda: bed.get("apiservice", name)["spec"]["caBundle"] == right, 90, every=1)
    bed.wait(f"apiservice/{name}", "condition=Available", 60)


def test_a_renewed_certificate_is_taken_without_a_restart(bed: Bed, secured: None) -> None:
    before, old = pods(bed), secret(bed, "tls.crt")
    with collect_failures(bed, CUSTOM) as failures:
        renew(bed)
        assert wait_until(lambda: secret(bed, "tls.crt") != old, 60, every=0.5)
        new = leaf(secret(bed, "tls.crt"))
        assert wait_until(lambda: presented_certificates(bed) == {new}, TAKEN_S, every=1)
    assert not failures
    assert pods(bed) == before
