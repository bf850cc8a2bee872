"""The gates of a RolloutPolicy: what must hold, how sure one must be, what happens while nobody can tell. Pure.

Read from the object's raw `spec`, so that every problem names its field. Bounds and defaults are those of
manifests/crds/rolloutpolicy.yaml.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from adapter.rollout.model import query as queries
from adapter.rollout.model.fields import Fields, describe
from adapter.rollout.model.preview import GENERATED, LIMITS, Generate
from adapter.rollout.model.query import Query
from adapter.rollout.model.verdict import Stage

MOST_GATES: Final = 16
MOST_BYTES: Final = 16 << 10
"""Of `spec.gates` as JSON."""
ALPHA: Final = 0.05
ALPHAS: Final = (1e-6, 0.5)
MOST_MARGIN: Final = 100.0
MOST_SHARE: Final = 100.0
MOST_SECONDS: Final = 7 * 86400
MOST_PROBLEMS: Final = 50

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_METRIC: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:./-]{0,252}\Z")


class Kind(StrEnum):
    """What a metric is."""

    EVENTS = "events"
    """Two cumulative counters: all requests, and the bad ones among them."""
    GAUGE = "gauge"
    """A value of now, such as a queue's length per pod."""


class Worse(StrEnum):
    """Which way a gauge is bad."""

    HIGHER = "higher"
    LOWER = "lower"


class Scope(StrEnum):
    """How long a pass lasts. The evidence against a release always carries on."""

    RELEASE = "release"
    STEP = "step"
    """Every step has to show it anew."""


class Then(StrEnum):
    """What follows when the time is up."""

    HOLD = "hold"
    ROLLBACK = "rollback"
    PROMOTE = "promote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """What follows after so many seconds."""

    after_seconds: int
    then: Then = Then.HOLD


UNDECIDED: Final = Timeout(after_seconds=3600)
NO_EVIDENCE: Final = Timeout(after_seconds=600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One condition of a release.

    An events gate's `limit` is a share of bad requests, between 0 and 1; a gauge's is a value. `margin` is how much
    worse than the stable pods the new ones may be: 0.5 is one and a half times as bad. `share` is the gate's part of
    the release's alpha.
    """

    name: str
    metric: str
    total: str = ""
    """The counter of all requests; `metric` counts the bad ones. Events only."""
    kind: Kind = Kind.EVENTS
    limit: float | None = None
    margin: float | None = None
    worse: Worse = Worse.HIGHER
    share: float = 1.0
    scope: Scope = Scope.RELEASE
    stage: Stage = Stage.CANARY
    on_undecided: Timeout = UNDECIDED
    no_evidence: Timeout = NO_EVIDENCE
    query: Query | None = None
    """Where the values come from PromQL; `metric` is the gate's name then."""


@dataclass(frozen=True, slots=True)
class Gates:
    """All gates of a policy and the chance, `alpha`, that a release as good as the stable one is rolled back."""

    gates: tuple[Gate, ...] = ()
    alpha: float = ALPHA

    def bar(self, gate: Gate) -> float:
        """The e-value against a release at which `gate` fails: k / alpha where the k gates have equal shares."""
        return sum(each.share for each in self.gates) / (gate.share * self.alpha)

    def of(self, stage: Stage) -> tuple[Gate, ...]:
        """The gates that are asked in `stage`."""
        return tuple(gate for gate in self.gates if gate.stage is stage)


class GatesError(ValueError):
    """The gates cannot be used; `problems` says for each one where, what was wrong and what would be right."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def parse(spec: object) -> Gates:
    """The gates of a policy's raw `spec`. Raises GatesError with every problem."""
    gates, problems = read(spec)
    if problems:
        raise GatesError(problems)
    return gates


def read(spec: object) -> tuple[Gates, list[str]]:
    """The gates that can be read, and a sentence for each problem; at most MOST_PROBLEMS of them."""
    if not isinstance(spec, Mapping):
        return Gates(), [f"spec: {describe(spec)} is no mapping; right would be fields such as targetRef and gates"]
    problems: list[str] = []
    top = Fields(spec, "spec", problems)
    alpha = top.number("alpha", ALPHA, *ALPHAS)
    gates = [*_gates(spec, problems), *_own_requests_gate(spec)]
    problems += _together(gates)
    if len(problems) > MOST_PROBLEMS:
        problems[MOST_PROBLEMS:] = [f"spec.gates: {len(problems) - MOST_PROBLEMS} more problems are not listed"]
    return Gates(tuple(gates), ALPHA if alpha is None else alpha), problems


def _gates(spec: Mapping[str, object], problems: list[str]) -> list[Gate]:
    raw = spec.get("gates")
    if raw is None:
        return []
    if not isinstance(raw, list | tuple):
        problems.append(f"spec.gates: {describe(raw)} is no list; right would be a list of gates")
        return []
    if len(raw) > MOST_GATES:
        problems.append(f"spec.gates: there are {len(raw)} gates; at most {MOST_GATES} are judged")
        return []
    if _size(raw) > MOST_BYTES:
        problems.append(f"spec.gates: the gates take more than {MOST_BYTES} bytes as JSON; right would be less")
        return []
    blue_green = isinstance(spec.get("blueGreen"), Mapping)
    gates = (_gate(each, f"spec.gates[{index}]", blue_green, problems) for index, each in enumerate(raw))
    return [gate for gate in gates if gate]


