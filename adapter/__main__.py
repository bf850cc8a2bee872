"""`streamgate-adapter`: arguments -> settings -> wired objects -> run. The only place that wires."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
import yaml
from prometheus_client import CollectorRegistry, Gauge

from adapter import __version__
from adapter.collect.answers import Collected
from adapter.collect.catalogue import Catalogue
from adapter.collect.collector import Collector, Schedule
from adapter.collect.demand import Demand
from adapter.collect.directory import Directory
from adapter.collect.embedded import Embedded, EmbeddedOptions, KubeletAccess, OtlpDoors
from adapter.collect.follow import follow_hpas, follow_resources, mapper_of
from adapter.collect.plan import Planner
from adapter.collect.snapshot import Limits
from adapter.collect.telemetry import CollectTelemetry
from adapter.collect.usage import RuledUsage, UsageSource
from adapter.kube import config as kube_config
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.client import Client
from adapter.kube.compact import Slim
from adapter.kube.index import Index
from adapter.kube.informer import Informer
from adapter.kube.objects import Node, PartialObjectMetadata, Pod
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, NODES, PODS
from adapter.metrics.prometheus.client import Connection as PrometheusConnection
from adapter.metrics.prometheus.client import PrometheusSource
from adapter.metrics.scrape.target import ANNOTATION
from adapter.metrics.source import Source
from adapter.rules import builtin, resources
from adapter.rules.config import RulesError, load
from adapter.rules.model import RuleFile
from adapter.serve.authenticate import (
    Authentication,
    Authenticator,
    BearerTokens,
    ClientCertificates,
    FrontProxyHeaders,
)
from adapter.serve.authorize import (
    AccessReviews,
    AlwaysAllowedPaths,
    Authorization,
    PrivilegedGroups,
)
from adapter.serve.certs import CertificateError, KeyPair
from adapter.serve.chains import Pool
from adapter.serve.reviews import Reviews, follow_trust
from adapter.serve.server import Limits as ServerLimits
from adapter.serve.server import Server, serve
from adapter.serve.telemetry import LoopWatch
from adapter.serve.tls import FilePair, SelfMadePair, Tls, keep_fresh
from adapter.serve.trust import AnchorFiles, Anchors, ProxyRules, Trust, TrustError, keep_anchors
from adapter.settings import HelpWanted, Settings, SettingsError, parse
from adapter.wiring.standalone import ClientAuthority, StandaloneError, read_objects, write_credentials

log = structlog.get_logger("streamgate")

SERVICE_ACCOUNT_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path


EMBEDDED_REFRESH = 0.5
"""s at most between two evaluations over the embedded store: what was scraped should not wait. One takes about 5 ms for
100 pods and 20 ms for 1,000; the collector spends at most 5 % of the time on a query anyway."""


class StartError(Exception):
    """The program cannot start; one sentence for the operator."""


@dataclass
class Wiring:
    """What grows while things are put together."""

    settings: Settings
    stack: AsyncExitStack
    registry: CollectorRegistry
    pair: FilePair | SelfMadePair
    serving: KeyPair
    """What `pair` held at the start."""
    jobs: list[tuple[str, Callable[[], Any]]] = field(default_factory=list)
    """Coroutine functions to run until the end, by name."""
    checks: dict[str, Callable[[], str]] = field(default_factory=dict)
    """Readiness checks by name."""

    def run(self, name: str, job: Callable[[], Any]) -> None:
        """Run `job` until the program ends."""
        self.jobs.append((name, job))

    def follow(self, name: str, informer: Informer[Any], *, needed: bool = True) -> None:
        """Run `informer`; with `needed` the program is not ready before it has synced."""
        self.run(name, informer.run)
        if needed:
            self.checks[name] = lambda: (
                "" if informer.synced else str(informer.error or "the first list is not here yet")
            )
        age = Gauge(
            f"streamgate_informer_{name}_age_seconds",
            f"Time since the API server last said something about {name}.",
            registry=self.registry,
        )
        age.set_function(lambda: informer.age(time.time()))


@dataclass
class Cluster:
    """The Kubernetes API and what is followed of it; without a cluster the indexes come from a file."""

    client: Client | None
    pods: Index[Any]
    nodes: Index[Any]
    hpas: Index[HorizontalPodAutoscaler]


async def run(settings: Settings, ignored: Sequence[str]) -> None:
    """Serve until SIGTERM or SIGINT. Raises StartError."""
    if ignored:
        log.info("flags without effect here", flags=sorted(set(ignored)))
    async with AsyncExitStack() as stack:
        rules = read_rules(settings)
        pair = _serving_pair(settings)
        wiring = Wiring(settings, stack, CollectorRegistry(), pair, _first(pair))
        cluster = await wire_cluster(wiring)
        catalogue = Catalogue(rules, mapper_of(()))
        telemetry = CollectTelemetry(wiring.registry)
        source, usage = await wire_sources(wiring, cluster, rules, catalogue)
        collected = wire_collector(wiring, cluster, rules, catalogue, telemetry, source, usage)
        server = await wire_server(wiring, cluster, collected)
        _calm_collections()
        await _until_signalled(wiring, server)


def read_rules(settings: Settings) -> RuleFile:
    """The rules of --config, or the built-in ones. Raises StartError where the file as a whole is no good."""
    if not settings.config:
        return builtin.rules()
    try:
        return load(Path(settings.config).read_text(), settings.config)
    except RulesError as error:
        raise StartError(f"--config: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise StartError(f"--config={settings.config}: {why}; the path of a rules file would be right") from error


# ---- Kubernetes


async def wire_cluster(wiring: Wiring) -> Cluster:
    """Connect, and follow pods, nodes and HPAs; in standalone mode read them from the file."""
    settings = wiring.settings
    if settings.standalone:
        return _standalone_cluster(wiring)
    client = await _client(wiring, settings.lister_kubeconfig or settings.kubeconfig)
    kind = PartialObjectMetadata if settings.prometheus_url else Pod
    pods: Informer[Any] = Informer(client, PODS, kind, transform=Slim((ANNOTATION,)))
    nodes = Informer(client, NODES, Node)
    hpas = Informer(client, HORIZONTAL_POD_AUTOSCALERS, HorizontalPodAutoscaler)
    wiring.follow("pods", pods)
    wiring.follow("nodes", nodes, needed=False)  # prometheus-adapter's role may not list nodes or HPAs
    wiring.follow("hpas", hpas, needed=False)
    return Cluster(client, pods.index, nodes.index, hpas.index)


async def _client(wiring: Wiring, kubeconfig: str) -> Client:
    try:
        connection = await kube_config.connect(kubeconfig)
    except kube_config.ConfigError as error:
        hint = "--kubeconfig=FILE would be right, or --standalone=FILE"
        raise StartError(f"no connection to Kubernetes: {error}; {hint}") from error
    return await wiring.stack.enter_async_context(Client(connection))


def _standalone_cluster(wiring: Wiring) -> Cluster:
    cluster = Cluster(None, Index(), Index(), Index())
    file = Path(wiring.settings.standalone)
    _read_standalone(file, cluster)
    wiring.run("standalone file", lambda: _watch_file(file, lambda: _read_standalone(file, cluster)))
    return cluster


def _read_standalone(file: Path, cluster: Cluster) -> None:
    try:
        pods, hpas = read_objects(file)
    except StandaloneError as error:
        raise StartError(str(error)) from error
    for index, objects in ((cluster.pods, pods), (cluster.hpas, hpas)):
        held: Index[Any] = index
        for item in objects:
            held.put(item)
        held.retain((item.metadata.namespace, item.metadata.name) for item in objects)


async def _watch_file(file: Path, changed: Callable[[], None]) -> None:
    """Call `changed` when the file's time changes; what it cannot use is logged and changes nothing."""
    seen = file.stat().st_mtime_ns
    while True:
        await asyncio.sleep(1.0)
        with contextlib.suppress(OSError):
            now = file.stat().st_mtime_ns
            if now != seen:
                seen = now
                try:
                    changed()
                except StartError as error:
                    log.error("the standalone file is left as it was", cause=str(error))


