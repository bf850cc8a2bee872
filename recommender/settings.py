"""Every setting of the recommender: flag, default, unit, reason.

The flags and their defaults are the VPA recommender's (config/config.go), so that a Deployment changes its image and
nothing else; our own stand at the end. Go's forms are understood: `--flag=value`, `--flag value`, bare booleans,
`-v=4`, underscores for hyphens, durations like `1m30s`.
"""

# ruff: noqa: RUF009 - `setting` makes the field; it is not a default value

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from itertools import islice
from typing import Any, Final

from adapter.units.quantity import Quantity, QuantityError

MODES: Final = ("default", "vpa")
MAX_HALF_LIFE: Final = 2 * 365 * 86400.0
MAX_DURATION: Final = 2.0**63 * 1e-9
"""s: Go's longest."""
MAX_NUMBER: Final = 2.0**63
MIN_RISK: Final = 0.001
MAX_RISK: Final = 0.5
"""Above it the target would be less than the usual peak."""


class SettingsError(ValueError):
    """A flag is unknown or its value is no good; the text names the flag and what would be right."""


class Seconds(float):
    """A duration; on the command line in Go's form."""


def setting(flag: str, default: Any, text: str) -> Any:
    """A field of Settings that `--flag` sets; `text` says meaning, unit and reason."""
    return field(default=default, metadata={"flag": flag, "help": text})


