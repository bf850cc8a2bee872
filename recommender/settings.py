"""Every setting: flag, default, unit, reason. `adapter.program.flags` says which spellings are understood.

Flags and defaults are VPA's (config/config.go), so a Deployment changes only its image; ours stand at the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from adapter import __version__
from adapter.program import leader
from adapter.program.flags import Flags, setting
from adapter.program.ignored import KLOG
from adapter.program.kinds import Address, PrometheusSeconds, Seconds
from adapter.program.leader import LeaderSettings
from adapter.program.tracing.config import TracingSettings
from adapter.units.quantity import Quantity, QuantityError

DAY: Final = 86400.0
MODES: Final = ("default", "vpa")
MAX_HALF_LIFE: Final = 2 * 365 * DAY
MAX_NUMBER: Final = 2.0**63
MIN_RISK: Final = 0.001
MAX_RISK: Final = 0.5
"""Above it the target would be less than the usual peak."""


@dataclass(frozen=True)
class Settings(LeaderSettings, TracingSettings):
    """All settings; a field's metadata holds its flag and its meaning."""

    # what it serves
    recommender_name: str = setting(
        "recommender-name",
        "default",
        "VPAs that name this recommender are served; 'default' also serves those that name none",
    )
    namespace: str = setting("vpa-object-namespace", "", "the only namespace to serve; empty: all")
    ignored_namespaces: str = setting(
        "ignored-vpa-object-namespaces", "", "namespaces to leave out, separated by commas"
    )
    interval: Seconds = setting("recommender-interval", Seconds(60), "s between loops", above=0)
    address: Address = setting("address", Address(":8942"), "where our own metrics and health are served")
    memory_saver: bool = setting(
        "memory-saver", False, "follow only pods under a VPA; we never follow others, so no effect"
    )
    kubeconfig: str = setting("kubeconfig", "", "file with cluster and credentials; empty: in-cluster")
    kube_api_qps: float = setting("kube-api-qps", 50.0, "requests per second to the API server", above=0)
    kube_api_burst: float = setting(
        "kube-api-burst", 100.0, "requests that may be sent at once", least=0, most=MAX_NUMBER
    )
    # checkpoints
    storage: str = setting(
        "storage",
        "",
        "'' or checkpoint: resume from checkpoints; prometheus: from Prometheus' history, and no checkpoints",
        choices=("", "checkpoint", "prometheus"),
    )
    checkpoints_timeout: Seconds = setting(
        "checkpoints-timeout", Seconds(60), "s of a loop in which checkpoints are written", above=0
    )
    checkpoints_gc_interval: Seconds = setting(
        "checkpoints-gc-interval", Seconds(600), "s between removals of orphaned checkpoints", above=0
    )
    update_worker_count: int = setting("update-worker-count", 10, "statuses and checkpoints written at once", least=1)
    min_checkpoints: int = setting("min-checkpoints", 10, "deprecated in VPA, no effect")
    # estimators
    margin: float = setting(
        "recommendation-margin-fraction", 0.15, "share added to a percentile", least=0, most=MAX_NUMBER
    )
    pod_min_cpu: float = setting(
        "pod-recommendation-min-cpu-millicores", 25.0, "least CPU of a pod, millicores", least=0, most=MAX_NUMBER
    )
    pod_min_memory: float = setting(
        "pod-recommendation-min-memory-mb", 250.0, "least memory of a pod, MiB", least=0, most=MAX_NUMBER
    )
    target_cpu: float = setting(
        "target-cpu-percentile", 0.9, "fraction of CPU samples that the target covers", least=0, most=1
    )
    lower_cpu: float = setting(
        "recommendation-lower-bound-cpu-percentile", 0.5, "the same for the lower bound", least=0, most=1
    )
    upper_cpu: float = setting(
        "recommendation-upper-bound-cpu-percentile", 0.95, "the same for the upper bound", least=0, most=1
    )
    target_memory: float = setting(
        "target-memory-percentile", 0.9, "fraction of memory peaks that the target covers", least=0, most=1
    )
    lower_memory: float = setting(
        "recommendation-lower-bound-memory-percentile", 0.5, "the same for the lower bound", least=0, most=1
    )
    upper_memory: float = setting(
        "recommendation-upper-bound-memory-percentile", 0.95, "the same for the upper bound", least=0, most=1
    )
    confidence_cpu: Seconds = setting(
        "confidence-interval-cpu", Seconds(86400), "s of history that count as confidence 1", above=0
    )
    confidence_memory: Seconds = setting("confidence-interval-memory", Seconds(86400), "the same for memory", above=0)
    humanize_memory: bool = setting("humanize-memory", False, "deprecated in VPA: memory as 1.50Gi")
    round_cpu: int = setting("round-cpu-millicores", 1, "CPU is rounded up to a multiple of this, millicores", least=1)
    round_memory: int = setting("round-memory-bytes", 1, "memory is rounded up to a multiple of this, bytes", least=1)
    integer_cpu: bool = setting(
        "cpu-integer-post-processor-enabled", False, "honour the annotation that asks for whole CPUs"
    )
    max_cpu: str = setting(
        "container-recommendation-max-allowed-cpu", "", "most CPU of a container; a VPA's own maxAllowed wins"
    )
    max_memory: str = setting(
        "container-recommendation-max-allowed-memory", "", "most memory of a container; a VPA's own maxAllowed wins"
    )
    # aggregation
    memory_interval: Seconds = setting(
        "memory-aggregation-interval", Seconds(86400), "s: one memory peak per interval and container", above=0
    )
    memory_interval_count: int = setting(
        "memory-aggregation-interval-count", 8, "intervals after which an idle state expires", least=1
    )
    memory_half_life: Seconds = setting(
        "memory-histogram-decay-half-life",
        Seconds(86400),
        "s in which a peak loses half its weight",
        above=0,
        most=MAX_HALF_LIFE,
    )
    cpu_half_life: Seconds = setting(
        "cpu-histogram-decay-half-life",
        Seconds(86400),
        "s in which a sample loses half its weight",
        above=0,
        most=MAX_HALF_LIFE,
    )
    oom_ratio: float = setting(
        "oom-bump-up-ratio", 1.2, "after an OOM kill, memory is multiplied by this", least=1, most=MAX_NUMBER
    )
    oom_bump: float = setting(
        "oom-min-bump-up-bytes",
        104857600.0,
        "after an OOM kill, at least this is added, bytes",
        least=0,
        most=MAX_NUMBER,
    )
    # Prometheus history
    prometheus: str = setting("prometheus-address", "http://prometheus.monitoring.svc", "Prometheus' HTTP API")
    prometheus_insecure: bool = setting("prometheus-insecure", False, "do not verify its certificate")
    cadvisor_job: str = setting(
        "prometheus-cadvisor-job-name", "kubernetes-cadvisor", "job that scrapes cAdvisor; empty: any"
    )
    history_length: PrometheusSeconds = setting(
        "history-length", PrometheusSeconds(8 * DAY), "history that is loaded at start", above=0
    )
    history_resolution: PrometheusSeconds = setting(
        "history-resolution", PrometheusSeconds(3600), "its resolution", above=0
    )
    history_cpu: str = setting("history-cpu-metric", "container_cpu_usage_seconds_total", "counter of CPU seconds")
    history_memory: str = setting("history-memory-metric", "container_memory_working_set_bytes", "gauge of memory")
    query_timeout: PrometheusSeconds = setting(
        "prometheus-query-timeout", PrometheusSeconds(300), "how long one query may take", above=0
    )
    pod_label_prefix: str = setting(
        "pod-label-prefix", "pod_label_", "prefix of pod labels on the metric of pod labels"
    )
    pod_labels_metric: str = setting(
        "metric-for-pod-labels", 'up{job="kubernetes-pods"}', "metric that carries pod labels"
    )
    pod_namespace_label: str = setting("pod-namespace-label", "kubernetes_namespace", "its label for the namespace")
    pod_name_label: str = setting("pod-name-label", "kubernetes_pod_name", "its label for the pod")
    namespace_label: str = setting("container-namespace-label", "namespace", "cAdvisor's label for the namespace")
    pod_label: str = setting(
        "container-pod-name-label", "pod_name", "cAdvisor's label for the pod; modern clusters: pod"
    )
    container_label: str = setting(
        "container-name-label", "name", "cAdvisor's label for the container; modern clusters: container"
    )
    username: str = setting("username", "", "for Prometheus; or PROMETHEUS_USERNAME")
    password: str = setting("password", "", "for Prometheus; or PROMETHEUS_PASSWORD")
    bearer_token: str = setting("prometheus-bearer-token", "", "for Prometheus")
    bearer_token_file: str = setting("prometheus-bearer-token-file", "", "file with a token for Prometheus")
    prometheus_matcher: tuple[str, ...] = setting(
        "prometheus-matcher", (), "LABEL=VALUE (or !=, =~, !~) in every query: cluster=eu", each=True
    )
    prometheus_header: tuple[str, ...] = setting("prometheus-header", (), "NAME:VALUE sent with all", each=True)
    # external metrics
    use_external_metrics: bool = setting("use-external-metrics", False, "read usage from external.metrics.k8s.io")
    external_cpu: str = setting("external-metrics-cpu-metric", "", "its metric of CPU")
    external_memory: str = setting("external-metrics-memory-metric", "", "its metric of memory")
    # leadership, further flags in LeaderSettings
    lease_name: str = setting("leader-elect-resource-name", "vpa-recommender-lease", "the lease")
    # general
    profiling: bool = setting("profiling", False, "accepted, no effect: there is no pprof here")
    feature_gates: str = setting("feature-gates", "", "VPA's gates, e.g. PerVPAConfig=true")
    # ours
    mode: str = setting(
        "mode", "default", "vpa: VPA's numbers to the last bit, its bugs included; default: ours", choices=MODES
    )
    max_daily_risk: float = setting(
        "max-daily-risk",
        0.05,
        "the chance a day that memory use passes its target, at most; with --fix-memory-target",
        least=MIN_RISK,
        most=MAX_RISK,
    )
    apply: str = setting(
        "apply",
        "off",
        "off: only recommend; in-place: resize pods of VPAs in mode InPlace or InPlaceOrRecreate; all: evict as well",
        choices=("off", "in-place", "all"),
    )
    apply_min_history: Seconds = setting(
        "apply-min-history", Seconds(86400), "s since a container's first sample before its pods are acted on", above=0
    )
    use_admission_status: bool = setting(
        "use-admission-controller-status", True, "as VPA's updater: evict only while VPA's admission controller answers"
    )
    admission_namespace: str = setting(
        "admission-controller-status-lease-namespace", "kube-system", "namespace of the lease that it renews"
    )
    fix_zero_peak: bool | None = setting(
        "fix-zero-first-peak", None, "a day whose first memory sample is 0 counts; unset: on in mode default"
    )
    fix_memory: bool | None = setting(
        "fix-memory-target", None, "memory by the risk of daily peaks, not a percentile; unset: on in mode default"
    )
    fix_cpu_buckets: bool | None = setting(
        "fix-small-values", None, "percentiles inside a bucket, not its end: idle is not 11m; unset: on in mode default"
    )
    fix_removed: bool | None = setting(
        "fix-removed-containers", None, "containers gone for 8 days do not count any more; unset: on in mode default"
    )
    fix_clock_jumps: bool | None = setting(
        "fix-clock-jumps", None, "samples over an hour ahead of our clock are refused; unset: on in mode default"
    )
    fix_hpa_loop: bool | None = setting(
        "fix-hpa-loop",
        None,
        "requests that an HPA on utilisation counts on are kept, so as not to set it off; unset: on in mode default",
    )
    fix_no_samples: bool | None = setting(
        "fix-no-samples", None, "a resource without any sample gets no number; unset: on in mode default"
    )
    fix_current_peak: bool | None = setting(
        "fix-restart-peak", None, "a restart keeps the day's peak; unset: on in mode default"
    )
    fix_state_size: bool | None = setting(
        "fix-state-size", None, "state of at most 800 bytes a container, coarser if need be; unset: on in mode default"
    )
    fix_oom_limit: bool | None = setting(
        "fix-oom-limit",
        None,
        "an OOM kill at a limit above the request needs more than the limit; unset: on in mode default",
    )
    fix_sidecars: bool | None = setting(
        "fix-sidecars",
        None,
        "sidecars (init containers that restart always) are recommended for; unset: on in mode default",
    )
    fix_pod_spread: bool | None = setting(
        "fix-pod-spread", None, "a condition says where one pod is unlike the others; unset: on in mode default"
    )

    def has_fix(self, switch: str) -> bool:
        """Whether the fix `fix_<switch>` is on: as its flag says, else on in mode default."""
        return self.mode == "default" if (said := getattr(self, f"fix_{switch}")) is None else bool(said)


