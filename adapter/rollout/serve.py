"""Wiring of the controller in a cluster: settings -> connection, lease, loop, health."""

import asyncio
import time
from collections.abc import Callable

from adapter.kube.config import ConfigError, Connection, connect
from adapter.kube.errors import KubeError
from adapter.kube.throttle import Throttled
from adapter.program.health import Health
from adapter.program.leader import lead
from adapter.program.run import Job, StartError, supervise
from adapter.rollout.hear import MetricsEars
from adapter.rollout.loop import Loop
from adapter.rollout.notify import Notifier
from adapter.rollout.outside import Outside, networks
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

    async def act() -> None:
        await lead(settings, client, term)

    async def term() -> None:
        notifier = Notifier(client, outside, telemetry.notified)
        loop = Loop(
            client,
            MetricsEars(client),
            telemetry,
            namespace=settings.namespace,
            wall=wall,
            notify=notifier.tell,
        )
        try:
            await loop.run()
        finally:
            await notifier.stop()

    async with (
        Throttled(connection, rate=settings.kube_api_qps, burst=settings.kube_api_burst) as client,
        Outside(allowed=networks(settings.allowed_networks)) as outside,
        Health(settings.address, telemetry.registry, lambda: ""),  # well as long as the event loop turns
    ):
        await supervise([Job("rollout", act, ends_program=True)], stop)
