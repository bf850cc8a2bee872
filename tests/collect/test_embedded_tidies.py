"""What the embedded source forgets, and that it lets others run meanwhile."""

import asyncio

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from adapter.collect.embedded import AT_ONCE, Embedded, EmbeddedOptions
from adapter.kube.index import Index
from adapter.kube.objects import ObjectMeta, Pod, PodStatus
from adapter.metrics.sample import Series


async def test_a_gone_pod_with_many_series_is_forgotten_in_turns() -> None:
    """2.5 times what is forgotten at once: one part with the pod, the rest between turns of the loop."""
    pods: Index[Pod] = Index()
    embedded = Embedded(EmbeddedOptions(), CollectorRegistry(), pods, Index(), clock=lambda: 1000.0)
    pods.put(Pod(metadata=ObjectMeta(namespace="shop", name="large")))
    count = AT_ONCE * 5 // 2
    labels = {"namespace": "shop", "pod": "large"}
    embedded.store.extend((Series.of("x", {**labels, "id": str(number)}), 1.0, 1000.0) for number in range(count))
    pods.remove("shop", "large")
    assert len(embedded.store) == count - AT_ONCE
    async with embedded:
        running = asyncio.create_task(embedded.run())
        async with asyncio.timeout(5):
            while len(embedded.store):  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        running.cancel()


def make_pod(name: str, phase: str = "Running") -> Pod:
    notes = {"prometheus.io/scrape": "true", "prometheus.io/port": "9"}
    status = PodStatus(phase=phase, pod_ip="127.0.0.1")
    return Pod(metadata=ObjectMeta(namespace="shop", name=name, annotations=notes), status=status)


async def test_a_finished_pods_series_go_and_not_those_of_the_pod_that_has_its_address_now() -> None:
    pods: Index[Pod] = Index()
    embedded = Embedded(EmbeddedOptions(), CollectorRegistry(), pods, Index(), clock=lambda: 1000.0)
    own = {"namespace": "shop", "instance": "127.0.0.1:9", "job": "kubernetes-pods"}
    for name in ("old", "new"):
        pods.put(make_pod(name))
        embedded.store.extend([(Series.of("x", {**own, "pod": name}), 1.0, 1000.0)])
    async with embedded:
        running = asyncio.create_task(embedded.run())
        await asyncio.sleep(0.1)
        pods.put(make_pod("old", "Succeeded"))
        async with asyncio.timeout(5):
            while len(embedded.store.series(["x"], 0, 1000)) == 2:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        running.cancel()
    assert [labels["pod"] for labels in embedded.store.series(["x"], 0, 1000)] == ["new"]


async def test_of_hundreds_of_pods_of_one_namespace_that_cannot_be_scraped_the_log_tells_twenty() -> None:
    pods: Index[Pod] = Index()
    embedded = Embedded(EmbeddedOptions(), CollectorRegistry(), pods, Index(), clock=lambda: 1000.0)
    wrong = {"prometheus.io/scrape": "true", "prometheus.io/port": "none"}
    for number in range(300):
        meta = ObjectMeta(namespace="noisy" if number else "shop", name=f"web-{number}", annotations=wrong)
        pods.put(Pod(metadata=meta, status=PodStatus(phase="Running", pod_ip="127.0.0.1")))
    with capture_logs() as logs:
        async with embedded:
            running = asyncio.create_task(embedded.run())
            await asyncio.sleep(0.1)
            running.cancel()
    told = [str(line["problem"]) for line in logs if line["event"] == "not scraped"]
    assert sum(problem.startswith("pod noisy/") for problem in told) == 20
    assert sum(problem.startswith("pod shop/web-0: ") for problem in told) == 1
    assert "more pods of namespace noisy are not scraped; 20 were told" in told
    assert len(told) == 22
