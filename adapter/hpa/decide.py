"""One look of the HPA controller at one HPA: from pods, values and memory to a replica count, conditions and reasons.

`decide` mirrors a reconciliation that succeeds in reading and writing the target's /scale (Kubernetes 1.37). It is
checked against the controller itself, look after look: tests/golden/hpa-replicas.json.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from adapter.hpa.calculate import Proposal, Tolerances, propose
from adapter.hpa.limits import Range, limit, record, remember, stabilize
from adapter.hpa.model import (
    DEFAULTS,
    History,
    HpaSpec,
    Observed,
    PodState,
    Recommendation,
    Scale,
    Settings,
    apply_defaults,
)
from adapter.hpa.words import count, remain


class Condition(NamedTuple):
    """A condition that this look sets in the HPA's status; one that it does not name stays as it was."""

    type: str
    status: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What the controller does with the scale, and why.

    `proposals` are in the order of the spec's metrics, empty where the metrics were not asked. `conditions` are in
    the order ScalingActive, AbleToScale, ScalingLimited, ScaledToZero. `history` is for the next look, provided that
    the scale was written.
    """

    current: int
    desired: int
    proposals: tuple[Proposal, ...]
    conditions: tuple[Condition, ...]
    explanation: str
    history: History

    @property
    def rescales(self) -> bool:
        """Whether the controller writes the scale."""
        return self.desired != self.current

    def condition(self, kind: str) -> Condition | None:
        """The condition of type `kind`, if this look sets it."""
        return next((condition for condition in self.conditions if condition.type == kind), None)


class _Outcome(NamedTuple):
    """A decision in the making: `said` holds sentences without full stops."""

    desired: int
    history: History
    said: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    proposals: tuple[Proposal, ...] = ()


class _Look(NamedTuple):
    """Everything that one look at one HPA knows; `spec` has the API server's defaults."""

    spec: HpaSpec
    bounds: Range
    scale: Scale
    history: History
    now: float
    settings: Settings


def decide(
    spec: HpaSpec,
    scale: Scale,
    observed: Sequence[Observed],
    pods: Sequence[PodState],
    history: History,
    now: float,
    settings: Settings = DEFAULTS,
) -> Decision:
    """What the HPA controller decides at `now` (Unix seconds) for a target at `scale` whose selector finds `pods`.

    `observed` has one answer per metric of `apply_defaults(spec)`, in its order: ValueError otherwise.
    """
    spec = apply_defaults(spec)
    if len(observed) != len(spec.metrics):
        raise ValueError(f"{len(spec.metrics)} metrics need as many observations, not {len(observed)}")
    if not history.recommendations:
        history = replace(history, recommendations=(Recommendation(scale.spec, now),))
    if not settings.scale_to_zero:
        history = replace(history, scaled_to_zero=False)
    look = _Look(spec, Range(spec.min or 0, spec.max), scale, history, now, settings)
    return _conclude(look, _without_metrics(look) or _with_metrics(look, observed, pods))


def tolerances(spec: HpaSpec, settings: Settings) -> Tolerances:
    """The HPA's own tolerance per direction (beta in Kubernetes 1.35, GA in 1.37), else the controller's flag."""
    rules = (spec.behavior.down, spec.behavior.up) if spec.behavior else ()
    written = [settings.tolerance if rule.tolerance is None else rule.tolerance for rule in rules]
    return Tolerances(*written) if written else Tolerances(settings.tolerance, settings.tolerance)


def _without_metrics(look: _Look) -> _Outcome | None:
    """The cases in which no metric is asked: switched off, or outside the bounds."""
    spec, bounds, current = look.spec, look.bounds, look.scale.spec
    if current == 0:
        if look.history.scaled_to_zero and (bounds.min != 0 or spec.from_zero):
            return None
        why = "The target has 0 replicas and the HPA did not bring it there: scaling is switched off"
        return _Outcome(0, look.history, (why,), (Condition("ScalingActive", False, "ScalingDisabled", why),))
    if current > bounds.max:
        return _Outcome(
            bounds.max, look.history, (f"{current} is above maxReplicas, {bounds.max}: no metric is asked",)
        )
    if current < bounds.min:
        return _Outcome(
            bounds.min, look.history, (f"{current} is below minReplicas, {bounds.min}: no metric is asked",)
        )
    return None