REPLACED: Final = {
    "overrun-price-gib": "a price in GiB let small containers overrun and large ones not; --max-daily-risk=0.05 is "
    "the chance a day at most, the same for all"
}
"""Flags that are no more, and what took their place."""


def _together(settings: Settings) -> Iterator[str]:
    """What does not go together, or cannot be said by bounds."""
    yield from leader.check(settings)
    if settings.namespace and settings.ignored_namespaces:
        yield (
            f"--vpa-object-namespace={settings.namespace} and "
            f"--ignored-vpa-object-namespaces={settings.ignored_namespaces} exclude each other"
        )
    if settings.use_external_metrics and not (settings.external_cpu or settings.external_memory):
        yield "--use-external-metrics wants --external-metrics-cpu-metric, --external-metrics-memory-metric or both"
    for resource, text in (("cpu", settings.max_cpu), ("memory", settings.max_memory)):
        flag = f"--container-recommendation-max-allowed-{resource}={text}"
        try:
            if text and Quantity.parse(text).nano < 0:
                yield f"{flag}: a quantity of 0 or more is wanted"
        except QuantityError as error:
            yield f"{flag}: {error}"


FLAGS: Final = Flags(
    program="streamgate-recommender",
    about="says how much CPU and memory each container needs, as the VPA recommender does",
    settings=Settings,
    version=__version__,
    ignored=KLOG,
    replaced=REPLACED,
    check=_together,
)
parse = FLAGS.parse
