"""Every setting of the adapter: flag, default, unit, reason.

The flags are prometheus-adapter's and metrics-server's where these have one, so that a Deployment changes its image and
nothing else; `adapter.program.flags` says which spellings are understood.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from adapter import __version__
from adapter.listening import Listening
from adapter.program.flags import Flags, setting
from adapter.program.ignored import KLOG, ignored_flags
from adapter.program.kinds import Seconds
from adapter.program.tracing.config import TracingSettings


@dataclass(frozen=True)
class Settings(Listening, TracingSettings):
    """All settings; a field's metadata holds its flag and its meaning."""

    # what to serve, from where
    config: str = setting("config", "", "rules file in prometheus-adapter's format; none: a built-in set of rules")
    prometheus_url: str = setting(
        "prometheus-url",
        "",
        "Prometheus-compatible API, several separated by commas; none: the embedded store, fed by scraping and OTLP",
    )
    prometheus_verb: str = setting(
        "prometheus-verb",
        "POST",
        "POST or GET; POST falls back to GET for good where a gateway refuses it",
        choices=("GET", "POST", "get", "post"),
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
        "prometheus-header", (), "extra header for Prometheus, name=value", each=True
    )
    prometheus_timeout: Seconds = setting(
        "prometheus-timeout", Seconds(10), "limit of one query; below the HPA's patience of 15 s", above=0
    )
    prometheus_concurrency: int = setting(
        "prometheus-concurrency", 8, "queries under way at once, so that a refresh is no storm", least=1
    )
    prometheus_max_bytes: int = setting(
        "prometheus-max-bytes", 64 << 20, "most bytes of one answer; a longer one is refused", least=1 << 20
    )
    discovery_max_series: int = setting(
        "discovery-max-series",
        10_000,
        "most series of one seriesQuery that are listed; of more, names and labels are looked up instead",
        least=1,
    )
    discovery_max_names: int = setting(
        "discovery-max-names", 10_000, "most names of series of one seriesQuery that are looked at", least=1
    )
    metrics_relist_interval: Seconds = setting(
        "metrics-relist-interval", Seconds(60), "how often the series on offer are looked up", above=0
    )
    metrics_max_age: Seconds = setting(
        "metrics-max-age",
        Seconds(0),
        "how far back that look-up goes; 0: the relist interval, but at least 5m",
        least=0,
    )
    refresh_interval: Seconds = setting(
        "refresh-interval", Seconds(5), "how often a planned query runs: a third of the HPA's 15 s", above=0
    )
    value_max_age: Seconds = setting(
        "value-max-age", Seconds(60), "older values are left out (or 4 refreshes, whichever is longer)", least=0
    )
    reflex: bool = setting(
        "reflex",
        False,
        "ask the HPA controller to look now where that adds pods, at HPAs annotated streamgate.io/reflex=true",
    )
    # the embedded source
    scrape_interval: Seconds = setting(
        "scrape-interval", Seconds(5), "how often annotated pods are scraped by the embedded source", least=1
    )
    polled_scrape_interval: Seconds = setting(
        "polled-scrape-interval",
        Seconds(1),
        "how often those pods are scraped whose newest values are polled, as by a release's gates",
        least=1,
    )
    scrape_timeout: Seconds = setting(
        "scrape-timeout", Seconds(4), "limit of one scrape; never longer than the interval", above=0
    )
    scrape_concurrency: int = setting("scrape-concurrency", 64, "scrapes under way at once", least=1)
    scrape_max_bytes: int = setting("scrape-max-bytes", 10 << 20, "largest body of a scrape, decompressed", least=1)
    max_series: int = setting(
        "max-series",
        200_000,
        "most series that the embedded store holds; further ones are refused and counted",
        least=1,
    )
    max_metrics_per_hpa: int = setting(
        "max-metrics-per-hpa", 100, "most metrics of one HPA that are asked for; further ones are refused", least=1
    )
    max_metrics_per_namespace: int = setting(
        "max-metrics-per-namespace", 1000, "most metrics that the HPAs of one namespace may ask for", least=1
    )
    retention: Seconds = setting("retention", Seconds(300), "how long the embedded store keeps a sample", above=0)
    otlp_grpc_port: int = setting(
        "otlp-grpc-port",
        0,
        "OTLP over gRPC (usually 4317), embedded source only; 0: off, as a push needs no credentials",
        least=0,
        most=65535,
    )
    otlp_http_port: int = setting(
        "otlp-http-port", 0, "OTLP over HTTP (usually 4318), embedded source only; 0: off", least=0, most=65535
    )
    otlp_bind_address: str = setting("otlp-bind-address", "0.0.0.0", "where both listen, as --bind-address")  # noqa: S104 - pods push to it
    otlp_tls: bool = setting("otlp-tls", False, "serve both with the serving certificate")
    # kubelets, metrics-server's flags
    metric_resolution: Seconds = setting("metric-resolution", Seconds(15), "how often kubelets are scraped", above=0)
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
    kubelet_port: int = setting("kubelet-port", 0, "kubelets' port; 0: as each node says", least=0, most=65535)
    # Kubernetes
    lister_kubeconfig: str = setting(
        "lister-kubeconfig", "", "kubeconfig; none: KUBECONFIG, else the pod's service account"
    )
    kubeconfig: str = setting("kubeconfig", "", "the same by metrics-server's name")
    standalone: str = setting(
        "standalone", "", "file with the targets to scrape: no Kubernetes at all (see docs/standalone.md)"
    )
    # serving
    secure_port: int = setting("secure-port", 6443, "where the API is served, TLS only", least=0, most=65535)
    bind_address: str = setting(
        "bind-address",
        "0.0.0.0",  # noqa: S104 - the aggregator calls it
        "where it listens; 0.0.0.0 and :: are every address of both families",
    )
    cert_dir: str = setting(
        "cert-dir", "apiserver.local.config/certificates", "where a self-made certificate is kept, if writable"
    )
    shutdown_delay_duration: Seconds = setting(
        "shutdown-delay-duration",
        Seconds(0),
        "how long requests are still served after SIGTERM, with /readyz failing: the API server has to learn of it",
        least=0,
    )
    tls_cert_file: str = setting("tls-cert-file", "", "serving certificate, reloaded when the file changes")
    tls_private_key_file: str = setting("tls-private-key-file", "", "its key")
    tls_min_version: str = setting(
        "tls-min-version", "VersionTLS12", "VersionTLS12 or VersionTLS13", choices=("VersionTLS12", "VersionTLS13")
    )
    tls_cipher_suites: str = setting(
        "tls-cipher-suites", "", "cipher suites for TLS 1.2 by their Go names, separated by commas"
    )
    tls_san: tuple[str, ...] = setting("tls-san", (), "further name or address in a self-made certificate")
    client_ca_file: str = setting(
        "client-ca-file", "", "CA of client certificates; none: as the cluster's ConfigMap says"
    )
    requestheader_client_ca_file: str = setting(
        "requestheader-client-ca-file", "", "CA of front proxies; none: as the ConfigMap says"
    )
    requestheader_allowed_names: tuple[str, ...] = setting(
        "requestheader-allowed-names", (), "common names that front proxies may have; none: any"
    )
    requestheader_username_headers: tuple[str, ...] = setting(
        "requestheader-username-headers", ("x-remote-user",), "headers with the user's name"
    )
    requestheader_group_headers: tuple[str, ...] = setting(
        "requestheader-group-headers", ("x-remote-group",), "headers with the groups"
    )
    requestheader_extra_headers_prefix: tuple[str, ...] = setting(
        "requestheader-extra-headers-prefix", ("x-remote-extra-",), "prefixes of extra headers"
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
        "authentication-token-webhook-cache-ttl", Seconds(10), "how long a token's review holds", least=0
    )
    authorization_webhook_cache_authorized_ttl: Seconds = setting(
        "authorization-webhook-cache-authorized-ttl", Seconds(10), "how long an allowance holds", least=0
    )
    authorization_webhook_cache_unauthorized_ttl: Seconds = setting(
        "authorization-webhook-cache-unauthorized-ttl", Seconds(10), "how long a denial holds", least=0
    )
    authorization_always_allow_paths: tuple[str, ...] = setting(
        "authorization-always-allow-paths",
        ("/healthz", "/readyz", "/livez"),
        "paths that need no authorisation",
    )
    max_requests_inflight: int = setting(
        "max-requests-inflight", 400, "requests under way at once; further ones get 429; 0: no limit", least=0
    )


