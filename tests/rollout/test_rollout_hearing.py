"""Gates in a whole release: metrics come from custom.metrics.k8s.io, pod by pod, and the judge decides."""

import json
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from adapter.kube import errors
from adapter.kube.resources import PODS
from adapter.rollout.evidence import breaker
from adapter.rollout.hear import AFTER_WINDOW, MetricsEars, health, look_again
from adapter.rollout.hear import EVERY as EVERY_LOOK
from adapter.rollout.model.observation import Pod
from adapter.rollout.model.policy import POLICIES
from adapter.rollout.model.policy import STRATEGIES as STRATEGY_FIELDS
from adapter.rollout.model.window import Arm, Health
from adapter.rollout.turns import BUSY, Turns
from adapter.rollout.windows import Cursor
from tests.rollout.local import LocalClient
from tests.rollout.shop import BLUE_GREEN, CANARY, NAMESPACE, Shop, image_of

GATE = {"metric": "http_errors", "total": "http_requests", "limit": 0.02}
EVERY = 5
"""s between two scrapes."""


class Metrics:
    """Counters of all pods, as an adapter serves them; a pod without errors has no series of them."""

    def __init__(self, shop: Shop, rates: dict[str, float]) -> None:
        """`rates`: image -> share of bad requests."""
        self._shop, self._rates, self._random = shop, rates, random.Random(1)
        self.totals: dict[str, int] = {}
        self.bad: dict[str, int] = {}
        self.scraped: tuple[float, dict[str, int], dict[str, int]] = (shop.now, {}, {})
        self.away: Callable[[], bool] = lambda: False
        shop.every_step.append(self.step)

    def step(self) -> None:
        """One second passes: 100 requests go to each pod that the Service names."""
        for pod in self._shop.all(PODS):
            name = pod["metadata"]["name"]
            if name not in self._shop.pods():
                continue
            bad = sum(self._random.random() < self._rates.get(image_of(pod), 0.0) for _ in range(100))
            self.totals[name] = self.totals.get(name, 0) + 100
            if bad:
                self.bad[name] = self.bad.get(name, 0) + bad
        if self._shop.now - self.scraped[0] >= EVERY:
            self.scraped = (self._shop.now, dict(self.totals), dict(self.bad))

    def answer(self, metric: str) -> dict[str, Any]:
        time, totals, bad = self.scraped
        stamp = datetime.fromtimestamp(time, UTC).isoformat()
        counters = totals if metric == "http_requests" else bad
        items = []
        for name, value in counters.items():
            items.append({"describedObject": {"name": name}, "timestamp": stamp, "value": str(value)})
        return {"items": items}


class Served(LocalClient):
    """The API server with a metrics API beside it."""

    metrics: Metrics

    async def _answer(self, ask: Any) -> Any:
        if not ask.path.startswith("/apis/custom.metrics.k8s.io/"):
            return await super()._answer(ask)
        if self.metrics.away():
            raise errors.ServerError(503, "ServiceUnavailable", "the adapter is away")
        return self.metrics.answer(ask.path.rsplit("/", 1)[1])


async def release_with_errors(
    strategy: dict[str, Any], bad: float, *, gate: dict[str, Any] | None = None
) -> tuple[Shop, Metrics]:
    """A shop in a release whose new pods fail the share `bad` of requests; stable pods fail 0.001."""
    shop = Shop(strategy, gates=[gate or GATE])
    shop.client.__class__ = Served
    client: Any = shop.client
    client.metrics = Metrics(shop, {"web:1": 0.001, "web:2": bad})
    shop.turns = Turns(shop.client, MetricsEars(shop.client))
    await shop.ready()
    shop.release("web:2")
    return shop, client.metrics


STRATEGIES = pytest.mark.parametrize("strategy", [BLUE_GREEN, CANARY], ids=["blue-green", "canary"])


@STRATEGIES
async def test_as_good_as_the_stable_one_it_is_promoted(strategy: dict[str, Any]) -> None:
    shop, _ = await release_with_errors(strategy, 0.001)
    await shop.until_outcome("Promoted")
    shop.clean("web:2")


@STRATEGIES
async def test_ten_percent_of_errors_are_rolled_back_by_themselves(strategy: dict[str, Any]) -> None:
    shop, _ = await release_with_errors(strategy, 0.1)
    await shop.until_outcome("RolledBack")
    assert "http-errors" in shop.status["history"][0]["reason"]
    shop.clean("web:1")


def edit_policy(shop: Shop, strategy: dict[str, Any], gate: dict[str, Any]) -> None:
    """Gives the policy another strategy and another gate, as a person does."""

    def change(policy: Any) -> None:
        kept = {key: value for key, value in policy["spec"].items() if key not in STRATEGY_FIELDS}
        policy["spec"] = {**kept, **strategy, "gates": [gate]}
        policy["metadata"]["generation"] = policy["metadata"].get("generation", 1) + 1

    shop.edit(POLICIES, change)


