"""The queue of spans: whatever the collector does costs the program a bounded queue, and a second at its end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from adapter.program.tracing.export import BATCH, EVERY, LAST, QUEUED, Exporter, NotSentError, SpanCounters
from adapter.spans import MILLION, Kind, Span, Tracer

pytestmark = pytest.mark.looptime


class Collector:
    """What a collector does with each message, a list of spans' names, and when it got them."""

    def __init__(self) -> None:
        self.got: list[tuple[float, int]] = []
        self.trouble = ""
        self.hangs = False
        self.rejects = 0
        self.closed = False

    async def send(self, message: bytes) -> int:
        self.got.append((asyncio.get_running_loop().time(), len(message)))
        if self.hangs:
            await asyncio.Event().wait()
        if self.trouble:
            raise NotSentError(self.trouble)
        return self.rejects

    async def close(self) -> None:
        self.closed = True


class Bench:
    """An exporter before a collector; a message has one byte for each span."""

    def __init__(self) -> None:
        self.collector, self.registry = Collector(), CollectorRegistry()
        self.exporter = Exporter(self.collector, SpanCounters(self.registry), self.encode)
        self._tracer = Tracer(self.exporter.keep, MILLION)

    @staticmethod
    def encode(spans: Sequence[Span]) -> bytes:
        return bytes(len(spans))

    def ends(self, count: int) -> None:
        for _ in range(count):
            self.exporter.keep(Span(self._tracer, "loop", {}, kind=Kind.INTERNAL, trace_id=1, parent_id=0))

    def counts(self) -> tuple[float, ...]:
        """Sent, and dropped for a full queue, for a message that was not taken, for being rejected."""
        value = self.registry.get_sample_value
        reasons = ("queue full", "not sent", "rejected")
        dropped = [value("streamgate_spans_dropped_total", {"reason": reason}) for reason in reasons]
        return (value("streamgate_spans_sent_total"), *dropped)


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[None]:
    task = asyncio.create_task(bench.exporter.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_few_spans_are_sent_after_five_seconds_and_many_at_once() -> None:
    bench = Bench()
    async with running(bench):
        await asyncio.sleep(1)
        bench.ends(3)
        await asyncio.sleep(EVERY)
        bench.ends(2 * BATCH + 5)
        await asyncio.sleep(0.1)
    assert bench.collector.got == [(5, 3), (6, BATCH), (6, BATCH)]
    assert bench.counts() == (3 + 2 * BATCH, 0, 0, 0)


async def test_a_collector_that_is_down_is_asked_every_five_seconds_and_told_of_once() -> None:
    bench = Bench()
    bench.collector.trouble = "it cannot be reached"
    with capture_logs() as said:
        async with running(bench):
            for _ in range(60):
                bench.ends(10 * BATCH)
                await asyncio.sleep(1)
    assert [moment for moment, _ in bench.collector.got] == list(range(0, 61, 5))
    assert [line["event"] for line in said] == ["spans not sent"]
    sent, full, failed, _ = bench.counts()
    assert (sent, failed) == (0, 13 * BATCH)
    waiting = QUEUED - BATCH  # what a message leaves free is filled again, but for the last one's
    assert full == 60 * 10 * BATCH - failed - waiting


async def test_what_comes_after_an_outage_is_sent() -> None:
    bench = Bench()
    bench.collector.trouble = "down"
    with capture_logs() as said:
        async with running(bench):
            bench.ends(BATCH)
            await asyncio.sleep(1)
            bench.collector.trouble = ""
            bench.ends(2)
            await asyncio.sleep(2 * EVERY)
    assert [line["event"] for line in said] == ["spans not sent", "spans are sent again"]
    assert bench.counts() == (2, 0, BATCH, 0)


async def test_what_a_collector_rejects_is_counted_and_never_more_than_it_was_sent() -> None:
    bench = Bench()
    bench.collector.rejects = 10**18
    async with running(bench):
        bench.ends(4)
        await asyncio.sleep(2 * EVERY)
    assert bench.counts() == (0, 0, 0, 4)


async def test_what_is_left_at_the_end_is_sent() -> None:
    bench = Bench()
    bench.ends(BATCH + 1)
    await bench.exporter.close()
    assert bench.counts() == (BATCH + 1, 0, 0, 0)
    assert bench.collector.closed


async def test_a_collector_that_hangs_holds_the_end_up_for_a_second_and_no_more() -> None:
    bench = Bench()
    bench.collector.hangs = True
    loop = asyncio.get_running_loop()
    async with running(bench):
        bench.ends(QUEUED + 7)
        await asyncio.sleep(1)
    began = loop.time()
    await bench.exporter.close()
    assert loop.time() - began == LAST
    assert bench.counts() == (0, 7, QUEUED, 0)  # the message under way is not lost from the count
    assert bench.collector.closed


async def test_the_end_before_a_collector_that_is_down_asks_once() -> None:
    bench = Bench()
    bench.collector.trouble = "down"
    bench.ends(3 * BATCH)
    await bench.exporter.close()
    assert len(bench.collector.got) == 1
    assert bench.counts() == (0, 0, 3 * BATCH, 0)
