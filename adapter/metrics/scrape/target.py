"""What is scraped: a target, and the rule that makes one of an annotated pod."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ssl import SSLContext

from adapter.metrics.labels import label_name
from adapter.metrics.sample import Point
from adapter.metrics.series_text import cut
from adapter.metrics.slices import Slices

POD_INTERVAL_S = 5.0
KUBELET_INTERVAL_S = 15.0
ANNOTATION = "prometheus.io/"
MAX_PATH = 1024

_PORT = re.compile(r"[0-9]{1,5}")
_PATH = re.compile(r"/[!-~]*")
_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off", "")


class TargetError(ValueError):
    """Why something that asks to be scraped cannot be; one sentence."""


@dataclass(frozen=True)
class Target:
    """One URL to scrape. Two targets are the same if all but the callables are."""

    id: str
    """Unique among all targets; messages name it, and it decides when within the interval it is scraped."""
    url: str
    labels: Mapping[str, str]
    """Added to each of its series; a scraped label of the same name is kept as `exported_<name>`."""
    interval_s: float = POD_INTERVAL_S
    names: frozenset[str] | None = None
    """Metrics to keep, 'prefix*' for several; None keeps all."""
    ssl: SSLContext | bool = True
    """For https: a context; True verifies by the system's authorities, False does not verify."""
    headers: Callable[[], Mapping[str, str]] | None = field(default=None, compare=False)
    """Asked before each scrape, so that a rotated token is used at once."""
    on_points: Callable[[list[Point]], Slices[None]] | None = field(default=None, compare=False)
    """Takes the points of a whole scrape in place of the store."""

    @property
    def tenant(self) -> str:
        """On whose account it is scraped: its namespace's, or the kubelets'."""
        return f"namespace {self.labels['namespace']}" if "namespace" in self.labels else "kubelets"


def pod_target(
    *,
    namespace: str,
    name: str,
    ip: str,
    annotations: Mapping[str, str],
    labels: Mapping[str, str],
    container_ports: Sequence[tuple[str, int]],
    promote: Collection[str] = (),
    interval_s: float = POD_INTERVAL_S,
) -> Target | None:
    """The target of a pod that says prometheus.io/scrape: "true"; None where it does not, or has no address yet.

    `prometheus.io/port` defaults to the container port (name, number) called metrics, else the first; `path` to
    /metrics, `scheme` to http. `promote` names the pod's labels that its series get. An https certificate is not
    verified: a pod's address is in none, and no credential is sent. Raises TargetError, naming the annotation.
    """
    if not _truth(annotations.get(f"{ANNOTATION}scrape", "")) or not ip:
        return None
    scheme = annotations.get(f"{ANNOTATION}scheme", "http").lower()
    if scheme not in ("http", "https"):
        raise TargetError(f"annotation {ANNOTATION}scheme is {cut(scheme)}; it must be http or https")
    path = annotations.get(f"{ANNOTATION}path", "/metrics")
    if len(path) > MAX_PATH or not _PATH.fullmatch(path) or "#" in path:
        raise TargetError(
            f"annotation {ANNOTATION}path is {cut(path)}; it must start with '/' and hold no blanks or '#'"
        )
    instance = f"{f'[{ip}]' if ':' in ip else ip}:{_port(annotations, container_ports)}"
    promoted = {label_name(key): labels[key] for key in promote if labels.get(key)}
    own = {"namespace": namespace, "pod": name, "instance": instance, "job": "kubernetes-pods"}
    return Target(pod_id(namespace, name), f"{scheme}://{instance}{path}", promoted | own, interval_s, ssl=False)


def pod_id(namespace: str, name: str) -> str:
    """The id of a pod's target."""
    return f"pod/{namespace}/{name}"


def _truth(text: str) -> bool:
    if text.lower() not in _YES + _NO:
        raise TargetError(f'annotation {ANNOTATION}scrape is {cut(text)}; it must be "true" or "false"')
    return text.lower() in _YES


def _port(annotations: Mapping[str, str], container_ports: Sequence[tuple[str, int]]) -> int:
    text = annotations.get(f"{ANNOTATION}port")
    if text is None:
        if not container_ports:
            raise TargetError(f"annotation {ANNOTATION}port is missing and no container declares a port")
        named = [number for name, number in container_ports if name == "metrics" or name.endswith("-metrics")]
        return named[0] if named else container_ports[0][1]
    if not _PORT.fullmatch(text) or not 0 < int(text) < 65536:
        raise TargetError(f"annotation {ANNOTATION}port is {cut(text)}; it must be a number from 1 to 65535")
    return int(text)
