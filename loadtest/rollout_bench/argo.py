"""The peer: Argo Rollouts as a process, and the sample service as one of its Rollouts, judged by Prometheus."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from loadtest.rollout_bench.releases import LOOK_S
from tests.cluster.adapter import free_port
from tests.cluster.bed import Bed
from tests.cluster.binaries import cache_folder, find
from tests.cluster.manifests import sample_deployment, service
from tests.cluster.modules import sources
from tests.cluster.processes import wait_until

MODULE: Final = "github.com/argoproj/argo-rollouts"
VERSION: Final = "argoproj.io/v1alpha1"
LIMIT: Final = 0.01
"""The share of bad requests above which a measurement fails."""
INTERVAL: Final = "1s"
"""Between two measurements: the shortest that it takes in whole seconds."""
WINDOW: Final = "20s"
"""Of Prometheus' rate: four scrapes of 5 s."""
QUERY: Final = (
    '(sum(rate(http_requests_total{{namespace="{namespace}",pod=~"web-{{{{args.hash}}}}-.*",code=~"5.."}}[{window}]))'
    " or vector(0))"
    ' / sum(rate(http_requests_total{{namespace="{namespace}",pod=~"web-{{{{args.hash}}}}-.*"}}[{window}]))'
)


def definitions() -> list[Path]:
    """Files of its CustomResourceDefinitions, from the module that it was built from."""
    folder = cache_folder("argo-rollouts") / "definitions"
    if not folder.is_dir():
        shutil.copytree(sources("argo-rollouts", MODULE) / "manifests" / "crds", folder)
    return sorted(file for file in folder.iterdir() if file.name.endswith("-crd.yaml"))


@contextmanager
def running_argo(bed: Bed, log: Path) -> Iterator[None]:
    """Its controller, for all namespaces."""
    for file in definitions():
        bed.apply(file)
    bed.wait("crd/rollouts.argoproj.io", "condition=Established", 30)
    bed.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argo-rollouts"}})
    program = str(find(["rollouts-controller"])["rollouts-controller"])
    flags = [f"--kubeconfig={bed.kubeconfig}", "--leader-elect=false", f"--metricsPort={free_port('127.0.0.1')}"]
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [program, *flags, f"--healthzPort={free_port('127.0.0.1')}"],
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


class ArgoShop:
    """The Rollout `web` in a namespace, beside its Service; the same pods as `tests.cluster.rollout.Shop`."""

    def __init__(
        self, bed: Bed, namespace: str, strategy: dict[str, Any], prometheus: str, *, replicas: int, **env: object
    ) -> None:
        self.bed, self.namespace = bed, namespace
        deployment, front = sample_deployment("web", namespace, replicas, WORK_MS=2, DRAIN_S=3, POD_VERSION="1", **env)
        spec = {**deployment["spec"], "strategy": strategy, "revisionHistoryLimit": 2}
        rollout = {**deployment, "apiVersion": VERSION, "kind": "Rollout", "spec": spec}
        preview = service("web-preview", namespace, {"app": "web"})
        bed.apply([_analysis(namespace, prometheus), front, preview, rollout])
        self._wait(lambda status: status.get("phase") == "Healthy", 120)

    @property
    def address(self) -> str:
        """Of the Service that clients use."""
        return str(self.bed.get("service", "web", "-n", self.namespace)["spec"]["clusterIP"])

    def release(self, version: str, **env: object) -> None:
        """An edit of the template: another version, and other settings of the sample."""
        held = self.bed.get("rollout", "web", "-n", self.namespace)
        variables = held["spec"]["template"]["spec"]["containers"][0]["env"]
        values = {"POD_VERSION": version, **{name: str(value) for name, value in env.items()}}
        kept = [each for each in variables if each["name"] not in values]
        new = [*kept, *({"name": name, "value": value} for name, value in values.items())]
        patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/env", "value": new}]
        self.bed.kubectl("patch", "rollout", "web", "-n", self.namespace, "--type=json", "-p", json.dumps(patch))

    def outcome(self, seconds: float) -> str:
        """Promoted or RolledBack, once its release has ended; Undecided after `seconds`."""
        held = self._wait(lambda status: bool(status.get("abort")) or status.get("phase") == "Healthy", seconds)
        if held.get("abort"):
            return "RolledBack"
        return "Promoted" if held.get("phase") == "Healthy" else "Undecided"

    def reason(self) -> str:
        """As the Rollout's status says."""
        return str(self.bed.get("rollout", "web", "-n", self.namespace).get("status", {}).get("message", ""))

    def _wait(self, done: Any, seconds: float) -> dict[str, Any]:
        """The status once it is of the newest spec and `done`, or after `seconds`."""
        last: dict[str, Any] = {}

        def looks() -> bool:
            nonlocal last
            held = self.bed.get("rollout", "web", "-n", self.namespace)
            last = held.get("status", {})
            return last.get("observedGeneration") == str(held["metadata"]["generation"]) and bool(done(last))

        wait_until(looks, seconds, every=LOOK_S)
        return last


def canary(weight: int, seconds: float) -> dict[str, Any]:
    """One step of `weight` percent by the ratio of pods, held for `seconds` under analysis in the background."""
    steps = [{"setWeight": weight}, {"pause": {"duration": f"{seconds:.0f}s"}}]
    return {
        "canary": {
            "maxSurge": 1,
            "maxUnavailable": 0,
            "steps": steps,
            "analysis": {**_analysis_reference(), "startingStep": 1},
        }
    }


def blue_green() -> dict[str, Any]:
    """Promoted as soon as the new pods are ready, analysed afterwards."""
    services = {"activeService": "web", "previewService": "web-preview"}
    return {"blueGreen": {**services, "autoPromotionEnabled": True, "postPromotionAnalysis": _analysis_reference()}}


def _analysis_reference() -> dict[str, Any]:
    latest = {"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}}
    return {"templates": [{"templateName": "errors"}], "args": [latest]}


def _analysis(namespace: str, prometheus: str) -> dict[str, Any]:
    query = QUERY.format(namespace=namespace, window=WINDOW)
    metric = {
        "name": "errors",
        "interval": INTERVAL,
        "count": 60,
        "successCondition": f"isNaN(result[0]) || result[0] <= {LIMIT}",
        "provider": {"prometheus": {"address": prometheus, "query": query}},
    }
    return {
        "apiVersion": VERSION,
        "kind": "AnalysisTemplate",
        "metadata": {"name": "errors", "namespace": namespace},
        "spec": {"args": [{"name": "hash"}], "metrics": [metric]},
    }
