"""The HPA's minReplicas while a sibling exists. Pure, over the HPA's own formula.

Pods of the sibling match the HPA's selector. Pending ones and ones without a value count as 0 when the formula scales
up, so a sibling that does not start would hold stable back. The floor takes that part over: it is what the formula
asks for over the stable pods alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from adapter.hpa.decide import decide
from adapter.hpa.limits import record
from adapter.hpa.model import History, HpaSpec, Invalid, Observed, PodState, Scale, apply_defaults


class Memory(NamedTuple):
    """What one look leaves to the next: as the HPA controller's memory, it is lost at a restart."""

    history: History = History()
    replicas: int | None = None
    """spec.replicas at the look before."""


class Look(NamedTuple):
    """`replicas` that the formula asks for; None where it cannot tell, as no metric has a value."""

    replicas: int | None
    memory: Memory


def min_replicas_to_hold(*, least: int | None, before: int, wanted: int | None, most: int) -> int:
    """The minReplicas to hold: of `least` (before the release), the size `before` it and `wanted`, the largest; at
    most `most` (maxReplicas), at least 1."""
    return min(max(least or 1, before, wanted or 0, 1), most)


def look(
    spec: HpaSpec, scale: Scale, observed: Sequence[Observed], pods: Sequence[PodState], memory: Memory, now: float
) -> Look:
    """What the HPA would decide at `now` if only `pods` were there. `spec.min` is the user's own minReplicas.

    `observed` has one answer per metric of `apply_defaults(spec)`: ValueError otherwise. A metric without an answer is
    left out: the HPA looks at it by itself, and a floor may be too low, not too high. What has scaled since the last
    look counts for the rates of `behavior`, whoever scaled it.
    """
    spec = apply_defaults(spec)
    history = memory.history
    if memory.replicas is not None and memory.replicas != scale.spec:
        history = record(spec.behavior, before=memory.replicas, after=scale.spec, history=history, now=now)
    answered = [pair for pair in zip(spec.metrics, observed, strict=True) if not isinstance(pair[1], Invalid)]
    if not answered:
        return Look(None, Memory(history, scale.spec))
    alone = replace(spec, min=max(spec.min or 1, 1), metrics=tuple(metric for metric, _ in answered))
    decision = decide(alone, scale, [answer for _, answer in answered], pods, history, now)
    computed = any(proposal.replicas is not None for proposal in decision.proposals)
    history = replace(history, recommendations=decision.history.recommendations)
    return Look(decision.desired if computed else None, Memory(history, scale.spec))
