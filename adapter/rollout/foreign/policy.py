"""A RolloutPolicy in the making: its gates, each as good as `lint` wants it, and what all of it comes to. Pure."""

import re
from typing import Any, Final, NamedTuple

from adapter.metrics.promql.read import PromQLError
from adapter.rollout import documents, queries
from adapter.rollout.foreign import promql
from adapter.rollout.foreign.arms import Names
from adapter.rollout.foreign.condition import Bound
from adapter.rollout.foreign.findings import Origin
from adapter.rollout.foreign.raw import Raw, Why
from adapter.rollout.model import shape
from adapter.rollout.model.gates import read

Json = dict[str, Any]
MOST_NAME: Final = 63
NO_GATE: Final = Why(
    "no gate came of it: time, readiness and crashes alone decide on a release",
    "add spec.gates, so that a bad one is seen (docs/rollouts.md, The judge)",
)


NOT_ONE: Final = Why("it became no gate: another finding says why", "write spec.gates[] by hand")


class Wanted(NamedTuple):
    """A metric that has to keep within its bounds."""

    name: str
    query: str
    bounds: tuple[Bound, ...]
    every: float | None = None
    """s between two measurements."""
    stage: str = ""


class Policy:
    """What is known of the policy so far."""

    def __init__(self, names: Names, *, blue_green: bool) -> None:
        self.names, self.blue_green = names, blue_green
        self.gates: list[Json] = []

    def gate(self, metric: Raw, field: str, wanted: Wanted, *, own: bool = False) -> None:
        """Adds a gate for each bound; `field` of `metric` is where its query stands. `own`: the query is ours."""
        bounds = wanted.bounds
        for bound in bounds:
            side = ("-min" if bound.lower else "-max") * (len(bounds) > 1)
            try:
                made = promql.gate(wanted.query, bound, self.names, wanted.every)
            except PromQLError as error:
                metric.say(field, Why(f"the query cannot be a gate: {error}", "write spec.gates[].query by hand"))
                return
            raw: Json = {"name": self._name(wanted.name, side), **made.fields}
            if wanted.stage:
                raw["stage"] = wanted.stage
            if problem := self._problem(raw):
                metric.say(field, Why(f"the gate is left out: {problem}", "write spec.gates by hand"))
                return
            self.gates.append(raw)
            _say(metric, field, made, name=raw["name"], own=own)

    def _problem(self, raw: Json) -> str:
        """What is wrong with one gate more; '' where nothing is."""
        spec: Json = {"gates": [*self.gates, raw]} | ({"blueGreen": {}} if self.blue_green else {})
        gates, problems = read(spec)
        problems = problems or queries.problems(gates.gates)
        return problems[0] if problems else ""

    def _name(self, wanted: str, side: str) -> str:
        bare = re.sub(r"[^a-z0-9]+", "-", wanted[:200].lower()).strip("-") or "gate"
        used = {gate["name"] for gate in self.gates}
        for number in range(1, len(used) + 2):
            end = side + (f"-{number}" if number > 1 else "")
            name = bare[: MOST_NAME - len(end)].rstrip("-") + end
            if name not in used:
                break
        return name


def _say(metric: Raw, field: str, made: promql.Gate, *, name: str, own: bool) -> None:
    """What became of the query, where it is not asked as it was."""
    if made.rounded:
        why = Why(f"none bad at all cannot be shown: gate {name} has a limit of 0.1 %", "choose your own")
        metric.say(field, why)
    for doubt in made.doubts:
        metric.say(field, Why(doubt.says, f"{doubt.instead} (gate {name})"))
    if own:
        return
    instead = f"see that the series of gate {name} bear the label pod (a gateway's or an ingress' do not)"
    if made.dropped:
        metric.say(field, Why(f'{", ".join(made.dropped)[:200]} gave way to pod=~"{{{{pods}}}}"', instead))
    elif not made.told:
        metric.say(field, Why('it does not tell new pods from stable ones: pod=~"{{pods}}" was added', instead))


def finish_policy(origin: Origin, top: Raw, spec: Json, gates: list[Json]) -> Json | None:
    """The policy as the API server takes it; None, and a finding for each reason, where it would not."""
    metadata = {"name": origin.name} | ({"namespace": origin.namespace} if origin.namespace else {})
    made: Json = {"apiVersion": documents.API_VERSION, "kind": documents.KIND, "metadata": metadata}
    made["spec"] = spec | ({"gates": gates} if gates else {})
    if problems := [*shape.problems(made), *read(made["spec"])[1]]:
        for problem in problems:
            top.say("", Why(f"the policy is left out: {problem}", "mend the object and import it again"))
        return None
    if not gates:
        top.say("", NO_GATE)
    return made


def metadata_of(origin: Origin, theirs: tuple[str, ...]) -> Json:
    """Metadata for an object made of another; `theirs`: prefixes of keys that stay behind."""
    metadata: Json = {"name": origin.name} | ({"namespace": origin.namespace} if origin.namespace else {})
    for field, values in (("labels", origin.labels), ("annotations", origin.annotations)):
        kept = {key: value for key, value in values.items() if not str(key).startswith(theirs)}
        if kept:
            metadata[field] = kept
    return metadata
