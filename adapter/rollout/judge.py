"""The judge: gates and windows -> promote, rollback or hold, with the numbers. Pure.

A gate *fails* when the evidence against the release reaches k/alpha (alpha is shared by the k gates), so that over the
whole release, however often one looks, a release as good as the stable one is rolled back with a chance of at most
alpha. It *passes* when the evidence in favour stands at 1/alpha or more while the evidence against is not half-way (in
logarithms) to its own bar. One gate that fails rolls back; all must pass to promote. A window without evidence is
neither: it has a clock and a rule of its own.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from adapter.rollout.evidence import breaker, events, gauges
from adapter.rollout.evidence.events import CANARY, STABLE, Bar, Events, Interval
from adapter.rollout.evidence.record import Evidence, GateRecord, Heard, Record, begin, blank, key
from adapter.rollout.explain import GateView, Judgement, Outcome, failure_text, view
from adapter.rollout.model.gates import Gate, Gates, Kind, Scope, Then, Worse
from adapter.rollout.model.verdict import Said, Stage, Verdict
from adapter.rollout.model.window import Arm, Counts, Gauge, Reading, Window


def judge(policy: Gates, windows: Iterable[Window], stage: Stage = Stage.CANARY) -> Judgement:
    """The verdict after all `windows`."""
    record = begin(policy.of(stage))
    for window in windows:
        record = hear(policy, record, window, stage)
    return verdict(policy, record, stage)


def hear(policy: Gates, record: Record, window: Window, stage: Stage = Stage.CANARY) -> Record:
    """The record with one more window. One that does not end later than the newest was heard already."""
    if record.ended or (record.time is not None and window.time <= record.time):
        return record
    asked = policy.of(stage)
    known = {gate.key: gate for gate in record.gates}
    heard = []
    for gate in asked:
        before = known.get(key(gate)) or blank(gate)
        about = window.asked is None or gate.metric in window.asked
        heard.append(_hear(policy, gate, before, window, stage) if about else (before, ""))
    unready, ended = record.unready, ""
    if window.health:
        unready, ended = breaker.pods(unready, window.health, window.time, beside=_stable_serves(window, stage))
    for gate, (now, tripped) in zip(asked, heard, strict=True):
        ended = ended or (f"{gate.name}: {tripped}" if tripped else "") or _failure(policy, gate, now)
    return Record(gates=tuple(now for now, _ in heard), time=window.time, unready=unready, ended=ended)


def _stable_serves(window: Window, stage: Stage) -> bool:
    """Whether stable pods have traffic beside the new ones, as far as is known: not after a switch or at weight 100."""
    counts = [each for arms in window.metrics.values() if isinstance(each := arms.get(Arm.STABLE), Counts)]
    return stage is not Stage.POST and (not counts or any(each.all > 0 for each in counts))


def verdict(policy: Gates, record: Record, stage: Stage = Stage.CANARY, step: int | None = None) -> Judgement:
    """What follows from what was heard; at `step` of a canary (None: whichever was heard last).

    A gate of scope step that heard nothing since the step began has not passed it, whatever the step before showed.
    """
    asked = policy.of(stage)
    known = {gate.key: gate for gate in record.gates}
    records = [known.get(key(gate)) or blank(gate) for gate in asked]
    now = record.time or 0.0
    views = tuple(_view(policy, gate, each, now, stage) for gate, each in zip(asked, records, strict=True))
    blind = any(_is_blind(*each, now) for each in zip(asked, records, views, strict=True))
    if record.ended:
        return Judgement(Verdict(Said.ROLLBACK, record.ended, blind), views)
    by_rule = [one for one in views if one.outcome is Outcome.FAILED]
    if by_rule:
        return Judgement(Verdict(Said.ROLLBACK, by_rule[0].sentence, blind), views)
    new = [
        gate.scope is Scope.STEP and step not in (None, each.step) for gate, each in zip(asked, records, strict=True)
    ]
    waiting = [one.outcome is not Outcome.PASSED or fresh for one, fresh in zip(views, new, strict=True)]
    if any(waiting):
        said = [
            f"{one.sentence}{', before this step' * fresh}"
            for one, fresh, on in zip(views, new, waiting, strict=True)
            if on
        ]
        held = any(on and gate.scope is Scope.STEP for gate, on in zip(asked, waiting, strict=True))
        return Judgement(Verdict(Said.HOLD, "; ".join(said), blind, held), views)
    reason = "; ".join(one.sentence for one in views) or "the policy names no gate here"
    return Judgement(Verdict(Said.PROMOTE, reason, blind), views)


def bar_of(gate: Gate, stage: Stage) -> Bar:
    """What the evidence is held against."""
    concurrent = stage is Stage.CANARY
    return Bar(limit=gate.limit, margin=gate.margin if concurrent else None, concurrent=concurrent)


def strength(gate: Gate, evidence: Any, stage: Stage) -> tuple[float, float]:
    """The logs of the e-values (against, in favour)."""
    if isinstance(evidence, Events):
        return _against(evidence), float(events.in_favour(evidence, bar_of(gate, stage)))
    return _against(evidence), float(gauges.in_favour(evidence))


def _against(evidence: Evidence) -> float:
    return float(events.against(evidence) if isinstance(evidence, Events) else gauges.against(evidence))


def _hear(policy: Gates, gate: Gate, record: GateRecord, window: Window, stage: Stage) -> tuple[GateRecord, str]:
    """The gate's record after the window, and why the circuit breaker says to roll back at once."""
    arms = window.metrics.get(gate.metric, {})
    canary, stable = arms.get(Arm.CANARY), arms.get(Arm.STABLE)
    record = _next_step(gate, record, window)
    heard = _what(gate, canary, stable, stage)
    record = replace(record, heard=heard, since=window.time if record.since is None else record.since)
    if heard is not Heard.EVIDENCE:
        record = _learn(record, canary, stable)
        if heard is Heard.NO_STABLE_TRAFFIC and _is_shown(policy, gate, strength(gate, record.evidence, stage)):
            record = replace(record, last=window.time)  # what it asks was shown, and nothing is missing: no clock runs
        return record, ""
    record = replace(record, last=window.time, windows=record.windows + 1)
    bar = bar_of(gate, stage)
    if isinstance(record.evidence, Events):
        assert isinstance(canary, Counts)
        beside = stable if isinstance(stable, Counts) and bar.concurrent else None
        failing, why = breaker.requests(record.failing, canary, beside, gate.limit or 0.0)
        evidence = events.hear(record.evidence, bar, _interval(canary, beside))
        return replace(record, failing=failing, evidence=evidence), why
    assert isinstance(canary, Gauge)
    beside_value = stable.value if isinstance(stable, Gauge) else 0.0
    lower = gate.worse is Worse.LOWER
    now = gauges.hear(record.evidence, bar, np.asarray(canary.value), np.asarray(beside_value), lower_is_worse=lower)
    return replace(record, evidence=now), ""


