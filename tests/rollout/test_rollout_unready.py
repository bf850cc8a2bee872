"""New pods that are unready: what is the release's fault ends it, what is a node's or a probe's does not."""

from typing import Any

import pytest

from adapter.kube.resources import PODS
from tests.rollout.shop import Shop, image_of

STEP = {"canary": {"steps": [{"weight": 25, "pauseSeconds": 30}]}}
"""One new pod beside three stable ones."""


async def under_release(strategy: Any, phase: str) -> Shop:
    """A release of web:2 whose new pods are all ready, in this phase."""
    shop = await Shop(strategy).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == phase and (shop.status["release"] or {}).get("reached"))
    await shop.some(3)
    return shop


def break_new_pods(shop: Shop, seconds: float) -> None:
    """Those of web:2 are unready for so long from now on."""
    until = shop.now + seconds
    shop.simulator.health = lambda pod: "never" if image_of(pod) == "web:2" and shop.now < until else "ok"


@pytest.mark.parametrize(("seconds", "outcome"), [(12, "Promoted"), (20, "RolledBack")])
async def test_beside_stable_pods_a_new_one_may_be_unready_for_15_s(seconds: float, outcome: str) -> None:
    """A probe that failed once comes again after 10 s, Kubernetes' default."""
    shop = await under_release(STEP, "Stepping")
    break_new_pods(shop, seconds)
    await shop.until_outcome(outcome)


@pytest.mark.parametrize(("seconds", "outcome"), [(8, "Promoted"), (15, "RolledBack")])
async def test_after_a_switch_new_pods_may_be_unready_for_10_s(seconds: float, outcome: str) -> None:
    shop = await under_release({"blueGreen": {"verifySeconds": 30}}, "Verifying")
    break_new_pods(shop, seconds)
    await shop.until_outcome(outcome)


async def test_the_only_new_pod_goes_with_its_node_and_the_next_one_takes_half_a_minute_to_start() -> None:
    shop = await under_release(STEP, "Stepping")
    shop.simulator.boot = 30
    (victim,) = [pod for pod in shop.all(PODS) if pod["metadata"]["name"] in shop.pods("web:2")]
    shop.simulator.end(victim)
    await shop.until_outcome("Promoted")


async def test_pods_that_the_hpa_adds_after_the_switch_may_take_half_a_minute_to_start() -> None:
    shop = await under_release({"blueGreen": {"verifySeconds": 60}}, "Verifying")
    slow = set(shop.pods())
    shop.simulator.health = lambda pod: "ok" if pod["metadata"]["name"] in slow or shop.now > began + 30 else "never"
    began = shop.now
    shop.scale(9)  # 3 of 9 are ready
    await shop.until_outcome("Promoted")


async def test_after_a_switch_no_ready_pod_at_all_is_an_outage_whatever_the_reason() -> None:
    """All nodes of the new pods go; those that come instead never start."""
    shop = await under_release({"blueGreen": {"verifySeconds": 60}}, "Verifying")
    known = set(shop.pods())
    shop.simulator.health = lambda pod: "ok" if pod["metadata"]["name"] in known else "never"
    for pod in [pod for pod in shop.all(PODS) if pod["metadata"]["name"] in shop.pods("web:2")]:
        shop.simulator.end(pod)
    began = shop.now
    await shop.until_outcome("RolledBack")
    assert shop.now - began < 60
