"""A policy's status that another build or another hand wrote: said once, and the release begins anew; never a loop."""

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS
from adapter.rollout.hear import MetricsEars
from adapter.rollout.model.actions import DEPLOYMENTS, SERVICES
from adapter.rollout.model.policy import POLICIES
from adapter.rollout.model.remembered import MOST_BYTES, readable
from adapter.rollout.model.verdict import FREE
from adapter.rollout.turns import Turns
from tests.rollout.shop import Shop, rolls_back
from tests.rollout.test_rollout_hearing import release_with_errors
from tests.rollout.test_rollout_kills import FORWARDS, STRATEGIES

BACKWARDS = {"rolling": ["Restoring"]}
PHASES = [(name, phase) for name in STRATEGIES for phase in FORWARDS[name][:-1]]
PHASES += [(name, phase) for name in STRATEGIES for phase in BACKWARDS.get(name, ["Returning", "Removing"])]


async def release_at(strategy: str, phase: str) -> Shop:
    shop = await Shop(STRATEGIES[strategy], hpa=True).ready()
    bad = "Verifying" if strategy == "blue-green" else "Stepping 1"
    back = phase not in FORWARDS[strategy]
    shop.ears.say = lambda _: rolls_back() if back and shop.mark == bad else FREE
    shop.phases.clear()
    shop.release("web:2")
    await shop.until(lambda: phase in shop.phases)
    shop.ears.say = lambda _: FREE
    return shop


def rewrite_status(shop: Shop, **fields: Any) -> None:
    """Overwrites these fields of the policy's status; without fields, empties the status."""
    shop.edit(POLICIES, lambda raw: raw.update(status={**raw["status"], **fields} if fields else {}))


def never_two(shop: Shop) -> list[int]:
    """The number of Deployments, second by second: the shop's own and at most one sibling."""
    seen: list[int] = []
    shop.every_step.append(lambda: seen.append(len(shop.all(DEPLOYMENTS))))
    return seen


@pytest.mark.parametrize(("strategy", "phase"), PHASES)
async def test_a_lost_status_begins_the_release_anew_and_loses_no_pod(strategy: Any, phase: Any) -> None:
    shop = await release_at(strategy, phase)
    rewrite_status(shop)
    many = never_two(shop)
    await shop.some(90)
    assert shop.phase == "Idle"
    assert set(shop.outcomes) <= {"Promoted", "Superseded"}
    assert max(many) <= 2
    shop.clean("web:2")
    assert "minReadySeconds" not in shop.get(DEPLOYMENTS)["spec"]


@pytest.mark.parametrize(("strategy", "phase"), PHASES)
async def test_a_lost_status_and_a_deleted_policy_leave_an_ordinary_deployment(strategy: Any, phase: Any) -> None:
    shop = await release_at(strategy, phase)
    rewrite_status(shop)
    shop.delete_policy()
    await shop.until(lambda: shop.get(POLICIES) is None)
    await shop.some(20)
    assert not shop.get(DEPLOYMENTS)["spec"].get("paused")
    assert [service["spec"]["selector"] for service in shop.all(SERVICES)] == [{"app": "web"}]
    assert len(shop.all(DEPLOYMENTS)) == 1
    assert len(shop.pods()) == 3
    assert not shop.blackouts


