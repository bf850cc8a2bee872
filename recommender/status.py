"""The status of a VPA object: recommendation and conditions, and whether it changed."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from adapter.kube.objects import Condition
from recommender.estimate.postprocess import RESOURCES, Numbers, PostProcessor
from recommender.estimate.risks import Asked, Risks
from recommender.model.cluster import ClusterState, TrackedVpa
from recommender.objects import PodRecommendation, Vpa, VpaStatus

PROVIDED: Final = "RecommendationProvided"
NO_PODS: Final = "NoPodsMatched"
LOW_CONFIDENCE: Final = "LowConfidence"
FETCHING_HISTORY: Final = "FetchingHistory"
UNSUPPORTED: Final = "ConfigUnsupported"
MEMORY_RISK: Final = "MemoryRisk"
"""True where the chance that a day passes some container's memory target, as it is written, is above the ceiling."""
CONFIDENT: Final = 0.5
"""Confidence (days of a sample a minute) under which LowConfidence is True."""


def status(
    vpa: Vpa,
    numbers: Mapping[str, Numbers],
    post: PostProcessor,
    now: float,
    *,
    pods: int,
    problem: str = "",
    own_conditions: bool,
) -> VpaStatus:
    """The whole new status; `problem` says why the target cannot be followed, '' if it can.

    `own_conditions`: whether LowConfidence and FetchingHistory are told (VPA sets neither).

    Where there are no numbers, those made for this very spec stay (no pod yet after a restart without checkpoints);
    those made for another one, that had another target or did not switch all containers off, go.
    """
    sampled = [name for name in sorted(numbers) if len(numbers[name].unknown) < len(RESOURCES)]
    recommendations = [post.recommendation(vpa, name, numbers[name]) for name in sampled]
    same = vpa.status.observed_generation == vpa.metadata.generation
    kept = vpa.status.recommendation if same else None
    made = PodRecommendation(container_recommendations=tuple(recommendations)) if recommendations else kept
    low = _low(numbers) if own_conditions else None
    note = "; ".join(f"{name}: {numbers[name].note}" for name in sorted(numbers) if numbers[name].note)
    provided = has_recommendation(VpaStatus(recommendation=made))
    wanted = _conditions_wanted(provided, pods, problem, low, note)
    conditions = _merge(vpa.status.conditions, wanted, now)
    return VpaStatus(recommendation=made, conditions=conditions, observed_generation=vpa.metadata.generation)


def fetching(old: VpaStatus, is_fetching: bool, now: float) -> VpaStatus:
    """The status with the condition FetchingHistory, or without it; all else stays."""
    wanted = {FETCHING_HISTORY: (True, "", "reading Prometheus' history") if is_fetching else None}
    return msgspec.structs.replace(old, conditions=_merge(old.conditions, wanted, now))


def with_risks(
    made: Sequence[tuple[TrackedVpa, VpaStatus]], cluster: ClusterState, risks: Risks | None, now: float
) -> list[tuple[TrackedVpa, VpaStatus]]:
    """The same statuses with the condition MemoryRisk; without it where `risks` is None, or a VPA has no number."""
    asked = [list(_memory_targets(cluster, tracked, new)) if risks else [] for tracked, new in made]
    chances = risks.of(cluster.model.states, [one for own in asked for one in own], now) if risks else {}
    statuses = []
    for (tracked, new), own in zip(made, asked, strict=True):
        said = {one.container[2]: chances[one.container] for one in own if one.container in chances}
        wanted = {MEMORY_RISK: _risk(said, risks.ceiling) if risks and said else None}
        conditions = _merge(new.conditions, wanted, now)
        statuses.append((tracked, msgspec.structs.replace(new, conditions=conditions)))
    return statuses


def _memory_targets(cluster: ClusterState, tracked: TrackedVpa, new: VpaStatus) -> Iterator[Asked]:
    """The memory targets that a status holds."""
    rows, made = cluster.rows_to_recommend(tracked), new.recommendation
    for one in made.container_recommendations if made else ():
        if one.container_name in rows and "memory" in one.target:
            yield Asked((*tracked.vpa.key, one.container_name), rows[one.container_name], one.target["memory"])


def _risk(chances: Mapping[str, float], ceiling: float) -> tuple[bool, str, str]:
    """The condition MemoryRisk for chances (0 to 1) by container."""
    said = ", ".join(f"{name} {100 * chances[name]:g} %" for name in sorted(chances))
    above = max(chances.values()) > ceiling
    message = f"the chance that a day passes the memory target is at most: {said}"
    return above, "AboveCeiling" if above else "WithinCeiling", message


def has_recommendation(status: VpaStatus) -> bool:
    """Whether some container is recommended for."""
    return bool(status.recommendation and status.recommendation.container_recommendations)


def has_changed(old: VpaStatus, new: VpaStatus) -> bool:
    """Whether the new status differs from the old one."""
    return old != new


def patch(new: VpaStatus) -> list[dict[str, Any]]:
    """The JSON patch that makes `new` the status."""
    return [{"op": "add", "path": "/status", "value": msgspec.to_builtins(new)}]


def _low(numbers: Mapping[str, Numbers]) -> str:
    """What is known too little of, in a sentence; '' if nothing is."""
    sampled = [name for name in sorted(numbers) if "cpu" not in numbers[name].unknown]
    short = [name for name in sampled if numbers[name].confidence < CONFIDENT]
    none = [f"{name} ({' and '.join(numbers[name].unknown)})" for name in sorted(numbers) if numbers[name].unknown]
    said = [f"no sample yet, so no number: {', '.join(none)}"] if none else []
    said += [f"less than {CONFIDENT * 24:g} h of samples: {', '.join(short)}"] if short else []
    return "; ".join(said)


def _conditions_wanted(
    provided: bool, pods: int, problem: str, low: str | None, note: str
) -> dict[str, tuple[bool, str, str] | None]:
    """Condition -> (status, reason, message); None: the condition is to go."""
    none = ("NoPodsMatched", "No pods match this VPA object") if not pods else ("", "")
    wanted: dict[str, tuple[bool, str, str] | None] = {
        PROVIDED: (True, "", note) if provided else (False, *none),
        NO_PODS: (True, *none) if not pods else None,
        UNSUPPORTED: (True, "", problem) if problem else None,
        LOW_CONFIDENCE: None,  # VPA never sets it: one that is there is of our other mode, and out of date
        FETCHING_HISTORY: None,
    }
    if low is not None:
        wanted[LOW_CONFIDENCE] = (bool(low), "ShortHistory" if low else "", low)
    return wanted


def _merge(
    old: Sequence[Condition], wanted: Mapping[str, tuple[bool, str, str] | None], now: float
) -> tuple[Condition, ...]:
    """The new conditions by type: if the status stays, so does its transition time; unknown ones are kept."""
    before = {condition.type: condition for condition in old}
    merged = {kind: condition for kind, condition in before.items() if kind not in wanted}
    for kind, want in wanted.items():
        if want is None:
            continue
        said = "True" if want[0] else "False"
        was = before.get(kind)
        since = (
            was.last_transition_time
            if was is not None and was.status == said
            else datetime.fromtimestamp(int(now), UTC)
        )
        merged[kind] = Condition(type=kind, status=said, reason=want[1], message=want[2], last_transition_time=since)
    return tuple(merged[kind] for kind in sorted(merged))
