"""What the peers' suites ask of a rollout controller, where no other file has it (docs/rollouts.md, the checklist)."""

import re
from pathlib import Path
from typing import Any

import pytest

from adapter.kube.errors import NotFound, ServerError
from adapter.kube.resources import PODS
from adapter.rollout.hear import MetricsEars
from adapter.rollout.model.actions import DEPLOYMENTS, REPLICA_SETS
from adapter.rollout.model.policy import POLICIES
from adapter.rollout.model.verdict import FREE
from adapter.rollout.turns import Turns
from tests.rollout.shop import BLUE_GREEN, CANARY, ROLLING, Shop, image_of, rolls_back
from tests.rollout.test_rollout_hearing import GATE, Metrics, Served

ROOT = Path(__file__).resolve().parents[2]
ALL = {"blue-green": BLUE_GREEN, "canary": CANARY, "rolling": ROLLING}
STRATEGIES = pytest.mark.parametrize("strategy", ALL.values(), ids=ALL)


def writes(shop: Shop) -> list[tuple[str, str]]:
    return [call for call in shop.client.calls if call[0] != "GET"]


def test_the_table_of_the_docs_names_tests_that_there_are() -> None:
    page = (ROOT / "docs/rollouts.md").read_text()
    named = re.findall(r"`((?:cluster/)?[\w./]+)::(test_\w+)`", page[page.index("## The checklist") :])
    assert len(named) > 50
    for place, name in named:
        short = place if "/" in place else f"rollout/test_rollout_{place}.py"
        text = (ROOT / "tests" / short).read_text()
        assert re.search(rf"def {name}\b", text), f"{place}::{name}"


@STRATEGIES
async def test_template_and_replicas_that_change_together_are_one_release_at_the_new_size(strategy: Any) -> None:
    shop = await Shop(strategy).ready()

    def change(deployment: Any) -> None:
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2"
        deployment["spec"]["replicas"] = 5

    shop.edit(DEPLOYMENTS, change)
    await shop.until_outcome("Promoted")
    assert shop.status["number"] == 1
    shop.clean("web:2", replicas=5)


@STRATEGIES
async def test_a_third_template_in_flight_begins_at_the_first_step_beside_the_first_template(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.mark in ("Previewing", "Stepping 1"))
    shop.release("web:3")
    shop.phases.clear()
    await shop.until(lambda: len(shop.outcomes) == 1)
    stable = shop.status["stable"]["hash"]
    await shop.until(lambda: len(shop.outcomes) == 2)
    began = next(mark for mark in shop.phases if mark in ("Starting", "Stepping 0", "Stepping 1"))
    assert began == ("Starting" if strategy is BLUE_GREEN else "Stepping 0")
    (first,) = [each for each in shop.all(REPLICA_SETS) if each["metadata"]["labels"]["pod-template-hash"] == stable]
    assert image_of(first["spec"]["template"]) == "web:1"  # the second was never the stable one
    await shop.some(5)
    shop.clean("web:3")


async def test_a_pre_gate_that_fails_never_switches() -> None:
    shop = await Shop(BLUE_GREEN).ready()
    shop.ears.say = lambda phase: rolls_back() if phase == "Previewing" else FREE
    shop.release("web:2")
    await shop.until_outcome("RolledBack")
    assert all(images == {"web:1"} for images in shop.seen if images)
    assert "Switching" not in shop.phases
    shop.clean("web:1")


async def test_the_new_pods_are_all_there_before_the_switch_and_the_old_ones_until_the_delay_is_over() -> None:
    shop = await Shop({"blueGreen": {"previewSeconds": 1, "verifySeconds": 30}}).ready()
    old, counts = set(shop.pods()), dict[str, set[tuple[int, int]]]()
    shop.every_step.append(
        lambda: counts.setdefault(shop.phase, set()).add((len(shop.pods("web:1")), len(shop.pods("web:2"))))
    )
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Verifying")
    await shop.some(20)
    assert counts["Switching"] == counts["Verifying"] == {(3, 3)}
    shop.command("abort")
    moved = len(shop.seen)
    await shop.until(lambda: shop.phase == "Removing")
    assert {"web:1"} in shop.seen[moved:][:3]  # one write, and no pod to start
    assert set(shop.pods("web:1")) == old


@STRATEGIES
async def test_after_an_abort_nothing_is_written_for_five_minutes(strategy: Any) -> None:
    shop = await Shop(strategy, hpa=True).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase in ("Verifying", "Stepping"))
    shop.command("abort")
    await shop.until_outcome("Aborted")
    await shop.some(10)
    shop.client.calls.clear()
    await shop.some(300)
    assert writes(shop) == []
    shop.clean("web:1")


