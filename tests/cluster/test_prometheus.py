"""The main job with a real Prometheus and a usual rules file; and what outages of that Prometheus move: nothing."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from loadtest.pods import PodsLoad
from tests.cluster.adapter import (
    CUSTOM,
    CUSTOM_API_SERVICES,
    RunningAdapter,
    hpa,
    pods_metric,
    running_adapter,
    wait_for_replicas,
)
from tests.cluster.background import in_background
from tests.cluster.bed import Bed
from tests.cluster.manifests import PORT, sample_deployment
from tests.cluster.processes import wait_until
from tests.cluster.prometheus import PER_SECOND, SCRAPE_S, RunningPrometheus, running_prometheus
from tests.cluster.steady import METRIC, PERIOD, RATE, Steady, quick_hpas, steady_deployment

MAX_AGE_S = 20
TIMES_EVERY_S = 15
"""The adapter asks so often for the samples' own times, so that these may lag behind by as much."""

Note = Callable[[str, object], None]


@pytest.fixture(scope="module")
def prometheus(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPrometheus]:
    with running_prometheus(bed, tmp_path_factory.mktemp("prometheus")) as running:
        yield running


@pytest.fixture(scope="module")
def adapter(
    bed: Bed, prometheus: RunningPrometheus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningAdapter]:
    folder = tmp_path_factory.mktemp("adapter")
    rules: Path = folder / "config.yaml"
    rules.write_text(PER_SECOND.format(window="30s"))
    flags = [f"--config={rules}", f"--prometheus-url={prometheus.url}", "--metrics-relist-interval=10s"]
    flags += ["--refresh-interval=2s", f"--value-max-age={MAX_AGE_S}s"]
    with running_adapter(bed, folder, *flags, apis=CUSTOM_API_SERVICES, overlay="prometheus") as running:
        yield running


def test_an_hpa_scales_up_under_load_and_back_down_on_what_prometheus_says(
    bed: Bed, adapter: RunningAdapter, namespace: str, record_property: Note
) -> None:
    bed.apply(sample_deployment("web", namespace))
    bed.rollout("web", namespace)
    bed.apply(hpa("web", namespace, pods_metric(METRIC, "20")))
    with in_background(
        bed.kubeconfig, lambda client: [PodsLoad(client, namespace=namespace, selector="app=web", port=PORT, rate=54)]
    ) as [load]:
        record_property("up_s", wait_for_replicas(bed, "web", namespace, 3, 90))  # 54 / 20 = 2.7
        bed.rollout("web", namespace)
        path = f"{CUSTOM}/namespaces/{namespace}/pods/*/{METRIC}?labelSelector=app%3Dweb"
        assert wait_until(lambda: len(bed.raw(path)["items"]) >= 3, 60, every=1)
        load.rate = 0
        record_property("down_s", wait_for_replicas(bed, "web", namespace, 1, 150))
    assert not any(stream.failed for stream in load.streams.values()), load.streams


@pytest.fixture(scope="module")
def steady(bed: Bed, adapter: RunningAdapter) -> Iterator[Steady]:
    with quick_hpas(bed), steady_deployment(bed) as steady:
        yield steady


def test_a_value_has_the_time_of_its_sample_not_of_the_request(
    adapter: RunningAdapter, prometheus: RunningPrometheus, steady: Steady
) -> None:
    items, now = steady.served_items(), time.time()
    for pod, item in items.items():
        told = datetime.fromisoformat(item["timestamp"]).timestamp()
        series = f'http_requests_total{{namespace="{steady.namespace}",pod="{pod}"}}[2m]'
        scrapes = {int(float(moment)) for result in prometheus.query(series) for moment, _ in result["values"]}
        assert told in scrapes  # metav1.Time has whole seconds
        assert 0 <= now - told <= TIMES_EVERY_S + SCRAPE_S + 3
    story = adapter.explain(steady.path)
    assert (story["source"], story["timeOf"], story["lastError"]) == ("prometheus", "the sample", "")
    assert "rate(http_requests_total" in story["promql"]
    ages = [entry["ageSeconds"] for entry in story["objects"].values()]
    assert len(ages) == 3
    assert max(ages) <= TIMES_EVERY_S + SCRAPE_S + 3


def ages(adapter: RunningAdapter, steady: Steady) -> list[float]:
    return [entry["ageSeconds"] for entry in adapter.explain(steady.path)["objects"].values()]


def test_values_age_while_prometheus_is_away_then_go_missing_and_come_back(
    bed: Bed, adapter: RunningAdapter, prometheus: RunningPrometheus, steady: Steady, record_property: Note
) -> None:
    with steady.undisturbed():
        before = steady.served_items()
        prometheus.end()
        ended = time.monotonic()
        time.sleep(PERIOD)
        first = ages(adapter, steady)
        assert set(steady.served_items()) == set(before)  # the last good values, as they were
        time.sleep(PERIOD)
        assert min(ages(adapter, steady)) > min(first) + PERIOD - 1  # and older every second
        assert "cannot be asked" in adapter.explain(steady.path)["lastError"]
        assert wait_until(lambda: not steady.served_items(), 60, every=0.5)
        record_property("missing_after_s", time.monotonic() - ended)
        said = [entry["leftOut"] for entry in adapter.explain(steady.path)["objects"].values()]
        assert all(re.fullmatch(r"its sample is \d+ s old, the limit is \d+ s", one) for one in said), said
        record_property("limit", said[0])
        record_property("hpa_says", steady.wait_inactive(4 * PERIOD))
        time.sleep(3 * PERIOD)
        prometheus.start()
        record_property("served_again_s", steady.wait_served(60))
        limit = adapter.explain(steady.path)["maxAgeSeconds"]
        assert limit <= 4 * TIMES_EVERY_S  # an outage is no sample interval


def test_a_killed_prometheus_that_lost_its_data_moves_nothing(
    prometheus: RunningPrometheus, steady: Steady, record_property: Note
) -> None:
    """Its rates are too low until their window of 30 s is full again, since it divides by the whole window."""
    with steady.undisturbed():
        prometheus.end(signal.SIGKILL)
        prometheus.start(anew=True)
        began = time.monotonic()
        assert wait_until(lambda: not steady.served_items(), 10, every=0.25)
        assert steady.wait_served(60) > PERIOD
        record_property("served_again_s", time.monotonic() - began)
        assert abs(steady.total() - RATE) < RATE / 5  # not a part of it


def test_a_prometheus_that_wants_a_password_is_named_as_such_and_moves_nothing(
    adapter: RunningAdapter, prometheus: RunningPrometheus, steady: Steady
) -> None:
    with steady.undisturbed():
        prometheus.want_password(True)
        time.sleep(3 * PERIOD)
        assert "answered 401; check its credentials" in adapter.explain(steady.path)["lastError"]
        prometheus.want_password(False)