@pytest.mark.parametrize(
    ("begun", "phase", "edited", "gate"),
    [
        (BLUE_GREEN, "Verifying", CANARY, {**GATE, "margin": 0.5}),
        (CANARY, "Stepping", BLUE_GREEN, {**GATE, "stage": "pre"}),
    ],
    ids=["blue-green", "canary"],
)
async def test_gates_that_do_not_fit_the_release_are_for_the_next_one_and_its_own_still_judge(
    begun: dict[str, Any], phase: str, edited: dict[str, Any], gate: dict[str, Any]
) -> None:
    shop, _ = await release_with_errors(begun, 0.1)
    await shop.until(lambda: shop.phase == phase)
    edit_policy(shop, edited, gate)
    await shop.until_outcome("RolledBack")
    assert "http-errors" in shop.status["history"][0]["reason"]
    assert shop.events.count("GatesKept") == 1
    shop.release("web:1.1")
    await shop.until(lambda: shop.phase == ("Stepping" if edited is CANARY else "Previewing"))


async def test_a_limit_that_is_edited_in_mid_release_counts_at_once_and_in_a_later_edit_too() -> None:
    """10 % are bad: more than the first limit, less than the second. The third gate does not fit blue-green."""
    shop, _ = await release_with_errors(BLUE_GREEN, 0.1)
    await shop.until(lambda: shop.phase == "Verifying")
    edit_policy(shop, BLUE_GREEN, {**GATE, "limit": 0.3})
    await shop.some(1)
    assert "GatesKept" not in shop.events
    edit_policy(shop, CANARY, {**GATE, "margin": 0.5})
    await shop.until_outcome("Promoted")
    assert "limit 30 %" in shop.status["history"][0]["reason"]


async def test_half_of_the_requests_failing_is_seen_at_once() -> None:
    shop, _ = await release_with_errors(BLUE_GREEN, 0.6)
    await shop.until(lambda: shop.phase == "Verifying")
    live = shop.now
    await shop.until(lambda: shop.phase == "Returning")
    assert shop.now - live <= 3 * EVERY


async def test_metrics_that_are_away_for_a_minute_change_no_verdict() -> None:
    shop, metrics = await release_with_errors(CANARY, 0.001)
    await shop.until(lambda: shop.mark == "Stepping 0")
    away = shop.now
    metrics.away = lambda: shop.now - away < 60
    await shop.until_outcome("Promoted")
    assert shop.now - away > 60  # blind it took no step
    shop.clean("web:2")


async def test_metrics_that_stay_away_hold_and_then_follow_the_policy() -> None:
    rule = {"noEvidence": {"afterSeconds": 100, "then": "rollback"}}
    shop, metrics = await release_with_errors(CANARY, 0.001, gate={**GATE, **rule})
    metrics.away = lambda: True
    await shop.some(90)
    assert shop.mark == "Stepping 0"
    await shop.until_outcome("RolledBack")
    shop.clean("web:1")


async def test_a_gate_that_passed_and_then_hears_nothing_lets_no_step_begin() -> None:
    strategy = {"canary": {"steps": [{"weight": weight, "pauseSeconds": 60} for weight in (25, 50)]}}
    shop, metrics = await release_with_errors(strategy, 0.001)
    await shop.until(lambda: shop.mark == "Stepping 0")
    await shop.some(45)  # 9 windows of 500 requests: it has passed
    metrics.away = lambda: True
    await shop.some(300)
    assert shop.mark == "Stepping 0"
    assert "hear nothing" in shop.status["message"]
    metrics.away = lambda: False
    await shop.until_outcome("Promoted")


async def test_where_the_policy_says_so_silence_is_a_pass() -> None:
    rule = {"noEvidence": {"afterSeconds": 100, "then": "promote"}}
    shop, metrics = await release_with_errors(CANARY, 0.001, gate={**GATE, **rule})
    metrics.away = lambda: True
    await shop.until_outcome("Promoted")


async def test_bad_requests_that_cannot_be_read_are_no_evidence_and_not_none() -> None:
    shop, metrics = await release_with_errors(CANARY, 0.6)
    answer = metrics.answer

    def half(metric: str) -> dict[str, Any]:
        if metric == "http_errors":
            raise errors.ServerError(503, "ServiceUnavailable", "one metric is away")
        return answer(metric)

    metrics.answer = half  # type: ignore[method-assign]
    await shop.some(120)
    assert shop.mark == "Stepping 0"
    metrics.answer = answer  # type: ignore[method-assign]
    await shop.until_outcome("RolledBack")


async def test_a_promotion_says_what_the_last_gates_saw() -> None:
    shop, _ = await release_with_errors(CANARY, 0.001)
    await shop.until_outcome("Promoted")
    assert "requests bad" in shop.status["history"][0]["reason"]  # though the last phases ask no gate


