"""Our recommender evicts beside VPA's own admission controller, where the namespace bounds what may come instead."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from adapter.units.quantity import Quantity
from tests.cluster.bed import Bed
from tests.cluster.neighbours import vpa
from tests.cluster.recommender import Program, Web, eventually

FLAGS = ("--apply=all", "--apply-min-history=1s")


@pytest.fixture(scope="module")
def admission(bed: Bed, resource_metrics: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """VPA's, without its updater: ours acts in its place."""
    with vpa.installed(bed, tmp_path_factory.mktemp("vpa")):
        bed.kubectl("scale", "deployment/vpa-updater", "-n", vpa.NAMESPACE, "--replicas=0")
        yield


def pod(web: Web) -> dict[str, Any]:
    """The only pod that is not ending; empty where there is none, or several."""
    items = web.bed.get("pods", "-n", web.namespace, "-l", "app=web")["items"]
    staying = [one for one in items if not one["metadata"].get("deletionTimestamp")]
    return dict(staying[0]) if len(staying) == 1 else {}


def memory(raw: dict[str, Any]) -> tuple[str, str]:
    """(request, limit) of the pod's container."""
    resources = raw["spec"]["containers"][0]["resources"] if raw else {}
    return resources.get("requests", {}).get("memory", ""), resources.get("limits", {}).get("memory", "")


def count_evictions(recommender: Program) -> int:
    return recommender.log.read_text().count("pod changed")


def test_a_pod_is_evicted_when_a_limit_range_lets_the_one_in_that_comes_instead(
    recommender: Program, web: Web, admission: None
) -> None:
    """A container of 32Mi has a limit of 256Mi, limits of 512Mi are allowed.

    VPA's admission controller holds a request to that, 64Mi, but then raises it to what the policy has as the least,
    1Gi, with a limit of 8Gi: no pod would come. Without that policy one does, and stays, though 250Mi are recommended.
    """
    first = pod(web)["metadata"]["name"]
    web.allow("LimitRange", limits=[{"type": "Container", "max": {"memory": "512Mi"}}])
    least = {"containerName": "*", "minAllowed": {"memory": "1Gi"}}
    web.watch("Recreate", policy={"containerPolicies": [least]}, least=1)
    recommender.start(*FLAGS)
    cause = "LimitRange small: limits.memory of container sample would be 8Gi, 512Mi at most is allowed"
    eventually(lambda: cause in recommender.log.read_text(), 120, "not said")
    assert pod(web)["metadata"]["name"] == first
    web.watch("Recreate", policy={"containerPolicies": []}, least=1)
    eventually(lambda: memory(pod(web)) == ("64Mi", "512Mi"), 120, "not evicted, or not admitted")
    web.bed.rollout("web", web.namespace)
    time.sleep(10)  # five loops
    assert Quantity.parse(web.target()["memory"]) >= Quantity.parse("250Mi")
    assert count_evictions(recommender) == 1


def test_a_pod_is_evicted_when_the_quota_has_room_for_the_one_that_comes_instead(
    recommender: Program, web: Web, admission: None
) -> None:
    """It has 32Mi, 100Mi are recommended: of 64Mi in all there would be none, of 100Mi there is, to the last byte."""
    first = pod(web)["metadata"]["name"]
    web.allow("ResourceQuota", hard={"requests.memory": "64Mi"})
    eventually(lambda: web.quota_used("requests.memory") == "32Mi", 30, "not counted")
    web.watch("Recreate", least=1)
    recommender.start(*FLAGS)
    cause = "ResourceQuota small: requests.memory would be 100Mi in all, 64Mi is allowed"
    eventually(lambda: cause in recommender.log.read_text(), 120, "not said")
    assert pod(web)["metadata"]["name"] == first
    assert count_evictions(recommender) == 0
    web.allow("ResourceQuota", hard={"requests.memory": "100Mi"})
    eventually(lambda: memory(pod(web))[0] == "100Mi", 120, "not evicted, or not admitted")
    web.bed.rollout("web", web.namespace)
    time.sleep(10)  # five loops
    assert count_evictions(recommender) == 1