@STRATEGIES
async def test_another_controller_that_starts_begins_no_release(strategy: Any) -> None:
    """An upgrade of ours changes no template, and nothing of a template's fingerprint depends on us."""
    shop = await Shop(strategy).ready()
    shop.release("web:2")
    await shop.until_outcome("Promoted")
    shop.edit(POLICIES, lambda raw: raw["status"].update(ofANewerVersion={"a": 1}))
    shop.turns = Turns(shop.client, shop.ears)
    shop.client.calls.clear()
    await shop.some(60)
    assert shop.status["number"] == 1
    assert [path for _, path in writes(shop) if "rolloutpolicies" not in path] == []


@STRATEGIES
async def test_a_quota_that_is_full_in_mid_release_takes_it_back_and_touches_no_stable_pod(strategy: Any) -> None:
    shop = await Shop({**strategy, "progressDeadlineSeconds": 20}).ready()
    before = set(shop.pods())
    shop.simulator.room = 3
    shop.release("web:2")
    await shop.until_outcome("RolledBack")
    assert "no progress for 20 s" in shop.status["history"][0]["reason"]
    assert set(shop.pods()) == before
    shop.clean("web:1")


@STRATEGIES
async def test_a_quota_that_is_raised_in_time_lets_it_go_on(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.simulator.room = 3
    shop.release("web:2")
    await shop.some(30)
    assert shop.pods("web:2") == []
    shop.simulator.room = 1000
    await shop.until_outcome("Promoted")
    shop.clean("web:2")


@STRATEGIES
@pytest.mark.parametrize("arm", ["web:1", "web:2"])
async def test_a_drained_node_takes_a_pod_of_either_arm_and_the_release_goes_on(strategy: Any, arm: str) -> None:
    shop = await Shop(strategy).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.mark in ("Verifying", "Stepping 1") and len(shop.pods("web:2")) > 1)
    victim = next(pod for pod in shop.all(PODS) if pod["metadata"]["name"] in shop.pods(arm))
    shop.simulator.end(victim)
    await shop.until_outcome("Promoted")
    shop.clean("web:2")


async def test_a_metric_that_nobody_has_is_named_before_a_release_waits_for_it() -> None:
    shop = Shop(CANARY, gates=[GATE])
    shop.client.__class__ = Served
    client: Any = shop.client
    client.metrics = Metrics(shop, {})
    client.metrics.answer = lambda metric: {"items": []}
    shop.turns = Turns(shop.client, MetricsEars(shop.client))
    await shop.ready()
    await shop.some(2)
    (missing,) = [each for each in shop.status["conditions"] if each["type"] == "MetricsMissing"]
    assert missing["status"] == "True"
    assert "http_requests" in missing["message"]  # `total`: bad requests may well have no series yet
    client.metrics.answer = lambda metric: {"items": [{"describedObject": {"name": "a"}, "value": "1"}]}
    await shop.some(70)
    (missing,) = [each for each in shop.status["conditions"] if each["type"] == "MetricsMissing"]
    assert missing["status"] == "False"


async def test_a_metrics_server_that_is_away_is_no_missing_metric() -> None:
    shop = Shop(CANARY, gates=[GATE])

    def hook(verb: str, path: str) -> None:
        if path.startswith("/apis/custom.metrics.k8s.io/"):
            raise ServerError(503, "ServiceUnavailable", "the adapter is away")

    shop.client.before.append(hook)
    shop.turns = Turns(shop.client, MetricsEars(shop.client))
    await shop.ready()
    await shop.some(3)
    assert not [each for each in shop.status["conditions"] if each["type"] == "MetricsMissing"]
    shop.client.before.remove(hook)  # it is back, and does not know the metric: seen soon
    await shop.some(17)
    assert "MetricsMissing" in [each["type"] for each in shop.status["conditions"] if each["status"] == "True"]


async def test_a_metric_that_the_api_does_not_know_is_missing() -> None:
    shop = Shop(CANARY, gates=[GATE])

    def hook(verb: str, path: str) -> None:
        if path.startswith("/apis/custom.metrics.k8s.io/"):
            raise NotFound(404, "NotFound", "no such metric")

    shop.client.before.append(hook)
    shop.turns = Turns(shop.client, MetricsEars(shop.client))
    await shop.ready()
    await shop.some(2)
    assert "MetricsMissing" in [each["type"] for each in shop.status["conditions"] if each["status"] == "True"]
