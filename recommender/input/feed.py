"""Samples into the model: metrics of pods, and kills."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from adapter.kube.objects import unix
from adapter.units.quantity import Quantity, QuantityError
from recommender.input.oom import Kill
from recommender.model.buckets import Amounts, Floats, Rows
from recommender.model.cluster import ClusterState
from recommender.model.containers import MAX_AMOUNT, MISSING, Model
from recommender.model.runs import observe_runs
from recommender.objects import PodMetrics


class Taken(NamedTuple):
    """What became of a batch."""

    cpu: int
    memory: int
    refused: int
    """samples that were late, repeated, negative or no quantity"""
    strangers: int
    """containers that no VPA has"""


def feed_metrics(cluster: ClusterState, metrics: Iterable[PodMetrics], latest: float = math.inf) -> Taken:
    """Takes in one answer of metrics.k8s.io; the sample time is the answer's own, and at most `latest` (Unix s)."""
    rows, cpu, memory, times = [], [], [], []
    known = cluster.by_pod()
    strangers = bad = 0
    for pod in metrics:
        time = unix(pod.timestamp)
        for container in pod.containers:
            instances = known.get((pod.metadata.namespace, pod.metadata.name, container.name))
            if instances is None:
                strangers += 1
                continue
            millicores, size = _milli(container.usage.get("cpu")), _bytes(container.usage.get("memory"))
            if time is None or time > latest or (millicores == MISSING and size == MISSING):
                bad += 1
                continue
            for row in instances:
                rows.append(row)
                cpu.append(millicores)
                memory.append(size)
                times.append(time)
    taken = _observe(cluster, np.array(rows, dtype=np.int64), cpu, memory, np.array(times, dtype=np.float64))
    return Taken(taken[0], taken[1], taken[2] + bad, strangers)


def feed_kills(cluster: ClusterState, kills: Iterable[Kill]) -> int:
    """Takes in OOM kills, in order of time; returns how many counted."""
    known = cluster.by_pod(leaving=True)
    counted = 0
    for kill in sorted(kills, key=lambda each: each.time):
        rows = known.get((kill.namespace, kill.pod, kill.container), [])
        if not rows:
            continue
        amounts = np.full(len(rows), min(kill.memory, MAX_AMOUNT), dtype=np.int64)
        taken = cluster.model.observe_oom(np.array(rows, dtype=np.int64), amounts, np.full(len(rows), kill.time))
        counted += int(np.count_nonzero(taken))
    return counted


def feed_rows(model: Model, instances: Rows, times: Floats, cpu: Amounts, memory: Amounts) -> None:
    """Feeds many samples per instance, each instance's in order of time."""
    order = np.argsort(instances, kind="stable")
    if not model.config.first_zero_peak:  # which asks for every sample by itself
        observe_runs(model, instances[order], times[order], cpu[order], memory[order])
        return
    sizes = np.unique(instances[order], return_counts=True)[1]
    first = np.cumsum(sizes) - sizes
    for step in range(int(sizes.max(initial=0))):
        rows = order[first[sizes > step] + step]
        for amounts, observe in ((cpu[rows], model.observe_cpu), (memory[rows], model.observe_memory)):
            present = amounts != MISSING
            observe(instances[rows][present], amounts[present], times[rows][present])


def _observe(
    cluster: ClusterState, rows: Rows, cpu: Sequence[int], memory: Sequence[int], times: Floats
) -> tuple[int, int, int]:
    """Feeds unique rows; a pod that is listed twice counts once."""
    unique = np.unique(rows, return_index=True)[1]
    refused = len(rows) - len(unique)
    counts = []
    for amounts, observe in ((cpu, cluster.model.observe_cpu), (memory, cluster.model.observe_memory)):
        column = np.array(amounts, dtype=np.int64)[unique]
        present = column != MISSING
        taken = observe(rows[unique][present], column[present], times[unique][present])
        counts.append(int(np.count_nonzero(taken)))
        refused += int(np.count_nonzero(~taken))
    return counts[0], counts[1], refused


def _milli(text: str | None) -> int:
    quantity = _quantity(text)
    return MISSING if quantity is None else min(quantity.milli(), MAX_AMOUNT)


def _bytes(text: str | None) -> int:
    quantity = _quantity(text)
    return MISSING if quantity is None else min(quantity.unit(), MAX_AMOUNT)


def _quantity(text: str | None) -> Quantity | None:
    """The text as a quantity; None where it is absent, broken or negative."""
    if text is None:
        return None
    try:
        quantity = Quantity.parse(text)
    except QuantityError:
        return None
    return quantity if quantity.nano >= 0 else None
