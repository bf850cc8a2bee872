"""Every setting of the adapter: flag, default, unit, reason.

The flags are prometheus-adapter's and metrics-server's where these have one, so that a Deployment changes its image and
nothing else; Go's forms are understood (`--flag=true`, bare booleans, `-v=4`, `10m`), abbreviations are not.
"""

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapter.units import duration


class SettingsError(ValueError):
    """A flag is unknown or its value is no good; the text names the flag and what would be right."""


class HelpWanted(Exception):  # noqa: N818 - it is a request
    """`--help` was given; the text is what to print."""


def setting(flag: str, default: Any, text: str, *, repeated: bool = False) -> Any:
    """A field of Settings that `--flag` sets; `text` says meaning, unit and reason."""
    metadata = {"flag": flag, "help": text}
    if repeated:
        return field(default_factory=lambda: tuple(default), metadata=metadata)
    return field(default=default, metadata=metadata)


class Seconds(float):
    """A duration; on the command line in Go's form (`15s`, `1m30s`)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; a field's metadata holds its flag and its meaning."""

    # what to serve, from where
    config: str = setting("config", "", "rules file in prometheus-adapter's format; none: a built-in set of rules")
    prometheus_url: str = setting(
        "prometheus-url",
        "",
        "Prometheus-compatible API, several separated by commas; none: the embedded store, fed by scraping and OTLP",
    )
    prometheus_verb: str = setting(
        "prometheus-verb", "POST", "POST or GET; POST falls back to GET for good on 403 or 405"
    )
    prometheus_ca_file: str = setting("prometheus-ca-file", "", "CA certificates to verify Prometheus with")
    prometheus_client_tls_cert_file: str = setting(
        "prometheus-client-tls-cert-file", "", "client certificate for Prometheus"
    )
    prometheus_client_tls_key_file: str = setting("prometheus-client-tls-key-file", "", "its key")
    prometheus_token_file: str = setting(
        "prometheus-token-file", "", "bearer token for Prometheus, read again when it changes"
    )
    prometheus_auth_incluster: bool = setting(
        "prometheus-auth-incluster", False, "use the pod's service account token for Prometheus"
    )
    prometheus_auth_config: str = setting(
        "prometheus-auth-config", "", "kubeconfig whose user and CA are for Prometheus"
    )
    prometheus_header: tuple[str, ...] = setting(
        "prometheus-header", (), "extra header for Prometheus, name=value", repeated=True
    )
    prometheus_timeout: Seconds = setting(
        "prometheus-timeout", Seconds(10), "limit of one query; below the HPA's patience of 15 s"
    )
    prometheus_concurrency: int = setting(
        "prometheus-concurrency", 8, "queries under way at once, so that a refresh is no storm"
    )
    metrics_relist_interval: Seconds = setting(
        "metrics-relist-interval", Seconds(60), "how often the series on offer are looked up"
    )
    metrics_max_age: Seconds = setting(
        "metrics-max-age", Seconds(0), "how far back that look-up goes; 0: the relist interval, but at least 5m"
    )
    refresh_interval: Seconds = setting(
        "refresh-interval", Seconds(5), "how often a planned query runs: a third of the HPA's 15 s"
    )
    value_max_age: Seconds = setting(
        "value-max-age", Seconds(60), "older values are left out (or 4 refreshes, whichever is longer)"
    )
    # the embedded source
    scrape_interval: Seconds = setting(
        "scrape-interval", Seconds(5), "how often annotated pods are scraped by the embedded source"
    )
    scrape_timeout: Seconds = setting(
        "scrape-timeout", Seconds(4), "limit of one scrape; never longer than the interval"
    )
    scrape_concurrency: int = setting("scrape-concurrency", 64, "scrapes under way at once")
    scrape_max_bytes: int = setting("scrape-max-bytes", 10 << 20, "largest body of a scrape, decompressed")
    max_series: int = setting(
        "max-series", 200_000, "most series that the embedded store holds; further ones are refused and counted"
    )
    retention: Seconds = setting("retention", Seconds(300), "how long the embedded store keeps a sample")
    otlp_grpc_port: int = setting(
        "otlp-grpc-port",
        0,
        "OTLP over gRPC (usually 4317), embedded source only; 0: off, as a push needs no credentials",
    )
    otlp_http_port: int = setting("otlp-http-port", 0, "OTLP over HTTP (usually 4318), embedded source only; 0: off")
    otlp_bind_address: str = setting("otlp-bind-address", "0.0.0.0", "where both listen")  # noqa: S104 - pods push to it
    otlp_tls: bool = setting("otlp-tls", False, "serve both with the serving certificate")
    # kubelets, metrics-server's flags
    metric_resolution: Seconds = setting("metric-resolution", Seconds(15), "how often kubelets are scraped")
    kubelet_insecure_tls: bool = setting(
        "kubelet-insecure-tls", False, "do not verify kubelets' certificates (tests only)"
    )
    kubelet_preferred_address_types: str = setting(
        "kubelet-preferred-address-types",
        "Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP",
        "node addresses to try, best first",
    )
    kubelet_certificate_authority: str = setting(
        "kubelet-certificate-authority", "", "CA that signed the kubelets' certificates"
    )
    kubelet_port: int = setting("kubelet-port", 0, "kubelets' port; 0: as each node says")
    # Kubernetes
    lister_kubeconfig: str = setting(
        "lister-kubeconfig", "", "kubeconfig; none: KUBECONFIG, else the pod's service account"
    )
    kubeconfig: str = setting("kubeconfig", "", "the same by metrics-server's name")
    standalone: str = setting(
        "standalone", "", "file with the targets to scrape: no Kubernetes at all (see docs/standalone.md)"
    )
    # serving
    secure_port: int = setting("secure-port", 6443, "where the API is served, TLS only")
    bind_address: str = setting("bind-address", "0.0.0.0", "where it listens")  # noqa: S104 - the aggregator calls it
    cert_dir: str = setting(
        "cert-dir", "apiserver.local.config/certificates", "where a self-made certificate is kept, if writable"
    )
    tls_cert_file: str = setting("tls-cert-file", "", "serving certificate, reloaded when the file changes")
    tls_private_key_file: str = setting("tls-private-key-file", "", "its key")
    tls_min_version: str = setting("tls-min-version", "VersionTLS12", "VersionTLS12 or VersionTLS13")
    tls_cipher_suites: str = setting(
        "tls-cipher-suites", "", "cipher suites for TLS 1.2 by their Go names, separated by commas"
    )
    tls_san: tuple[str, ...] = setting(
        "tls-san", (), "further name or address in a self-made certificate", repeated=True
    )
    client_ca_file: str = setting(
        "client-ca-file", "", "CA of client certificates; none: as the cluster's ConfigMap says"
    )
    requestheader_client_ca_file: str = setting(
        "requestheader-client-ca-file", "", "CA of front proxies; none: as the ConfigMap says"
    )
    requestheader_allowed_names: tuple[str, ...] = setting(
        "requestheader-allowed-names", (), "common names that front proxies may have; none: any", repeated=True
    )
    requestheader_username_headers: tuple[str, ...] = setting(
        "requestheader-username-headers", ("x-remote-user",), "headers with the user's name", repeated=True
    )
    requestheader_group_headers: tuple[str, ...] = setting(
        "requestheader-group-headers", ("x-remote-group",), "headers with the groups", repeated=True
    )
    requestheader_extra_headers_prefix: tuple[str, ...] = setting(
        "requestheader-extra-headers-prefix", ("x-remote-extra-",), "prefixes of extra headers", repeated=True
    )
    authentication_kubeconfig: str = setting(
        "authentication-kubeconfig", "", "kubeconfig for TokenReviews; none: as for all calls"
    )
    authorization_kubeconfig: str = setting(
        "authorization-kubeconfig", "", "kubeconfig for SubjectAccessReviews; none: as for all calls"
    )
    authentication_skip_lookup: bool = setting(
        "authentication-skip-lookup", False, "do not read the ConfigMap with the cluster's CAs"
    )
    authentication_tolerate_lookup_failure: bool = setting(
        "authentication-tolerate-lookup-failure", False, "serve without it when it cannot be read"
    )
    authentication_token_webhook_cache_ttl: Seconds = setting(
        "authentication-token-webhook-cache-ttl", Seconds(10), "how long a token's review holds"
    )
    authorization_webhook_cache_authorized_ttl: Seconds = setting(
        "authorization-webhook-cache-authorized-ttl", Seconds(10), "how long an allowance holds"
    )
    authorization_webhook_cache_unauthorized_ttl: Seconds = setting(
        "authorization-webhook-cache-unauthorized-ttl", Seconds(10), "how long a denial holds"
    )
    authorization_always_allow_paths: tuple[str, ...] = setting(
        "authorization-always-allow-paths",
        ("/healthz", "/readyz", "/livez"),
        "paths that need no authorisation",
        repeated=True,
    )
    max_requests_inflight: int = setting(
        "max-requests-inflight", 400, "requests under way at once; further ones get 429"
    )
    verbosity: int = setting("v", 0, "log level as klog's: 4 and above logs every request")


