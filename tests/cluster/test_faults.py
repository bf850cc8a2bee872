"""Faults under a steady load, embedded source: whatever fails, the HPA does not move, and the metric comes back.

All faults hit the same Deployment, whose HPA looks every 5 s; each lasts for three such looks. Outages of Prometheus
are in test_prometheus.py, since they need the other source.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.adapter import CUSTOM, CUSTOM_API_SERVICES, RunningAdapter, running_adapter, try_raw
from tests.cluster.bed import Bed
from tests.cluster.certs import Pair
from tests.cluster.processes import wait_until
from tests.cluster.steady import PERIOD, REPLICAS, Steady, quick_hpas, steady_deployment

Note = Callable[[str, object], None]
HPA_ROLE = "system:controller:horizontal-pod-autoscaler"


@pytest.fixture(scope="module")
def adapter(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAdapter]:
    folder = tmp_path_factory.mktemp("adapter")
    with running_adapter(bed, folder, apis=CUSTOM_API_SERVICES, overlay="embedded") as running:
        yield running


@pytest.fixture(scope="module")
def steady(bed: Bed, adapter: RunningAdapter) -> Iterator[Steady]:
    with quick_hpas(bed), steady_deployment(bed) as steady:
        yield steady


def test_an_adapter_that_is_killed_and_started_again_moves_nothing(
    adapter: RunningAdapter, steady: Steady, record_property: Note
) -> None:
    with steady.undisturbed():
        adapter.end(signal.SIGKILL)
        record_property("hpa_says", steady.wait_inactive(4 * PERIOD))
        time.sleep(3 * PERIOD)
        adapter.start()
        record_property("served_again_s", steady.wait_served(60))


def test_an_api_server_that_restarts_moves_nothing(
    bed: Bed, adapter: RunningAdapter, steady: Steady, record_property: Note
) -> None:
    with steady.undisturbed():
        bed.stop("kube-apiserver", kill=True)
        time.sleep(3 * PERIOD)
        bed.start("kube-apiserver")
        record_property("served_again_s", steady.wait_served(60))
    assert not adapter.ended


def test_a_front_proxy_ca_that_rotates_is_followed_without_a_restart(
    bed: Bed, adapter: RunningAdapter, steady: Steady, record_property: Note
) -> None:
    old = keep(bed.front_proxy)
    headers = {"X_Remote_User": "ann", "X_Remote_Group": "system:masters"}
    assert adapter.ask(CUSTOM, old, **headers).status == 200
    with steady.undisturbed():
        bed.rotate_front_proxy_ca()
        began, seen = time.monotonic(), dict[str, float]()
        while not steady.served_items():
            seen.setdefault(str(try_raw(bed, f"{CUSTOM}/{steady.path}"))[-200:], round(time.monotonic() - began, 1))
            assert time.monotonic() - began < 30, seen
        record_property("window_s", time.monotonic() - began)
        record_property("in_the_window", seen)
        adapter.wait_available(30, CUSTOM_API_SERVICES)
        time.sleep(3 * PERIOD)
        # The API server publishes the new CA beside the old one, for its peers; an operator takes the old one away.
        new = json.dumps({"data": {"requestheader-client-ca-file": bed.front_proxy_ca.read_text()}})
        bed.kubectl("patch", "configmap", "extension-apiserver-authentication", "-n", "kube-system", "-p", new)
        assert wait_until(lambda: is_refused(adapter, old, headers), 10, every=0.25)
    assert adapter.ask(CUSTOM, bed.front_proxy, **headers).status == 200
    assert not adapter.ended


def is_refused(adapter: RunningAdapter, pair: Pair, headers: dict[str, str]) -> bool:
    """A certificate of a CA that is trusted no more ends in 401, or in the handshake."""
    try:
        return adapter.ask(CUSTOM, pair, **headers).status == 401
    except OSError:
        return True


def keep(pair: Pair) -> Pair:
    """A copy of its files, which their replacement leaves alone."""
    kept = Pair(pair.cert.with_name("kept.crt"), pair.key.with_name("kept.key"))
    for source, target in zip((pair.cert, pair.key), (kept.cert, kept.key), strict=True):
        target.write_bytes(source.read_bytes())
    return kept


def test_an_adapter_without_its_rights_says_so_and_moves_nothing(
    bed: Bed, adapter: RunningAdapter, steady: Steady, record_property: Note
) -> None:
    """Who was allowed lately still is for 40 s (10 s of a verdict, 30 s of grace), since it cannot be asked anew."""
    path = f"{CUSTOM}/{steady.path}"
    with steady.undisturbed():
        bed.kubectl("delete", "clusterrolebindings", "streamgate-adapter", "streamgate-adapter:system:auth-delegator")
        time.sleep(3 * PERIOD)
        stranger = adapter.ask(path, bed.certificate("jane"))
        assert stranger.status == 503
        assert stranger.json["message"] == "access cannot be reviewed: the Kubernetes API refused (403)"
        record_property("hpa_says", steady.wait_inactive(60))
        adapter.install()
        record_property("served_again_s", steady.wait_served(60))
    assert "the last allowance still holds" in adapter.log.read_text()
    assert adapter.ask(path, bed.certificate("jane")).status == 403


def test_an_hpa_controller_without_its_rights_is_told_so_and_moves_nothing(
    bed: Bed, adapter: RunningAdapter, steady: Steady, record_property: Note
) -> None:
    binding = "streamgate-metrics-reader:horizontal-pod-autoscaler"
    role = bed.get("clusterrole", HPA_ROLE)
    kept = [rule for rule in role["rules"] if "custom.metrics.k8s.io" not in rule["apiGroups"]]
    assert kept != role["rules"]
    with steady.undisturbed():
        bed.kubectl("replace", "-f", "-", stdin=json.dumps(role | {"rules": kept}))
        bed.kubectl("delete", "clusterrolebinding", binding)
        said = steady.wait_inactive(30)
        assert "is forbidden" in said
        record_property("hpa_says", said)
        time.sleep(3 * PERIOD)
        adapter.install()
    assert len(steady.served_items()) == REPLICAS
