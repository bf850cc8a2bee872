"""Demand in step with the cluster: HPAs come, change and go, and the API learns new kinds."""

import asyncio
from contextlib import suppress

import msgspec
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from adapter.collect import follow
from adapter.collect.declared import ResourceOf, wants_of
from adapter.collect.demand import CustomWant, Want
from adapter.collect.follow import follow_hpas, follow_resources
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.client import Client
from adapter.kube.fake.server import FakeCluster
from adapter.kube.index import Index
from adapter.kube.objects import ObjectMeta
from adapter.kube.resources import ApiResource, GroupResource
from adapter.rules.resources import PODS
from tests.collect.conftest import World


class Panic(BaseException):
    """As a Rust extension's, which is no Exception."""


WIDGETS = ApiResource("example.com", "v1", "widgets", "widget", "Widget", True)


def hpa(metric: str, version: str = "1", described: str = "") -> HorizontalPodAutoscaler:
    target = {"kind": described, "apiVersion": "example.com/v1", "name": "w"}
    spec = (
        {"object": {"metric": {"name": metric}, "describedObject": target}}
        if described
        else {"pods": {"metric": {"name": metric}}}
    )
    meta = {"namespace": "shop", "name": "web", "resourceVersion": version, "uid": "1"}
    return msgspec.convert({"metadata": meta, "spec": {"metrics": [spec]}}, HorizontalPodAutoscaler)


async def test_an_hpa_is_followed_from_its_first_word_to_its_end(world: World) -> None:
    index: Index[HorizontalPodAutoscaler] = Index()
    index.put(hpa("before"))
    woken: list[int] = []
    follow_hpas(index, world.demand, world.catalogue, lambda: woken.append(1))
    assert world.demand.wants(0) == {CustomWant(PODS, "shop", "before")}
    index.put(hpa("after", "2"))
    assert world.demand.wants(0) == {CustomWant(PODS, "shop", "after")}
    index.remove("shop", "web")
    assert world.demand.wants(0) == frozenset()
    assert len(woken) == 2


@pytest.mark.parametrize("error", [Panic(), RecursionError(), MemoryError(), ValueError()])
async def test_an_hpa_that_nobody_thought_of_keeps_no_other_from_being_read(
    world: World, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def reading(one: HorizontalPodAutoscaler, resource_of: ResourceOf) -> tuple[list[Want], list[str]]:
        if one.metadata.name == "odd":
            raise error
        return wants_of(one, resource_of)

    monkeypatch.setattr(follow, "wants_of", reading)
    index: Index[HorizontalPodAutoscaler] = Index()
    index.put(replace(hpa("rate"), metadata=ObjectMeta(name="odd", namespace="shop", uid="2")))
    index.put(hpa("rate"))
    with capture_logs() as said:
        follow_hpas(index, world.demand, world.catalogue, lambda: None)
    assert world.demand.wants(0) == {CustomWant(PODS, "shop", "rate")}
    assert [(line["event"], line["name"]) for line in said] == [("HPA not read", "odd")]


async def test_a_status_that_changes_wakes_nobody(world: World) -> None:
    index: Index[HorizontalPodAutoscaler] = Index()
    index.put(hpa("rate"))
    woken: list[int] = []
    follow_hpas(index, world.demand, world.catalogue, lambda: woken.append(1))
    index.put(hpa("rate", "2"))
    assert len(woken) == 1


async def test_a_kind_that_the_cluster_learns_later_is_wanted_from_then_on(world: World) -> None:
    index: Index[HorizontalPodAutoscaler] = Index()
    index.put(hpa("size", described="Widget"))
    read_all = follow_hpas(index, world.demand, world.catalogue, lambda: None)
    assert world.demand.wants(0) == frozenset()
    async with FakeCluster() as cluster, Client(cluster.connection) as client:
        cluster.register(WIDGETS)
        learnt = asyncio.Event()

        def note() -> None:
            read_all()
            learnt.set()

        task = asyncio.create_task(follow_resources(client, world.catalogue, note))
        await asyncio.wait_for(learnt.wait(), 5)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert world.demand.wants(0) == {CustomWant(GroupResource("example.com", "widgets"), "shop", "size")}


async def test_an_hpa_with_hundreds_of_bad_selectors_is_one_line(world: World) -> None:
    index: Index[HorizontalPodAutoscaler] = Index()
    follow_hpas(index, world.demand, world.catalogue, lambda: None)
    bad = [{"pods": {"metric": {"name": "m", "selector": {"matchLabels": {f"-{n}": "x"}}}}} for n in range(300)]
    meta = {"namespace": "shop", "name": "web", "resourceVersion": "1", "uid": "1"}
    with capture_logs() as lines:
        index.put(msgspec.convert({"metadata": meta, "spec": {"metrics": bad}}, HorizontalPodAutoscaler))
    [line] = lines
    assert line["more"] == 299
    assert line["problem"].startswith("HPA shop/web, spec.metrics[0]: matchLabels['-0']")


async def test_hundreds_of_hpas_with_problems_are_a_few_lines_of_each_namespace(world: World) -> None:
    index: Index[HorizontalPodAutoscaler] = Index()
    bad = hpa("rate", described="Gizmo")
    with capture_logs() as said:
        follow_hpas(index, world.demand, world.catalogue, lambda: None)
        for namespace in ("greedy", "shop"):
            for number in range(300 if namespace == "greedy" else 1):
                meta = ObjectMeta(name=f"hpa-{number}", namespace=namespace, uid=f"{namespace}{number}")
                index.put(replace(bad, metadata=meta))
    lines = [line["problem"] for line in said if line["event"] == "HPA"]
    assert len(lines) == follow.HPAS_TOLD + 1 + 1  # its first ones, that there are more, and the other namespace's
    assert lines[follow.HPAS_TOLD] == "more HPAs of namespace greedy have problems; 20 were told"
    assert "shop/hpa-0" in lines[-1]