def _with_metrics(look: _Look, observed: Sequence[Observed], pods: Sequence[PodState]) -> _Outcome:
    allowed = tolerances(look.spec, look.settings)
    proposals = tuple(
        propose(metric, seen, pods, look.scale, allowed, look.now, look.settings)
        for metric, seen in zip(look.spec.metrics, observed, strict=True)
    )
    said = tuple(_line(proposal) for proposal in proposals)
    invalid = [proposal for proposal in proposals if proposal.replicas is None]
    best = _largest(proposals)
    wanted = best.replicas if best and best.replicas is not None else 0
    if best is None or (invalid and wanted < look.scale.spec):
        return _keep_scale(look, proposals, invalid, said)
    if len(proposals) > 1:
        said += (f"The largest proposal counts: {wanted} from {best.metric.name}",)
    active = Condition("ScalingActive", True, "ValidMetricFound", f"{best.metric.name} gives a replica count")
    # Below 0 where values are negative or an int32 overflowed; the controller starts its comparison at 0.
    return _apply_limits(look, max(wanted, 0), _Outcome(wanted, look.history, said, (active,), proposals))


def _largest(proposals: Sequence[Proposal]) -> Proposal | None:
    """The first of the largest; like the controller's, the comparison starts anew after a proposal of 0."""
    best: Proposal | None = None
    for proposal in proposals:
        if proposal.replicas is not None and (best is None or not best.replicas or proposal.replicas > best.replicas):
            best = proposal
    return best


def _keep_scale(
    look: _Look, proposals: tuple[Proposal, ...], invalid: Sequence[Proposal], said: tuple[str, ...]
) -> _Outcome:
    """All metrics are invalid, or some are and the others would scale down, which they then may not."""
    first = invalid[0]
    many = f"{len(invalid)} of {count(len(proposals), 'metric')} cannot be computed"
    why = (
        f"{many}, and without them nothing scales down" if len(invalid) < len(proposals) else f"{many}: nothing is done"
    )
    condition = Condition("ScalingActive", False, first.reason, f"{first.metric.name}: {first.why}")
    return _Outcome(look.scale.spec, look.history, (*said, why), (condition, _READABLE), proposals)


_READABLE = Condition("AbleToScale", True, "SucceededGetScale", "the target's scale could be read")


def _apply_limits(look: _Look, wanted: int, outcome: _Outcome) -> _Outcome:
    """The outcome for `wanted` replicas: stabilization first, then rates and bounds."""
    behavior, current = look.spec.behavior, look.scale.spec
    held = stabilize(
        behavior, current=current, wanted=wanted, history=look.history, now=look.now, settings=look.settings
    )
    final = limit(behavior, look.bounds, current=current, wanted=held.replicas, history=look.history, now=look.now)
    conditions = (
        *outcome.conditions,
        Condition("AbleToScale", True, held.reason, held.why or "no recent recommendation stands against it"),
        Condition("ScalingLimited", bool(final.why), final.reason, final.why or "no limit stands against it"),
    )
    desired, said = final.replicas, tuple(filter(None, (*outcome.said, held.why, final.why)))
    if current == 0 and desired < look.bounds.min:
        said += (f"From zero at least minReplicas, {look.bounds.min}",)
        desired = look.bounds.min
    recommendations = remember(behavior, wanted, look.history, look.now, look.settings)
    history = replace(look.history, recommendations=recommendations)
    return _Outcome(desired, history, said, conditions, outcome.proposals)


def _conclude(look: _Look, outcome: _Outcome) -> Decision:
    """The decision, with what writing the scale entails: the event, and who brought the target to zero."""
    current, desired, history = look.scale.spec, outcome.desired, outcome.history
    conditions = {condition.type: condition for condition in outcome.conditions}
    conditions.setdefault("AbleToScale", _READABLE)
    if desired == current:
        end = f"So {remain(current)}"
    else:
        end = f"So {count(current, 'replica')} become{'s' if current == 1 else ''} {desired}"
        conditions["AbleToScale"] = Condition("AbleToScale", True, "SucceededRescale", f"the scale becomes {desired}")
        history = record(look.spec.behavior, before=current, after=desired, history=history, now=look.now)
        if look.settings.scale_to_zero:
            zeroed = desired == 0 and look.spec.from_zero
            reason = "ScaledToZero" if zeroed else "NotScaledToZero"
            message = f"the HPA {'has' if zeroed else 'has not'} brought the target to 0"
            conditions["ScaledToZero"] = Condition("ScaledToZero", zeroed, reason, message)
            history = replace(history, scaled_to_zero=zeroed)
    explanation = ". ".join((*outcome.said, end)) + "."
    return Decision(
        current=current,
        desired=desired,
        proposals=outcome.proposals,
        conditions=tuple(conditions.values()),
        explanation=explanation,
        history=history,
    )


def _line(proposal: Proposal) -> str:
    name = proposal.metric.name
    where = proposal.metric.container or proposal.metric.described
    about = f"{name} ({proposal.metric.source}{f' {where}' if where else ''})"
    return f"{about}: {'cannot be computed, ' if proposal.replicas is None else ''}{proposal.why}"
