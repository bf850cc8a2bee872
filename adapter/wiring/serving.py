"""The API server: its certificate, who is who, who may do what, and the port."""

import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from adapter import __version__
from adapter.collect.answer import Answers
from adapter.collect.directory import Listed
from adapter.kube.client import Client
from adapter.program.run import Job, StartError
from adapter.serve.authenticate import (
    Authentication,
    BearerTokens,
    ClientCertificates,
    FrontProxyHeaders,
)
from adapter.serve.authorize import AccessReviews, AlwaysAllowedPaths, Authorization, PrivilegedGroups
from adapter.serve.certs import CertificateError, KeyPair
from adapter.serve.health import Readiness
from adapter.serve.reviews import Reviews, follow_trust
from adapter.serve.server import Limits, Server, serve
from adapter.serve.telemetry import LoopWatch
from adapter.serve.tls import FilePair, SelfMadePair, Tls, keep_fresh
from adapter.serve.trust import AnchorFiles, Anchors, ProxyRules, Trust, TrustError, keep_anchors
from adapter.settings import Settings
from adapter.spans import OFF, Tracer
from adapter.wiring.cluster import client_of, informer_job

log = structlog.get_logger("streamgate")


@dataclass(frozen=True)
class Certificate:
    """The serving certificate: where it comes from, and what that held at the start."""

    source: FilePair | SelfMadePair
    first: KeyPair


@dataclass(frozen=True)
class Access:
    """Who is who, and who may do what."""

    trust: Trust
    authentication: Authentication
    authorization: Authorization
    jobs: Sequence[Job] = ()
    listed: Listed | None = None
    """The cluster's CAs of clients, where they must be known before anybody is served."""


@dataclass(frozen=True)
class Serving:
    """The server, listening."""

    server: Server
    port: int
    jobs: Sequence[Job]


def certificate(settings: Settings) -> Certificate:
    """The serving certificate of the flags, else one of our own making. Raises StartError."""
    source: FilePair | SelfMadePair
    if settings.tls_cert_file:
        source = FilePair(Path(settings.tls_cert_file), Path(settings.tls_private_key_file))
    else:
        names = ("localhost", "127.0.0.1", socket.gethostname(), *settings.tls_san)
        source = SelfMadePair(Path(settings.cert_dir), names)
    try:
        first = source.load()
    except CertificateError as error:
        raise StartError(f"the serving certificate: {error}") from error
    assert first is not None
    return Certificate(source, first)


def alone(settings: Settings, anchors: Anchors) -> Access:
    """Without a cluster: known is who has a certificate of `anchors`, and system:masters may do all."""
    trust = Trust(anchors)
    allowed = AlwaysAllowedPaths(settings.authorization_always_allow_paths)
    return Access(trust, Authentication([ClientCertificates(trust)]), Authorization([PrivilegedGroups(), allowed]))


async def delegate_to_cluster(
    settings: Settings, stack: AsyncExitStack, registry: CollectorRegistry, client: Client
) -> Access:
    """Access by the cluster, which is asked who is who and who may do what. Raises StartError."""
    files = _anchor_files(settings)
    try:
        trust = Trust(files.load() or Anchors())
    except TrustError as error:
        raise StartError(f"--client-ca-file or --requestheader-client-ca-file: {error}") from error
    jobs = [Job("CA files", lambda: keep_anchors(trust, files))]
    listed = None
    if not settings.authentication_skip_lookup:
        informer = follow_trust(client, trust)
        jobs.append(informer_job("authentication", informer, registry))
        listed = None if settings.authentication_tolerate_lookup_failure else informer
    reviews = Reviews(
        tokens=await _client_for(settings.authentication_kubeconfig, stack, client),
        access=await _client_for(settings.authorization_kubeconfig, stack, client),
    )
    return Access(
        trust=trust,
        authentication=_authentication(settings, trust, reviews),
        authorization=_authorization(settings, reviews),
        jobs=jobs,
        listed=listed,
    )


async def _client_for(kubeconfig: str, stack: AsyncExitStack, client: Client) -> Client:
    return await client_of(kubeconfig, stack) if kubeconfig else client


def _authentication(settings: Settings, trust: Trust, reviews: Reviews) -> Authentication:
    tokens = BearerTokens(reviews.review_token, settings.authentication_token_webhook_cache_ttl)
    return Authentication([FrontProxyHeaders(trust), ClientCertificates(trust), tokens])


def _authorization(settings: Settings, reviews: Reviews) -> Authorization:
    verdicts = AccessReviews(
        reviews.review_access,
        allowed_ttl=settings.authorization_webhook_cache_authorized_ttl,
        denied_ttl=settings.authorization_webhook_cache_unauthorized_ttl,
    )
    allowed = AlwaysAllowedPaths(settings.authorization_always_allow_paths)
    return Authorization([PrivilegedGroups(), allowed, verdicts])


def _anchor_files(settings: Settings) -> AnchorFiles:
    rules = ProxyRules(
        allowed_names=settings.requestheader_allowed_names,
        username_headers=settings.requestheader_username_headers,
        group_headers=settings.requestheader_group_headers,
        extra_header_prefixes=settings.requestheader_extra_headers_prefix,
    )
    return AnchorFiles(
        client_ca_file=settings.client_ca_file,
        requestheader_client_ca_file=settings.requestheader_client_ca_file,
        rules=rules,
    )


async def serving(
    settings: Settings,
    stack: AsyncExitStack,
    registry: CollectorRegistry,
    *,
    answers: Answers,
    access: Access,
    certificate: Certificate,
    readiness: Readiness,
    tracer: Tracer = OFF,
) -> Serving:
    """The API server on its port. Raises StartError."""
    server = Server(
        answers,
        access.authentication,
        access.authorization,
        readiness=readiness,
        registry=registry,
        limits=Limits(settings.max_requests_inflight),
        release=__version__,
        tracer=tracer,
    )
    try:
        suites = [name for name in settings.tls_cipher_suites.split(",") if name]
        tls = Tls(certificate.first, access.trust, settings.tls_min_version, suites)
        listener = await serve(server, settings.bind_address, settings.secure_port, tls, settings.bounds)
    except (CertificateError, ValueError, OSError) as error:
        raise StartError(f"the API cannot be served: {error}") from error
    stack.push_async_callback(listener.close)
    log.info("serving", address=settings.bind_address, port=listener.port)
    jobs = [
        Job("loop watch", LoopWatch(registry).run),
        Job("serving certificate", lambda: keep_fresh(tls, certificate.source)),
    ]
    return Serving(server, listener.port, jobs)
