"""Traces through a real OpenTelemetry Collector, without a cluster: a caller's request is part of his trace."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from loadtest.standalone import PATH, Adapter, free_port
from tests.cluster.binaries import find
from tests.cluster.neighbours import otelcol
from tests.cluster.neighbours.hosted import running_process
from tests.cluster.neighbours.test_otel_collector import listens, unscraped_pod

TRACE, CALLER = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331


@asynccontextmanager
async def backend() -> AsyncIterator[tuple[int, "asyncio.Queue[ExportTraceServiceRequest]"]]:
    """Where the collector exports to: its port, and what comes."""
    messages: asyncio.Queue[ExportTraceServiceRequest] = asyncio.Queue()

    async def take(request: web.BaseRequest) -> web.Response:
        messages.put_nowait(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response()

    runner = web.ServerRunner(web.Server(take), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1], messages
    finally:
        await runner.cleanup()


def config(door: str, receives: str, backend: int) -> Mapping[str, Any]:
    """OTLP in by one door, traces out to `backend`."""
    made = otelcol.config(receives, "otlp_http", f"http://127.0.0.1:{backend}")
    made["receivers"] = {"otlp": {"protocols": {door: {"endpoint": receives}}}}
    made["service"]["pipelines"] = {"traces": made["service"]["pipelines"]["metrics"]}
    return made


@pytest.mark.parametrize("door", ["grpc", "http"])
async def test_a_caller_s_request_arrives_as_part_of_his_trace(tmp_path: Path, door: str) -> None:
    """The rate is 0: nothing but what the caller had sampled may come."""
    receiving = free_port()
    address = f"127.0.0.1:{receiving}"
    tracing, objects = tmp_path / "tracing.yaml", tmp_path / "objects.yaml"
    tracing.write_text(
        "apiVersion: apiserver.config.k8s.io/v1beta1\nkind: TracingConfiguration\n"
        f"endpoint: {'http://' if door == 'http' else ''}{address}\n"
    )
    objects.write_text(yaml.safe_dump(unscraped_pod("first")))
    adapter = Adapter(tmp_path / "credentials", free_port())
    async with AsyncExitStack() as stack:
        port, messages = await stack.enter_async_context(backend())
        (tmp_path / "collector.yaml").write_text(yaml.safe_dump(config(door, address, port)))
        command = [str(find(["otelcol"])["otelcol"]), f"--config=file:{tmp_path / 'collector.yaml'}"]
        stack.enter_context(running_process(command, tmp_path / "collector.log", lambda: listens(receiving)))
        async with adapter.running(
            objects, scrape="2s", log=tmp_path / "adapter.log", more=[f"--tracing-config-file={tracing}"]
        ):
            await ask(adapter)
        message = await asyncio.wait_for(messages.get(), 30)
    (resource,) = message.resource_spans
    spans = resource.scope_spans[0].spans
    log = (tmp_path / "adapter.log").read_text() + (tmp_path / "collector.log").read_text()
    assert {one.trace_id for one in spans} == {TRACE.to_bytes(16, "big")}, log[-3000:]
    (request,) = [one for one in spans if one.parent_span_id == CALLER.to_bytes(8, "big")]
    assert request.name == "GET /apis/custom.metrics.k8s.io"
    told = {one.key: one.value.string_value for one in request.attributes}
    assert told["k8s.namespace.name"] == "default"
    who = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert who["service.name"] == "streamgate-adapter"


async def ask(adapter: Adapter) -> None:
    """One request as kube-apiserver passes one on, with the trace of its caller; what it answers matters not."""
    tls = ssl.create_default_context(cafile=str(adapter.folder / "ca.crt"))
    tls.load_cert_chain(adapter.folder / "client.crt", adapter.folder / "client.key")
    header = {"traceparent": f"00-{TRACE:032x}-{CALLER:016x}-01"}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session,
        session.get(adapter.url + PATH, headers=header) as answer,
    ):
        await answer.read()
