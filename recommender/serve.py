"""Wiring of the program in a cluster: settings -> connection, informers, model, election, own metrics."""

import asyncio
import math
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import structlog
from aiohttp import web
from prometheus_client import generate_latest

from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.client import Client
from adapter.kube.config import ConfigError, Connection, connect
from adapter.kube.errors import KubeError
from adapter.kube.index import Index
from adapter.kube.informer import Informer
from adapter.kube.lease import Election, Terms
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, PODS
from adapter.kube.throttle import Throttled
from adapter.units.quantity import Quantity
from recommender.checkpoint.store import CheckpointStore
from recommender.config import history, mode
from recommender.estimate.postprocess import PostProcessor, Rounding
from recommender.input.backfill import load_history
from recommender.input.external_metrics import External
from recommender.input.oom import Observer
from recommender.logs import log_to_stderr
from recommender.loop import Recommender
from recommender.model.cluster import EXPIRY, ClusterState
from recommender.model.containers import DAY, Model
from recommender.objects import EVENTS, VPAS, Event, Pod, Vpa
from recommender.plan import Informers, Plan, Scope, Timing
from recommender.settings import Settings, idle
from recommender.telemetry import Telemetry
from recommender.updater.admission import Admission
from recommender.updater.apply import Applier

log = structlog.get_logger(__name__)
AHEAD = 3600.0
"""s that samples may be ahead of our clock (fix-clock-jumps)."""
STALE_LOOPS = 5
"""Intervals without a whole loop after which we call ourselves ill, as VPA does."""


def run(settings: Settings) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code."""
    log_to_stderr(settings.verbosity)
    try:
        asyncio.run(_main(settings))
    except (KubeError, ConfigError, OSError) as error:
        log.error("cannot start", cause=str(error))
        return 1
    return 0


async def _main(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    connection = await connect(settings.kubeconfig)
    await serve(settings, connection, stop)


async def serve(
    settings: Settings, connection: Connection, stop: asyncio.Event, wall: Callable[[], float] = time.time
) -> None:
    """Serves until `stop` is set; then the lease is given back."""
    for line in idle(settings):
        log.warning("a flag has no effect, or less than it says", flag=line)
    telemetry = Telemetry()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Throttled(connection, settings.kube_api_qps, settings.kube_api_burst))
        await stack.enter_async_context(Health(settings, telemetry, wall))
        acting = asyncio.ensure_future(_act(settings, client, telemetry, wall))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((acting, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            acting.cancel()
            stopping.cancel()
            await asyncio.wait((acting, stopping))
        if not acting.cancelled():
            acting.result()


async def _act(settings: Settings, client: Client, telemetry: Telemetry, wall: Callable[[], float]) -> None:
    async def lead() -> None:
        await lead_once(settings, client, telemetry, wall)

    if not settings.leader_elect:
        await lead()
        return
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{os.getpid()}"
    terms = Terms(settings.lease_duration, settings.renew_deadline, settings.retry_period)
    await Election(client, settings.lease_namespace, settings.lease_name, identity, terms=terms).run(lead)


async def lead_once(settings: Settings, client: Client, telemetry: Telemetry, wall: Callable[[], float]) -> None:
    """One term of leadership, with a model of its own: what another leader wrote meanwhile is read anew."""
    observer = Observer(at_limit=settings.fixed("oom_limit"))
    recommender, informers = build(settings, client, telemetry, observer, wall)
    async with AsyncExitStack() as stack:
        for informer in informers:
            await stack.enter_async_context(informer.running())
        if settings.storage == "prometheus":
            recommender.at_start(lambda cluster, now: load_history(cluster, history(settings), now))
        await recommender.run()


def build(
    settings: Settings, client: Client, telemetry: Telemetry, observer: Observer, wall: Callable[[], float]
) -> tuple[Recommender, tuple[Informer[Any], ...]]:
    """The recommender and the informers that it needs running."""
    chosen = mode(settings)
    where = settings.namespace
    pods: Index[Pod] = Index()
    pods.on_change(observer.pod_changed)
    events: Index[Event] = Index()
    events.on_change(observer.event_changed)
    vpas = Informer(client, VPAS, Vpa, namespace=where)
    followed = Informer(client, PODS, Pod, namespace=where, index=pods)
    evictions = Informer(client, EVENTS, Event, namespace=where, index=events, field_selector="reason=Evicted")
    hpas = None
    if settings.fixed("hpa_loop"):
        hpas = Informer(client, HORIZONTAL_POD_AUTOSCALERS, HorizontalPodAutoscaler, namespace=where)
    expiry = EXPIRY if settings.fixed("removed") else None
    cluster = ClusterState(
        Model(chosen.aggregation),
        per_vpa="PerVPAConfig=true" in settings.feature_gates,
        expiry=expiry,
        sidecars=settings.fixed("sidecars"),
    )
    # A day more than samples: a clock of ours that is wrong by hours must not cost the history.
    ahead = AHEAD + DAY if settings.fixed("clock_jumps") else math.inf
    checkpoints = CheckpointStore(client, cluster, settings.update_worker_count, settings.fixed("current_peak"), ahead)
    admission = Admission(client, settings.admission_namespace) if settings.use_admission_status else None
    applier = Applier(client, settings.apply, namespace=where, admission=admission) if settings.apply != "off" else None
    informers = Informers(vpas, followed, observer, hpas)
    made = Recommender(
        client,
        informers=informers,
        cluster=cluster,
        checkpoints=checkpoints,
        plan=plan(settings),
        telemetry=telemetry,
        wall=wall,
        applier=applier,
    )
    return made, (vpas, followed, evictions, *([hpas] if hpas else []))


def plan(settings: Settings) -> Plan:
    """How the loop works, from the flags."""
    return Plan(
        mode=mode(settings),
        post=post_processor(settings),
        own_conditions=settings.mode != "vpa",
        tells_spread=settings.fixed("pod_spread"),
        scope=Scope(
            settings.recommender_name,
            settings.namespace,
            frozenset(name for name in settings.ignored_namespaces.split(",") if name),
        ),
        timing=Timing(
            settings.interval,
            settings.checkpoints_timeout,
            settings.checkpoints_gc_interval,
            AHEAD if settings.fixed("clock_jumps") else math.inf,
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


class Health:
    """Serves /metrics and /health-check for the length of an `async with`."""

    def __init__(self, settings: Settings, telemetry: Telemetry, wall: Callable[[], float]) -> None:
        self._settings, self._telemetry, self._wall = settings, telemetry, wall
        self._began = wall()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> None:
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/health-check", self.answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        host, _, port = self._settings.address.rpartition(":")
        await web.TCPSite(self._runner, host.strip("[]") or None, int(port)).start()

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._telemetry.registry), content_type="text/plain", charset="utf-8")

    async def answer(self, _: web.Request | None = None) -> web.Response:
        """Ill where we lead and have not ended a loop for five intervals; one that waits or reads history is well."""
        last = max(self._telemetry.ended, self._telemetry.changed, self._began)
        late = self._wall() - last > STALE_LOOPS * self._settings.interval
        if late and self._telemetry.acting and not self._telemetry.is_loading:
            return web.Response(status=500, text=f"no whole loop for {self._wall() - last:.0f} s\n")
        return web.Response(text="OK\n")
