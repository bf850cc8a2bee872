"""Wiring of the controller in a cluster: settings -> connection, lease, loop, health."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import generate_latest

from adapter.kube.client import Client
from adapter.kube.config import ConfigError, Connection, connect
from adapter.kube.errors import KubeError
from adapter.kube.lease import Election, Terms
from adapter.kube.throttle import Throttled
from adapter.program.kinds import Address
from adapter.program.run import Job, StartError, supervise
from adapter.rollout.hear import MetricsEars
from adapter.rollout.loop import Loop
from adapter.rollout.settings import Settings
from adapter.rollout.telemetry import Telemetry


async def start(settings: Settings, stop: asyncio.Event) -> None:
    """Connects and serves until `stop` is set. Raises StartError."""
    try:
        await serve(settings, await connect(settings.kubeconfig), stop)
    except (KubeError, ConfigError, OSError) as error:
        raise StartError(str(error)) from error


async def serve(
    settings: Settings, connection: Connection, stop: asyncio.Event, wall: Callable[[], float] = time.time
) -> None:
    """Serves until `stop` is set; then the lease is given back."""
    telemetry = Telemetry()
    async with (
        Throttled(connection, rate=settings.kube_api_qps, burst=settings.kube_api_burst) as client,
        _health(settings.address, telemetry),
    ):
        lead = Job("lead", lambda: _act(settings, client, telemetry, wall), ends_program=True)
        await supervise([lead], stop)


async def _act(settings: Settings, client: Client, telemetry: Telemetry, wall: Callable[[], float]) -> None:
    async def lead() -> None:
        await Loop(client, MetricsEars(client), telemetry, namespace=settings.namespace, wall=wall).run()

    if not settings.leader_elect:
        await lead()
        return
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{os.getpid()}"
    terms = Terms(settings.lease_duration, settings.renew_deadline, settings.retry_period)
    await Election(client, settings.lease_namespace, settings.lease_name, identity, terms=terms).run(lead)


@asynccontextmanager
async def _health(address: Address, telemetry: Telemetry) -> AsyncIterator[None]:
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
        await web.TCPSite(runner, address.host or None, address.port).start()
        yield
    finally:
        await runner.cleanup()
