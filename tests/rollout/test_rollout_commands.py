"""Every command in every phase: it does what it is for, or an Event says why not; none is confirmed for nothing."""

from typing import Any, Final

import pytest

from adapter.rollout.decide.commands import RESTARTED, VERBS
from adapter.rollout.model.actions import EVENTS
from adapter.rollout.model.verdict import FREE
from tests.rollout.shop import NAMESPACE, Shop, rolls_back

STRATEGIES: Final[dict[str, Any]] = {
    "blue-green": {"blueGreen": {"previewSeconds": 3, "verifySeconds": 8, "manual": True}},
    "canary": {
        "canary": {"steps": [{"weight": 25, "pauseSeconds": 1, "manual": True}, {"weight": 40, "pauseSeconds": 5}]}
    },
}
FULL: Final = "promote --full"
MIDWAY: Final = {"abort", "pause", FULL, "restart", "undo"}
"""What counts as long as there is a way back."""
STOPPING: Final = {"promote", *MIDWAY}
"""The same where a manual stop is the next."""
FORWARDS: Final[dict[str, dict[str, set[str]]]] = {
    "blue-green": {"Preparing": STOPPING, "Starting": STOPPING, "Previewing": STOPPING},
    "canary": {"Preparing": STOPPING, "Stepping 0": STOPPING, "Stepping 1": MIDWAY, "Filling": MIDWAY},
}
LATE: Final[dict[str, set[str]]] = {"Switching": MIDWAY, "Verifying": MIDWAY, "Adopting": set(), "Finishing": set()}
BACK: Final = {
    "Returning": {"retry"},
    "Removing": {"retry"},
    "Restoring": {"retry"},
    "Idle": {"retry", "restart", "undo"},
}
HEARD: Final = {strategy: {**marks, **LATE, **BACK} for strategy, marks in FORWARDS.items()}
"""Strategy -> where the release stands -> the commands that have an effect there."""
PLACES: Final = [(strategy, mark) for strategy, marks in HEARD.items() for mark in marks]
HEARING: Final = [(strategy, mark) for strategy, mark in PLACES if HEARD[strategy][mark]]


async def come_to(strategy: str, mark: str) -> Shop:
    """A shop whose release has come to `mark`, past the manual stop before it; a verdict leads to the way back."""
    shop = await Shop(STRATEGIES[strategy]).ready()
    bad = {"blue-green": "Verifying", "canary": "Stepping 1"}[strategy] if mark in BACK else ""
    shop.ears.say = lambda _: rolls_back() if shop.mark == bad else FREE
    shop.release("web:2")
    await shop.step()
    for _ in range(60):
        if shop.mark == mark and bool(shop.outcomes) == (mark == "Idle"):
            return shop
        if "say promote" in shop.status["message"]:
            shop.command("promote", key="past the stop")
        await shop.step()
    raise AssertionError(f"{mark} is never seen; the status is {shop.status}")


def has_effect(shop: Shop, verb: str, mark: str, number: int) -> bool:
    """Whether what `verb` is for has come, and would not have come without it, said at `mark` in release `number`."""
    image = shop.template["spec"]["containers"][0]["image"]
    annotations = shop.template["metadata"].get("annotations", {})
    return {
        "promote": "waits for a person" not in shop.status["message"] and shop.mark in ("Switching", "Stepping 1"),
        FULL: shop.outcomes == ["Promoted"],  # although the judge is against it
        "pause": shop.mark == mark and "waits for resume" in shop.status["message"],
        "abort": shop.outcomes[:1] == ["Aborted"],
        "retry": shop.status["number"] == number + 1,
        "undo": image == "web:1",
        "restart": RESTARTED in annotations and shop.status["number"] == number + 1,
    }.get(verb, False)


async def await_effect(shop: Shop, verb: str, mark: str) -> None:
    number = shop.status["number"]
    shop.ears.say = lambda _: rolls_back() if verb == FULL else FREE
    say(shop, verb)
    await shop.until(lambda: has_effect(shop, verb, mark, number), steps=60)


def say(shop: Shop, verb: str) -> None:
    shop.command(verb.split()[0], key=verb, full=verb == FULL)


@pytest.mark.parametrize(("strategy", "mark"), PLACES)
async def test_a_command_that_means_nothing_changes_nothing_and_it_is_said(strategy: str, mark: str) -> None:
    shop = await come_to(strategy, mark)
    before = {**shop.status, "command": ""}
    for verb in sorted({*VERBS, FULL} - HEARD[strategy][mark]):
        for event in shop.all(EVENTS):
            shop.simulator.remove(EVENTS, event)
        say(shop, verb)
        await shop.turns.turn(NAMESPACE, "web", shop.now)
        (told,) = shop.all(EVENTS)
        assert told["reason"] == "Ignored"
        assert told["message"].startswith(f"'{verb.split()[0]}' means nothing")
        assert {**shop.status, "command": ""} == before


@pytest.mark.parametrize(("strategy", "mark"), HEARING)
async def test_a_command_that_means_something_has_its_effect(strategy: str, mark: str) -> None:
    for verb in sorted(HEARD[strategy][mark]):
        await await_effect(await come_to(strategy, mark), verb, mark)
