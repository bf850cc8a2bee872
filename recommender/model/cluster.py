"""Which container feeds which state: VPAs, their pods, and the rows of the model behind them. No network, no clock."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from adapter.kube.objects import unix
from adapter.units.selector import Selector
from recommender.model.buckets import Rows
from recommender.model.containers import Model
from recommender.model.histogram import NEVER
from recommender.objects import Pod, PodContainer, Vpa, quantities

EXPIRY: Final = 8 * 86400.0
"""s without a pod after which a container that still has history is forgotten (fix-removed-containers)."""


WIDE: Final = 3.0
"""A pod that uses so many times what the middle one uses is not like its fellows, …"""
WIDE_LEAST: Final = 100.0
"""… where that is at least so many millicores more."""


class StateKey(NamedTuple):
    """What a state is about: a container of a VPA's pods, whichever pods these are."""

    namespace: str
    vpa: str
    container: str


class InstanceKey(NamedTuple):
    """One running container; the uid tells a pod from its successor of the same name."""

    namespace: str
    pod: str
    uid: str
    container: str
    vpa: str


class Spread(NamedTuple):
    """How the pods of a workload differ in one container's CPU."""

    pods: int
    busiest: str
    """The pod that uses most, …"""
    most: float
    """… millicores, about the mean of the last hour"""
    middle: float
    """millicores of the middle one (the lower of two)"""

    def note(self) -> str:
        """In words, with figures rounded to 1, 2 or 5 times a power of ten, so that they change rarely."""
        most, middle = round_125(self.most), round_125(self.middle)
        return f"its pods differ: of {self.pods} {self.busiest} uses about {most}m CPU, the middle one about {middle}m"


@dataclass
class TrackedVpa:
    """A VPA, and what is known of its target and containers."""

    vpa: Vpa
    pods: int = 0
    replicas: int = 0
    """How many pods the target asks for; 0: not known"""
    selector: Selector | None = None
    """Of its pods; None: not known"""
    problem: str = ""
    """Why its target cannot be followed; '' if it can."""
    containers: dict[str, int] = field(default_factory=dict)
    """container -> row of its state"""
    requests: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """container -> resource -> quantity, of the newest pod"""