@dataclass(frozen=True)
class Settings:
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
    interval: Seconds = setting("recommender-interval", Seconds(60), "s between loops")
    address: str = setting("address", ":8942", "where our own metrics and health are served")
    memory_saver: bool = setting(
        "memory-saver", False, "follow only pods under a VPA; we never follow others, so no effect"
    )
    kubeconfig: str = setting("kubeconfig", "", "file with cluster and credentials; empty: in-cluster")
    kube_api_qps: float = setting("kube-api-qps", 50.0, "requests per second to the API server")
    kube_api_burst: float = setting("kube-api-burst", 100.0, "requests that may be sent at once")
    # checkpoints
    storage: str = setting(
        "storage",
        "",
        "'' or checkpoint: resume from checkpoints; prometheus: from Prometheus' history, and no checkpoints",
    )
    checkpoints_timeout: Seconds = setting(
        "checkpoints-timeout", Seconds(60), "s of a loop in which checkpoints are written"
    )
    checkpoints_gc_interval: Seconds = setting(
        "checkpoints-gc-interval", Seconds(600), "s between removals of orphaned checkpoints"
    )
    update_worker_count: int = setting("update-worker-count", 10, "statuses and checkpoints written at once")
    min_checkpoints: int = setting("min-checkpoints", 10, "deprecated in VPA, no effect")
    # estimators
    margin: float = setting("recommendation-margin-fraction", 0.15, "share added to a percentile")
    pod_min_cpu: float = setting("pod-recommendation-min-cpu-millicores", 25.0, "least CPU of a pod, millicores")
    pod_min_memory: float = setting("pod-recommendation-min-memory-mb", 250.0, "least memory of a pod, MiB")
    target_cpu: float = setting("target-cpu-percentile", 0.9, "fraction of CPU samples that the target covers")
    lower_cpu: float = setting("recommendation-lower-bound-cpu-percentile", 0.5, "the same for the lower bound")
    upper_cpu: float = setting("recommendation-upper-bound-cpu-percentile", 0.95, "the same for the upper bound")
    target_memory: float = setting("target-memory-percentile", 0.9, "fraction of memory peaks that the target covers")
    lower_memory: float = setting("recommendation-lower-bound-memory-percentile", 0.5, "the same for the lower bound")
    upper_memory: float = setting("recommendation-upper-bound-memory-percentile", 0.95, "the same for the upper bound")
    confidence_cpu: Seconds = setting(
        "confidence-interval-cpu", Seconds(86400), "s of history that count as confidence 1"
    )
    confidence_memory: Seconds = setting("confidence-interval-memory", Seconds(86400), "the same for memory")
    humanize_memory: bool = setting("humanize-memory", False, "deprecated in VPA: memory as 1.50Gi")
    round_cpu: int = setting("round-cpu-millicores", 1, "CPU is rounded up to a multiple of this, millicores")
    round_memory: int = setting("round-memory-bytes", 1, "memory is rounded up to a multiple of this, bytes")
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
        "memory-aggregation-interval", Seconds(86400), "s: one memory peak per interval and container"
    )
    memory_interval_count: int = setting(
        "memory-aggregation-interval-count", 8, "intervals after which an idle state expires"
    )
    memory_half_life: Seconds = setting(
        "memory-histogram-decay-half-life", Seconds(86400), "s in which a peak loses half its weight"
    )
    cpu_half_life: Seconds = setting(
        "cpu-histogram-decay-half-life", Seconds(86400), "s in which a sample loses half its weight"
    )
    oom_ratio: float = setting("oom-bump-up-ratio", 1.2, "after an OOM kill, memory is multiplied by this")
    oom_bump: float = setting("oom-min-bump-up-bytes", 104857600.0, "after an OOM kill, at least this is added, bytes")
    # Prometheus history
    prometheus: str = setting("prometheus-address", "http://prometheus.monitoring.svc", "Prometheus' HTTP API")
    prometheus_insecure: bool = setting("prometheus-insecure", False, "do not verify its certificate")
    cadvisor_job: str = setting(
        "prometheus-cadvisor-job-name", "kubernetes-cadvisor", "job that scrapes cAdvisor; empty: any"
    )
    history_length: str = setting("history-length", "8d", "history that is loaded at start")
    history_resolution: str = setting("history-resolution", "1h", "its resolution")
    history_cpu: str = setting("history-cpu-metric", "container_cpu_usage_seconds_total", "counter of CPU seconds")
    history_memory: str = setting("history-memory-metric", "container_memory_working_set_bytes", "gauge of memory")
    query_timeout: str = setting("prometheus-query-timeout", "5m", "how long one query may take")
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
    # external metrics
    use_external_metrics: bool = setting("use-external-metrics", False, "read usage from external.metrics.k8s.io")
    external_cpu: str = setting("external-metrics-cpu-metric", "", "its metric of CPU")
    external_memory: str = setting("external-metrics-memory-metric", "", "its metric of memory")
    # leadership
    leader_elect: bool = setting("leader-elect", False, "work only while holding the lease: for several replicas")
    lease_name: str = setting("leader-elect-resource-name", "vpa-recommender-lease", "the lease")
    lease_namespace: str = setting("leader-elect-resource-namespace", "kube-system", "its namespace")
    lease_kind: str = setting("leader-elect-resource-lock", "leases", "only leases are supported")
    lease_duration: Seconds = setting("leader-elect-lease-duration", Seconds(15), "s for which a lease holds")
    renew_deadline: Seconds = setting(
        "leader-elect-renew-deadline", Seconds(10), "s after which a holder that cannot renew stops"
    )
    retry_period: Seconds = setting("leader-elect-retry-period", Seconds(2), "s between tries")
    # general
    profiling: bool = setting("profiling", False, "accepted, no effect: there is no pprof here")
    feature_gates: str = setting("feature-gates", "", "VPA's gates, e.g. PerVPAConfig=true")
    verbosity: str = setting("v", "4", "log level: 0 to 3 is info, more is debug")
    # ours
    mode: str = setting("mode", "default", "vpa: VPA's numbers to the last bit, its bugs included; default: ours")
    max_daily_risk: float = setting(
        "max-daily-risk", 0.05, "the chance a day that memory use passes its target, at most; with --fix-memory-target"
    )
    apply: str = setting(
        "apply",
        "off",
        "off: only recommend; in-place: resize pods of VPAs in mode InPlace or InPlaceOrRecreate; all: evict as well",
    )
    apply_min_history: Seconds = setting(
        "apply-min-history", Seconds(86400), "s since a container's first sample before its pods are acted on"
    )
    use_admission_status: bool = setting(
        "use-admission-controller-status", True, "as VPA's updater: evict only while VPA's admission controller answers"
    )
    admission_namespace: str = setting(
        "admission-controller-status-lease-namespace", "kube-system", "namespace of the lease that it renews"
    )
    fix_zero_peak: str = setting(
        "fix-zero-first-peak", "", "a day whose first memory sample is 0 counts all the same; empty: on in mode default"
    )
    fix_memory: str = setting(
        "fix-memory-target",
        "",
        "memory by the risk of daily peaks instead of the p90 of a day's half-life; empty: on in mode default",
    )
    fix_cpu_buckets: str = setting(
        "fix-small-values", "", "percentiles inside a bucket, not its end: idle is not 11m; empty: on in mode default"
    )
    fix_removed: str = setting(
        "fix-removed-containers",
        "",
        "containers gone for 8 days do not shrink the others' minimum; empty: on in mode default",
    )
    fix_clock_jumps: str = setting(
        "fix-clock-jumps",
        "",
        "samples more than an hour ahead of our clock are refused; empty: on in mode default",
    )
    fix_hpa_loop: str = setting(
        "fix-hpa-loop",
        "",
        "requests that an HPA on utilisation counts on are kept, so as not to set it off; empty: on in mode default",
    )
    fix_no_samples: str = setting(
        "fix-no-samples",
        "",
        "a resource of which no sample is known gets no number, instead of the minimum; empty: on in mode default",
    )
    fix_current_peak: str = setting("fix-restart-peak", "", "a restart keeps the day's peak; empty: on in mode default")

    fix_oom_limit: str = setting(
        "fix-oom-limit",
        "",
        "an OOM kill at a limit above the request needs more than the limit; empty: on in mode default",
    )
    fix_sidecars: str = setting(
        "fix-sidecars",
        "",
        "sidecars (init containers that restart always) are recommended for; empty: on in mode default",
    )
    fix_pod_spread: str = setting(
        "fix-pod-spread", "", "a condition says where one pod uses far more than its fellows; empty: on in mode default"
    )

    def fixed(self, switch: str) -> bool:
        """Whether the fix `fix_<switch>` is on: as its flag says, else on in mode default."""
        text = getattr(self, f"fix_{switch}")
        return self.mode == "default" if text == "" else bool(text == "true")


