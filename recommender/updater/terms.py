"""What holds for all pods of a VPA: the updater's rules, how many pods there are, what the VPA requires. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from recommender.objects import EvictionRequirement


@dataclass(frozen=True)
class Rules:
    """The updater's flags, with VPA's defaults."""

    threshold: float = 0.1
    """Least relative change that counts, for pods inside their bounds."""
    lifetime: float = 12 * 3600.0
    """s that a pod inside its bounds is left alone"""
    quick_oom: float = 600.0
    """s: an OOM kill so soon after the start is a quick one, for as long again"""
    min_replicas: int = 2
    tolerance: float = 0.5
    """Share of replicas that may be down."""
    deferred: float = 300.0
    """s that a deferred resize, or one that fails, is waited for"""
    in_progress: float = 3600.0
    """s that a running resize is waited for"""


@dataclass(frozen=True)
class Group:
    """The pod's fellows."""

    configured: int
    """Replicas that the controller wants."""
    running: int
    evicted: int = 0
    """Evicted in this round already."""
    budget: int | None = None
    """Disruptions that a PodDisruptionBudget still allows; None: there is none."""


@dataclass(frozen=True)
class Terms:
    """What holds for all pods of a VPA."""

    mode: str
    """spec.updatePolicy.updateMode in force"""
    group: Group
    rules: Rules = field(default_factory=Rules)
    requirements: Sequence[EvictionRequirement] = ()
