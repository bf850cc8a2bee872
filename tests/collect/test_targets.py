"""Which pods the embedded source scrapes."""

import pytest

from adapter.collect.targets import UNREADY, pod_targets
from adapter.kube.objects import ObjectMeta, Pod, PodStatus


def is_scraped(*, takes_traffic: bool, phase: str = "Running", **annotations: str) -> bool:
    noted = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"} | annotations
    meta = ObjectMeta(namespace="shop", name="web-1", annotations=noted)
    pod = Pod(metadata=meta, status=PodStatus(phase=phase, pod_ip="10.0.0.7"))
    targets, problems = pod_targets([pod], 5.0, lambda _: takes_traffic)
    assert not problems
    return bool(targets)


def test_a_pod_that_takes_traffic_is_scraped() -> None:
    assert is_scraped(takes_traffic=True)


def test_one_that_takes_none_is_not() -> None:
    assert not is_scraped(takes_traffic=False)


@pytest.mark.parametrize(("text", "asks"), [("true", True), ("True", True), ("false", False), ("yes", False)])
def test_unless_its_annotation_asks_for_it(text: str, asks: bool) -> None:
    assert is_scraped(takes_traffic=False, **{UNREADY: text}) == asks


def test_nobody_scrapes_a_pod_that_has_ended() -> None:
    assert not is_scraped(takes_traffic=False, phase="Succeeded", **{UNREADY: "true"})
