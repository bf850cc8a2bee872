"""How the loop works: which VPAs it serves, when, from which informers, and what becomes of its numbers."""

import math
from dataclasses import dataclass
from typing import Final

from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.informer import Informer
from recommender.estimate.postprocess import PostProcessor
from recommender.estimate.recommend import Mode
from recommender.input.external_metrics import External
from recommender.input.oom import Observer
from recommender.model.containers import DAY
from recommender.objects import Pod, Vpa

DEFAULT_NAME: Final = "default"


@dataclass(frozen=True)
class Scope:
    """Which VPAs are served."""

    name: str = DEFAULT_NAME
    namespace: str = ""
    ignored: frozenset[str] = frozenset()

    def serves(self, vpa: Vpa) -> bool:
        """Whether the VPA asks for a recommender of our name (none at all means the default one)."""
        named = [recommender.name for recommender in vpa.spec.recommenders]
        here = self.name in named if named else self.name == DEFAULT_NAME
        return here and vpa.metadata.namespace not in self.ignored


@dataclass(frozen=True)
class Timing:
    """s"""

    interval: float = 60.0
    checkpoint_budget: float = 60.0
    collect_every: float = 600.0
    ahead: float = math.inf
    """How far samples may be ahead of our clock."""


@dataclass(frozen=True)
class Plan:
    """How the loop works."""

    mode: Mode
    post: PostProcessor
    own_conditions: bool
    """Whether LowConfidence and FetchingHistory are told, which VPA does not."""
    tells_spread: bool = False
    """Whether a condition says where one pod uses far more than its fellows."""
    scope: Scope = Scope()
    timing: Timing = Timing()
    least_history: float = DAY
    """s since the first sample before pods are acted on"""
    workers: int = 10
    """Targets asked and statuses written at once."""
    checkpoints: bool = True
    external: External | None = None
    """Where given, usage is read from external_metrics.metrics.k8s.io."""


@dataclass(frozen=True)
class Informers:
    """What the loop sees of the cluster; somebody else runs the informers."""

    vpas: Informer[Vpa]
    pods: Informer[Pod]
    observer: Observer
    hpas: Informer[HorizontalPodAutoscaler] | None = None
    """Where given, requests that they count on are kept."""
