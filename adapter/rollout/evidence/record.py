"""What is kept of a release between windows: per gate the evidence and when it was heard; as JSON in the status."""

import hashlib
import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, TypeAlias

from adapter.rollout.evidence import events, gauges
from adapter.rollout.evidence.breaker import UNTOLD, Failing
from adapter.rollout.evidence.codec import EvidenceError, pack, unpack
from adapter.rollout.evidence.events import Events
from adapter.rollout.evidence.gauges import Gauges
from adapter.rollout.model.fields import finite
from adapter.rollout.model.gates import Gate, Kind

Evidence: TypeAlias = Events | Gauges
CALM: Final = Failing()
SHAPE: Final = 1
"""Of what is stored; each change of what its numbers mean counts up, as they may look alike all the same."""


class Heard(StrEnum):
    """What the newest window said to a gate."""

    NOTHING_YET = "nothing yet"
    EVIDENCE = "evidence"
    NO_CANARY = "no values of the new pods"
    NO_STABLE = "no values of the stable pods"
    NO_TRAFFIC = "no traffic on the new pods"
    NO_STABLE_TRAFFIC = "no traffic on the stable pods to compare with"
    NOT_THIS_KIND = "values of another kind than the gate's"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRecord:
    """One gate's part. Times are s since 1970."""

    key: str
    """Which question the evidence answers; a gate that asks another one starts anew."""
    evidence: Evidence
    heard: Heard = Heard.NOTHING_YET
    since: float | None = None
    """When the gate was first asked."""
    last: float | None = None
    """When it last got evidence, or had passed and stable pods without traffic left nothing to ask."""
    windows: int = 0
    failing: Failing = CALM
    step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that is kept. Its size depends on the number of gates alone."""

    gates: tuple[GateRecord, ...] = ()
    time: float | None = None
    """End of the newest window; one that is not later is not heard."""
    unready: float | None = None
    """Since when half of the new pods are unready, s since 1970."""
    ended: str = ""
    """Why the release is to be rolled back; once said it stays said, until a new record is begun."""


def begin(gates: tuple[Gate, ...]) -> Record:
    """Before the first window; also what `retry` and a new template start with."""
    return Record(gates=tuple(blank(gate) for gate in gates))


def blank(gate: Gate) -> GateRecord:
    return GateRecord(key=key(gate), evidence=events.begin() if gate.kind is Kind.EVENTS else gauges.begin())


def key(gate: Gate) -> str:
    """A gate's question in one line."""
    parts = (gate.name, gate.metric, gate.total, gate.kind, gate.limit, gate.margin, gate.worse, gate.stage)
    asked = "|".join("" if part is None else str(part) for part in parts)
    if gate.query is None:
        return asked
    return f"{asked}|{hashlib.sha256(repr(gate.query).encode()).hexdigest()[:16]}"


def dump(record: Record) -> dict[str, Any]:
    """JSON values."""
    return {
        "shape": SHAPE,
        "time": record.time,
        "unready": record.unready,
        "ended": record.ended,
        "gates": [_dump(gate) for gate in record.gates],
    }


def _dump(gate: GateRecord) -> dict[str, Any]:
    return {
        "key": gate.key,
        "heard": gate.heard.value,
        "since": gate.since,
        "last": gate.last,
        "windows": gate.windows,
        "failing": list(gate.failing[:2]),
        "failingBeside": list(gate.failing[2:]),
        "step": gate.step,
        "evidence": pack(gate.evidence),
    }


def load(gates: tuple[Gate, ...], raw: object) -> Record:
    """The inverse, for the gates as they are now: kept by name and question, the others blank. Raises EvidenceError."""
    if not isinstance(raw, dict) or not isinstance(raw.get("gates"), list):
        raise EvidenceError("a mapping with gates is wanted")
    if raw.get("shape") != SHAPE:
        raise EvidenceError("another build wrote it")
    stored = {each["key"]: each for each in raw["gates"] if isinstance(each, dict) and isinstance(each.get("key"), str)}
    records = []
    for gate in gates:
        fresh = blank(gate)
        records.append(_load(fresh, stored[fresh.key]) if fresh.key in stored else fresh)
    ended = raw.get("ended")
    return Record(
        gates=tuple(records),
        time=_time(raw.get("time")),
        unready=_time(raw.get("time") if raw.get("unready") is True else raw.get("unready") or None),
        ended=ended if isinstance(ended, str) else "",
    )


def _load(fresh: GateRecord, raw: dict[str, Any]) -> GateRecord:
    windows, step = raw.get("windows"), raw.get("step")
    if not isinstance(windows, int) or windows < 0 or raw.get("heard") not in list(Heard):
        raise EvidenceError("a gate's windows or what it heard is missing")
    return replace(
        fresh,
        heard=Heard(raw["heard"]),
        since=_time(raw.get("since")),
        last=_time(raw.get("last")),
        windows=windows,
        step=step if isinstance(step, int) else None,
        failing=_failing(raw.get("failing"), raw.get("failingBeside", [UNTOLD, UNTOLD])),
        evidence=unpack(fresh.evidence, raw.get("evidence")),
    )


def _failing(canary: object, stable: object) -> Failing:
    """The newest bad requests of both arms. They are two lists, as older builds know the first alone."""
    if not (isinstance(canary, list) and isinstance(stable, list)):
        raise EvidenceError("lists of a gate's newest bad requests are wanted")
    failing = Failing(*(float(part) for part in unpack(CALM, [*canary, *stable])))
    return failing if failing.requests > 0 else CALM


def _time(value: object) -> float | None:
    return None if value is None else finite(value)


FULL: Final = math.exp(50)
"""E-values above this are shown as this."""


def e_value(log: float) -> float:
    """The e-value of a logarithm, bounded by FULL."""
    return min(math.exp(min(log, 50.0)), FULL)
