"""Wiring of the program in a cluster: settings -> connection, informers, model, election, own metrics."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import structlog

from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.client import Client
from adapter.kube.config import ConfigError, Connection, connect
from adapter.kube.errors import KubeError
from adapter.kube.index import Index
from adapter.kube.informer import Informer
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, PODS
from adapter.kube.throttle import Throttled
from adapter.program import run as program
from adapter.program.health import Health
from adapter.program.leader import lead
from adapter.program.tracing.begin import tracing
from recommender.checkpoint.store import CheckpointStore
from recommender.config import AHEAD, history, idle, mode, plan
from recommender.input.backfill import load_history
from recommender.input.hpas import UnreadMetrics
from recommender.input.oom import Observer
from recommender.loop import Recommender
from recommender.model.cluster import EXPIRY, ClusterState
from recommender.model.containers import DAY, Model
from recommender.objects import EVENTS, VPAS, Event, Pod, Vpa
from recommender.plan import Informers
from recommender.settings import FLAGS, Settings
from recommender.telemetry import Telemetry
from recommender.updater.admission import Admission
from recommender.updater.apply import Applier

log = structlog.get_logger(__name__)
STALE_LOOPS = 5
"""Intervals without a whole loop after which we call ourselves ill, as VPA does."""


def run(arguments: Sequence[str]) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code."""
    return program.main(FLAGS, _connect_and_serve, arguments)


async def _connect_and_serve(settings: Settings, stop: asyncio.Event) -> None:
    if settings.storage == "prometheus":
        history(settings)  # what it cannot read is said before anything is connected to
    try:
        await serve(settings, await connect(settings.kubeconfig), stop)
    except (KubeError, ConfigError, OSError) as error:
        raise program.StartError(f"cannot go on: {error}") from error


async def serve(
    settings: Settings, connection: Connection, stop: asyncio.Event, wall: Callable[[], float] = time.time
) -> None:
    """Serves until `stop` is set; then the lease is given back."""
    for line in idle(settings):
        log.warning("a flag has no effect, or less than it says", flag=line)
    telemetry = Telemetry()

    async def act() -> None:
        await lead(settings, client, lambda: lead_once(settings, client, telemetry, wall))

    async with AsyncExitStack() as stack:
        traces = tracing(settings.tracing_config_file, "streamgate-recommender", telemetry.spans)
        telemetry.tracer = await stack.enter_async_context(traces)
        client = await stack.enter_async_context(Throttled(connection, settings.kube_api_qps, settings.kube_api_burst))
        ails = ailing(settings, telemetry, wall)
        await stack.enter_async_context(Health(settings.address, telemetry.registry, ails, path="/health-check"))
        await program.supervise([program.Job("recommender", act, ends_program=True)], stop)


def ailing(settings: Settings, telemetry: Telemetry, wall: Callable[[], float]) -> Callable[[], str]:
    """Ill where we lead and have not ended a loop for five intervals; one that waits or reads history is well."""
    began = wall()

    def ails() -> str:
        last = max(telemetry.ended, telemetry.changed, began)
        late = wall() - last > STALE_LOOPS * settings.interval
        ill = late and telemetry.acting and not telemetry.is_loading
        return f"no whole loop for {wall() - last:.0f} s" if ill else ""

    return ails


async def lead_once(settings: Settings, client: Client, telemetry: Telemetry, wall: Callable[[], float]) -> None:
    """One term of leadership, with a model of its own: what another leader wrote meanwhile is read anew."""
    observer = Observer(at_limit=settings.has_fix("oom_limit"))
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
    if settings.has_fix("hpa_loop"):
        beside: Index[HorizontalPodAutoscaler] = Index()
        beside.on_change(UnreadMetrics().hpa_changed)
        hpas = Informer(client, HORIZONTAL_POD_AUTOSCALERS, HorizontalPodAutoscaler, namespace=where, index=beside)
    expiry = EXPIRY if settings.has_fix("removed") else None
    cluster = ClusterState(
        Model(chosen.aggregation),
        per_vpa="PerVPAConfig=true" in settings.feature_gates,
        expiry=expiry,
        sidecars=settings.has_fix("sidecars"),
    )
    # A day more than samples: a clock of ours that is wrong by hours must not cost the history.
    ahead = AHEAD + DAY if settings.has_fix("clock_jumps") else math.inf
    checkpoints = CheckpointStore(
        client, cluster, settings.update_worker_count, settings.has_fix("current_peak"), ahead
    )
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
