"""From the flag to a tracer."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from adapter import __version__
from adapter.clock import steady
from adapter.program.run import Job, supervise
from adapter.program.tracing.config import load, resource
from adapter.program.tracing.export import Exporter, SpanCounters
from adapter.spans import OFF, Tracer


@asynccontextmanager
async def tracing(file: str, service: str, counters: SpanCounters) -> AsyncIterator[Tracer]:
    """The tracer of the program `service` by --tracing-config-file, for as long as the context lasts.

    Without a file nothing is traced, and nothing loaded for it. Raises SettingsError.
    """
    if not file:
        yield OFF
        return
    config = load(file)
    from adapter.program.tracing.encode import encode  # these load gRPC and OTLP's messages
    from adapter.program.tracing.send import sender

    who = resource(os.environ, socket.gethostname(), service=service, version=__version__)
    exporter = Exporter(sender(config), counters, partial(encode, resource=who, wall=steady.wall))
    sending = asyncio.create_task(supervise([Job("spans", exporter.run)], asyncio.Event()))
    try:
        yield Tracer(exporter.keep, config.sampling_rate_per_million)
    finally:
        sending.cancel()
        await asyncio.wait([sending])
        await exporter.close()
