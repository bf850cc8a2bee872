"""The doors for OTLP, open: loaded only where a flag asks for one."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from adapter.collect.doors import OtlpDoors
from adapter.metrics.otlp.decode import Decoder
from adapter.metrics.otlp.limits import ReceiveLimits
from adapter.metrics.otlp.over_grpc import serve_grpc
from adapter.metrics.otlp.over_http import serve_http
from adapter.metrics.otlp.receive import Intake
from adapter.metrics.sample import Point


def intake(
    store: Callable[[Iterable[Point]], object],
    limits: ReceiveLimits,
    *,
    clock: Callable[[], float],
    wall: Callable[[float], float],
) -> Intake:
    """What gives the points of requests to `store`; `clock` and `wall` as for `Scraper`."""
    return Intake(Decoder(), store, limits, clock=clock, wall=wall)


@asynccontextmanager
async def serve(taken: Intake, doors: OtlpDoors) -> AsyncIterator[None]:
    """Requests at the doors go to `taken` while the context lasts. Raises OSError where an address cannot be bound."""
    async with AsyncExitStack() as stack:
        if doors.grpc_port:
            over = serve_grpc(taken, doors.address, doors.grpc_port, doors.grpc_tls, doors.bounds)
            await stack.enter_async_context(over)
        if doors.http_port:
            over = serve_http(taken, doors.address, doors.http_port, doors.http_tls, doors.bounds)
            await stack.enter_async_context(over)
        yield
