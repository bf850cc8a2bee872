"""prometheus-adapter as pods of its own manifests, which are read from the very module that its program is built from.

Four things are made as a user makes them: the rules, the address of Prometheus, and what its manifests leave to the
walkthrough, the registration of the custom metrics API and the ClusterRole that their binding for HPAs names. Its
probes begin after 5 s in place of 30, and it looks for metrics every 10 s in place of every minute.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.cluster import images
from tests.cluster.bed import Bed
from tests.cluster.binaries import cache_folder, find
from tests.cluster.modules import sources

NAME: Final = "prometheus-adapter"
NAMESPACE: Final = "monitoring"
IMAGE: Final = "registry.k8s.io/prometheus-adapter/prometheus-adapter:v0.12.0"
MODULE: Final = "sigs.k8s.io/prometheus-adapter"
RELIST: Final = "--metrics-relist-interval"
PROBES_AFTER_S: Final = 5
VERSIONS: Final = {"v1beta1": 100, "v1beta2": 200}
READER: Final = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "custom-metrics-server-resources"},
    "rules": [{"apiGroups": ["custom.metrics.k8s.io"], "resources": ["*"], "verbs": ["get", "list"]}],
}


def objects(prometheus: str, rules: str) -> list[dict[str, Any]]:
    """All of its manifests, for the Prometheus at this URL and with the text of this rules file."""
    documents = [one for file in _files() for one in yaml.safe_load_all(file.read_text()) if one]
    for one in documents:
        if one["kind"] == "ConfigMap":
            one["data"]["config.yaml"] = rules
        if one["kind"] == "Deployment":
            (container,) = one["spec"]["template"]["spec"]["containers"]
            kept = [flag for flag in container["args"] if flag.partition("=")[0] not in ("--prometheus-url", RELIST)]
            container["args"] = [*kept, f"--prometheus-url={prometheus}", f"{RELIST}=10s"]
            for probe in ("livenessProbe", "readinessProbe"):
                container[probe]["initialDelaySeconds"] = PROBES_AFTER_S
    return [*(one for one in documents if one["kind"] != "APIService"), READER, *map(_api_service, VERSIONS)]


@contextmanager
def installed(bed: Bed, prometheus: str, rules: str) -> Iterator[None]:
    """Installs prometheus-adapter, its Deployment complete; all of it is gone afterwards."""
    program = find([NAME])[NAME]
    layer = images.Layer({"/adapter": program})
    bed.import_image(images.archive(IMAGE, [layer], {"Entrypoint": ["/adapter"], "User": "65534:65534"}))
    bed.create_namespace(NAMESPACE)
    made = objects(prometheus, rules)
    try:
        bed.apply(made)
        bed.rollout(NAME, NAMESPACE, seconds=120)
        yield
    finally:
        items = json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
        bed.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=items)
        bed.delete_namespace(NAMESPACE)


def _files() -> list[Path]:
    folder = cache_folder(NAME) / "manifests"
    if not folder.is_dir():
        shutil.copytree(sources(NAME, MODULE) / "deploy" / "manifests", folder)
    return sorted(folder.glob("*.yaml"))


def _api_service(version: str) -> dict[str, Any]:
    group = "custom.metrics.k8s.io"
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{version}.{group}"},
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": VERSIONS[version],
            "insecureSkipTLSVerify": True,
            "service": {"name": NAME, "namespace": NAMESPACE},
        },
    }
