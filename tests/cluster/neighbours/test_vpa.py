"""Our recommender in place of VPA's, by its overlays: VPA's own updater and admission controller act on it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.units.quantity import Quantity
from tests.cluster import image, page
from tests.cluster.adapter import OVERLAYS
from tests.cluster.bed import Bed
from tests.cluster.neighbours import vpa
from tests.cluster.neighbours.hosted import kustomized
from tests.cluster.recommender import Web, eventually

NAME = "streamgate-recommender"


@pytest.fixture(scope="module")
def neighbours(bed: Bed, resource_metrics: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """VPA's two, and our image on the node."""
    folder: Path = tmp_path_factory.mktemp("vpa")
    image.install(bed, folder, ["adapter"])
    with vpa.installed(bed, folder):
        yield


@pytest.fixture
def alone(bed: Bed, neighbours: None) -> Iterator[None]:
    """The overlay `recommender`, with a loop every 5 s as the others."""
    quick = {"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--recommender-interval=5s"}
    with kustomized(bed, OVERLAYS / "recommender"):
        bed.kubectl("patch", "deployment", NAME, "-n", NAME, "--type=json", "-p", json.dumps([quick]))
        bed.rollout(NAME, NAME, seconds=120)
        yield


@pytest.fixture
def dropped_in(bed: Bed, neighbours: None) -> Iterator[None]:
    """Our program in the Deployment of VPA's recommender, which ran there before, and does again: docs/install.md."""
    _, take_its_place, go_back = page.under(page.INSTALL, "The recommender")
    with vpa.applied(bed, vpa.recommender()):
        bed.rollout(vpa.RECOMMENDER, vpa.NAMESPACE, seconds=90)
        page.run_script(take_its_place, page.shell_of(bed))
        yield
        page.run_script(go_back, page.shell_of(bed))


def pods(web: Web) -> dict[str, dict[str, Any]]:
    """Pods that are not ending, by name."""
    items = web.bed.get("pods", "-n", web.namespace, "-l", "app=web")["items"]
    return {pod["metadata"]["name"]: pod for pod in items if not pod["metadata"].get("deletionTimestamp")}


def requests_of(pod: dict[str, Any]) -> dict[str, str]:
    """The requests in the pod's spec, by resource."""
    (container,) = pod["spec"]["containers"]
    return dict(container["resources"]["requests"])


def reasons(web: Web) -> set[str]:
    """Reasons of the namespace's events."""
    return {event["reason"] for event in web.bed.get("events", "-n", web.namespace)["items"]}


def writers(web: Web) -> set[str]:
    """Which programs wrote its VPA's status."""
    entries = web.bed.get("vpa", "web", "-n", web.namespace, "--show-managed-fields")["metadata"]["managedFields"]
    return {one["manager"] for one in entries if one.get("subresource") == "status"}


@pytest.mark.parametrize("installed", ["alone", "dropped_in"])
def test_the_updater_evicts_by_our_status_and_the_admission_controller_sets_requests_from_it(
    web: Web, request: pytest.FixtureRequest, installed: str
) -> None:
    """The sample requests 10m and 32Mi; the minimums are 25m and, by policy, 100Mi: it is outside of our bounds."""
    request.getfixturevalue(installed)
    (first,) = pods(web)
    web.watch("Recreate")
    eventually(web.target, 90, "no recommendation")
    eventually(lambda: len(pods(web)) == 1 and first not in pods(web), 120, "not evicted")
    assert writers(web) == {"streamgate"}
    (pod,) = pods(web).values()
    assert requests_of(pod)["memory"] == "100Mi" == web.target()["memory"]
    assert Quantity.parse(requests_of(pod)["cpu"]) >= Quantity.parse("25m")
    assert "Pod resources updated by web" in pod["metadata"]["annotations"]["vpaUpdates"]
    eventually(lambda: "EvictedByVPA" in reasons(web), 30, "evicted by somebody else")


def test_the_updater_resizes_in_place_by_our_status(web: Web, alone: None) -> None:
    (first,) = pods(web)
    web.watch("InPlaceOrRecreate")
    eventually(lambda: web.pod().get("resources", {}).get("requests", {}).get("memory") == "100Mi", 150, "not resized")
    assert list(pods(web)) == [first]
    assert web.pod()["restartCount"] == 0


def test_beside_vpas_recommender_each_serves_the_vpas_that_name_it(
    bed: Bed, neighbours: None, new_namespace: Callable[[str], str]
) -> None:
    ours, theirs = (Web(bed, new_namespace(name)) for name in ("ours", "theirs"))
    with vpa.applied(bed, vpa.recommender()), kustomized(bed, OVERLAYS / "beside-vpa"):
        bed.rollout(NAME, NAME, seconds=120)
        bed.rollout(vpa.RECOMMENDER, vpa.NAMESPACE, seconds=90)
        ours.watch(recommender="streamgate")
        theirs.watch()
        for web in (ours, theirs):
            eventually(web.target, 150, f"no recommendation in {web.namespace}")
        assert writers(ours) == {"streamgate"}
        assert writers(theirs) == {"vpa-recommender"}
