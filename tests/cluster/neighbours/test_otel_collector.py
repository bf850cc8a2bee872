"""An OpenTelemetry Collector between services that push and the adapter, without a cluster."""

import asyncio
import socket
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import yaml

from loadtest.load import Stream, drive
from loadtest.standalone import METRIC, Adapter, Served, free_port, program, sample_pod
from tests.cluster.adapter import hpa, pods_metric
from tests.cluster.binaries import find
from tests.cluster.neighbours import otelcol
from tests.cluster.neighbours.hosted import running_process

PODS = ("first", "second")
RATE = 20


def unscraped_pod(name: str) -> Mapping[str, object]:
    """A pod that nobody would scrape."""
    metadata = {"name": name, "namespace": "default", "labels": {"app": "sample"}}
    return {**sample_pod(name, 1), "metadata": metadata}


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("door", ["grpc", "http"])
async def test_what_a_collector_pushes_is_served_of_each_pod(tmp_path: Path, door: str) -> None:
    """20 requests/s each: 200 in 10 s, which chance moves by sqrt(200), 7 %; within 60 s both are near by 20 %."""
    receiving, taking = free_port(), free_port()
    config, log, objects = tmp_path / "collector.yaml", tmp_path / "collector.log", tmp_path / "objects.yaml"
    endpoint = f"127.0.0.1:{taking}" if door == "grpc" else f"http://127.0.0.1:{taking}"
    config.write_text(yaml.safe_dump(otelcol.config(f"127.0.0.1:{receiving}", f"otlp_{door}", endpoint)))
    objects.write_text(
        yaml.safe_dump_all([*map(unscraped_pod, PODS), hpa("sample", "default", pods_metric(METRIC, "20"))])
    )
    adapter, flags = Adapter(tmp_path / "credentials", free_port()), [f"--otlp-{door}-port={taking}"]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            adapter.running(
                objects, scrape="2s", log=tmp_path / "adapter.log", more=[*flags, "--otlp-bind-address=127.0.0.1"]
            )
        )
        command = [str(find(["otelcol"])["otelcol"]), f"--config=file:{config}"]
        stack.enter_context(running_process(command, log, lambda: listens(receiving)))
        for number, name in enumerate(PODS):
            port = free_port()
            words = ["--host", "127.0.0.1", "--port", str(port), "--pod-name", name, "--pod-namespace", "default"]
            words += ["--otlp-target", f"http://127.0.0.1:{receiving}/v1/metrics", "--otlp-interval-s", "1"]
            await stack.enter_async_context(program("loadtest.sample", *words, log=tmp_path / f"{name}.log"))
            stack.callback(asyncio.create_task(drive(Stream("127.0.0.1", port, RATE), seed=number)).cancel)
        served = await near(adapter)
        assert set(served) == set(PODS), (served, log.read_text()[-2000:])
        assert all(time.time() - one.time < 10 for one in served.values()), served
    assert "Exporting failed" not in log.read_text()


async def near(adapter: Adapter, seconds: float = 60) -> dict[str, Served]:
    """The pods whose served rate is near what they are sent, once both are; or those that are after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        served = await adapter.fetch_values()
        close = {name: one for name, one in served.items() if abs(one.rate.unit() - RATE) < RATE / 5}
        if len(close) == len(PODS) or time.monotonic() > deadline:
            return close
        await asyncio.sleep(1)