def _next_step(gate: Gate, record: GateRecord, window: Window) -> GateRecord:
    """At a new step, a gate that every step has to pass forgets what spoke in favour."""
    if window.step is None or window.step == record.step:
        return record
    evidence = record.evidence
    if gate.scope is Scope.STEP and record.step is not None:
        evidence = events.anew(evidence) if isinstance(evidence, Events) else gauges.anew(evidence)
    return replace(record, step=window.step, evidence=evidence)


def _what(gate: Gate, canary: Reading | None, stable: Reading | None, stage: Stage) -> Heard:
    kind = Counts if gate.kind is Kind.EVENTS else Gauge
    wanted = [each for each in ((canary, stable) if stage is Stage.CANARY else (canary,)) if each is not None]
    if not all(isinstance(each, kind) for each in wanted):
        return Heard.NOT_THIS_KIND
    if canary is None:
        return Heard.NO_CANARY
    if stage is Stage.CANARY and stable is None:
        return Heard.NO_STABLE
    if isinstance(canary, Counts) and canary.all <= 0:
        return Heard.NO_TRAFFIC
    if isinstance(stable, Counts) and stable.all <= 0 and gate.limit is None:
        return Heard.NO_STABLE_TRAFFIC
    return Heard.EVIDENCE


def _learn(record: GateRecord, canary: Reading | None, stable: Reading | None) -> GateRecord:
    """What a window without evidence still tells: how bursty the bad requests of either arm are."""
    evidence = record.evidence
    if not isinstance(evidence, Events):
        return record
    for arm, reading in ((STABLE, stable), (CANARY, canary)):
        if isinstance(reading, Counts) and reading.all > 0:
            evidence = events.learn(evidence, arm, np.asarray(reading.all), np.asarray(reading.bad))
    return replace(record, evidence=evidence)