_WITHOUT_EFFECT = """
add-dir-header alsologtostderr audit-log-compress audit-log-format audit-log-maxage audit-log-maxbackup
audit-log-maxsize audit-log-mode audit-log-path audit-policy-file audit-webhook-config-file
authentication-token-webhook-config-file authorization-webhook-version client-burst client-qps
contention-profiling deprecated-kubelet-completely-insecure disable-http2 discovery-interval
egress-selector-config-file enable-priority-and-fairness feature-gates http2-max-streams-per-connection
kubelet-client-certificate kubelet-client-key kubelet-read-only-port kubelet-request-timeout
kubelet-use-node-status-port log-backtrace-at log-dir log-file log-file-max-size log-flush-frequency
log-json-info-buffer-size log-json-split-stream logging-format logtostderr min-request-timeout node-selector
one-output permit-address-sharing permit-port-sharing profiling requestheader-uid-headers
shutdown-delay-duration skip-headers skip-log-headers stderrthreshold tls-sni-cert-key version vmodule
"""
ACCEPTED_WITHOUT_EFFECT = frozenset(_WITHOUT_EFFECT.split())
"""Flags of the peers that have nothing to act on here: taken, and named once in the log."""


def parse(arguments: Sequence[str]) -> tuple[Settings, list[str]]:
    """The settings that `arguments` give, and the flags among them that have no effect.

    A first argument that is no flag is passed over: prometheus-adapter's chart gives the program's name there.
    Raises SettingsError, HelpWanted.
    """
    fields = {item.metadata["flag"]: item for item in dataclasses.fields(Settings)}
    values: dict[str, Any] = {}
    ignored = []
    rest = list(arguments)
    if rest and not rest[0].startswith("-"):
        rest.pop(0)
    while rest:
        flag, value = _flag(rest.pop(0))
        if flag in ("help", "h"):
            raise HelpWanted(usage())
        if flag in ACCEPTED_WITHOUT_EFFECT:
            ignored.append(flag)
            if value is None and rest and not rest[0].startswith("-"):
                rest.pop(0)
            continue
        if flag not in fields:
            raise SettingsError(f"unknown flag --{flag}; --help lists the flags")
        item = fields[flag]
        if value is None and item.type is not bool:
            if not rest:
                raise SettingsError(f"--{flag} needs a value")
            value = rest.pop(0)
        _set(values, item, value)
    return validated(Settings(**values)), ignored


