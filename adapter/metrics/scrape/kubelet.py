"""What containers and nodes use, from the kubelet's /metrics/resource.

The kubelet takes its samples every 10 to 15 s and stamps them itself, so a rate is taken between two of its own times,
however often it is scraped. Two readings per container are all that is kept.
"""

import math
import ssl
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from adapter.metrics.sample import Point, Series
from adapter.metrics.scrape.target import KUBELET_INTERVAL_S, Target, TargetError
from adapter.metrics.slices import Slices, run

ADDRESS_TYPES = ("Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP")
"""In metrics-server's order of preference."""
AT_ONCE = 500
"""Points or containers that are looked at in one slice: about 4 ms."""
PORT = 10250
FRESH_S = (10.0, 60.0)
"""A container first seen at an age in this range has its start, with no CPU used, as its first reading.

Younger, and the start-up burst would pass for its use; older, and the mean would say little of now
(metrics-server's rule for fresh containers).
"""

_CPU, _MEMORY, _START = "cpu", "memory", "start"
_KINDS = {
    "container_cpu_usage_seconds_total": _CPU,
    "container_memory_working_set_bytes": _MEMORY,
    "container_start_time_seconds": _START,
    "node_cpu_usage_seconds_total": _CPU,
    "node_memory_working_set_bytes": _MEMORY,
}
NAMES = frozenset(_KINDS)
"""The metrics that are read; the rest of the page is not."""

Pod: TypeAlias = tuple[str, str]
"""Namespace and name."""
_Key: TypeAlias = tuple[str, str, str]
"""Namespace, pod, container; all '' for the node."""
_NODE: _Key = ("", "", "")


class Reading(NamedTuple):
    """The state of a container or node at one time."""

    time: float
    """Unix s, of the CPU sample."""
    cpu: float
    """Core-seconds used since `start`."""
    memory: float
    """Working set, bytes."""
    start: float = 0.0
    """Unix s; 0 where it is not known."""


class ResourceUsage(NamedTuple):
    """What a container or node uses."""

    cpu: float
    """Cores."""
    memory: float
    """Working set, bytes."""
    time: float
    """Unix s, of the newer reading."""
    window: float
    """s between the two readings."""


Readings: TypeAlias = tuple[Reading | None, Reading]
"""The one to take the rate from, if there is one, and the newest."""


def advance(before: Readings | None, reading: Reading) -> Readings:
    """The readings after one more; one that is not newer changes nothing, a restart begins anew."""
    if before is not None:
        last = before[1]
        if reading.time <= last.time:
            return before
        if _same_run(last, reading):
            return last, reading
    return _birth(reading), reading


def _same_run(last: Reading, reading: Reading) -> bool:
    """Starts within a second are the same: they are wall-clock times, and clocks are set."""
    restarted = last.start and reading.start and abs(reading.start - last.start) > 1
    return not restarted and reading.cpu >= last.cpu


def _birth(reading: Reading) -> Reading | None:
    """The moment a fresh container started, as a reading."""
    if reading.start and FRESH_S[0] <= reading.time - reading.start < FRESH_S[1]:
        return Reading(reading.start, 0.0, reading.memory, reading.start)
    return None


def usage(readings: Readings) -> ResourceUsage | None:
    """The mean CPU between two readings and the newest memory; None where there is only one reading."""
    first, last = readings
    if first is None:
        return None
    window = last.time - first.time
    return ResourceUsage((last.cpu - first.cpu) / window, last.memory, last.time, window)


class KubeletUsage:
    """The use of all pods and nodes, from the last scrapes of their kubelets."""

    def __init__(self, max_age: float = 60.0, runs_on: Callable[[Pod, str], bool] = lambda pod, node: True) -> None:
        """`max_age`, s: beyond which a value is too old to be served. `runs_on`: whether a pod may be that node's."""
        self.max_age = max_age
        self._runs_on = runs_on
        self._readings: dict[str, dict[_Key, Readings]] = {}
        self._series: dict[str, dict[Series, tuple[str, _Key] | None]] = {}
        self._nodes: dict[str, ResourceUsage] = {}
        self._pods: dict[Pod, Mapping[str, ResourceUsage]] = {}
        self._homes: dict[Pod, str] = {}
        self._residents: dict[str, list[Pod]] = {}

    def update(self, node: str, points: Iterable[Point]) -> None:
        """As `updating`, at once."""
        run(self.updating(node, points))

    def updating(self, node: str, points: Iterable[Point]) -> Slices[None]:
        """Take a whole scrape of a node's kubelet; containers that are not in it are forgotten."""
        containers = yield from self._gather(node, points)
        before, after, used = self._readings.get(node, {}), dict[_Key, Readings](), dict[_Key, ResourceUsage]()
        for number, (key, values) in enumerate(containers.items(), 1):
            if reading := _reading(values):
                after[key] = advance(before.get(key), reading)
                if use := usage(after[key]):
                    used[key] = use
            if number % AT_ONCE == 0:
                yield
        pods = yield from _by_pod(containers, after, used)
        self._readings[node] = after
        self._publish(node, pods, used.get(_NODE))

    def forget(self, node: str) -> None:
        """Drop a node that is gone, and its pods."""
        self._readings.pop(node, None)
        self._series.pop(node, None)
        self._publish(node, {}, None)

    def keep(self, nodes: Collection[str]) -> None:
        """Drop all nodes but these."""
        for node in [node for node in self._readings if node not in nodes]:
            self.forget(node)

    def expire(self, before: float) -> None:
        """Drop the nodes whose newest reading is older than `before`, Unix s: their kubelet does not answer."""
        for node, readings in list(self._readings.items()):
            if max((last.time for _, last in readings.values()), default=-math.inf) < before:
                self.forget(node)

    def reads(self, node: str) -> bool:
        """Whether the node's own CPU and memory were on its kubelet's last page."""
        return _NODE in self._readings.get(node, ())

    def pods(self) -> Mapping[Pod, Mapping[str, ResourceUsage]]:
        """By namespace and name, each container's use; only pods of which all running containers have one.

        A live view: it follows `update`.
        """
        return MappingProxyType(self._pods)

    def nodes(self) -> Mapping[str, ResourceUsage]:
        """By node name; a live view."""
        return MappingProxyType(self._nodes)

    def _gather(self, node: str, points: Iterable[Point]) -> Slices[dict[_Key, dict[str, Point]]]:
        """Each container's points by what they measure; a series' identity is remembered while it is there."""
        known, seen = self._series.get(node, {}), dict[Series, tuple[str, _Key] | None]()
        containers: dict[_Key, dict[str, Point]] = {}
        for number, point in enumerate(points, 1):
            if number % AT_ONCE == 0:
                yield
            series = point[0]
            identity = seen[series] = known[series] if series in known else _identity(series)
            if identity is not None and math.isfinite(point[1]):
                containers.setdefault(identity[1], {})[identity[0]] = point
        self._series[node] = seen
        return containers

    def _publish(self, node: str, pods: Mapping[Pod, Mapping[str, ResourceUsage]], own: ResourceUsage | None) -> None:
        for pod in self._residents.pop(node, ()):
            if self._homes.get(pod) == node:  # else it has moved
                del self._homes[pod], self._pods[pod]
        self._nodes.pop(node, None)
        if own is not None:
            self._nodes[node] = own
        for pod, containers in pods.items():
            if not self._runs_on(pod, node):
                continue  # a kubelet has nothing to say of another's pods
            self._pods[pod] = containers
            self._homes[pod] = node
            self._residents.setdefault(node, []).append(pod)


