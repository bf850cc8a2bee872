"""The recommender as a process, and the Deployment `web` of a namespace with its VerticalPodAutoscaler."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.adapter import ROOT
from tests.cluster.bed import Bed
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import sample_deployment
from tests.cluster.processes import wait_until

CRDS = ROOT / "manifests" / "crds" / "vpa.yaml"
CAPPED = {"containerPolicies": [{"containerName": "*", "maxAllowed": {"memory": "100Mi"}}]}


class Program:
    """The recommender as a process, with a loop every 2 s."""

    def __init__(self, bed: Bed, log: Path) -> None:
        self._command = [sys.executable, "-m", "recommender", f"--kubeconfig={bed.kubeconfig}", "--address=127.0.0.1:0"]
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str) -> None:
        with self.log.open("ab") as stream:
            self._process = subprocess.Popen(
                [*self._command, "--recommender-interval=2s", *flags],
                cwd=ROOT, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, env=dict(os.environ),
            )  # fmt: skip

    def end(self, number: signal.Signals) -> int:
        """Ends it by a signal; its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(20)
        self._process = None
        return code


@contextmanager
def recommender_program(bed: Bed, log: Path) -> Iterator[Program]:
    """Not started yet; killed afterwards if it still runs."""
    program = Program(bed, log)
    try:
        yield program
    finally:
        if program._process is not None:
            program.end(signal.SIGKILL)


class Web:
    """The Deployment `web`: one pod of the sample, which requests 10m and 32Mi; or as somebody else deployed it."""

    def __init__(self, bed: Kubectl, namespace: str, *, deploys: bool = True) -> None:
        self.bed, self.namespace = bed, namespace
        if deploys:
            bed.apply(sample_deployment("web", namespace))
            bed.rollout("web", namespace)

    def watch(
        self,
        mode: str = "Off",
        target: str = "web",
        policy: dict[str, Any] | None = CAPPED,
        recommender: str = "",
        least: int | None = None,
    ) -> None:
        """Makes its VPA, or changes it; `recommender` is the one that it names, `least` its minReplicas."""
        spec: dict[str, Any] = {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "updatePolicy": {"updateMode": mode} | ({"minReplicas": least} if least else {}),
        }
        self.bed.apply({
            "apiVersion": "autoscaling.k8s.io/v1",
            "kind": "VerticalPodAutoscaler",
            "metadata": {"name": "web", "namespace": self.namespace},
            "spec": spec
            | ({"resourcePolicy": policy} if policy else {})
            | ({"recommenders": [{"name": recommender}]} if recommender else {}),
        })  # fmt: skip

    def allow(self, kind: str, **spec: Any) -> None:
        """Makes the namespace's only LimitRange or ResourceQuota, named `small`, or changes it."""
        metadata = {"name": "small", "namespace": self.namespace}
        self.bed.apply({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec})

    def quota_used(self, resource: str) -> str:
        """What is used of its ResourceQuota, as the server counts it; '' before it has counted."""
        status = self.bed.get("resourcequota", "small", "-n", self.namespace).get("status", {})
        return str(status.get("used", {}).get(resource, ""))

    def resize(self, resources: dict[str, Any]) -> None:
        """As anybody may ask for it. Raises CommandError with the server's words where it refuses."""
        (pod,) = self.bed.names("pods", self.namespace, "app=web")
        patch = {"spec": {"containers": [{"name": "sample", "resources": resources}]}}
        command = ["patch", "pod", pod, "-n", self.namespace, "--subresource=resize", "-p", json.dumps(patch)]
        self.bed.kubectl(*command)

    def status(self) -> dict[str, Any]:
        """The VPA's status; empty before there is one."""
        status: dict[str, Any] = self.bed.get("vpa", "web", "-n", self.namespace).get("status", {})
        return status

    def target(self) -> dict[str, str]:
        """The target of its container; empty before there is a recommendation."""
        made = self.status().get("recommendation", {}).get("containerRecommendations", [])
        return dict(made[0]["target"]) if made else {}

    def conditions(self) -> dict[str, str]:
        """type -> status of the VPA's conditions."""
        return {condition["type"]: condition["status"] for condition in self.status()["conditions"]}

    def samples(self) -> int:
        """The number of samples in its checkpoint; 0 before there is one."""
        checkpoints = self.bed.get("vpacheckpoint", "-n", self.namespace)["items"]
        return int(checkpoints[0]["status"].get("totalSamplesCount", 0)) if checkpoints else 0

    def pod(self) -> dict[str, Any]:
        """Its only pod's only container, as the status tells."""
        (pod,) = self.bed.get("pods", "-n", self.namespace, "-l", "app=web")["items"]
        return dict(pod["status"]["containerStatuses"][0])

    def node(self) -> dict[str, Any]:
        """The node on which its only pod runs; other tests may have added nodes."""
        (pod,) = self.bed.get("pods", "-n", self.namespace, "-l", "app=web")["items"]
        return self.bed.get("node", pod["spec"]["nodeName"])

    def describe(self) -> str:
        """What `kubectl describe vpa` prints."""
        return self.bed.kubectl("describe", "vpa", "web", "-n", self.namespace)


def eventually(true: Callable[[], Any], seconds: float, what: str) -> None:
    """Waits until it is true; fails with `what` if that takes longer than `seconds`."""
    assert wait_until(lambda: bool(true()), seconds, every=0.5), what
