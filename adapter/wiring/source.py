"""Where values come from: Prometheus, or the embedded store; CPU and memory by resourceRules or from kubelets."""

import asyncio
import os
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from multidict import CIMultiDict
from prometheus_client import CollectorRegistry

from adapter.clock import steady
from adapter.collect.catalogue import Catalogue
from adapter.collect.doors import OtlpDoors
from adapter.collect.embedded import Embedded, EmbeddedOptions
from adapter.collect.kubelets import KubeletAccess
from adapter.collect.polled import Polled
from adapter.collect.usage import RuledUsage, UsageSource
from adapter.files import check_pem
from adapter.kube import config
from adapter.metrics.otlp.limits import ReceiveLimits
from adapter.metrics.prometheus.client import PrometheusSource
from adapter.metrics.prometheus.connection import RIGHT, Connection, Endpoint
from adapter.metrics.prometheus.proxy import ProxyError, check_proxy, proxy_for
from adapter.metrics.scrape.kubelet import kubelet_tls
from adapter.metrics.source import Source
from adapter.program.run import Job, StartError
from adapter.rules.model import RuleFile
from adapter.serve.certs import KeyPair
from adapter.serve.health import Check
from adapter.serve.tls import Tls
from adapter.serve.trust import Trust
from adapter.settings import Settings
from adapter.wiring.cluster import Cluster


@dataclass(frozen=True)
class Values:
    """The source of values, and of CPU and memory where those are served."""

    source: Source
    usage: UsageSource | None
    jobs: Sequence[Job]
    ready: Check | None
    """None where there is nothing to wait for."""
    over_share: Callable[[], Mapping[str, str]] = dict
    """Namespace -> a sentence about who in it has more series than a share."""
    refused_names: Callable[[], Mapping[str, Collection[str]]] = dict
    """Namespace -> metrics of which series found no room; '' where there are more than are remembered."""
    polled: Polled | None = None
    """Hears whose newest values are asked for; None where the source is scraped by somebody else."""
    notes: Callable[[], Sequence[str]] = tuple
    """What is wrong with CPU and memory now, sentences fit for strangers."""


async def from_prometheus(settings: Settings, stack: AsyncExitStack, rules: RuleFile, catalogue: Catalogue) -> Values:
    """Values from a Prometheus-compatible API. Raises StartError."""
    source = PrometheusSource(await prometheus(settings))
    stack.push_async_callback(source.close)
    if rules.resource is None:
        return Values(source, None, (), None)
    usage = RuledUsage(source, rules.resource, lambda: catalogue.mapper, settings.metric_resolution)
    return Values(source, usage, [Job("usage", usage.run)], Check("usage", usage.waiting), notes=usage.notes)


async def prometheus(settings: Settings, environ: Mapping[str, str] = os.environ) -> Connection:
    """How to reach Prometheus by the flags. Raises StartError.

    As in prometheus-adapter a token file goes before the kubeconfig's user, and certificates by flags before its.
    """
    token_file, own_ca = settings.prometheus_token_file, ""
    if settings.prometheus_auth_incluster:
        token_file = token_file or str(config.SERVICE_ACCOUNT / "token")
        own_ca = str(config.SERVICE_ACCOUNT / "ca.crt")
    urls = _urls(settings.prometheus_url)
    flags = settings.prometheus_ca_file or settings.prometheus_client_tls_cert_file
    user = await _user(settings.prometheus_auth_config, urls) if settings.prometheus_auth_config else None
    return Connection(
        urls=urls,
        token_file=token_file,
        credentials=user.credentials if user else None,
        tls=user.tls if user and not flags else None,
        ca_file=settings.prometheus_ca_file,
        more_ca_file=own_ca,
        certificate_file=settings.prometheus_client_tls_cert_file,
        key_file=settings.prometheus_client_tls_key_file,
        server_name=user.server_name if user and not flags else "",
        proxies=_proxies(urls, user.proxy if user else "", environ),
        headers=_headers(settings.prometheus_header),
        use_post=settings.prometheus_verb.upper() == "POST",
        timeout_s=settings.prometheus_timeout,
        concurrency=settings.prometheus_concurrency,
        max_bytes=settings.prometheus_max_bytes,
        max_series=settings.discovery_max_series,
        max_names=settings.discovery_max_names,
    )


def _headers(given: Sequence[str]) -> Mapping[str, str]:
    """Headers of `name=value` texts; one given twice is sent as one with both values, which means the same."""
    headers: dict[str, tuple[str, str]] = {}
    for header in given:
        name, _, value = header.partition("=")
        first, before = headers.get(name.lower(), (name, ""))
        headers[name.lower()] = first, ", ".join(filter(None, [before, value]))
    return dict(headers.values())


def _urls(text: str) -> tuple[str, ...]:
    urls = tuple(url.strip() for url in text.split(",") if url.strip())
    try:
        if not urls:
            raise ValueError(f"it names no server; {RIGHT}")
        for url in urls:
            Endpoint(url, use_post=True)
    except ValueError as error:
        raise StartError(f"--prometheus-url: {error}") from error
    return urls


