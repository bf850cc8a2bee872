"""Pods as processes behind a balancer."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import yaml

from loadtest.runs.balancer import Balancer
from loadtest.runs.fleet import Fleet
from loadtest.runs.local import Local
from loadtest.runs.record import Kind
from loadtest.runs.world import Heard


async def ask(port: int) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as answer:
        return (await answer.text()).strip()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(0.05)


async def test_a_fleet_becomes_as_large_as_is_wanted_and_only_pods_that_are_ready_get_requests(tmp_path: Path) -> None:
    heard = Heard()
    fleet = Fleet(tmp_path, (), heard)
    fleet.scale(2)
    async with fleet.balancer.running():
        running = asyncio.create_task(fleet.run())
        await until(lambda: heard.now.get(Kind.ENDPOINTS) == 2)
        assert {await ask(fleet.balancer.port) for _ in range(30)} == {"sample-0", "sample-1"}
        described = [pod["metadata"]["name"] for pod in yaml.safe_load_all(fleet.file.read_text())]
        assert sorted(described) == ["sample-0", "sample-1"]
        fleet.scale(1)
        await until(lambda: len(fleet.pods) == 1)
        assert heard.now == {Kind.CREATED: 1, Kind.READY: 1, Kind.ENDPOINTS: 1}
        left = next(iter(fleet.pods))
        assert {await ask(fleet.balancer.port) for _ in range(5)} == {left}
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert not fleet.pods


async def test_a_pod_that_ends_by_itself_is_replaced(tmp_path: Path) -> None:
    heard = Heard()
    fleet = Fleet(tmp_path, (), heard)
    fleet.scale(1)
    running = asyncio.create_task(fleet.run())
    await until(lambda: heard.now.get(Kind.READY) == 1)
    port = fleet.pods["sample-0"].port
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(session.post(f"http://127.0.0.1:{port}/fault?crash=1"), return_exceptions=True)
    await until(lambda: "sample-1" in fleet.balancer.endpoints)
    assert [count for _, kind, count in heard.changes if kind is Kind.READY] == [0, 1, 0, 1]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(100):
        writer.write(chunk)
    writer.close()


async def test_an_open_connection_stays_where_it_is_and_a_new_one_goes_where_the_endpoints_are_now() -> None:
    first, second = [await asyncio.start_server(echo, "127.0.0.1", 0) for _ in range(2)]
    balancer = Balancer()
    async with balancer.running():
        balancer.endpoints = {"one": port_of(first)}
        reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port)
        assert await exchange_hello(reader, writer) == b"hello"
        balancer.endpoints = {"two": port_of(second)}
        first.close()
        assert await exchange_hello(reader, writer) == b"hello"
        other, writes = await asyncio.open_connection("127.0.0.1", balancer.port)
        assert await exchange_hello(other, writes) == b"hello"
        balancer.endpoints = {}
        none, unused = await asyncio.open_connection("127.0.0.1", balancer.port)
        assert await none.read() == b""
        for one in (writer, writes, unused):
            one.close()
    assert balancer.refused == 1
    second.close()


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def exchange_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"hello")
    reading: Awaitable[bytes] = reader.read(100)
    return await asyncio.wait_for(reading, 5)


def test_with_headroom_the_hpa_may_have_as_many_more_pods_as_its_target_is_lower() -> None:
    assert (Local().per_pod, Local().high) == (20.0, 8)
    assert (Local(0.4).per_pod, Local(0.4).high) == (20.0, 14)  # 8 / 0.6 = 13.3
    assert Local(0.5).high == 16