def _own_requests_gate(spec: Mapping[str, object]) -> list[Gate]:
    """The gate on requests of our own, which blue-green's `generate` asks for before the switch."""
    blue_green = spec.get("blueGreen")
    raw = blue_green.get("generate") if isinstance(blue_green, Mapping) else None
    if not isinstance(raw, Mapping):
        return []
    limit = Fields(raw, "spec.blueGreen.generate", []).number("limit", Generate().limit, *LIMITS)
    return [Gate(name=GENERATED, metric=GENERATED, limit=limit, stage=Stage.PRE)]


def _size(raw: object) -> int:
    try:
        return len(json.dumps(raw, default=str))
    except (ValueError, RecursionError):
        return MOST_BYTES + 1


FIELDS: Final = (
    "name metric total kind limit margin worse share scope stage onUndecided noEvidence query".split()  # noqa: SIM905
)


def _gate(raw: object, path: str, blue_green: bool, problems: list[str]) -> Gate | None:
    """The gate, or None where there is no telling what it is about."""
    if not isinstance(raw, Mapping):
        problems.append(f"{path}: {describe(raw)} is no mapping; right would be a gate with a metric and a limit")
        return None
    before = len(problems)
    fields = Fields(raw, path, problems)
    fields.only(FIELDS)
    kind = fields.word("kind", Kind.EVENTS)
    events = kind is Kind.EVENTS
    query = queries.read(fields, events=events)
    name = fields.text("name", _NAME, "lower-case letters, digits and hyphens, at most 63", required=query is not None)
    metric = fields.text("metric", _METRIC, "a metric's name such as http_requests_failed", required=query is None)
    gate = Gate(
        name=name or _label(metric),
        metric=name if query else metric,
        total=fields.text("total", _METRIC, "a metric's name such as http_requests"),
        kind=kind,
        limit=fields.number("limit", None, 0, 1, inside=True) if events else fields.number("limit", None),
        margin=fields.number("margin", None, 0, MOST_MARGIN),
        worse=fields.word("worse", Worse.HIGHER),
        share=fields.number("share", 1.0, 0.01, MOST_SHARE) or 1.0,
        scope=fields.word("scope", Scope.RELEASE),
        stage=fields.word("stage", Stage.POST if blue_green else Stage.CANARY),
        on_undecided=_timeout(fields, "onUndecided", UNDECIDED),
        no_evidence=_timeout(fields, "noEvidence", NO_EVIDENCE),
        query=query,
    )
    if len(problems) == before:
        problems += (f"{path}{text}" for text in _odd(gate, fields, blue_green))
    return gate if gate.metric else None


def _timeout(fields: Fields, field: str, default: Timeout) -> Timeout:
    inner = fields.mapping(field, "{afterSeconds: 600, then: hold}")
    if inner is None:
        return default
    inner.only(("afterSeconds", "then"))
    seconds = inner.whole("afterSeconds", 1, MOST_SECONDS)
    return Timeout(after_seconds=seconds or default.after_seconds, then=inner.word("then", default.then))


def _odd(gate: Gate, fields: Fields, blue_green: bool) -> list[str]:
    """What is wrong with fields that are right one by one."""
    said = []
    if gate.query and (fields.has("metric") or fields.has("total")):
        said.append(".query: metric and total are for values of the metrics API; right would be query alone")
    if gate.kind is Kind.EVENTS and not gate.total and not gate.query:
        said.append(".total: missing; right would be the counter of all requests, of which `metric` counts the bad")
    if gate.kind is Kind.EVENTS and gate.total == gate.metric and not gate.query:
        said.append(f".total: {gate.total!r} is `metric` as well; right would be the counter of all requests")
    if gate.kind is Kind.GAUGE and gate.total:
        said.append(".total: a gauge has none; right would be to leave it out, or kind events")
    if gate.kind is Kind.EVENTS and fields.has("worse"):
        said.append(".worse: only gauges have it, as more bad requests are always worse; right would be none")
    if gate.limit is None and gate.margin is None:
        said.append(": neither limit nor margin is given; right would be one of them")
    if gate.worse is Worse.LOWER and gate.margin is not None and gate.margin >= 1:
        said.append(f".margin: {gate.margin:g} lets a gauge that should be high fall to nothing; right is below 1")
    if blue_green and gate.margin is not None:
        said.append(
            ".margin: blue-green has no stable pods under the same traffic to compare with; right would be limit alone"
        )
    if blue_green and gate.scope is Scope.STEP:
        said.append(".scope: blue-green has no steps; right would be release")
    if blue_green != (gate.stage is not Stage.CANARY):
        right = "pre or post" if blue_green else "canary, which may be left out"
        said.append(f".stage: {gate.stage.value} is no stage of this strategy; right would be {right}")
    return said


def _together(gates: Sequence[Gate]) -> list[str]:
    """What is wrong between gates."""
    names = Counter(gate.name for gate in gates)
    said = [
        f"spec.gates: {count} gates are named {name!r}; right would be a name each"
        for name, count in names.items()
        if count > 1
    ]
    for metric in dict.fromkeys(gate.metric for gate in gates):
        meanings = {(gate.kind, gate.total, gate.query) for gate in gates if gate.metric == metric}
        if len(meanings) > 1:
            said.append(f"spec.gates: gates on {metric!r} differ in kind or total; right would be one meaning")
    return said


def _label(metric: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", metric.lower()).strip("-")[:63].strip("-") or "gate"