_WITHOUT_EFFECT: Final = KLOG | ignored_flags(
    bare="""
    audit-log-batch-throttle-enable audit-log-compress audit-log-truncate-enabled audit-webhook-batch-throttle-enable
    audit-webhook-truncate-enabled contention-profiling deprecated-kubelet-completely-insecure disable-http2
    disable-http2-serving emulation-forward-compatible enable-priority-and-fairness kubelet-use-node-status-port
    log-json-split-stream log-text-split-stream permit-address-sharing permit-port-sharing profiling
    runtime-config-emulation-forward-compatible shutdown-send-retry-after
    """,
    valued="""
    admission-control-config-file advertise-address audit-log-batch-buffer-size audit-log-batch-max-size
    audit-log-batch-max-wait audit-log-batch-throttle-burst audit-log-batch-throttle-qps audit-log-format
    audit-log-maxage audit-log-maxbackup audit-log-maxsize audit-log-mode audit-log-path
    audit-log-truncate-max-batch-size audit-log-truncate-max-event-size audit-log-version audit-policy-file
    audit-webhook-batch-buffer-size audit-webhook-batch-initial-backoff audit-webhook-batch-max-size
    audit-webhook-batch-max-wait audit-webhook-batch-throttle-burst audit-webhook-batch-throttle-qps
    audit-webhook-config-file audit-webhook-initial-backoff audit-webhook-mode audit-webhook-truncate-max-batch-size
    audit-webhook-truncate-max-event-size audit-webhook-version authentication-token-webhook-config-file
    authorization-webhook-version client-burst client-qps cors-allowed-origins debug-socket-path
    disable-admission-plugins discovery-interval egress-selector-config-file enable-admission-plugins external-hostname
    feature-gates goaway-chance http2-max-streams-per-connection kubelet-client-certificate kubelet-client-key
    kubelet-read-only-port kubelet-request-timeout livez-grace-period log-json-info-buffer-size
    log-text-info-buffer-size logging-format max-mutating-requests-inflight min-request-timeout node-selector
    request-timeout requestheader-uid-headers runtime-config
    shutdown-watch-termination-grace-period storage-initialization-timeout strict-transport-security-directives
    tls-curve-preferences tls-sni-cert-key
    """,
)


