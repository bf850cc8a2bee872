"""CPU and memory as metrics.k8s.io serves them: fresh values of whole pods and of nodes. Pure: time is an argument."""

import math
from collections.abc import Iterable, Mapping

from adapter.collect.answer import NodeUsage, PodUsage, Usage
from adapter.kube.objects import HasMetadata
from adapter.metrics.scrape.kubelet import ResourceUsage
from adapter.units.quantity import Format, Quantity, Resolution

MAX_AGE = 60.0
"""s beyond which CPU and memory are left out at least: four of the kubelets' 15 s."""
MAX_CORES = float(2**62 // 10**3)
"""Readers take CPU as int64 milli-units; a larger value is served as this."""
MAX_BYTES = float(2**62)
"""Readers take memory as an int64."""


def max_age(every: float) -> float:
    """s beyond which values that are collected each `every` s are left out: one collection may fail."""
    return max(MAX_AGE, 3 * every)


def quantities(consumption: ResourceUsage) -> Usage:
    """As the API writes it: CPU to the nanocore, memory to the byte in powers of 1024; within what an int64 holds."""
    cpu = Quantity.of(max(0.0, min(consumption.cpu, MAX_CORES)), resolution=Resolution.NANO)
    memory = Quantity.of(max(0.0, min(consumption.memory, MAX_BYTES)), Format.BINARY_SI, Resolution.UNIT)
    return Usage(cpu, memory)


def sayable(consumption: ResourceUsage) -> bool:
    """Whether both are numbers that a quantity can say."""
    return math.isfinite(consumption.cpu) and math.isfinite(consumption.memory)


def unsayable(pods: Mapping[tuple[str, str], Mapping[str, ResourceUsage]]) -> str:
    """Which pods are left out for the value of a container, one sentence; '' where none is."""
    odd = [
        f"container {container} of {namespace}/{name} has a CPU of {used.cpu} and memory of {used.memory}"
        for (namespace, name), containers in pods.items()
        for container, used in containers.items()
        if not sayable(used)
    ]
    return f"{odd[0][:300]}; for such values {len(odd)} containers keep their pods out" if odd else ""


def of_nodes(
    nodes: Iterable[HasMetadata], known: Mapping[str, ResourceUsage], now: float, max_age: float = MAX_AGE
) -> list[NodeUsage]:
    """The nodes with a fresh value in `known`, by name."""
    usages = []
    for node in nodes:
        meta, used = node.metadata, known.get(node.metadata.name)
        if used is not None and now - used.time <= max_age and sayable(used):
            usages.append(NodeUsage(meta.name, meta.labels, time=used.time, window=used.window, usage=quantities(used)))
    return usages


def of_pods(
    pods: Iterable[HasMetadata],
    known: Mapping[tuple[str, str], Mapping[str, ResourceUsage]],
    now: float,
    max_age: float = MAX_AGE,
) -> list[PodUsage]:
    """The pods with fresh values of all containers in `known`, by namespace and name."""
    usages = []
    for pod in pods:
        meta = pod.metadata
        used = known.get((meta.namespace, meta.name))
        if not used or not all(now - one.time <= max_age and sayable(one) for one in used.values()):
            continue
        oldest = min(used.values(), key=lambda one: one.time)
        usages.append(
            PodUsage(
                namespace=meta.namespace,
                name=meta.name,
                labels=meta.labels,
                time=oldest.time,
                window=oldest.window,
                containers=tuple((container, quantities(used[container])) for container in sorted(used)),
            )
        )
    return usages
