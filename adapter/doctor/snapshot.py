"""What one look at a cluster found. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from adapter.doctor.finding import Unseen
from adapter.doctor.objects import APIService, Deployment, Hpa, Lease, Policy, Vpa
from adapter.doctor.rights import Right
from adapter.hpa.current import without_value
from adapter.hpa.model import Metric
from adapter.kube.objects import Node, condition

CUSTOM: Final = "custom.metrics.k8s.io"
EXTERNAL: Final = "external.metrics.k8s.io"
RESOURCE: Final = "metrics.k8s.io"
METRICS: Final = (CUSTOM, EXTERNAL, RESOURCE)


class Program(NamedTuple):
    """One of our programs: which, and its Deployment."""

    kind: str
    """adapter, recommender, rollout."""
    deployment: Deployment

    @property
    def namespace(self) -> str:
        """Where it runs."""
        return self.deployment.metadata.namespace

    @property
    def name(self) -> str:
        """Of its Deployment."""
        return self.deployment.metadata.name

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class RulesFile(NamedTuple):
    """What an adapter is started with, and where it is held."""

    config_map: str
    """Its name, in the adapter's namespace."""
    text: str


class Question(NamedTuple):
    """What an HPA asks: the path, and what came of it ('' where there is a value)."""

    path: str
    problem: str


@dataclass(frozen=True)
class Snapshot:
    """A cluster at one time; what could not be read is empty here and stands in `unseen`."""

    now: float
    """Unix s, by the API server's clock."""
    api_services: Sequence[APIService] = ()
    programs: Sequence[Program] = ()
    hpas: Sequence[Hpa] = ()
    vpas: Sequence[Vpa] = ()
    policies: Sequence[Policy] = ()
    nodes: Sequence[Node] = ()
    node_leases: Sequence[Lease] = ()
    leases: Mapping[str, Lease | None] = field(default_factory=dict)
    """Of programs that elect a leader: namespace/name -> the Lease; None: there is none."""
    authorities: Mapping[str, str] = field(default_factory=dict)
    """PEM by its key in extension-apiserver-authentication."""
    certificates: Mapping[str, str] = field(default_factory=dict)
    """Serving certificates of adapters, base64 of PEM, by namespace/name of the Secret."""
    lacking: Sequence[tuple[Program, Right]] = ()
    """Rights that a program has not."""
    offers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """API -> names on offer: 'pods/http_requests' or, external, 'queue_length'."""
    readiness: Mapping[str, str] = field(default_factory=dict)
    """What /readyz?verbose says, by namespace/name of the adapter's Deployment."""
    rules: Mapping[str, RulesFile] = field(default_factory=dict)
    """By namespace/name of the adapter's Deployment."""
    questions: Mapping[str, Sequence[Question]] = field(default_factory=dict)
    """What HPAs without a metric ask, by namespace/name; of the first few only."""
    unseen: Sequence[Unseen] = ()

    def apis_in(self, namespace: str) -> list[APIService]:
        """APIs of metrics whose Service is in that namespace."""
        ours = [one for one in self.api_services if one.spec.group in METRICS]
        return [one for one in ours if one.spec.service and one.spec.service.namespace == namespace]


def starves(hpa: Hpa) -> bool:
    """Whether it has no metric to scale on. An HPA whose target was scaled to zero wants none."""
    active = condition(hpa.status.conditions, "ScalingActive")
    return active is not None and active.status == "False" and active.reason != "ScalingDisabled" and not lacks(hpa)


def lacks(hpa: Hpa) -> list[Metric]:
    """Metrics without a value, of an HPA that has others with one."""
    missing = without_value(msgspec.to_builtins(hpa))
    return missing if len(missing) < len(hpa.spec.metrics) else []
