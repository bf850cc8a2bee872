"""A judgement in words and numbers: what each gate saw, how far it is, what it needs. Pure."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from adapter.rollout.evidence import ahead
from adapter.rollout.evidence.events import Bar, Events
from adapter.rollout.evidence.record import GateRecord, Heard, e_value
from adapter.rollout.model.gates import Gate, Worse
from adapter.rollout.model.verdict import Verdict


class Outcome(StrEnum):
    """Where a gate stands."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"
    SILENT = "without evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateView:
    """One gate for status, events and `replay`. E-values stand beside the bar that each has to reach."""

    name: str
    metric: str
    outcome: Outcome
    sentence: str
    against: float
    against_bar: float
    in_favour: float
    in_favour_bar: float
    more: int | None = None
    """Requests (windows, for a gauge) that are still wanted, about; None: not at the rates seen so far."""
    seconds: float | None = None
    """The same in time."""
    quiet: bool = False
    """The newest window gave no evidence."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict and how it came about."""

    verdict: Verdict
    gates: tuple[GateView, ...] = ()


def view(
    gate: Gate,
    record: GateRecord,
    outcome: Outcome,
    *,
    logs: tuple[float, float],
    bars: tuple[float, float],
    bar: Bar,
    rule: str,
) -> GateView:
    """`logs` and `bars`: against, in favour, as logarithms; `rule`: what a rule of time decided, in words."""
    more = seconds = None
    if outcome is Outcome.UNDECIDED:
        more, seconds = _needs(record, bars, bar)
    sentence = _sentence(gate, record, outcome, logs=logs, bars=bars, rule=rule, more=more, seconds=seconds)
    return GateView(
        name=gate.name,
        metric=gate.metric,
        outcome=outcome,
        sentence=f"{gate.name}: {sentence}",
        against=e_value(logs[0]),
        against_bar=e_value(bars[0]),
        in_favour=e_value(logs[1]),
        in_favour_bar=e_value(bars[1]),
        more=more,
        seconds=seconds,
        quiet=record.heard is not Heard.EVIDENCE,
    )


def failure_text(gate: Gate, record: GateRecord, *, against: float, bar: float) -> str:
    """Why a gate fails."""
    return (
        f"{gate.name}: {_describe_seen(gate, record)}; evidence against it {e_value(against):.4g}, {bar:.4g} are enough"
    )


def _sentence(
    gate: Gate,
    record: GateRecord,
    outcome: Outcome,
    *,
    logs: tuple[float, float],
    bars: tuple[float, float],
    rule: str,
    more: int | None,
    seconds: float | None,
) -> str:
    if outcome is Outcome.SILENT or record.heard is not Heard.EVIDENCE:
        seen = f"; before, {_describe_seen(gate, record)}" if record.windows else ""
        return f"no evidence: {record.heard.value}{seen}" + (f" ({rule})" if rule else "")
    if rule:
        return f"{_describe_seen(gate, record)}; {rule}"
    seen = _describe_seen(gate, record)
    if outcome is Outcome.PASSED:
        return f"{seen}; evidence in favour {e_value(logs[1]):.4g}, {e_value(bars[1]):.4g} are enough"
    if outcome is Outcome.FAILED:
        return f"{seen}; evidence against it {e_value(logs[0]):.4g}, {e_value(bars[0]):.4g} are enough"
    return f"{seen}; {_more(record, more, seconds)}"


def _describe_seen(gate: Gate, record: GateRecord) -> str:
    """What the gate saw: '12 of 400 requests bad (3 %), stable 4 of 3600 (0.11 %), limit 1 %'."""
    if isinstance(record.evidence, Events):
        canary, bad, stable, bad_stable = (float(part) for part in record.evidence.seen)
        text = f"{bad:.0f} of {canary:.0f} requests bad{_percent(bad, canary)}"
        if stable > 0:
            text += f", stable {bad_stable:.0f} of {stable:.0f}{_percent(bad_stable, stable)}"
        return text + _describe_bounds(gate, f"{100 * (gate.limit or 0):.3g} %")
    windows, worse, canary, stable = (float(part) for part in record.evidence.seen)
    way = "low" if gate.worse is Worse.LOWER else "high"
    beside = f" beside stable's {stable:.4g}" if gate.margin is not None else ""
    return f"too {way} in {worse:.0f} of {windows:.0f} windows, now {canary:.4g}{beside}" + _describe_bounds(
        gate, f"{gate.limit or 0:.4g}"
    )


def _describe_bounds(gate: Gate, limit: str) -> str:
    parts = [f"limit {limit}"] if gate.limit is not None else []
    parts += [f"margin {100 * gate.margin:.3g} %"] if gate.margin is not None else []
    return ", " + ", ".join(parts)


def _percent(some: float, of: float) -> str:
    return f" ({100 * some / of:.3g} %)" if of > 0 else ""


def _needs(record: GateRecord, bars: tuple[float, float], bar: Bar) -> tuple[int | None, float | None]:
    if isinstance(record.evidence, Events):
        per_window = float(record.evidence.seen[0]) / max(record.windows, 1)
        more = ahead.requests(record.evidence, bar, windows=record.windows, against=bars[0], favour=bars[1])
    else:
        per_window, more = 1.0, ahead.windows(record.evidence, *bars)
    if more is None:
        return None, None
    length = _window_seconds(record)
    return int(more), None if length is None or per_window <= 0 else more / per_window * length


def _window_seconds(record: GateRecord) -> float | None:
    if record.windows < 2 or record.since is None or record.last is None:
        return None
    return (record.last - record.since) / (record.windows - 1)


def _more(record: GateRecord, more: int | None, seconds: float | None) -> str:
    if more is None:
        return "undecided, and at these rates neither side comes nearer"
    what = "requests" if isinstance(record.evidence, Events) else "windows"
    time = "" if seconds is None else f", {_minutes(seconds)}"
    return f"needs about {more} more {what}{time}"


def _minutes(seconds: float) -> str:
    return f"{math.ceil(seconds)} s" if seconds < 120 else f"{math.ceil(seconds / 60)} minutes"


def as_json(judgement: Judgement) -> dict[str, Any]:
    """For `replay`, the decision log and the policy's status."""
    return {
        "verdict": judgement.verdict.said.value,
        "reason": judgement.verdict.reason,
        "blind": judgement.verdict.blind,
        "gates": [_as_json(gate) for gate in judgement.gates],
    }


def _as_json(gate: GateView) -> dict[str, Any]:
    return {
        "name": gate.name,
        "metric": gate.metric,
        "outcome": gate.outcome.value,
        "sentence": gate.sentence,
        "against": _short(gate.against),
        "againstBar": _short(gate.against_bar),
        "inFavour": _short(gate.in_favour),
        "inFavourBar": _short(gate.in_favour_bar),
        "more": gate.more,
        "seconds": None if gate.seconds is None else round(gate.seconds),
        "quiet": gate.quiet,
    }


def _short(value: float) -> float:
    return float(f"{value:.6g}")
