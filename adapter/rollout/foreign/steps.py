"""Steps of a canary as another controller has them -> ours: rising weights, each held for a while. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from adapter.rollout.foreign.raw import Raw, Why
from adapter.rollout.model.shape import MOST_BY_RATIO, MOST_SECONDS, MOST_STEPS

OTHER_STEPS: Final[Mapping[str, Why]] = {
    "experiment": Why(
        "no pods run beside a release for a trial", "let blueGreen.previewSeconds and a gate of stage pre look at them"
    ),
    "setCanaryScale": Why(
        "new pods are always as many as their weight asks for",
        "nothing is to be done; the stable pods stay complete until the end",
    ),
    "setHeaderRoute": Why(
        "requests are not chosen by a header",
        "write a rule of your own in the HTTPRoute, or use blueGreen.previewService",
    ),
    "setMirrorRoute": Why("requests are not mirrored", "use blueGreen.generate, which sends requests of its own"),
    "plugin": Why("steps have no plugins", "set manual: true and let the job end with streamgate-rollout promote"),
}
BY_RATIO: Final = Why(
    f"pods beside all stable ones get at most {MOST_BY_RATIO} %: the step is one of {MOST_BY_RATIO}, or a part of it",
    "name an httpRoute in spec.canary.traffic for more",
)
NOT_RISING: Final = Why("weights rise from step to step: it is left out", "give it a weight above the one before it")
BEFORE: Final = Why("it is before the first weight: new pods would have no traffic", "use blueGreen.previewSeconds")


@dataclass
class Step:
    """A share of the traffic in percent, and how long it is held."""

    weight: int
    seconds: float = 0.0
    manual: bool = False

    def as_json(self) -> dict[str, Any]:
        """As a policy has it."""
        fields: dict[str, Any] = {"weight": self.weight, "pauseSeconds": min(round(self.seconds), MOST_SECONDS)}
        return fields | ({"manual": True} if self.manual else {})


@dataclass
class Steps:
    """The steps so far; `routed`: a route makes the share, not the ratio of pods."""

    routed: bool
    found: list[Step] = field(default_factory=list)

    def weigh(self, step: Raw, place: str, weight: int) -> None:
        """One step more."""
        last = self.found[-1].weight if self.found else 0
        if weight == 100 and not self.routed:
            return  # the promotion itself
        if weight > MOST_BY_RATIO and not self.routed:
            step.say(place, BY_RATIO)
            weight = MOST_BY_RATIO
            if last == weight:
                return
        if weight <= last:
            step.say(place, NOT_RISING)
            return
        self.found.append(Step(weight))

    def hold(self, step: Raw, place: str, seconds: float | None) -> None:
        """The last step is held longer; without `seconds` until somebody promotes it."""
        if not self.found:
            step.say(place, BEFORE)
        elif seconds is None:
            self.found[-1].manual = True
        else:
            if self.found[-1].seconds + seconds > MOST_SECONDS:
                step.say(place, Why("it is longer than a week", f"{MOST_SECONDS} s were put in"))
            self.found[-1].seconds += seconds

    def as_json(self, raw: Raw, place: str) -> list[dict[str, Any]]:
        """At most as many as a policy takes: the later ones are left out, but for the last."""
        if len(self.found) > MOST_STEPS:
            raw.say(place, Why(f"of {len(self.found)} steps {MOST_STEPS} were kept", "choose the weights that matter"))
            self.found[MOST_STEPS - 1 :] = self.found[-1:]
        return [step.as_json() for step in self.found]


def of_argo(canary: Raw, steps: Steps, analyse: Callable[[Raw], float]) -> None:
    """Reads `spec.strategy.canary.steps`. `analyse` takes an analysis and says how many seconds it measured."""
    for step in canary.each("steps"):
        if step.has("setWeight"):
            weight = step.whole("setWeight", 0, 100)
            if weight is not None:
                steps.weigh(step, "setWeight", weight)
        if step.has("pause"):
            pause = step.inside("pause")
            steps.hold(pause, "duration", pause.seconds("duration") if pause.has("duration") else None)
            pause.rest()
        if step.has("analysis"):
            seconds = analyse(step.inside("analysis"))
            if seconds:
                steps.hold(step, "analysis", seconds)
        step.leave(OTHER_STEPS)
        step.rest()
