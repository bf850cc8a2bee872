"""From flags to what both the loop and the offline verbs are made with: the mode, and where history is."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Final

from adapter import files
from adapter.program.flags import SettingsError
from adapter.units.quantity import Quantity
from recommender.estimate.estimators import Estimation, Fractions
from recommender.estimate.policy import RiskPolicy
from recommender.estimate.postprocess import PostProcessor, Rounding
from recommender.estimate.recommend import Mode
from recommender.input.external_metrics import External
from recommender.input.history import History
from recommender.model.containers import Aggregation
from recommender.plan import Plan, Scope, Timing
from recommender.settings import Settings

_MATCHER: Final = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)(=~|!~|!=|=)(.*)")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
AHEAD = 3600.0
"""s that samples may be ahead of our clock (fix-clock-jumps)."""
MODERN: Final[Mapping[str, str]] = {
    "pod_label": "pod",
    "container_label": "container",
    "pod_labels_metric": "kube_pod_labels",
    "pod_label_prefix": "label_",
    "pod_namespace_label": "namespace",
    "pod_name_label": "pod",
}
"""cAdvisor's label names since Kubernetes 1.16, and kube-state-metrics' of pods; VPA's defaults are older."""


def mode(settings: Settings) -> Mode:
    """The mode that the settings describe."""
    aggregation = Aggregation(
        memory_interval=settings.memory_interval,
        memory_interval_count=settings.memory_interval_count,
        memory_half_life=settings.memory_half_life,
        cpu_half_life=settings.cpu_half_life,
        oom_bump_ratio=settings.oom_ratio,
        oom_min_bump=settings.oom_bump,
        first_zero_peak=not settings.has_fix("zero_peak"),
        bounded=settings.has_fix("state_size"),
        daily_peaks=settings.mode == "default" or settings.has_fix("memory"),
    )
    estimation = Estimation(
        margin=settings.margin,
        cpu=Fractions(settings.target_cpu, settings.lower_cpu, settings.upper_cpu),
        memory=Fractions(settings.target_memory, settings.lower_memory, settings.upper_memory),
        cpu_confidence=settings.confidence_cpu,
        memory_confidence=settings.confidence_memory,
        pod_minimum_cpu=settings.pod_min_cpu,
        pod_minimum_memory=settings.pod_min_memory,
        inside_buckets=settings.has_fix("cpu_buckets"),
    )
    policy = RiskPolicy(ceiling=settings.max_daily_risk) if settings.has_fix("memory") else None
    return Mode(aggregation, estimation, policy, settings.has_fix("no_samples"))


def idle(settings: Settings) -> list[str]:
    """One sentence per flag that is given and means nothing, or less than it says, beside the others."""
    changed = {entry.metadata["flag"] for entry in fields(Settings) if getattr(settings, entry.name) != entry.default}
    by_risk = settings.has_fix("memory")
    said = {
        "target-memory-percentile": by_risk and "memory targets come from --max-daily-risk",
        "recommendation-margin-fraction": by_risk
        and "it is added to CPU only, memory targets come from --max-daily-risk",
        "memory-histogram-decay-half-life": by_risk and "it moves memory's bounds only, not its target",
        "memory-aggregation-interval": by_risk and "it moves memory's bounds only, a target's peaks are a day's",
        "max-daily-risk": not by_risk and "memory is VPA's percentile",
        "apply-min-history": settings.apply == "off" and "nothing is acted on with --apply=off",
    }
    return [f"--{flag}: {reason}" for flag, reason in said.items() if reason and flag in changed]


def history(settings: Settings) -> History:
    """What VPA's flags (and its two environment variables) and ours say.

    Raises SettingsError for a token file without use, a matcher or a header that cannot be read.
    """
    token = settings.bearer_token
    if settings.bearer_token_file:
        try:
            token = files.read_text(settings.bearer_token_file, files.MOST_TOKEN).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"--prometheus-bearer-token-file: {error}") from error
    username = settings.username or os.environ.get("PROMETHEUS_USERNAME", "")
    password = settings.password or os.environ.get("PROMETHEUS_PASSWORD", "")
    return _history(replace(settings, username=username, password=password), token)