BROKEN = {
    "a phase of another build": {"phase": "Baking"},
    "a phase of another type": {"phase": 7},
    "a release that is none": {"release": ["web:2"]},
    "no release in mid-release": {"release": None},
    "a release with other fields": {"release": {"id": 3, "step": "one"}},
    "a strategy of another shape": {"release": {"id": "a", "strategy": {"canary": 5}}},
    "a strategy that nobody knows": {"release": {"id": "a", "strategy": {"shadow": {}}}},
    "a step that is not there": {"release": {"id": "a", "step": 99, "strategy": {"canary": {"steps": []}}}},
    "a roll without a roll": {"phase": "Rolling", "roll": None},
    "a stable revision that is none": {"stable": "web:1"},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_what_cannot_be_read_is_said_once_and_what_was_changed_is_put_back(broken: Any) -> None:
    shop = await release_at("canary", "Stepping 1")
    rewrite_status(shop, **broken)
    many = never_two(shop)
    await shop.some(90)
    assert shop.events.count("StatusLost") == 1
    assert shop.outcomes == ["Promoted", "Superseded"]
    assert max(many) == 2
    shop.clean("web:2")
    assert shop.get(HORIZONTAL_POD_AUTOSCALERS)["spec"]["minReplicas"] == 2  # `saved` could be read


@pytest.mark.parametrize(
    "rubbish",
    [{"history": [{"outcome": "Lost"}]}, {"message": "x" * (1 << 20)}, {"conditions": {}}, {"number": 1 << 60}],
    ids=["history", "1 MB", "conditions", "number"],
)
async def test_rubbish_elsewhere_in_the_status_disturbs_no_release(rubbish: Any) -> None:
    shop = await release_at("canary", "Stepping 1")
    rewrite_status(shop, **rubbish)
    await shop.until(lambda: shop.outcomes[:1] == ["Promoted"])
    await shop.some(5)
    assert shop.events.count("StatusLost") == 1
    assert len(str(shop.status)) < MOST_BYTES
    assert [mark for mark in shop.phases if mark != "Idle"] == FORWARDS["canary"][:-1]
    shop.clean("web:2")


async def test_fields_that_nobody_knows_are_dropped_without_a_word() -> None:
    shop = await release_at("canary", "Stepping 1")
    rewrite_status(shop, weather=["x" * 1000] * 1000)
    await shop.until_outcome("Promoted")
    assert "StatusLost" not in shop.events
    assert "weather" not in shop.status


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["phase", "stable", "release", "roll", "edit", "saved", "evidence", "history", "number", "x"])


@given(status=JSON | st.dictionaries(NAMES, JSON, max_size=4))
@settings(max_examples=200)
def test_what_is_read_can_always_be_read_again_and_nothing_is_said_then(status: Any) -> None:
    raw, _ = readable({"spec": {"canary": {"steps": []}}, "status": status})
    assert readable(raw) == (raw, "")


@given(fields=st.dictionaries(NAMES, JSON, min_size=1, max_size=4))
@example(fields={"release": {}})
@example(fields={"release": None, "saved": []})
@example(fields={"release": {"shift": -3, "number": -1}})
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
async def test_whatever_is_written_into_the_status_the_release_ends_cleanly(fields: Any) -> None:
    shop = await release_at("blue-green", "Previewing")
    many = never_two(shop)
    rewrite_status(shop, **fields)
    await shop.some(70)
    assert shop.phase == "Idle", shop.status
    assert max(many) <= 2
    images = {image for image in ("web:1", "web:2") if shop.pods(image)}
    assert len(images) == 1
    shop.clean(images.pop())


OLDER = {
    "another shape": lambda old: {**old, "gates": [{**old["gates"][0], "evidence": [[1, 2], [3]]}]},
    "fields that are missing": lambda old: {**old, "gates": [{"key": old["gates"][0]["key"]}]},
    "no mapping": lambda old: [1, 2, 3],
    "an older build, which would have rolled back": lambda old: {
        **{key: value for key, value in old.items() if key != "shape"},
        "ended": "http-errors: bad rate 0.9",
    },
    "of the future": lambda old: {**old, "time": old["time"] + 1e6},
    "1 MB": lambda old: {**old, "weather": "x" * (1 << 20)},
}


@pytest.mark.parametrize("older", OLDER.values(), ids=OLDER)
async def test_evidence_that_cannot_be_used_is_said_once_and_gathered_anew(older: Any) -> None:
    shop, _ = await release_with_errors({"canary": {"steps": [{"weight": 50, "pauseSeconds": 60}]}}, 0.001)
    await shop.until(lambda: shop.status.get("evidence"))
    await shop.some(20)
    before = shop.status["evidence"]
    rewrite_status(shop, evidence=older(before))
    shop.turns = Turns(shop.client, MetricsEars(shop.client))  # an upgrade
    await shop.some(1)
    assert shop.mark == "Stepping 0"
    await shop.until_outcome("Promoted")
    said = [reason for reason in shop.events if reason in ("StatusLost", "EvidenceLost")]
    assert len(said) == 1
