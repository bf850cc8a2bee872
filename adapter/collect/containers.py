"""The usage of containers, of what two queries found: one for CPU and one for memory. Pure: time is an argument.

Values without a container's name are those of a whole pod (a cgroup's), where cAdvisor knows no names. They count as
one container without a name, as in prometheus-adapter, but only where no container of the pod has a name: else the same
usage would count twice. Where one of the two queries knows names and the other does not, the pod is one container
without a name for both: its containers' shares of the other are not known, and 0 would be wrong.

Of a container that has one of the two values the other is 0, as in prometheus-adapter: a pause container has no memory
to speak of. One case is different. CPU is a rate, which a new container does not have yet; with 0 in its place the pod
would look smaller than it is, and an HPA would scale on that. So its pod is left out for as long as a rate may take.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from adapter.metrics.sample import Sample
from adapter.metrics.scrape.kubelet import ResourceUsage
from adapter.rules.model import ResourceRule
from adapter.rules.naming import BoundRule
from adapter.rules.resources import NAMESPACES, PODS

Pods: TypeAlias = Mapping[tuple[str, str], Mapping[str, ResourceUsage]]
"""(namespace, pod) -> container -> consumption."""
Key: TypeAlias = tuple[tuple[str, str], str]
"""((namespace, pod), container); '' where the container has no name."""
Values: TypeAlias = Mapping[Key, Sample]


def by_container(bound: BoundRule[ResourceRule], samples: Sequence[Sample]) -> dict[Key, Sample]:
    """The results by container; those without a pod's name are nobody's."""
    namespace, pod, container = bound.label(NAMESPACES), bound.label(PODS), bound.rule.container_label
    return {
        ((labels.get(namespace, ""), labels[pod]), labels.get(container, "")): sample
        for sample in samples
        if (labels := sample.labels).get(pod)
    }


class Joined(NamedTuple):
    """What two queries tell of pods."""

    pods: Pods
    lacking: Mapping[Key, float]
    """Containers without a value for CPU -> since when that is so, Unix s."""
    nameless: Collection[tuple[str, str]]
    """Pods whose values have no container's name."""


def join(cpu: Values, memory: Values, *, lacking: Mapping[Key, float], window: float, at: float) -> Joined:
    """ResourceUsage per pod and container at Unix time `at`; `lacking` is that of the collection before.

    A pod without any value for CPU or without any for memory has no usage.
    """
    named = {pod for pod, container in cpu if container} & {pod for pod, container in memory if container}
    cpu, memory = _count_once(cpu, named), _count_once(memory, named)
    keys = dict.fromkeys((*cpu, *memory))
    whole = {pod for pod, _ in cpu} & {pod for pod, _ in memory}
    lacking_now = {key: lacking.get(key, at) for key in keys if key not in cpu and key[0] in whole}
    young = {pod for (pod, _), since in lacking_now.items() if at - since < window}
    pods: dict[tuple[str, str], dict[str, ResourceUsage]] = {}
    for key in keys:
        pod, container = key
        if pod in whole and pod not in young:
            pods.setdefault(pod, {})[container] = usage(cpu.get(key), memory.get(key), window)
    return Joined(pods, lacking_now, {pod for pod, container in keys if not container})


def _count_once(values: Values, named: Collection[tuple[str, str]]) -> dict[Key, Sample]:
    """`values` without whole-pod values beside containers' own; a pod not in `named` becomes one container."""
    telling = {pod for pod, container in values if container}
    kept: dict[Key, Sample] = {}
    for (pod, container), sample in values.items():
        if container or pod not in telling:
            key = pod, container if pod in named else ""
            before = kept.get(key)
            kept[key] = sample if before is None else _sum(before, sample)
    return kept


def _sum(one: Sample, other: Sample) -> Sample:
    """As old as the older of the two."""
    return one._replace(value=one.value + other.value, time=min(one.time, other.time))


def usage(cores: Sample | None, octets: Sample | None, window: float) -> ResourceUsage:
    """Of one container or node, 0 for what has no value; as old as the older of the two."""
    times: Iterator[float] = (sample.time for sample in (cores, octets) if sample is not None)
    return ResourceUsage(cores.value if cores else 0.0, octets.value if octets else 0.0, min(times), window)