REPLACED: Final[Mapping[str, str]] = {
    "overrun-price-gib": "a price in GiB let small containers overrun and large ones not; --max-daily-risk=0.05 is "
    "the chance a day at most, the same for all",
}
"""Flags that are no more, and what took their place."""
IGNORED: Final = frozenset(
    (
        "add-dir-header", "alsologtostderr", "alsologtostderrthreshold", "legacy-stderr-threshold-behavior",
        "log-backtrace-at", "log-dir", "log-file", "log-file-max-size", "logtostderr", "one-output", "skip-headers",
        "skip-log-headers", "stderrthreshold", "vmodule",
    )
)  # fmt: skip
"""klog's flags: accepted, without effect; we log JSON lines to stderr."""
IGNORED_BOOLS: Final = frozenset(
    (
        "add-dir-header", "alsologtostderr", "legacy-stderr-threshold-behavior", "logtostderr", "one-output",
        "skip-headers", "skip-log-headers",
    )
)  # fmt: skip


_SHORT: Final = re.compile(r"v(\d+)")
"""pflag's form of a flag of one letter: -v4"""


def parse(arguments: Sequence[str]) -> Settings:
    """Settings from command-line arguments. Raises SettingsError."""
    known = {entry.metadata["flag"]: entry for entry in fields(Settings)}
    values: dict[str, Any] = {}
    for flag, text in _pairs(arguments, known):
        if flag not in IGNORED:
            values[known[flag].name] = _value(known[flag], text)
    settings = Settings(**values)
    _check(settings)
    return settings


def idle(settings: Settings) -> list[str]:
    """One sentence per flag that is given and means nothing, or less than it says, beside the others."""
    changed = {entry.metadata["flag"] for entry in fields(Settings) if getattr(settings, entry.name) != entry.default}
    by_risk = settings.fixed("memory")
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


