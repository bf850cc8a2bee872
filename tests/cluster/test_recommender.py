"""A real VerticalPodAutoscaler of a real Deployment: status, restart, and a resize in place on the real node."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.metrics.quantity import Quantity
from tests.cluster.adapter import API_SERVICES, ROOT, running_adapter
from tests.cluster.bed import Bed
from tests.cluster.manifests import sample_deployment
from tests.cluster.processes import wait_until

CRDS = ROOT / "manifests" / "crds" / "vpa.yaml"


@pytest.fixture(scope="module")
def metrics(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """metrics.k8s.io, from our adapter, and VPA's two definitions."""
    bed.apply(CRDS)
    for plural in ("verticalpodautoscalers", "verticalpodautoscalercheckpoints"):
        bed.wait(f"crd/{plural}.autoscaling.k8s.io", "condition=Established", 30)
    served = [name for name in API_SERVICES if name == "v1beta1.metrics.k8s.io"]
    with running_adapter(bed, tmp_path_factory.mktemp("adapter"), apis=served):
        yield


class Program:
    """The recommender as a process."""

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
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(20)
        self._process = None
        return code

    def close(self) -> None:
        if self._process is not None:
            self.end(signal.SIGKILL)


@pytest.fixture
def recommender(bed: Bed, metrics: None, tmp_path: Path) -> Iterator[Program]:
    program = Program(bed, tmp_path / "recommender.log")
    yield program
    program.close()


def vpa(name: str, namespace: str, mode: str = "Off") -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "updatePolicy": {"updateMode": mode},
            "resourcePolicy": {"containerPolicies": [{"containerName": "*", "maxAllowed": {"memory": "100Mi"}}]},
        },
    }


def target(bed: Bed, namespace: str) -> dict[str, str]:
    status = bed.get("vpa", "web", "-n", namespace).get("status", {})
    made = status.get("recommendation", {}).get("containerRecommendations", [])
    return made[0]["target"] if made else {}


def checkpoint(bed: Bed, namespace: str) -> dict[str, Any]:
    found = bed.get("vpacheckpoint", "-n", namespace)["items"]
    return found[0]["status"] if found else {}


def eventually(true: Callable[[], Any], seconds: float, what: str) -> None:
    assert wait_until(lambda: bool(true()), seconds, every=0.5), what


def test_a_vpa_gets_a_status_and_a_killed_recommender_resumes_without_a_dip(
    bed: Bed, recommender: Program, namespace: str
) -> None:
    bed.apply(sample_deployment("web", namespace))
    bed.rollout("web", namespace)
    bed.apply(vpa("web", namespace))
    recommender.start()
    eventually(lambda: target(bed, namespace), 90, "no recommendation")
    described = bed.kubectl("describe", "vpa", "web", "-n", namespace)
    assert "Container Recommendations" in described
    assert "LowConfidence" in described
    listed = bed.kubectl("get", "vpa", "web", "-n", namespace)
    assert "True" in listed.splitlines()[1].split()
    eventually(lambda: checkpoint(bed, namespace).get("totalSamplesCount", 0) >= 2, 60, "no checkpoint")
    recommender.end(signal.SIGKILL)
    before, seen = target(bed, namespace), checkpoint(bed, namespace)["totalSamplesCount"]
    recommender.start()
    eventually(lambda: checkpoint(bed, namespace)["totalSamplesCount"] > seen, 90, "not resumed")
    after = target(bed, namespace)
    assert Quantity.parse(after["memory"]) >= Quantity.parse(before["memory"])
    assert recommender.end(signal.SIGTERM) == 0


def test_vpas_twin_continues_from_our_checkpoint(bed: Bed, recommender: Program, namespace: str) -> None:
    bed.apply(sample_deployment("web", namespace))
    bed.rollout("web", namespace)
    bed.apply(vpa("web", namespace))
    recommender.start()
    eventually(lambda: checkpoint(bed, namespace).get("totalSamplesCount", 0) >= 2, 90, "no checkpoint")
    recommender.end(signal.SIGTERM)
    seen = checkpoint(bed, namespace)["totalSamplesCount"]
    recommender.start("--mode=vpa")
    eventually(lambda: checkpoint(bed, namespace)["totalSamplesCount"] > seen, 90, "not continued")
    conditions = {c["type"] for c in bed.get("vpa", "web", "-n", namespace)["status"]["conditions"]}
    assert "RecommendationProvided" in conditions


