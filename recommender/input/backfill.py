"""Fills the cluster state from Prometheus at the start: what pods used, those of today and those that are gone."""

import asyncio

import numpy as np
import structlog

from recommender.input.feed import feed_rows
from recommender.input.history import History, HistoryError, Prometheus, Rows, connect, read_namespace
from recommender.input.owners import Owners, PodMatcher, pod_labels
from recommender.model.cluster import ClusterState, TrackedVpa

log = structlog.get_logger(__name__)


async def load_history(cluster: ClusterState, history: History, now: float, source: Prometheus | None = None) -> int:
    """Feeds what Prometheus remembers of the cluster's workloads; returns how many samples.

    Queries run in a thread, one at a time.
    """
    asked: Prometheus = source if source is not None else await asyncio.to_thread(connect, history)
    labels = await asyncio.to_thread(pod_labels, asked, history)
    count = 0
    for namespace in sorted({key[0] for key in cluster.vpas}):
        try:
            rows = await asyncio.to_thread(read_namespace, history, namespace, now, asked)
            owners = await asyncio.to_thread(Owners, asked, namespace, history)
            matcher = PodMatcher(
                [tracked for key, tracked in cluster.vpas.items() if key[0] == namespace], labels, owners
            )
        except HistoryError as error:
            log.warning("no history", namespace=namespace, cause=str(error))
            continue
        if not rows:
            log.warning("no history", namespace=namespace, cause=history.nothing(namespace))
        count += await asyncio.to_thread(_feed, cluster, namespace, rows, matcher)
    log.info("history read", samples=count)
    return count


def _feed(cluster: ClusterState, namespace: str, rows: Rows, matcher: PodMatcher) -> int:
    """Feeds the samples of one namespace, each container's in order of time, all containers side by side."""
    instances, times, cpu, memory = [], [], [], []
    known, passing = cluster.by_pod(), []
    for (pod, container), samples in rows.items():
        if not samples:
            continue
        own = known.get((namespace, pod, container))
        if own is None:
            own = [_instance(cluster, tracked, container, max(samples)) for tracked in matcher.of(namespace, pod)]
            passing += own
        for row in own:
            for time in sorted(samples):
                instances.append(row)
                times.append(time)
                cpu.append(samples[time][0])
                memory.append(samples[time][1])
    feed_rows(
        cluster.model,
        np.array(instances, dtype=np.int64),
        np.array(times, dtype=np.float64),
        np.array(cpu, dtype=np.int64),
        np.array(memory, dtype=np.int64),
    )
    cluster.model.stop(np.array(passing, dtype=np.int64))
    return len(instances)


def _instance(cluster: ClusterState, tracked: TrackedVpa, container: str, last: float) -> int:
    """A new instance for a container of a pod that is gone, `last` seen at that Unix time, s."""
    row = tracked.containers.get(container)
    state = cluster.state(tracked, container, last) if row is None else row
    return int(cluster.model.start(np.array([state]))[0])
