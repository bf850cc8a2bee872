"""Metrics and health on plain HTTP."""

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from adapter.program.health import Health
from adapter.program.kinds import Address
from adapter.program.run import StartError


async def read(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


async def test_metrics_and_health_are_served_until_the_end() -> None:
    registry, trouble = CollectorRegistry(), [""]
    Counter("streamgate_sample", "Samples", registry=registry).inc()
    async with Health(Address("127.0.0.1:0"), registry, lambda: trouble[0], path="/health-check") as health:
        port = health.port
        assert "streamgate_sample_total 1.0" in (await read(port, "/metrics"))[1]
        assert await read(port, "/health-check") == (200, "OK\n")
        trouble[0] = "no whole loop for 300 s"
        assert await read(port, "/health-check") == (500, "no whole loop for 300 s\n")
        assert (await read(port, "/debug/pprof"))[0] == 404
    with pytest.raises(aiohttp.ClientConnectionError):
        await read(port, "/metrics")


async def test_only_get_is_understood() -> None:
    async with Health(Address(":0"), CollectorRegistry(), str) as health, aiohttp.ClientSession() as session:
        for path in ("/metrics", "/healthz"):
            for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
                async with session.request(method, f"http://127.0.0.1:{health.port}{path}") as answer:
                    assert (answer.status, answer.headers["Allow"]) == (405, "GET"), (method, path)


async def test_an_address_that_is_taken_is_one_sentence() -> None:
    async with Health(Address("127.0.0.1:0"), CollectorRegistry(), str) as first:
        second = Health(Address(f"127.0.0.1:{first.port}"), CollectorRegistry(), str)
        with pytest.raises(StartError, match=rf"--address=127.0.0.1:{first.port}: cannot listen: "):
            await second.__aenter__()
