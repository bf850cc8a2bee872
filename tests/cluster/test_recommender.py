"""A real VerticalPodAutoscaler of a real Deployment: status, restart, and a resize in place on the real node."""

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from adapter.units.quantity import Quantity
from tests.cluster.adapter import hpa
from tests.cluster.bed import Bed
from tests.cluster.manifests import sample_deployment
from tests.cluster.processes import CommandError
from tests.cluster.recommender import Program, Web, eventually


def test_a_vpa_gets_a_status_and_a_killed_recommender_resumes_without_a_dip(recommender: Program, web: Web) -> None:
    web.watch()
    recommender.start()
    eventually(web.target, 90, "no recommendation")
    assert "Container Recommendations" in web.describe()
    assert "LowConfidence" in web.describe()
    listed = web.bed.kubectl("get", "vpa", "web", "-n", web.namespace)
    assert "True" in listed.splitlines()[1].split()
    eventually(lambda: web.samples() >= 2, 60, "no checkpoint")
    recommender.end(signal.SIGKILL)
    before, seen = web.target(), web.samples()
    recommender.start()
    eventually(lambda: web.samples() > seen, 90, "not resumed")
    assert Quantity.parse(web.target()["memory"]) >= Quantity.parse(before["memory"])
    assert recommender.end(signal.SIGTERM) == 0


def test_vpas_twin_continues_from_our_checkpoint(recommender: Program, web: Web) -> None:
    web.watch()
    recommender.start()
    eventually(lambda: web.samples() >= 2, 90, "no checkpoint")
    recommender.end(signal.SIGTERM)
    seen = web.samples()
    recommender.start("--mode=vpa")
    eventually(lambda: web.samples() > seen, 90, "not continued")
    assert web.conditions()["RecommendationProvided"] == "True"


def test_a_pod_is_resized_in_place_without_a_restart(recommender: Program, web: Web) -> None:
    """The sample requests 10m and 32Mi; the minimums are 25m and, by policy, 100Mi."""
    web.watch("InPlace")
    recommender.start("--apply=in-place", "--apply-min-history=1s")

    def requests() -> dict[str, str]:
        return dict(web.pod().get("resources", {}).get("requests", {}))

    eventually(lambda: requests().get("memory") == "100Mi", 120, "not resized")
    assert web.pod()["restartCount"] == 0
    assert Quantity.parse(requests()["cpu"]) >= Quantity.parse("25m")


def memory(web: Web) -> str:
    """What the kubelet says that its container has requested."""
    return str(web.pod().get("resources", {}).get("requests", {}).get("memory", ""))


def at_least(memory: str) -> dict[str, Any]:
    return {"containerPolicies": [{"containerName": "*", "minAllowed": {"memory": memory}}]}


def test_a_resize_asks_for_what_the_namespace_allows(recommender: Program, web: Web) -> None:
    """1Gi is recommended to a container of 32Mi with a limit of 256Mi; a LimitRange allows limits of 512Mi: 64Mi.

    Then a ResourceQuota has 100Mi: 1Gi is not asked for, which the server would refuse; 100Mi, its last byte, is had.
    """
    web.allow("LimitRange", limits=[{"type": "Container", "max": {"memory": "512Mi"}}])
    web.watch("InPlace", policy=at_least("1Gi"))
    recommender.start("--apply=in-place", "--apply-min-history=1s")
    eventually(lambda: memory(web) == "64Mi", 120, "not resized")
    assert web.target()["memory"] == "1Gi"
    web.allow("ResourceQuota", hard={"requests.memory": "100Mi"})
    eventually(lambda: web.quota_used("requests.memory") == "64Mi", 60, "not counted")
    web.bed.kubectl("delete", "limitrange", "small", "-n", web.namespace)
    cause = "ResourceQuota small: requests.memory would be 1Gi in all, 100Mi is allowed"
    eventually(lambda: cause in recommender.log.read_text(), 60, "not said")
    with pytest.raises(CommandError, match=r"exceeded quota: small, .*limited: requests.memory=100Mi"):
        web.resize({"requests": {"memory": "1Gi"}, "limits": {"memory": "8Gi"}})
    assert memory(web) == "64Mi"
    web.watch("InPlace")
    eventually(lambda: memory(web) == "100Mi", 60, "not resized to what the quota has")
    assert web.pod()["restartCount"] == 0
    assert "pod not changed" not in recommender.log.read_text()


def resizing(web: Web) -> list[tuple[str, str]]:
    """(type, reason) of the conditions of its only pod that speak of a resize."""
    (pod,) = web.bed.get("pods", "-n", web.namespace, "-l", "app=web")["items"]
    conditions = [(one["type"], one.get("reason", "")) for one in pod["status"]["conditions"]]
    return [(kind, reason) for kind, reason in conditions if kind.startswith("PodResize")]


def test_a_resize_beyond_the_node_is_asked_for_once_and_replaced_by_another_target(
    recommender: Program, web: Web
) -> None:
    """Kubernetes 1.37 refuses it itself (PodResizeValidator); a kubelet of before would say Infeasible."""
    twice = str(Quantity.parse(web.node()["status"]["allocatable"]["memory"]).unit() * 2)
    web.watch("InPlace", policy=at_least(twice))
    recommender.start("--apply=in-place", "--apply-min-history=1s")
    eventually(lambda: "pod not changed" in recommender.log.read_text(), 120, "not asked for")
    time.sleep(10)  # five loops
    assert recommender.log.read_text().count("pod not changed") == 1
    assert resizing(web) == []
    web.watch("InPlace")
    eventually(lambda: memory(web) == "100Mi", 60, "not replaced")
    assert web.pod()["restartCount"] == 0