# ---- sources


async def wire_sources(
    wiring: Wiring, cluster: Cluster, rules: RuleFile, catalogue: Catalogue
) -> tuple[Source, UsageSource | None]:
    """Where values come from: Prometheus, or the embedded store; CPU and memory from resourceRules or kubelets."""
    settings = wiring.settings
    if settings.prometheus_url:
        source = PrometheusSource(_prometheus(settings))
        wiring.stack.push_async_callback(source.close)
        usage = None
        if rules.resource is not None:
            usage = RuledUsage(source, rules.resource, lambda: catalogue.mapper, settings.metric_resolution)
            wiring.run("usage", usage.run)
            wiring.checks["usage"] = lambda: "" if usage.collected else "usage was not collected yet"
        return source, usage
    embedded = Embedded(await _embedded_options(wiring), wiring.registry, cluster.pods, cluster.nodes)
    await wiring.stack.enter_async_context(embedded)
    wiring.run("targets", embedded.run)
    await _wire_otlp(wiring, embedded)
    wiring.checks["scrapes"] = embedded.readiness
    return embedded.source, None if settings.standalone or _omits_usage(settings, rules) else embedded.usage


def _omits_usage(settings: Settings, rules: RuleFile) -> bool:
    """With --config only the APIs whose section is present are served, as prometheus-adapter does."""
    return bool(settings.config) and rules.resource is None