def split(arguments: Sequence[str], own: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Arguments of a verb: (our flags with their values, all else); flags named in `own` are the verb's.

    Without it argparse would take `1d` of `--history-length 1d` for a file.
    """
    known = {entry.metadata["flag"]: entry for entry in fields(Settings) if entry.metadata["flag"] not in own}
    ours: list[str] = []
    others: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        flag, equals, _ = argument.lstrip("-").replace("_", "-").partition("=")
        if not argument.startswith("-") or flag not in known:
            others.append(argument)
        elif equals or _is_bool(flag, known):
            ours.append(argument)
        else:
            ours += [argument, *islice(rest, 1)]
    return ours, others


def usage() -> str:
    """One line per flag: what `--help` prints."""
    lines = (
        f"  --{entry.metadata['flag']} ({_shown(entry.default)})  {entry.metadata['help']}"
        for entry in fields(Settings)
    )
    return "\n".join(lines)


def _shown(default: object) -> str:
    return (
        f"{default:g}s"
        if isinstance(default, Seconds)
        else str(default).lower()
        if isinstance(default, bool)
        else repr(default)
    )


def _pairs(arguments: Sequence[str], known: dict[str, "Field[Any]"]) -> Iterator[tuple[str, str]]:
    rest = iter(arguments)
    for argument in rest:
        name, equals, text = _SHORT.sub(r"v=\1", argument.lstrip("-")).partition("=")
        flag = name.replace("_", "-")
        if argument.startswith("-") and flag in REPLACED:
            raise SettingsError(f"--{flag} is no more: {REPLACED[flag]}")
        if not argument.startswith("-") or (flag not in known and flag not in IGNORED):
            raise SettingsError(f"{argument!r} is no flag of the recommender; --help lists them")
        if not equals:
            text = "true" if _is_bool(flag, known) else next(rest, "")
            if not text:
                raise SettingsError(f"--{flag} needs a value")
        yield flag, text


def _is_bool(flag: str, known: Mapping[str, "Field[Any]"]) -> bool:
    """Whether the flag needs no value."""
    is_bool = flag in known and isinstance(known[flag].default, bool)
    return is_bool or flag in IGNORED_BOOLS or flag.startswith("fix-")


def _value(entry: "Field[Any]", text: str) -> Any:
    flag: str = entry.metadata["flag"]
    kind: Any = type(entry.default)
    try:
        if kind is bool or flag.startswith("fix-"):
            truth = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}[text.lower()]
            return truth if kind is bool else str(truth).lower()
        if kind is Seconds:
            return seconds(text)
        return kind(text)
    except (ValueError, KeyError):
        wanted = {bool: "true or false", Seconds: "a duration like 1m30s", int: "a whole number", float: "a number"}
        meant = "true or false" if flag.startswith("fix-") else wanted.get(kind, "text")
        raise SettingsError(f"--{flag}={text!r}: {meant} is wanted") from None


_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]*):\d{1,5}")
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_PROMETHEUS_DURATION: Final = re.compile(r"(\d+)(ms|[smhdwy])")


def seconds(text: str) -> Seconds:
    """A duration in Go's form, s. Raises ValueError."""
    if text == "0":
        return Seconds(0)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration")
    return Seconds(sum(float(number) * _UNITS[unit] for number, unit in parts))


def prometheus_seconds(text: str) -> float:
    """A duration in Prometheus' form (`8d`, `1h30m`), s. Raises ValueError."""
    units = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
    parts = _PROMETHEUS_DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration")
    return sum(int(number) * units[unit] for number, unit in parts)


def _check_one(flag: str, value: Any) -> None:
    if flag.endswith("percentile") and not 0 <= value <= 1:
        raise SettingsError(f"--{flag}={value}: a fraction from 0 to 1 is wanted")
    if isinstance(value, Seconds) and not 0 < value <= MAX_DURATION:
        raise SettingsError(f"--{flag}: a duration above 0 is wanted, and at most 290 years")
    if isinstance(value, int | float) and not abs(value) < MAX_NUMBER:
        raise SettingsError(f"--{flag}={value}: a number below {MAX_NUMBER:g} is wanted")
    if flag.endswith("half-life") and value > MAX_HALF_LIFE:
        raise SettingsError(f"--{flag}: at most two years are possible")
    if flag.startswith("round-") and value < 1:
        raise SettingsError(f"--{flag}={value}: 1 or more is wanted")
    if flag.startswith("container-recommendation-max-allowed") and value:
        _quantity(flag, value)


def _check(settings: Settings) -> None:
    for entry in fields(Settings):
        _check_one(entry.metadata["flag"], getattr(settings, entry.name))
    if settings.mode not in MODES:
        raise SettingsError(f"--mode={settings.mode!r}: one of {', '.join(MODES)} is wanted")
    if settings.apply not in ("off", "in-place", "all"):
        raise SettingsError(f"--apply={settings.apply!r}: one of off, in-place, all is wanted")
    if not MIN_RISK <= settings.max_daily_risk <= MAX_RISK:
        raise SettingsError(
            f"--max-daily-risk={settings.max_daily_risk:g}: a chance from {MIN_RISK} to {MAX_RISK} is wanted"
        )
    if settings.storage not in ("", "checkpoint", "prometheus"):
        raise SettingsError(f"--storage={settings.storage!r}: checkpoint or prometheus is wanted")
    if settings.namespace and settings.ignored_namespaces:
        raise SettingsError("--vpa-object-namespace and --ignored-vpa-object-namespaces exclude each other")
    if not _ADDRESS.fullmatch(settings.address) or int(settings.address.rpartition(":")[2]) > 65535:
        raise SettingsError(f"--address={settings.address!r}: host:port or :port is wanted")
    if not settings.lease_duration > settings.renew_deadline > settings.retry_period:
        raise SettingsError(
            "--leader-elect-lease-duration must be longer than -renew-deadline, and that longer than -retry-period"
        )
    if settings.use_external_metrics and not (settings.external_cpu or settings.external_memory):
        raise SettingsError("--use-external-metrics wants --external-metrics-cpu-metric, -memory-metric or both")
    if settings.lease_kind != "leases":
        raise SettingsError(f"--leader-elect-resource-lock={settings.lease_kind!r}: only leases are supported")
    _check_numbers(settings)


def _check_numbers(settings: Settings) -> None:
    positive = {
        "recommendation-margin-fraction": settings.margin >= 0,
        "pod-recommendation-min-cpu-millicores": settings.pod_min_cpu >= 0,
        "pod-recommendation-min-memory-mb": settings.pod_min_memory >= 0,
        "oom-bump-up-ratio": settings.oom_ratio >= 1,
        "oom-min-bump-up-bytes": settings.oom_bump >= 0,
        "memory-aggregation-interval-count": settings.memory_interval_count >= 1,
        "update-worker-count": settings.update_worker_count >= 1,
        "kube-api-qps": settings.kube_api_qps > 0,
    }
    for flag, good in positive.items():
        if not good:
            least = "1 or more" if flag in ("oom-bump-up-ratio", "update-worker-count") else "a positive number"
            raise SettingsError(f"--{flag}: {least} is wanted")
    for flag, text in (("history-length", settings.history_length), ("history-resolution", settings.history_resolution),
                       ("prometheus-query-timeout", settings.query_timeout)):  # fmt: skip
        try:
            good = 0 < prometheus_seconds(text) <= MAX_DURATION
        except ValueError:
            good = False
        if not good:
            raise SettingsError(f"--{flag}={text!r}: a duration like 8d or 1h is wanted")


def _quantity(flag: str, text: str) -> None:
    try:
        found = Quantity.parse(text)
    except QuantityError as error:
        raise SettingsError(f"--{flag}={text!r}: {error}") from None
    if found.nano < 0:
        raise SettingsError(f"--{flag}={text!r}: a quantity of 0 or more is wanted")