def test_a_resize_that_the_kubelet_fails_is_replaced_by_another_target(recommender: Program, web: Web) -> None:
    """64Ki are asked for, and with it a limit of 512Ki, of a sample that uses more: Error. Then 100Mi are."""
    web.watch("InPlace", policy={"containerPolicies": [{"containerName": "*", "maxAllowed": {"memory": "64Ki"}}]})
    recommender.start("--apply=in-place", "--apply-min-history=1s")
    eventually(lambda: ("PodResizeInProgress", "Error") in resizing(web), 120, "no error")
    web.watch("InPlace")
    eventually(lambda: memory(web) == "100Mi", 60, "not replaced")
    eventually(lambda: resizing(web) == [], 60, "still under way")
    assert web.pod()["restartCount"] == 0


@pytest.fixture
def exclusive(bed: Bed) -> Iterator[None]:
    """A kubelet whose CPU manager gives whole CPUs to Guaranteed pods, one of the two kept for itself."""

    def restart(*flags: str) -> None:
        bed.stop("kubelet")
        (own,) = bed.nodes
        (own.folder / "kubelet" / "cpu_manager_state").unlink(missing_ok=True)
        bed.start("kubelet", *flags)

    restart("--cpu-manager-policy=static", "--reserved-cpus=0")
    try:
        yield
    finally:
        restart()


def test_a_resize_that_the_kubelet_can_never_do_is_asked_for_once(
    recommender: Program, web: Web, exclusive: None
) -> None:
    """A Guaranteed pod beside the static CPU manager: its CPU cannot be resized."""
    web.bed.kubectl("set", "resources", "deployment/web", "-n", web.namespace,
        "--requests=cpu=100m,memory=100Mi", "--limits=cpu=100m,memory=100Mi")  # fmt: skip
    web.bed.rollout("web", web.namespace)
    eventually(lambda: len(web.bed.get("pods", "-n", web.namespace, "-l", "app=web")["items"]) == 1, 60, "two pods")
    only = {"containerName": "*", "minAllowed": {"cpu": "200m"}, "maxAllowed": {"memory": "100Mi"}}
    web.watch("InPlace", policy={"containerPolicies": [only]})
    recommender.start("--apply=in-place", "--apply-min-history=1s")
    eventually(lambda: ("PodResizePending", "Infeasible") in resizing(web), 120, "not infeasible")
    time.sleep(10)  # five loops
    assert recommender.log.read_text().count("pod changed") == 1
    assert web.pod()["restartCount"] == 0


def test_a_resize_that_the_kubelet_defers_is_replaced_by_another_target(recommender: Program, web: Web) -> None:
    """Another pod has 60 % of the node's memory and 60 % are asked for: not now. Then 100Mi are: at once."""
    node = web.node()
    most = str(Quantity.parse(node["status"]["allocatable"]["memory"]).unit() * 6 // 10)
    filler = sample_deployment("filler", web.namespace)
    filler[0]["spec"]["template"]["spec"]["nodeName"] = node["metadata"]["name"]
    filler[0]["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"memory": most}}
    web.bed.apply(filler)
    web.bed.rollout("filler", web.namespace)
    web.watch("InPlace", policy=at_least(most))
    recommender.start("--apply=in-place", "--apply-min-history=1s")
    eventually(lambda: ("PodResizePending", "Deferred") in resizing(web), 120, "not deferred")
    web.watch("InPlace")
    eventually(lambda: memory(web) == "100Mi", 60, "not replaced")
    assert ("PodResizePending", "Deferred") not in resizing(web)
    assert web.pod()["restartCount"] == 0


def test_an_hpa_that_turns_up_holds_the_request_and_the_vpa_says_so(recommender: Program, web: Web) -> None:
    """The sample requests 10m of CPU; without the HPA it is told 25m, the least, or more."""
    utilisation = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    web.watch()
    recommender.start()
    eventually(lambda: web.target().get("cpu", "10m") != "10m", 90, "no recommendation")
    web.bed.apply(hpa("web", web.namespace, {"type": "Resource", "resource": utilisation}))
    eventually(lambda: web.target().get("cpu") == "10m", 30, "not held")
    assert "sample: cpu stays at its request, an HPA holds it at 80 % of that" in web.describe()
    web.bed.kubectl("delete", "hpa", "web", "-n", web.namespace)
    eventually(lambda: web.target().get("cpu", "10m") != "10m", 30, "still held")


def test_a_vpa_that_is_made_again_keeps_its_history_and_one_of_another_target_does_not(
    recommender: Program, web: Web
) -> None:
    web.watch()
    recommender.start()
    eventually(lambda: web.samples() >= 2, 90, "no checkpoint")
    web.bed.kubectl("delete", "vpa", "web", "-n", web.namespace)
    time.sleep(5)  # more than a loop: it is forgotten
    seen = web.samples()
    web.watch()
    eventually(web.target, 30, "no recommendation")
    eventually(lambda: web.samples() > seen, 60, "not continued")
    web.watch(target="nowhere")
    eventually(lambda: not web.target(), 30, "the old target's recommendation stays")
    assert f"Deployment {web.namespace}/nowhere does not exist" in web.describe()


def test_it_goes_on_when_a_killed_api_server_is_back(bed: Bed, recommender: Program, web: Web) -> None:
    web.watch()
    recommender.start()
    eventually(lambda: web.samples() >= 2, 90, "no checkpoint")
    before, seen = web.target(), web.samples()
    bed.stop("kube-apiserver", kill=True)
    time.sleep(10)
    bed.start("kube-apiserver")
    eventually(lambda: web.samples() > seen, 120, "not gone on")
    assert web.target()["memory"] == before["memory"]
    lines = recommender.log.read_text().splitlines()
    assert sum("statuses not written" in line or "checkpoints not written" in line for line in lines) <= 12
    assert recommender.end(signal.SIGTERM) == 0