async def test_evidence_outlives_a_controller_and_nothing_counts_twice() -> None:
    shop, _ = await release_with_errors({"canary": {"steps": [{"weight": 50, "pauseSeconds": 40}]}}, 0.001)
    await shop.until(lambda: shop.status.get("evidence"))
    await shop.some(10)
    windows = shop.status["evidence"]["gates"][0]["windows"]
    shop.turns = Turns(shop.client, MetricsEars(shop.client))  # killed, and another one started
    await shop.some(1)
    assert shop.status["evidence"]["gates"][0]["windows"] >= windows
    await shop.until_outcome("Promoted")


async def test_a_gate_of_scope_step_holds_every_step_until_it_passes() -> None:
    strategy = {"canary": {"steps": [{"weight": 25, "pauseSeconds": 1}, {"weight": 50, "pauseSeconds": 1}]}}
    times = {}
    for scope in ("release", "step"):
        shop, _ = await release_with_errors(strategy, 0.001, gate={**GATE, "limit": 0.005, "scope": scope})
        await shop.until_outcome("Promoted")
        times[scope] = [
            shop.since["Stepping 1"] - shop.since["Stepping 0"],
            shop.since["Filling"] - shop.since["Stepping 1"],
        ]
    assert times["step"][0] > times["release"][0]  # undecided is enough to leave the first step only there
    assert times["step"][1] > times["release"][1]  # what the first step showed does not count in the second


def pod(name: str, *, ready: str, changed: int, phase: str = "Running") -> Pod:
    stamps = [datetime.fromtimestamp(1_800_000_000 + second, UTC).isoformat() for second in (0, changed)]
    condition = {"type": "Ready", "status": ready, "lastTransitionTime": stamps[1]}
    return Pod(
        {"metadata": {"name": name}, "status": {"phase": phase, "startTime": stamps[0], "conditions": [condition]}}
    )


def test_a_pod_that_starts_is_not_unready_and_one_that_was_ready_is() -> None:
    pods = [
        pod("starts", ready="False", changed=0),
        pod("is-ready", ready="True", changed=9),
        pod("was-ready", ready="False", changed=60),
        pod("lost", ready="Unknown", changed=60),
        pod("ended", ready="False", changed=60, phase="Succeeded"),
    ]
    assert health(pods) == Health(pods=4, unready=2, crash_looping=0)


@pytest.mark.parametrize(("stable", "ends"), [("True", True), ("False", False)], ids=["alone", "shared"])
def test_new_pods_that_go_unready_roll_back_and_a_shared_outage_does_not(stable: str, ends: bool) -> None:
    arms = {
        Arm.CANARY: health([pod("a", ready="False", changed=60), pod("b", ready="True", changed=9)]),
        Arm.STABLE: health([pod("c", ready=stable, changed=60)]),
    }
    since, _ = breaker.pods(None, arms, 100.0, beside=True)
    _, why = breaker.pods(since, arms, 115.0, beside=True)
    assert bool(why) is ends


async def test_the_next_window_is_not_looked_for_before_a_sample_of_it_can_be_there() -> None:
    """What wakes a turn 0.3 s after a window asks for no metrics, and for the next turn when the window is due."""
    shop, _ = await release_with_errors(CANARY, 0.02)
    await shop.until(lambda: shop.phase == "Stepping" and shop.status.get("evidence"))
    before = shop.status["evidence"]
    await shop.until(lambda: shop.status["evidence"] != before)
    turn_time = shop.now - 1  # the clock of that turn
    turned = await shop.turns.turn(NAMESPACE, "web", turn_time + 0.3)
    assert turned.again == pytest.approx(AFTER_WINDOW - 0.3)


@pytest.mark.parametrize(
    ("pace", "after", "again"),
    [
        (1.0, 1.0, EVERY_LOOK),
        (3.0, 5.9, EVERY_LOOK),
        (1.0, 6.0, math.inf),
        (5.0, 1.0, math.inf),
        (math.inf, 1.0, math.inf),
    ],
    ids=["each second", "a new pod's first sample", "too late", "each 5 s", "only one window so far"],
)
def test_a_window_that_is_not_there_yet_is_looked_for_soon_only_where_samples_come_often(
    pace: float, after: float, again: float
) -> None:
    """Samples of each second make a window in each; those of 5 s are not there the sooner for more looks."""
    assert look_again(Cursor(0.0, time=100.0, pace=pace), 100.0 + after) == again


def test_before_the_first_window_looks_come_with_the_turns() -> None:
    assert look_again(Cursor(0.0), 100.0) == math.inf


async def test_the_pace_is_that_of_the_last_two_windows() -> None:
    """Scrapes of 5 s: the turn that looked in vain says nothing of its own, and the next comes as usual."""
    shop, _ = await release_with_errors(CANARY, 0.02)
    await shop.until(lambda: shop.mark == "Stepping 1")
    heard: list[str] = []
    shop.every_step.append(lambda: heard.append(json.dumps(shop.status.get("evidence"))))
    await shop.until(lambda: len(set(heard)) == 3)
    turned = await shop.turns.turn(NAMESPACE, "web", shop.now - 1 + AFTER_WINDOW)
    assert turned.again == BUSY