def _proxies(urls: Sequence[str], named: str, environ: Mapping[str, str]) -> Sequence[str]:
    """The proxy for each URL: the one that the kubeconfig names, else as the environment says."""
    try:
        if named:
            return [check_proxy("the kubeconfig's proxy-url", named)] * len(urls)
        return [proxy_for(url, environ) for url in urls]
    except ProxyError as error:
        raise StartError(f"the proxy for Prometheus: {error}") from error


async def _user(kubeconfig: str, urls: Sequence[str]) -> config.Connection:
    """The user and the CA of a kubeconfig, for Prometheus in place of the server that it names."""
    server = next((url for url in urls if url.startswith("https:")), urls[0])
    try:
        return await config.connect(kubeconfig, server=server)
    except config.ConfigError as error:
        raise StartError(f"--prometheus-auth-config={error}") from error


async def from_embedded_store(
    settings: Settings,
    stack: AsyncExitStack,
    registry: CollectorRegistry,
    *,
    cluster: Cluster,
    rules: RuleFile,
    certificate: KeyPair,
) -> Values:
    """Values from scrapes and pushes; `certificate` is for OTLP's doors. Raises StartError."""
    kubelets, jobs = KubeletAccess(), []
    if cluster.client is not None:
        kubelets, renewal = await kubelet_access(settings)
        jobs.append(renewal)
    options = _options(settings, kubelets)
    polled = Polled() if settings.polled_scrape_interval < settings.scrape_interval else None
    store = Embedded(
        options,
        registry,
        cluster.pods,
        cluster.nodes,
        wall=steady.wall,
        presences=cluster.presences,
        polled=polled,
    )
    await stack.enter_async_context(store)
    jobs.append(Job("targets", store.run))
    if settings.otlp_grpc_port or settings.otlp_http_port:
        await _receive(settings, stack, store, certificate)
    # With --config only the APIs whose section is present are served, as prometheus-adapter does.
    omitted = cluster.client is None or (settings.config and rules.resource is None)
    return Values(
        store.source,
        None if omitted else store.usage,
        jobs,
        Check("scrapes", store.waiting),
        lambda: store.store.over_share,
        lambda: store.store.refused_names,
        polled,
        tuple if omitted else store.usage.notes,
    )


def _options(settings: Settings, kubelets: KubeletAccess) -> EmbeddedOptions:
    return EmbeddedOptions(
        scrape_interval=settings.scrape_interval,
        polled_scrape_interval=settings.polled_scrape_interval,
        scrape_timeout=settings.scrape_timeout,
        scrape_concurrency=settings.scrape_concurrency,
        scrape_max_bytes=settings.scrape_max_bytes,
        max_series=settings.max_series,
        retention=settings.retention,
        kubelets=kubelets,
    )


async def _receive(settings: Settings, stack: AsyncExitStack, store: Embedded, certificate: KeyPair) -> None:
    """Open the doors for pushes that the flags ask for."""
    http, grpc = (
        Tls(certificate, Trust(), protocol=name).context if settings.otlp_tls else None for name in ("http/1.1", "h2")
    )
    doors = OtlpDoors(
        address=settings.otlp_bind_address,
        grpc_port=settings.otlp_grpc_port,
        http_port=settings.otlp_http_port,
        grpc_tls=grpc,
        http_tls=http,
        bounds=settings.bounds,
        limits=_otlp_limits(settings),
    )
    try:
        await stack.enter_async_context(store.receiving(doors))
    except OSError as error:
        raise StartError(f"OTLP cannot be received: {error}") from error


def _otlp_limits(settings: Settings) -> ReceiveLimits:
    return ReceiveLimits(
        body_bytes=settings.otlp_max_bytes,
        concurrent=settings.otlp_max_requests,
        pending_bytes=settings.otlp_max_pending_bytes,
        read_s=settings.otlp_timeout,
    )


async def kubelet_access(settings: Settings) -> tuple[KubeletAccess, Job]:
    """How kubelets are reached, and the job that renews the credentials for them. Raises StartError.

    They know us by the credentials that the API server knows us by, and may have a CA of their own.
    """
    try:
        connection = await config.connect(settings.lister_kubeconfig or settings.kubeconfig)
        check_pem(settings.kubelet_certificate_authority)
        tls = kubelet_tls(
            connection.tls or ssl.create_default_context(),
            ca_file=settings.kubelet_certificate_authority,
            insecure=settings.kubelet_insecure_tls,
        )
    except config.ConfigError as error:
        raise StartError(f"no credentials for kubelets: {error}") from error
    except OSError as error:
        why = f"{error.strerror or error}; a file of PEM certificates would be right"
        raise StartError(f"--kubelet-certificate-authority={settings.kubelet_certificate_authority}: {why}") from error
    headers = CIMultiDict(await connection.credentials.headers())
    access = KubeletAccess(
        resolution=settings.metric_resolution,
        address_types=tuple(kind.strip() for kind in settings.kubelet_preferred_address_types.split(",")),
        port=settings.kubelet_port,
        tls=tls,
        headers=lambda: headers,
    )
    return access, Job("kubelet credentials", partial(_renew, connection, headers, settings.metric_resolution))


async def _renew(connection: config.Connection, headers: CIMultiDict[str], every: float) -> None:
    while True:
        renewed = await connection.credentials.headers()
        headers.clear()
        headers.extend(renewed)
        await asyncio.sleep(every)