def _prometheus(settings: Settings) -> PrometheusConnection:
    """How to reach Prometheus by the flags. Raises StartError."""
    token_file = settings.prometheus_token_file or (SERVICE_ACCOUNT_TOKEN if settings.prometheus_auth_incluster else "")
    headers = dict(header.split("=", 1) for header in settings.prometheus_header)
    user = _kubeconfig_user(settings.prometheus_auth_config) if settings.prometheus_auth_config else {}
    return PrometheusConnection(
        urls=tuple(url.strip() for url in settings.prometheus_url.split(",")),
        token=user.get("token", ""),
        token_file=token_file or user.get("tokenFile", ""),
        ca_file=settings.prometheus_ca_file or user.get("certificate-authority", ""),
        certificate_file=settings.prometheus_client_tls_cert_file or user.get("client-certificate", ""),
        key_file=settings.prometheus_client_tls_key_file or user.get("client-key", ""),
        headers=headers,
        use_post=settings.prometheus_verb.upper() == "POST",
        timeout_s=settings.prometheus_timeout,
        concurrency=settings.prometheus_concurrency,
    )


def _kubeconfig_user(file: str) -> Mapping[str, str]:
    """The current user's credentials and the cluster's CA, as far as a kubeconfig gives them as texts and paths."""
    try:
        config = yaml.safe_load(Path(file).read_text())
        context = next(item["context"] for item in config["contexts"] if item["name"] == config["current-context"])
        user = next(item["user"] for item in config["users"] if item["name"] == context["user"])
        cluster = next(item["cluster"] for item in config["clusters"] if item["name"] == context["cluster"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
        raise StartError(
            f"--prometheus-auth-config={file}: is no kubeconfig with a current context: {error!r}"
        ) from error
    if embedded := [key for key in (*user, *cluster) if key.endswith("-data") or key == "exec"]:
        raise StartError(
            f"--prometheus-auth-config={file}: {embedded[0]} is not read here; a path or a token would be right"
        )
    return {**cluster, **user}


async def _wire_otlp(wiring: Wiring, embedded: Embedded) -> None:
    """Open the doors for pushes that the flags ask for, by default none."""
    settings = wiring.settings
    if not settings.otlp_grpc_port and not settings.otlp_http_port:
        return
    pair = wiring.serving if settings.otlp_tls else None
    doors = OtlpDoors(settings.otlp_bind_address, settings.otlp_grpc_port, settings.otlp_http_port, pair)
    try:
        tls = Tls(wiring.serving, Trust()).context if settings.otlp_tls else None
        await wiring.stack.enter_async_context(embedded.receiving(doors, tls))
    except OSError as error:
        raise StartError(f"OTLP cannot be received: {error}") from error


async def _embedded_options(wiring: Wiring) -> EmbeddedOptions:
    settings = wiring.settings
    kubelets = KubeletAccess() if settings.standalone else await _kubelet_access(wiring)
    return EmbeddedOptions(
        scrape_interval=settings.scrape_interval,
        scrape_timeout=settings.scrape_timeout,
        scrape_concurrency=settings.scrape_concurrency,
        scrape_max_bytes=settings.scrape_max_bytes,
        max_series=settings.max_series,
        retention=settings.retention,
        kubelets=kubelets,
    )


async def _kubelet_access(wiring: Wiring) -> KubeletAccess:
    """Kubelets know us by the credentials that the API server knows us by, and have CAs of their own."""
    settings = wiring.settings
    connection = await kube_config.connect(settings.lister_kubeconfig or settings.kubeconfig)
    tls = connection.tls or ssl.create_default_context()
    if settings.kubelet_certificate_authority:
        tls.load_verify_locations(settings.kubelet_certificate_authority)
    if settings.kubelet_insecure_tls:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    headers: dict[str, str] = {}

    async def renew() -> None:
        while True:
            headers.update(await connection.credentials.headers())
            await asyncio.sleep(settings.metric_resolution)

    headers.update(await connection.credentials.headers())
    wiring.run("kubelet credentials", renew)
    types = tuple(kind.strip() for kind in settings.kubelet_preferred_address_types.split(","))
    return KubeletAccess(settings.metric_resolution, types, settings.kubelet_port, tls, lambda: headers)


# ---- values


def wire_collector(
    wiring: Wiring,
    cluster: Cluster,
    rules: RuleFile,
    catalogue: Catalogue,
    telemetry: CollectTelemetry,
    source: Source,
    usage: UsageSource | None,
) -> Collected:
    """Demand, plan, snapshot and answers over a source."""
    settings, demand = wiring.settings, Demand()
    indexes = {resources.PODS: cluster.pods, resources.NODES: cluster.nodes}

    def api_of(resource: resources.GroupResource) -> resources.ApiResource:
        return catalogue.mapper.api(resource)  # the mapper is another one after each discovery

    directory = Directory(indexes, cluster.client, api_of)
    embedded = not settings.prometheus_url
    refresh = min(EMBEDDED_REFRESH, settings.refresh_interval) if embedded else settings.refresh_interval
    planner = Planner(
        Limits(float(settings.value_max_age), float(refresh)),
        directory.wanted,
        directory.size,
    )
    relist = min(5.0, settings.metrics_relist_interval) if embedded else settings.metrics_relist_interval
    schedule = Schedule(relist, settings.metrics_max_age or max(300.0, relist))
    collector = Collector(source, catalogue, demand, planner, telemetry, schedule)
    wiring.run("collector", collector.run)
    read_hpas = follow_hpas(cluster.hpas, demand, catalogue, collector.wake)
    if cluster.client is not None:
        client = cluster.client
        wiring.run("API resources", lambda: follow_resources(client, catalogue, read_hpas))
    return Collected(
        collector,
        directory,
        usage,
        telemetry,
        serves_custom=rules.custom is not None,
        serves_external=rules.external is not None,
        checks=wiring.checks,
    )


# ---- serving


async def wire_server(wiring: Wiring, cluster: Cluster, collected: Collected) -> Server:
    """The API server, listening."""
    settings = wiring.settings
    authority = ClientAuthority() if settings.standalone else None
    trust = _wire_trust(wiring, authority)
    authentication, authorization = await _access(wiring, cluster, trust)
    server = Server(
        collected,
        authentication,
        authorization,
        registry=wiring.registry,
        limits=ServerLimits(settings.max_requests_inflight),
        release=__version__,
    )
    wiring.run("loop watch", LoopWatch(wiring.registry).run)
    try:
        suites = [name for name in settings.tls_cipher_suites.split(",") if name]
        tls = Tls(wiring.serving, trust, settings.tls_min_version, suites)
        listener = await serve(server, settings.bind_address, settings.secure_port, tls)
    except (CertificateError, ValueError, OSError) as error:
        raise StartError(f"the API cannot be served: {error}") from error
    wiring.stack.push_async_callback(listener.close)
    wiring.run("serving certificate", lambda: keep_fresh(tls, wiring.pair))
    log.info("serving", address=settings.bind_address, port=listener.port)
    if authority is not None:
        url = f"https://127.0.0.1:{listener.port}"
        kubeconfig = write_credentials(Path(settings.cert_dir), url, wiring.serving.certificate, authority)
        log.info("standalone", kubeconfig=str(kubeconfig))
    return server


def _serving_pair(settings: Settings) -> FilePair | SelfMadePair:
    if settings.tls_cert_file:
        return FilePair(Path(settings.tls_cert_file), Path(settings.tls_private_key_file))
    names = ("localhost", "127.0.0.1", socket.gethostname(), *settings.tls_san)
    return SelfMadePair(Path(settings.cert_dir), names)


def _first(pair: FilePair | SelfMadePair) -> KeyPair:
    """The serving certificate to start with. Raises StartError."""
    try:
        found = pair.load()
    except CertificateError as error:
        raise StartError(f"the serving certificate: {error}") from error
    assert found is not None
    return found


async def _access(wiring: Wiring, cluster: Cluster, trust: Trust) -> tuple[Authentication, Authorization]:
    """Who is who and who may what: asked of the cluster, or without one of our own certificates alone."""
    settings = wiring.settings
    allowed = AlwaysAllowedPaths(settings.authorization_always_allow_paths)
    if cluster.client is None:
        return Authentication([ClientCertificates(trust)]), Authorization([PrivilegedGroups(), allowed])
    if not settings.authentication_skip_lookup:
        needed = not settings.authentication_tolerate_lookup_failure
        wiring.follow("authentication", follow_trust(cluster.client, trust), needed=needed)
    tokens, access = [
        await _client(wiring, kubeconfig) if kubeconfig else cluster.client
        for kubeconfig in (settings.authentication_kubeconfig, settings.authorization_kubeconfig)
    ]
    reviews = Reviews(tokens, access)
    ways: list[Authenticator] = [
        FrontProxyHeaders(trust),
        ClientCertificates(trust),
        BearerTokens(reviews.review_token, settings.authentication_token_webhook_cache_ttl),
    ]
    verdicts = AccessReviews(
        reviews.review_access,
        settings.authorization_webhook_cache_authorized_ttl,
        settings.authorization_webhook_cache_unauthorized_ttl,
    )
    return Authentication(ways), Authorization([PrivilegedGroups(), allowed, verdicts])


def _wire_trust(wiring: Wiring, authority: ClientAuthority | None) -> Trust:
    """The CAs of clients: our own in standalone mode, else those that flags name. Raises StartError."""
    if authority is not None:
        return Trust(Anchors(Pool(authority.pem)))
    settings = wiring.settings
    rules = ProxyRules(
        settings.requestheader_allowed_names,
        settings.requestheader_username_headers,
        settings.requestheader_group_headers,
        settings.requestheader_extra_headers_prefix,
    )
    files = AnchorFiles(settings.client_ca_file, settings.requestheader_client_ca_file, rules)
    try:
        trust = Trust(files.load() or Anchors())
    except TrustError as error:
        raise StartError(f"--client-ca-file or --requestheader-client-ca-file: {error}") from error
    wiring.run("CA files", lambda: keep_anchors(trust, files))
    return trust


# ---- running


async def _until_signalled(wiring: Wiring, server: Server) -> None:
    """Run all jobs until SIGTERM or SIGINT; a job that ends by a fault ends the program."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(job(), name=name) for name, job in wiring.jobs]
        await stop.wait()
        log.info("stopping")
        server.stopping = True
        for task in tasks:
            task.cancel()


def _calm_collections() -> None:
    """Full garbage collections held the loop for up to 80 ms; what is wired by now lives as long as the program."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def set_up_logging(verbosity: int) -> None:
    """JSON lines on stderr; at verbosity 4 and above also what is said for debugging."""
    level = logging.DEBUG if verbosity >= 4 else logging.INFO
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit status: 0, 1 where it could not start, 2 for wrong flags."""
    try:
        settings, ignored = parse(sys.argv[1:] if arguments is None else arguments)
    except HelpWanted as wanted:
        print(wanted)
        return 0
    except SettingsError as error:
        print(f"streamgate-adapter: {error}", file=sys.stderr)
        return 2
    set_up_logging(settings.verbosity)
    try:
        asyncio.run(run(settings, ignored))
    except StartError as error:
        print(f"streamgate-adapter: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
