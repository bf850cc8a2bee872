"""What the loop says of all VPAs at one time: their containers' numbers, computed in one go. Pure."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from adapter.kube.autoscaling import HorizontalPodAutoscaler
from recommender.estimate.estimators import Bounds, confidence
from recommender.estimate.hpa_guard import beside, utilisation_targets
from recommender.estimate.postprocess import Numbers
from recommender.estimate.recommend import Mode, decide, has_samples, since
from recommender.model.cluster import ClusterState, TrackedVpa

Hpas = Callable[[str], Iterable[HorizontalPodAutoscaler]]
"""The HPAs of a namespace."""


def numbers_of(
    cluster: ClusterState,
    vpas: Sequence[TrackedVpa],
    now: float,
    *,
    mode: Mode,
    tells_spread: bool = False,
    hpas: Hpas | None = None,
) -> dict[tuple[str, str], dict[str, Numbers]]:
    """Every VPA's (by key) numbers by container at Unix time `now`, s; requests that `hpas` count on are kept."""
    shared = [cluster.rows_to_recommend(tracked) for tracked in vpas]
    rows = np.array([row for own in shared for row in own.values()], dtype=np.int64)
    containers = np.array([len(own) for own in shared for _ in own], dtype=np.int64)
    made = decide(cluster.model, rows, containers, now, mode)
    sure = confidence(cluster.model.states, rows, mode.estimation.cpu_confidence).tolist()
    cpu, memory = _triples(made.cpu), _triples(made.memory)
    spread = cluster.spread() if tells_spread else {}
    by_vpa: dict[tuple[str, str], dict[str, Numbers]] = {}
    at = 0
    for tracked, own in zip(vpas, shared, strict=True):
        numbers = {
            name: Numbers(
                cpu=cpu[at + k],
                memory=memory[at + k],
                confidence=sure[at + k],
                note=spread[row].note() if row in spread else "",
            )
            for k, (name, row) in enumerate(own.items())
        }
        by_vpa[tracked.vpa.key] = _beside_hpas(tracked, numbers, hpas)
        at += len(own)
    return by_vpa


def is_known(cluster: ClusterState, tracked: TrackedVpa, now: float, *, mode: Mode, least: float) -> bool:
    """Whether everything that is recommended for has had samples for `least` s, long enough to be acted on.

    What has no number waits for nobody; but VPA gives one to what was never sampled.
    """
    rows = np.array(list(cluster.rows_to_recommend(tracked).values()), dtype=np.int64)
    states = cluster.model.states
    sampled = np.stack(has_samples(states, rows))
    due = sampled.any(axis=0) if mode.needs_samples else np.ones(len(rows), dtype=np.bool_)
    ready = since(states, rows) <= now - least
    return bool(due.any() and (ready[due]).all() and (mode.needs_samples or sampled.all()))


def _beside_hpas(tracked: TrackedVpa, numbers: dict[str, Numbers], hpas: Hpas | None) -> dict[str, Numbers]:
    """Keeps the requests on which an HPA of the same target counts."""
    target = tracked.vpa.spec.target_ref
    if hpas is None or target is None:
        return numbers
    return beside(numbers, tracked.requests, utilisation_targets(hpas(tracked.vpa.metadata.namespace), target))


def _triples(bounds: Bounds) -> list[tuple[int, int, int] | None]:
    """(target, lower, upper) of each container; None where there is no number."""
    columns = (column.tolist() for column in (bounds.target, bounds.lower, bounds.upper, bounds.known))
    return [(target, lower, upper) if has else None for target, lower, upper, has in zip(*columns, strict=True)]