def validated(settings: Settings) -> Settings:
    """`settings` if they go together; else SettingsError, whose text holds both values."""
    checks = [
        (
            settings.prometheus_verb.upper() in ("GET", "POST"),
            f"--prometheus-verb={settings.prometheus_verb}: GET or POST would be right",
        ),
        (
            bool(settings.tls_cert_file) == bool(settings.tls_private_key_file),
            "--tls-cert-file and --tls-private-key-file go together: give both or neither",
        ),
        (
            not (settings.prometheus_auth_incluster and settings.prometheus_auth_config),
            "--prometheus-auth-incluster and --prometheus-auth-config are two answers to one question: give one",
        ),
        (
            settings.tls_min_version in ("VersionTLS12", "VersionTLS13"),
            "--tls-min-version is VersionTLS12 or VersionTLS13",
        ),
        (settings.scrape_interval >= 1, "--scrape-interval must be at least 1s"),
        (settings.refresh_interval > 0, "--refresh-interval must be more than 0s"),
        (settings.max_series > 0, "--max-series must be at least 1"),
        (
            all("=" in header for header in settings.prometheus_header),
            "--prometheus-header takes name=value",
        ),
    ]
    for good, sentence in checks:
        if not good:
            raise SettingsError(sentence)
    return settings


def usage() -> str:
    """What `--help` prints: every flag with its default and meaning."""
    lines = ["streamgate-adapter: serves the custom, external and resource metrics APIs to HPAs and kubectl", ""]
    for item in dataclasses.fields(Settings):
        default = getattr(DEFAULTS, item.name)
        shown = (
            f"{default:g}s"
            if isinstance(default, Seconds)
            else ",".join(default)
            if isinstance(default, tuple)
            else str(default)
        )
        lines.append(f"  --{item.metadata['flag']} ({shown or 'none'})\n        {item.metadata['help']}")
    return "\n".join([*lines, "", "Accepted without effect: " + ", ".join(sorted(ACCEPTED_WITHOUT_EFFECT))])


def _flag(argument: str) -> tuple[str, str | None]:
    match = re.fullmatch(r"--?([A-Za-z][A-Za-z0-9-]*)(?:=(.*))?", argument, re.DOTALL)
    if not match:
        raise SettingsError(f"{argument!r} is no flag; flags look like --name=value")
    return match[1].replace("_", "-"), match[2]


def _set(values: dict[str, Any], item: "dataclasses.Field[Any]", text: str | None) -> None:
    flag = item.metadata["flag"]
    if item.type == tuple[str, ...]:
        parts = [text or ""] if flag == "prometheus-header" else (text or "").split(",")
        values[item.name] = (*values.get(item.name, ()), *(part for part in parts if part))
        return
    reader: Callable[[str], Any] = _READERS[item.type]
    try:
        values[item.name] = reader("true" if text is None else text)
    except ValueError as error:
        raise SettingsError(f"--{flag}={text}: {error}") from error


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "t", "1"):
        return True
    if text.lower() in ("false", "f", "0"):
        return False
    raise ValueError("true or false would be right")


def _whole(text: str) -> int:
    if not re.fullmatch(r"\d+", text):
        raise ValueError("a whole number from 0 up would be right")
    return int(text)


_READERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    bool: _boolean,
    int: _whole,
    Seconds: lambda text: Seconds(duration.parse(text)),
}
DEFAULTS = Settings()
