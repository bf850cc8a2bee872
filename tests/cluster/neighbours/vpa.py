"""VPA's three programs as pods of its own manifests, out of the module that they are built from."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.cluster.bed import Bed
from tests.cluster.catalogue import VPA
from tests.cluster.certs import Authority
from tests.cluster.modules import sources
from tests.cluster.neighbours.hosted import import_program
from tests.cluster.processes import wait_until

NAMESPACE: Final = "kube-system"
RECOMMENDER: Final = "vpa-recommender"
FLAGS: Final = {
    "vpa-updater": ("--updater-interval=5s", "--min-replicas=1"),
    "vpa-admission-controller": (),
    RECOMMENDER: ("--recommender-interval=5s",),
}
"""Every 5 s in place of every minute; and a Deployment's only pod is evicted too."""
FILES: Final = (
    "vpa-rbac.yaml",
    "updater-deployment.yaml",
    "admission-controller-deployment.yaml",
    "admission-controller-service.yaml",
)
WEBHOOK: Final = "vpa-webhook-config"
"""The admission controller registers it itself."""


def objects(*files: str) -> list[dict[str, Any]]:
    """What VPA's own files hold, with FLAGS."""
    folder = sources("vpa", VPA) / "deploy"
    documents = [one for name in files for one in yaml.safe_load_all((folder / name).read_text()) if one]
    for deployment in (one for one in documents if one["kind"] == "Deployment"):
        container = container_of(deployment)
        container["args"] = [*container.get("args", ()), *FLAGS[deployment["metadata"]["name"]]]
    return documents


def container_of(deployment: dict[str, Any]) -> dict[str, Any]:
    """Its only one."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container


def recommender() -> list[dict[str, Any]]:
    """The Deployment of VPA's own recommender; its account, its roles and its image come with `installed`."""
    return objects("recommender-deployment.yaml")


@contextmanager
def applied(bed: Bed, made: Sequence[dict[str, Any]]) -> Iterator[None]:
    """Applies the objects; they are gone afterwards."""
    bed.apply(made)
    try:
        yield
    finally:
        items = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(made)})
        bed.kubectl("delete", "--ignore-not-found", "--timeout=60s", "-f", "-", stdin=items)


@contextmanager
def installed(bed: Bed, folder: Path) -> Iterator[None]:
    """Updater and admission controller, its webhook registered; all gone afterwards. VPA's definitions are there."""
    made = [_certificates(folder), *objects(*FILES)]
    for one in [*made, *recommender()]:
        if one["kind"] == "Deployment":
            import_program(bed, one["metadata"]["name"], container_of(one)["image"])
    with applied(bed, made):
        try:
            for name in ("vpa-updater", "vpa-admission-controller"):
                bed.rollout(name, NAMESPACE, seconds=90)
            assert wait_until(lambda: WEBHOOK in bed.names("mutatingwebhookconfigurations"), 60, every=0.5)
            yield
        finally:
            bed.kubectl("delete", "mutatingwebhookconfiguration", WEBHOOK, "--ignore-not-found")


def _certificates(folder: Path) -> dict[str, Any]:
    """What its gencerts.sh makes."""
    authority = Authority(folder, "vpa-ca")
    pair = authority.issue("vpa-webhook", "vpa-webhook", hosts=[f"vpa-webhook.{NAMESPACE}.svc"])
    files = {"caCert.pem": authority.cert, "serverCert.pem": pair.cert, "serverKey.pem": pair.key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "vpa-tls-certs", "namespace": NAMESPACE},
        "stringData": {name: path.read_text() for name, path in files.items()},
    }