def _by_pod(
    containers: Collection[_Key], readings: Mapping[_Key, Readings], used: Mapping[_Key, ResourceUsage]
) -> Slices[dict[Pod, Mapping[str, ResourceUsage]]]:
    """Pods whose containers all have a use. One that holds no memory has ended and does not count."""
    pods: dict[Pod, list[_Key]] = {}
    for number, key in enumerate(containers, 1):
        if key != _NODE and not (key in readings and readings[key][1].memory == 0):
            pods.setdefault(key[:2], []).append(key)
        if number % AT_ONCE == 0:
            yield
    whole: dict[Pod, Mapping[str, ResourceUsage]] = {}
    for number, (pod, keys) in enumerate(pods.items(), 1):
        if all(key in used for key in keys):
            whole[pod] = {key[2]: used[key] for key in sorted(keys)}
        if number % AT_ONCE == 0:
            yield
    return whole


def _identity(series: Series) -> tuple[str, _Key] | None:
    """What a series tells, and of whom."""
    labels = dict(series.labels)
    name = labels["__name__"]
    kind = _KINDS.get(name)
    if kind is None:
        return None
    if name.startswith("node_"):
        return kind, _NODE
    key = labels.get("namespace", ""), labels.get("pod", ""), labels.get("container", "")
    return (kind, key) if all(key) else None


def _reading(values: Mapping[str, Point]) -> Reading | None:
    """None while CPU or memory is missing, as it is of a container that has just been created."""
    if _CPU not in values or _MEMORY not in values:
        return None
    _, cpu, time = values[_CPU]
    return Reading(time, cpu, values[_MEMORY][1], values[_START][1] if _START in values else 0.0)


def kubelet_id(node: str) -> str:
    """The id of the target of a node's kubelet."""
    return f"kubelet/{node}"


def kubelet_target(
    node: str,
    addresses: Sequence[tuple[str, str]],
    *,
    port: int = PORT,
    address_types: Sequence[str] = ADDRESS_TYPES,
    tls: ssl.SSLContext | bool = True,
    headers: Callable[[], Mapping[str, str]] | None = None,
    on_points: Callable[[list[Point]], Slices[None]] | None = None,
    interval_s: float = KUBELET_INTERVAL_S,
) -> Target:
    """The target of a node's kubelet; `addresses` are (type, address) as in the node's status.

    `tls` is what `kubelet_tls` made. Raises TargetError where the node has no address of a wanted type.
    """
    by_type = {kind: address for kind, address in reversed(addresses) if address}
    address = next((by_type[kind] for kind in address_types if kind in by_type), None)
    if address is None:
        raise TargetError(
            f"node {node} has no address of the types {', '.join(address_types)}, so its kubelet cannot be asked;"
            " right would be others in --kubelet-preferred-address-types"
        )
    host = f"[{address}]" if ":" in address else address
    return Target(
        id=kubelet_id(node),
        url=f"https://{host}:{port}/metrics/resource",
        labels={"node": node, "job": "kubelet"},
        interval_s=interval_s,
        names=NAMES,
        ssl=tls,
        headers=headers,
        on_points=on_points,
    )


def kubelet_tls(context: ssl.SSLContext, *, ca_file: str = "", insecure: bool = False) -> ssl.SSLContext:
    """`context`, with which we meet the API server, changed to meet kubelets.

    They are verified also by the authority in `ca_file`, or, if `insecure`, not at all. Raises OSError (ssl.SSLError is
    one) where the file cannot be used.
    """
    if ca_file:
        context.load_verify_locations(ca_file)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # authorities of older clusters lack key identifiers
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