_HEADER: Final = re.compile(
    r"(?!(?i:content-length|transfer-encoding)=)[!#$%&'*+.^_`|~0-9A-Za-z-]+=[^\x00-\x08\x0a-\x1f\x7f]*"
)
"""A header as HTTP has it (RFC 9110, 5.5 and 5.6.2), with `=` in place of the colon."""


def _together(settings: Settings) -> Iterator[str]:
    """What does not go together."""
    certificate, key = settings.tls_cert_file, settings.tls_private_key_file
    if bool(certificate) != bool(key):
        yield f"--tls-cert-file={certificate} and --tls-private-key-file={key} go together: give both or neither"
    if settings.prometheus_auth_incluster and settings.prometheus_auth_config:
        yield (
            f"--prometheus-auth-incluster and --prometheus-auth-config={settings.prometheus_auth_config} are two "
            "answers to one question: give one"
        )
    for number, header in enumerate(settings.prometheus_header, 1):
        if not _HEADER.fullmatch(header):  # whose text may hold a secret
            yield (
                f"--prometheus-header, the {number}. of them: name=value is wanted, the name of letters, digits and -,"
                " the value without control characters; Content-Length and Transfer-Encoding are the client's own"
            )


FLAGS: Final = Flags(
    program="streamgate-adapter",
    about="serves the custom, external and resource metrics APIs to HPAs and kubectl",
    settings=Settings,
    version=__version__,
    ignored=_WITHOUT_EFFECT,
    check=_together,
    skips_first=True,  # prometheus-adapter's chart gives the program's name there
)
parse = FLAGS.parse
