"""Wiring of the controller in a cluster: settings -> connection, lease, loop, health."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from adapter.kube.config import ConfigError, Connection, connect
from adapter.kube.errors import KubeError
from adapter.kube.throttle import Throttled
from adapter.metrics.prometheus.client import PrometheusSource
from adapter.metrics.prometheus.connection import Connection as Prometheus
from adapter.program.health import Health
from adapter.program.leader import lead
from adapter.program.run import Job, StartError, supervise
from adapter.program.tracing.begin import tracing
from adapter.rollout.hear import MetricsEars
from adapter.rollout.loop import Loop
from adapter.rollout.notify import Notifier
from adapter.rollout.outside import Outside, networks
from adapter.rollout.preview import Preview
from adapter.rollout.prometheus import Queries
from adapter.rollout.settings import Settings
from adapter.rollout.telemetry import Telemetry

MOST_BYTES: Final = 1 << 20
"""Of Prometheus' answer to a gate's query: one series is wanted."""


async def start(settings: Settings, stop: asyncio.Event) -> None:
    """Connects and serves until `stop` is set. Raises StartError."""
    try:
        await serve(settings, await connect(settings.kubeconfig), stop)
    except (KubeError, ConfigError, OSError) as error:
        raise StartError(str(error)) from error


def prometheus(settings: Settings) -> PrometheusSource | None:
    """The Prometheus for gates by query; None where none is named. Raises StartError."""
    if not settings.prometheus_url:
        return None
    try:
        return PrometheusSource(
            Prometheus(
                urls=tuple(url.strip() for url in settings.prometheus_url.split(",")),
                token_file=settings.prometheus_token_file,
                ca_file=settings.prometheus_ca_file,
                timeout_s=settings.prometheus_timeout,
                max_bytes=MOST_BYTES,
            )
        )
    except ValueError as error:
        raise StartError(f"--prometheus-url: {error}") from error


async def serve(
    settings: Settings, connection: Connection, stop: asyncio.Event, wall: Callable[[], float] = time.time
) -> None:
    """Serves until `stop` is set; then the lease is given back."""
    telemetry = Telemetry()
    source = prometheus(settings)

    async def act() -> None:
        await lead(settings, client, term)

    async def term() -> None:
        notifier = Notifier(client, outside, telemetry.count_notification)
        queries = Queries(source, settings.prometheus_namespace_label) if source else None
        ears = MetricsEars(client, queries, Preview(outside))
        loop = Loop(client, ears, telemetry, namespace=settings.namespace, wall=wall, notify=notifier.tell)
        try:
            await loop.run()
        finally:
            await ears.close()
            await notifier.stop()
            if source:
                await source.close()

    async with (
        tracing(settings.tracing_config_file, "streamgate-rollout", telemetry.spans) as telemetry.tracer,
        Throttled(connection, rate=settings.kube_api_qps, burst=settings.kube_api_burst) as client,
        Outside(allowed=networks(settings.allowed_networks)) as outside,
        Health(settings.address, telemetry.registry, lambda: ""),  # well as long as the event loop turns
    ):
        await supervise([Job("rollout", act, ends_program=True)], stop)