def test_a_pod_is_resized_in_place_without_a_restart(bed: Bed, recommender: Program, namespace: str) -> None:
    """The sample requests 10m and 32Mi; the minimums are 25m and, by policy, 100Mi."""
    bed.apply(sample_deployment("web", namespace))
    bed.rollout("web", namespace)
    bed.apply(vpa("web", namespace, "InPlace"))
    recommender.start("--apply=in-place")

    def requests() -> dict[str, str]:
        (pod,) = bed.get("pods", "-n", namespace, "-l", "app=web")["items"]
        return dict(pod["status"]["containerStatuses"][0].get("resources", {}).get("requests", {}))

    eventually(lambda: requests().get("memory") == "100Mi", 120, "not resized")
    (pod,) = bed.get("pods", "-n", namespace, "-l", "app=web")["items"]
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    assert Quantity.parse(requests()["cpu"]) >= Quantity.parse("25m")


def holding_hpa(namespace: str) -> dict[str, Any]:
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 3,
            "metrics": [metric],
        },
    }


def test_an_hpa_that_turns_up_holds_the_request_and_the_vpa_says_so(
    bed: Bed, recommender: Program, namespace: str
) -> None:
    """The sample requests 10m of CPU; without the HPA it is told 25m, the least, or more."""
    bed.apply(sample_deployment("web", namespace))
    bed.rollout("web", namespace)
    bed.apply(vpa("web", namespace))
    recommender.start()
    eventually(lambda: target(bed, namespace).get("cpu", "10m") != "10m", 90, "no recommendation")
    bed.apply(holding_hpa(namespace))
    eventually(lambda: target(bed, namespace).get("cpu") == "10m", 30, "not held")
    described = bed.kubectl("describe", "vpa", "web", "-n", namespace)
    assert "sample: cpu stays at its request, an HPA holds it at 80 % of that" in described
    bed.kubectl("delete", "hpa", "web", "-n", namespace)
    eventually(lambda: target(bed, namespace).get("cpu", "10m") != "10m", 30, "still held")


def test_a_vpa_that_is_made_again_keeps_its_history_and_one_of_another_target_does_not(
    bed: Bed, recommender: Program, namespace: str
) -> None:
    bed.apply(sample_deployment("web", namespace))
    bed.rollout("web", namespace)
    bed.apply(vpa("web", namespace))
    recommender.start()
    eventually(lambda: checkpoint(bed, namespace).get("totalSamplesCount", 0) >= 2, 90, "no checkpoint")
    bed.kubectl("delete", "vpa", "web", "-n", namespace)
    time.sleep(5)  # more than a loop: it is forgotten
    seen = checkpoint(bed, namespace)["totalSamplesCount"]
    bed.apply(vpa("web", namespace))
    eventually(lambda: target(bed, namespace), 30, "no recommendation")
    eventually(lambda: checkpoint(bed, namespace)["totalSamplesCount"] > seen, 60, "not continued")
    elsewhere = vpa("web", namespace)
    elsewhere["spec"]["targetRef"]["name"] = "nowhere"
    bed.apply(elsewhere)
    eventually(lambda: not target(bed, namespace), 30, "the old target's recommendation stays")
    described = bed.kubectl("describe", "vpa", "web", "-n", namespace)
    assert f"Deployment {namespace}/nowhere does not exist" in described


def test_it_starts_and_goes_on_while_the_api_server_comes_and_goes(
    bed: Bed, recommender: Program, namespace: str
) -> None:
    bed.apply(sample_deployment("web", namespace))
    bed.rollout("web", namespace)
    bed.apply(vpa("web", namespace))
    recommender.start()
    eventually(lambda: checkpoint(bed, namespace).get("totalSamplesCount", 0) >= 2, 90, "no checkpoint")
    before, seen = target(bed, namespace), checkpoint(bed, namespace)["totalSamplesCount"]
    bed.stop("kube-apiserver", kill=True)
    time.sleep(10)
    bed.start("kube-apiserver")
    eventually(lambda: checkpoint(bed, namespace)["totalSamplesCount"] > seen, 120, "not gone on")
    assert target(bed, namespace)["memory"] == before["memory"]
    lines = recommender.log.read_text().splitlines()
    assert sum("statuses not written" in line or "checkpoints not written" in line for line in lines) <= 12
    assert recommender.end(signal.SIGTERM) == 0
