"""What is counted: lines of the API server's audit log, /proc, metrics. Pure but for `Process`."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from loadtest.latency import quantile

HPA_USER = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
CUSTOM = "custom.metrics.k8s.io"
TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


class Event(NamedTuple):
    """One request to the API server, from its audit log; times in Unix s."""

    user: str
    verb: str
    resource: str
    """With its group, such as pods or pods.custom.metrics.k8s.io."""
    name: str
    uri: str
    received: float
    done: float
    code: int


def events(lines: Iterable[str]) -> Iterator[Event]:
    """Of an audit log at level Metadata; a last line that is not written to its end is left out."""
    for line in lines:
        if line.endswith("\n"):
            yield _event(json.loads(line))


def _event(entry: Mapping[str, Any]) -> Event:
    about = entry.get("objectRef", {})
    group = about.get("apiGroup", "")
    return Event(
        user=entry["user"]["username"],
        verb=entry["verb"],
        resource=about.get("resource", "") + (f".{group}" if group else ""),
        name=about.get("name", ""),
        uri=entry["requestURI"],
        received=datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp(),
        done=datetime.fromisoformat(entry["stageTimestamp"]).timestamp(),
        code=entry.get("responseStatus", {}).get("code", 0),
    )


def metric_requests(events: Iterable[Event]) -> list[Event]:
    """The requests by which the HPA controller asks for a metric of pods."""
    return [
        event for event in events if event.user == HPA_USER and event.name == "*" and event.resource.endswith(CUSTOM)
    ]


def pod_lists(events: Iterable[Event], user: str) -> int:
    """How often `user` listed pods."""
    return sum(event.user == user and event.verb == "list" and event.resource == "pods" for event in events)


def intervals(events: Iterable[Event]) -> list[float]:
    """Seconds between two successive requests for the same thing: of one HPA, from sync to sync."""
    by_uri: dict[str, list[float]] = {}
    for event in events:
        by_uri.setdefault(event.uri, []).append(event.received)
    return [after - before for times in map(sorted, by_uri.values()) for before, after in pairwise(times)]


def milliseconds(events: Iterable[Event]) -> list[float]:
    """How long each request took, ms."""
    return [(event.done - event.received) * 1e3 for event in events]


def quantiles(values: Sequence[float], shares: Sequence[float] = (0.5, 0.99)) -> tuple[float, ...]:
    """Those quantiles, each a value that occurred; NaN without values."""
    return tuple(quantile(values, share) for share in shares)


def total(text: str, metric: str, /, **labels: str) -> float:
    """The sum over all samples `name` with these labels in exposition text; 0 where there is none."""
    lines = "".join(f"{line}\n" for line in text.splitlines() if line.startswith(metric))
    return sum(
        sample.value
        for family in text_string_to_metric_families(lines)
        for sample in family.samples
        if sample.name == metric and labels.items() <= sample.labels.items()
    )


def cpu_seconds(stat: str) -> float:
    """User and system time of all its threads, from /proc/PID/stat; the command's name may hold anything."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(status: str, field: str = "VmRSS") -> float:
    """Resident memory from /proc/PID/status; VmHWM is the most there ever was."""
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024 / MIB


class Process(NamedTuple):
    """A process under observation."""

    name: str
    pid: int

    @property
    def cpu(self) -> float:
        """Seconds since it started."""
        return cpu_seconds(Path(f"/proc/{self.pid}/stat").read_text())

    def rss(self, field: str = "VmRSS") -> float:
        """MiB."""
        return resident_mib(Path(f"/proc/{self.pid}/status").read_text(), field)
