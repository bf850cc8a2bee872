"""All three programs on one Deployment under load: who says how many, which revision, and how large."""

import signal
from pathlib import Path
from typing import Any

from tests.cluster.adapter import hpa, pods_metric, running_adapter
from tests.cluster.bed import Bed
from tests.cluster.processes import wait_until
from tests.cluster.recommender import CRDS, Web, eventually, recommender_program
from tests.cluster.rollout import Clients, Shop, running_controller

CANARY: dict[str, Any] = {"canary": {"steps": [{"weight": 25, "pauseSeconds": 0, "manual": True}]}}
WISH = {"memory": "64Mi"}
POLICY = {"containerPolicies": [{"containerName": "*", "minAllowed": WISH, "maxAllowed": WISH}]}
APIS = ("v1beta2.custom.metrics.k8s.io", "v1beta1.metrics.k8s.io")
TARGET = "40"
"""requests/s a pod. Some 240 requests/s on three stable pods and a new one are 60 each, 1.5 times the target."""


def requested_memory(pod: dict[str, Any]) -> str:
    """The memory that the pod's container requests."""
    (container,) = pod["spec"]["containers"]
    return str(container["resources"]["requests"]["memory"])


def allocated_memory(pod: dict[str, Any]) -> str:
    """The memory request that the kubelet has carried out; '' before its status says so."""
    statuses = pod["status"].get("containerStatuses") or [{}]
    return str(statuses[0].get("resources", {}).get("requests", {}).get("memory", ""))


def test_the_hpa_scales_a_release_moves_and_the_vpa_waits_for_its_end(bed: Bed, namespace: str, tmp_path: Path) -> None:
    """The sample requests 32Mi and is recommended 64Mi."""
    bed.apply(CRDS)
    bed.wait("crd/verticalpodautoscalers.autoscaling.k8s.io", "condition=Established", 30)
    with (
        running_adapter(bed, tmp_path / "adapter", apis=APIS),
        recommender_program(bed, tmp_path / "recommender.log") as recommender,
        running_controller(bed, namespace, tmp_path / "rollout.log"),
    ):
        shop = Shop(bed, namespace, CANARY)
        shop.until("Idle")
        with Clients(shop.address) as clients:
            shop.release("2")
            shop.weighs(0, 25)
            Web(bed, namespace, deploys=False).watch("InPlace", policy=POLICY)
            recommender.start("--apply=in-place", "--apply-min-history=1s")
            eventually(lambda: "under release" in recommender.log.read_text(), 90, "the release is not seen")
            bed.apply(hpa("web", namespace, pods_metric("http_requests_per_second", TARGET), low=3, high=6))

            def running_pods() -> list[dict[str, Any]]:
                items = bed.get("pods", "-n", namespace, "-l", "app=web")["items"]
                return [pod for pod in items if not pod["metadata"].get("deletionTimestamp")]

            def stable() -> int:
                return int(bed.get("deployment", "web", "-n", namespace)["spec"]["replicas"])

            eventually(lambda: stable() > 3, 90, "the HPA does not scale in mid-release")
            assert {requested_memory(pod) for pod in running_pods()} == {"32Mi"}  # nothing was resized
            judged = shop.pods("2")
            assert shop.verb("promote") == 0
            shop.wait_for_end("Promoted", 1)
            assert judged.items() <= shop.pods().items()
            eventually(
                lambda: {allocated_memory(pod) for pod in running_pods()} == {"64Mi"},
                90,
                "not resized after the release",
            )
            assert set(shop.pods().values()) == {0}
        assert clients.failures == []
        assert wait_until(lambda: bed.get("hpa", "web", "-n", namespace)["spec"]["minReplicas"] == 3, 30, every=1)
        assert recommender.end(signal.SIGTERM) == 0
        bed.kubectl("delete", "rolloutpolicy", "web", "-n", namespace, "--timeout=60s")