def _interval(canary: Counts, stable: Counts | None) -> Interval:
    beside = stable or Counts(0.0, 0.0)
    return Interval(*(np.asarray(float(part)) for part in (canary.all, canary.bad, beside.all, beside.bad)))


def _failure(policy: Gates, gate: Gate, record: GateRecord) -> str:
    """Why the gate fails on its evidence; '' if it does not."""
    against, bar = _against(record.evidence), policy.bar(gate)
    return failure_text(gate, record, against=against, bar=bar) if against >= math.log(bar) else ""


def _is_shown(policy: Gates, gate: Gate, logs: tuple[float, float]) -> bool:
    """Whether the gate passes by the logs of its e-values (against, in favour)."""
    against, favour = logs
    return favour >= -math.log(policy.alpha) and against < math.log(policy.bar(gate)) / 2


def _view(policy: Gates, gate: Gate, record: GateRecord, now: float, stage: Stage) -> GateView:
    against, favour = strength(gate, record.evidence, stage)
    against_bar, favour_bar = math.log(policy.bar(gate)), -math.log(policy.alpha)
    passed = _is_shown(policy, gate, (against, favour))
    outcome, late = Outcome.UNDECIDED, ""
    if against >= against_bar:
        outcome = Outcome.FAILED
    elif record.heard is not Heard.EVIDENCE:
        outcome, late = _by_rule(gate.no_evidence, _quiet(record, now), Outcome.SILENT)
        if passed and not late:
            outcome = Outcome.PASSED
    elif passed:
        outcome = Outcome.PASSED
    else:
        outcome, late = _by_rule(gate.on_undecided, now - (record.since or now), Outcome.UNDECIDED)
    bars = (against_bar, favour_bar)
    return view(gate, record, outcome, logs=(against, favour), bars=bars, bar=bar_of(gate, stage), rule=late)


def _is_blind(gate: Gate, record: GateRecord, seen: GateView, now: float) -> bool:
    """Whether nothing is heard, and the policy does not take that for a pass.

    A gate that passed while stable pods had traffic is not asked again of a weight that leaves them none.
    """
    if record.heard is Heard.EVIDENCE:
        return False
    if seen.outcome is Outcome.PASSED and record.heard is Heard.NO_STABLE_TRAFFIC:
        return False
    rule = gate.no_evidence
    return rule.then is not Then.PROMOTE or _quiet(record, now) < rule.after_seconds


def _quiet(record: GateRecord, now: float) -> float:
    """Seconds without evidence."""
    began = record.last if record.last is not None else record.since
    return now - (now if began is None else began)


def _by_rule(rule: Any, seconds: float, otherwise: Outcome) -> tuple[Outcome, str]:
    """What the policy's rule makes of so many seconds, and the words for it."""
    if seconds < rule.after_seconds:
        return otherwise, ""
    outcome = {Then.HOLD: otherwise, Then.ROLLBACK: Outcome.FAILED, Then.PROMOTE: Outcome.PASSED}[rule.then]
    return outcome, f"{otherwise.value} for {seconds:.0f} s, so {rule.then.value}"
