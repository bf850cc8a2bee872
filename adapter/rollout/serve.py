"""Wiring of the controller in a cluster: settings -> connection, lease, loop, health."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from prometheus_client import generate_latest

from adapter.kube.client import Client
from adapter.kube.config import ConfigError, Connection, connect
from adapter.kube.errors import KubeError
from adapter.kube.lease import Election, Terms
from adapter.kube.throttle import Throttled
from adapter.rollout.hear import MetricsEars
from adapter.rollout.loop import Loop
from adapter.rollout.settings import Settings
from adapter.rollout.telemetry import Telemetry

log = structlog.get_logger(__name__)


def run(settings: Settings) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    try:
        asyncio.run(_main(settings))
    except (KubeError, ConfigError, OSError) as error:
        log.error("cannot start", cause=str(error))
        return 1
    return 0


async def _main(settings: Settings) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await serve(settings, await connect(settings.kubeconfig), stop)


async def serve(
    settings: Settings, connection: Connection, stop: asyncio.Event, wall: Callable[[], float] = time.time
) -> None:
    """Serves until `stop` is set; then the lease is given back."""
    telemetry = Telemetry()
    async with (
        Throttled(connection, rate=settings.kube_api_qps, burst=settings.kube_api_burst) as client,
        _health(settings.address, telemetry),
    ):
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
        await Loop(client, MetricsEars(client), telemetry, namespace=settings.namespace, wall=wall).run()

    if not settings.leader_elect:
        await lead()
        return
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{os.getpid()}"
    terms = Terms(
        settings.leader_elect_lease_duration, settings.leader_elect_renew_deadline, settings.leader_elect_retry_period
    )
    where, name = settings.leader_elect_resource_namespace, settings.leader_elect_resource_name
    await Election(client, where, name, identity, terms=terms).run(lead)


@asynccontextmanager
async def _health(address: str, telemetry: Telemetry) -> AsyncIterator[None]:
    """Serves /metrics and /healthz; the latter is well as long as the event loop turns."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(telemetry.registry), content_type="text/plain", charset="utf-8")

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthy)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        host, _, port = address.rpartition(":")
        await web.TCPSite(runner, host.strip("[]") or None, int(port)).start()
        yield
    finally:
        await runner.cleanup()