class ClusterState:
    """All states and instances by name."""

    def __init__(
        self, model: Model, *, per_vpa: bool = False, expiry: float | None = EXPIRY, sidecars: bool = True
    ) -> None:
        """`per_vpa`: honour OOM and interval settings of policies (VPA's gate PerVPAConfig).

        `expiry`: s after which containers without pods go; None keeps them for ever, as VPA does. `sidecars`: whether
        init containers that run as long as the pod count as its containers; VPA does not look at them.
        """
        self._sidecars = sidecars
        self.model = model
        self.vpas: dict[tuple[str, str], TrackedVpa] = {}
        self._instances: dict[InstanceKey, int] = {}
        self._leaving: dict[InstanceKey, int] = {}
        """Of pods that went since the last loop: see `part`."""
        self._seen: dict[StateKey, float] = {}
        self._per_vpa = per_vpa
        self._expiry = expiry

    @property
    def instances(self) -> int:
        """How many running containers are followed."""
        return len(self._instances)

    def serve(self, vpas: Iterable[Vpa]) -> list[TrackedVpa]:
        """Takes over the VPAs to serve; those not among them are forgotten. Returns those that are new.

        One that turns to another target is not new, but begins anew: what its old pods used says nothing of the others.
        """
        wanted = {vpa.key: vpa for vpa in vpas}
        for key in [key for key in self.vpas if key not in wanted]:
            self._forget(self.vpas.pop(key))
        fresh = []
        for key, vpa in wanted.items():
            if key in self.vpas:
                if _aim(self.vpas[key].vpa) != _aim(vpa):
                    self._forget(self.vpas[key])
                    self.vpas[key] = TrackedVpa(vpa)
                self.vpas[key].vpa = vpa
            else:
                self.vpas[key] = TrackedVpa(vpa)
                fresh.append(self.vpas[key])
        return fresh

    def state(self, tracked: TrackedVpa, container: str, now: float) -> int:
        """The row of a container's state, made if need be."""
        row = tracked.containers.get(container)
        if row is None:
            row = tracked.containers[container] = int(self.model.states.take(1)[0])
            self._configure(tracked.vpa, container, row)
        self._seen[StateKey(*tracked.vpa.key, container)] = now
        return row

    def follow(self, pods: Mapping[tuple[str, str], Sequence[Pod]], now: float) -> None:
        """Takes over which pods each VPA (by key) has; instances of other pods leave, their history stays.

        Pods that have ended are followed as well, for as long as they are there: an OOM kill or an eviction ends a pod
        that may not restart, and is told of in the same moment.
        """
        self.part()
        wanted: dict[InstanceKey, int] = {}
        for key, own in pods.items():
            tracked = self.vpas[key]
            tracked.pods = len(own)
            tracked.requests = self._requests(own)
            for pod in own:
                for container in self._containers(pod):
                    state = self.state(tracked, container.name, now)
                    wanted[_instance(pod, container.name, tracked)] = state
        self._leaving = {key: row for key, row in self._instances.items() if key not in wanted}
        self._instances = {key: row for key, row in self._instances.items() if key in wanted}
        fresh = [key for key in wanted if key not in self._instances]
        rows = self.model.start(np.array([wanted[key] for key in fresh], dtype=np.int64))
        self._instances.update(zip(fresh, rows.tolist(), strict=True))
        self._expire(now)

    def part(self) -> None:
        """Ends the instances of pods that are gone; until then a kill that was their last is counted for them."""
        self.model.stop(np.array(list(self._leaving.values()), dtype=np.int64))
        self._leaving = {}

    def by_pod(self, leaving: bool = False) -> dict[tuple[str, str, str], list[int]]:
        """(namespace, pod, container) -> rows of instances, one per VPA that has the pod.

        With `leaving` also those of pods that are gone, where there is no new one of the same name.
        """
        by_name = self.by_pod() if leaving else {}
        present = set(by_name)
        for key, row in (self._leaving if leaving else self._instances).items():
            name = key.namespace, key.pod, key.container
            if name not in present:
                by_name.setdefault(name, []).append(row)
        return by_name

    def rows_to_recommend(self, tracked: TrackedVpa) -> dict[str, int]:
        """container -> row of its state, for containers that no policy switches off."""
        policy = tracked.vpa.spec.resource_policy
        return {
            name: row
            for name, row in tracked.containers.items()
            if (container_policy := policy.of(name)) is None or container_policy.mode != "Off"
        }

    def _configure(self, vpa: Vpa, container: str, row: int) -> None:
        """Per-VPA settings of OOM kills and windows, if that is asked for."""
        policy = vpa.spec.resource_policy.of(container)
        if policy is None or not self._per_vpa:
            return
        states = self.model.states
        set_ = {"ratio": policy.oom_bump_up_ratio, "bump": policy.oom_min_bump_up}
        given = quantities({name: str(value) for name, value in set_.items() if value is not None})
        if "ratio" in given:
            states.bump_ratio[row] = given["ratio"].milli() / 1000
        if "bump" in given:
            states.bump_bytes[row] = given["bump"].milli() / 1000
        if policy.memory_aggregation_interval_seconds:
            states.interval[row] = policy.memory_aggregation_interval_seconds

    def _containers(self, pod: Pod) -> Sequence[PodContainer]:
        return pod.running_containers if self._sidecars else pod.spec.containers

    def _requests(self, pods: Sequence[Pod]) -> Mapping[str, Mapping[str, str]]:
        if not pods:
            return {}
        newest = max(pods, key=lambda pod: unix(pod.metadata.creation_timestamp) or 0.0)
        return {container.name: container.resources.requests for container in self._containers(newest)}

    def spread(self) -> dict[int, Spread]:
        """Row of a state -> how its pods differ, of those whose busiest pod is not like its fellows."""
        instances = self.model.instances
        rows = instances.rows()
        rows = rows[instances.last_cpu[rows] != NEVER]
        rows = rows[np.lexsort((instances.cpu_level[rows], instances.state[rows]))]
        states, first, sizes = np.unique(instances.state[rows], return_index=True, return_counts=True)
        most = instances.cpu_level[rows[first + sizes - 1]]
        middle = instances.cpu_level[rows[first + (sizes - 1) // 2]]
        wide = np.flatnonzero((sizes > 1) & (most >= WIDE * middle) & (most - middle >= WIDE_LEAST))
        busiest = {int(rows[first[at] + sizes[at] - 1]): at for at in wide}
        pods = {busiest[row]: key.pod for key, row in self._instances.items() if row in busiest} if busiest else {}
        return {
            int(states[at]): Spread(int(sizes[at]), pods[at], float(most[at]), float(middle[at]))
            for at in wide
            if at in pods
        }

    def _expire(self, now: float) -> None:
        if self._expiry is None:
            return
        for tracked in self.vpas.values():
            for name in list(tracked.containers):
                key = StateKey(*tracked.vpa.key, name)
                if now - self._seen.get(key, now) >= self._expiry:
                    self._release([tracked.containers.pop(name)])
                    self._seen.pop(key, None)

    def _forget(self, tracked: TrackedVpa) -> None:
        own = [key for key in self._instances if (key.namespace, key.vpa) == tracked.vpa.key]
        self.model.stop(np.array([self._instances.pop(key) for key in own], dtype=np.int64))
        self._release(list(tracked.containers.values()))
        for name in tracked.containers:
            self._seen.pop(StateKey(*tracked.vpa.key, name), None)

    def _release(self, rows: Sequence[int]) -> None:
        released: Rows = np.array(rows, dtype=np.int64)
        if np.isin(self.model.instances.state[list(self._leaving.values())], released).any():
            self.part()
        self.model.states.release(released)


def _aim(vpa: Vpa) -> tuple[str, str]:
    target = vpa.spec.target_ref
    return (target.kind, target.name) if target else ("", "")


def _instance(pod: Pod, container: str, tracked: TrackedVpa) -> InstanceKey:
    meta = pod.metadata
    return InstanceKey(meta.namespace, meta.name, meta.uid, container, tracked.vpa.metadata.name)


def round_125(value: float) -> int:
    """The nearest of 1, 2, 5, 10, 20, … by ratio; 0 below 1."""
    if value < 1:
        return 0
    power = 10 ** math.floor(math.log10(value))
    return int(min((step * power for step in (1, 2, 5, 10)), key=lambda near: abs(math.log(near / value))))
