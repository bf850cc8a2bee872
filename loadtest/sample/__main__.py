"""`python -m loadtest.sample`: runs the sample service until SIGTERM or SIGINT."""

import asyncio
import signal
import sys
import time
from contextlib import suppress

from loadtest.sample.push import post, push, resource
from loadtest.sample.server import Server
from loadtest.sample.service import Service
from loadtest.sample.settings import Settings, from_command_line

END_S = 10.0  # for requests under way


async def run(settings: Settings) -> None:
    service = Service(settings)
    server = Server(service.handle)
    port = await server.start(settings.host, settings.port)
    print(f"listening on {settings.host}:{port}", file=sys.stderr, flush=True)
    asked_to_end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_end.set)
    attributes = resource(settings)
    pushing = settings.otlp_target and asyncio.create_task(
        push(settings, lambda now: service.metrics.otlp(attributes, now))
    )
    await asked_to_end.wait()
    service.draining = True
    server.wind_down()
    await asyncio.sleep(settings.drain_s)
    await server.stop(END_S)
    if pushing:
        pushing.cancel()
        with suppress(asyncio.CancelledError):
            await pushing
        await asyncio.to_thread(post, settings.otlp_target, service.metrics.otlp(attributes, time.time()))


if __name__ == "__main__":
    asyncio.run(run(from_command_line()))