def _history(settings: Settings, token: str) -> History:
    """VPA's flags; in mode default its outdated label names, where left as they are, are the modern ones."""

    def label_setting(setting: str) -> str:
        said, default = getattr(settings, setting), getattr(Settings, setting)
        return MODERN[setting] if said == default and settings.mode == "default" else str(said)

    bearer = [("Authorization", f"Bearer {token}")] if token else []
    return History(
        url=settings.prometheus,
        verify=not settings.prometheus_insecure,
        headers=dict([*bearer, *map(_header, settings.prometheus_header)]),
        auth=(settings.username, settings.password) if settings.username else None,
        timeout=settings.query_timeout,
        length=settings.history_length,
        resolution=max(settings.history_resolution, 1.0),
        job=settings.cadvisor_job,
        cpu_metric=settings.history_cpu,
        memory_metric=settings.history_memory,
        namespace_label=settings.namespace_label,
        pod_label=label_setting("pod_label"),
        container_label=label_setting("container_label"),
        peaks=settings.mode == "default",
        labels_metric=label_setting("pod_labels_metric"),
        label_prefix=label_setting("pod_label_prefix"),
        labels_namespace=label_setting("pod_namespace_label"),
        labels_pod=label_setting("pod_name_label"),
        matchers=", ".join(map(_matcher, settings.prometheus_matcher)),
    )


def _matcher(text: str) -> str:
    """A label matcher of PromQL. Raises SettingsError."""
    match = _MATCHER.fullmatch(text)
    if not match:
        raise SettingsError(f"--prometheus-matcher={text}: LABEL=VALUE is wanted, with =, !=, =~ or !~")
    label, sign, value = match.groups()
    bare = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    escaped = bare if bare is not value else value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{label}{sign}"{escaped}"'


def _header(text: str) -> tuple[str, str]:
    """A header's name and value. Raises SettingsError, which shows the name alone: the value may be a secret."""
    name, colon, value = text.partition(":")
    if not colon or not _HEADER.fullmatch(name.strip()) or not value.strip().isprintable():
        shown = name[:40] if colon else ""
        raise SettingsError(f"--prometheus-header={shown}…: NAME:VALUE is wanted, such as X-Scope-OrgID:tenant")
    return name.strip(), value.strip()


def plan(settings: Settings) -> Plan:
    """How the loop works, from the flags."""
    return Plan(
        mode=mode(settings),
        post=post_processor(settings),
        own_conditions=settings.mode != "vpa",
        tells_spread=settings.has_fix("pod_spread"),
        scope=Scope(
            settings.recommender_name,
            settings.namespace,
            frozenset(name for name in settings.ignored_namespaces.split(",") if name),
        ),
        timing=Timing(
            settings.interval,
            settings.checkpoints_timeout,
            settings.checkpoints_gc_interval,
            AHEAD if settings.has_fix("clock_jumps") else math.inf,
        ),
        least_history=settings.apply_min_history,
        workers=settings.update_worker_count,
        # As in VPA: history and checkpoints together would count samples twice.
        checkpoints=settings.storage != "prometheus",
        external=external(settings),
    )


def external(settings: Settings) -> External | None:
    """What is read of external.metrics.k8s.io, if that is asked for."""
    metrics = {"cpu": settings.external_cpu, "memory": settings.external_memory}
    named = {resource: metric for resource, metric in metrics.items() if metric}
    label = history(settings).container_label
    return External(named, label) if settings.use_external_metrics else None


def post_processor(settings: Settings) -> PostProcessor:
    """How numbers become quantities."""
    most = {"cpu": settings.max_cpu, "memory": settings.max_memory}
    return PostProcessor(
        rounding=Rounding(settings.round_cpu, settings.round_memory, settings.humanize_memory),
        most={name: Quantity.parse(text) for name, text in most.items() if text},
        integer_cpu=settings.integer_cpu,
    )
