"""The sample service: what it answers, what it counts, and how it starts and ends."""

import asyncio
import contextlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from adapter.metrics.scrape.exposition import Parser
from loadtest.sample.metrics import BOUNDS, Metrics
from loadtest.sample.push import resource
from loadtest.sample.server import Request, Server
from loadtest.sample.service import Service, work
from loadtest.sample.settings import Settings, from_command_line

CHECKOUT = Path(__file__).resolve().parents[2]


def request(path: str = "/", method: str = "GET", body: bytes = b"", **query: str) -> Request:
    return Request(method, path, query, body, keep_alive=True)


# -- settings ---------------------------------------------------------------------------------------------------------


def test_flags_win_over_the_environment_and_that_over_the_defaults() -> None:
    settings = from_command_line(["--work-ms", "5"], {"WORK_MS": "7", "ERROR_RATE": "0.25", "PORT": ""})
    assert (settings.work_ms, settings.error_rate, settings.port) == (5.0, 0.25, 8080)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"work_ms": "fast"}, "work_ms: 'fast' is no float"),
        ({"work_ms": "nan"}, "work_ms: nan is not within 0 to 600000"),
        ({"error_rate": 1.5}, "error_rate: 1.5 is not within 0 to 1"),
        ({"work_kind": "dream"}, "work_kind: 'dream' is none of sleep, busy"),
        ({"port": 1}, "port: can not be changed; what can is work_ms, work_kind, error_rate, slots"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings().with_values(values)


# -- answers ----------------------------------------------------------------------------------------------------------


async def test_work_is_counted_by_code_and_method_and_in_the_histogram() -> None:
    service = Service(Settings())
    for _ in range(3):
        assert (await service.handle(request())).code == 200
    assert (await service.handle(request(error_rate="1"))).code == 500
    lines = (await service.handle(request("/metrics"))).body.splitlines()
    assert 'http_requests_total{code="200",method="GET"} 3' in lines
    assert 'http_requests_total{code="500",method="GET"} 1' in lines
    assert "http_request_duration_seconds_count 4" in lines
    assert "http_requests_in_flight 0" in lines


async def test_its_metrics_are_read_by_our_own_parser_without_a_complaint() -> None:
    service = Service(Settings())
    await service.handle(request())
    body = (await service.handle(request("/metrics"))).body.encode()
    parsed = Parser({}, 100).parse(body, 1000.0)
    assert parsed.problems == []
    # 2 requests series at most, 11 bounds and +Inf, sum, count, in flight, queued, CPU, start: 1 + 12 + 2 + 4
    assert len(parsed.points) == 19


async def test_settings_are_shown_and_changed_while_it_runs() -> None:
    service = Service(Settings())
    changed = await service.handle(request("/settings", "POST", b'{"work_ms": 12, "error_rate": 0.5}'))
    assert (changed.code, service.settings.work_ms, service.settings.error_rate) == (200, 12.0, 0.5)
    assert json.loads((await service.handle(request("/settings"))).body)["work_ms"] == 12
    await service.handle(request("/settings", "POST", slots="3"))
    assert service.settings.slots == 3


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"work_ms": -1}', b'{"color": 1}'])
async def test_a_wrong_change_of_settings_is_a_400_and_changes_nothing(body: bytes) -> None:
    service = Service(Settings(work_ms=1))
    assert (await service.handle(request("/settings", "POST", body))).code == 400
    assert service.settings == Settings(work_ms=1)


async def test_a_query_changes_the_work_of_one_request_only() -> None:
    service = Service(Settings())
    assert (await service.handle(request(error_rate="1"))).code == 500
    assert (await service.handle(request())).code == 200
    assert (await service.handle(request(work_ms="soon"))).code == 400


async def test_unknown_paths_and_methods_are_refused() -> None:
    service = Service(Settings())
    assert (await service.handle(request("/nowhere"))).code == 404
    assert (await service.handle(request(method="DELETE"))).code == 405


async def test_it_is_ready_only_after_its_start_up_delay_and_not_while_it_drains() -> None:
    service = Service(Settings(startup_s=3600))
    assert (await service.handle(request("/readyz"))).code == 503
    assert (await service.handle(request("/healthz"))).code == 200
    service.ready_at = time.monotonic()
    assert (await service.handle(request("/readyz"))).code == 200
    service.draining = True
    assert (await service.handle(request("/readyz"))).code == 503


async def requests_queued(service: Service) -> int:
    """The gauge of queued requests as it is scraped."""
    body = (await service.handle(request("/metrics"))).body
    return int(next(line.split()[1] for line in body.splitlines() if line.startswith("http_requests_queued ")))


@pytest.mark.looptime
async def test_slots_make_requests_queue_in_their_order() -> None:
    # 2 slots of 100 ms: 5 requests end after 100, 100, 200, 200 and 300 ms
    service = Service(Settings(work_ms=100, slots=2))
    loop = asyncio.get_running_loop()
    ends: list[tuple[int, float]] = []

    async def one(number: int) -> None:
        await service.handle(request())
        ends.append((number, round(loop.time(), 3)))

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(one(number))
            await asyncio.sleep(0)
        assert (service.metrics.in_flight, await requests_queued(service)) == (5, 3)
    assert ends == [(0, 0.1), (1, 0.1), (2, 0.2), (3, 0.2), (4, 0.3)]


@pytest.mark.looptime
async def test_more_slots_let_waiting_requests_in_at_once() -> None:
    service = Service(Settings(work_ms=100, slots=1))
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(service.handle(request()))
        await asyncio.sleep(0.01)
        assert await requests_queued(service) == 2
        await service.handle(request("/settings", "POST", slots="0"))
        assert await requests_queued(service) == 0


@pytest.mark.looptime
async def test_a_waiting_request_that_is_given_up_frees_its_place() -> None:
    service = Service(Settings(work_ms=100, slots=1))
    first = asyncio.create_task(service.handle(request()))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(service.handle(request()))
    await asyncio.sleep(0.01)
    second.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await second
    await first
    assert (await service.handle(request())).code == 200
    assert (service.metrics.in_flight, await requests_queued(service)) == (0, 0)


async def test_busy_work_burns_cpu_time_and_lets_others_in_between() -> None:
    before, turns = time.thread_time(), 0
    task = asyncio.create_task(work(0.03, "busy"))
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    assert time.thread_time() - before >= 0.03
    assert turns > 5  # 30 ms in slices of 2


# -- metrics ----------------------------------------------------------------------------------------------------------


def test_the_otlp_message_is_cumulative_with_64_bit_integers_as_strings() -> None:
    metrics = Metrics(started=100.0)
    for seconds in (0.004, 0.005, 0.3, 99.0):  # a bound belongs to its own bucket: le
        metrics.count(200, "GET", seconds)
    settings = Settings(pod_name="web-1", pod_namespace="shop")
    (group,) = metrics.otlp(resource(settings), now=160.0)["resourceMetrics"]
    attributes = {one["key"]: one["value"]["stringValue"] for one in group["resource"]["attributes"]}
    assert (attributes["k8s.namespace.name"], attributes["k8s.pod.name"]) == ("shop", "web-1")
    requests, durations, _ = group["scopeMetrics"][0]["metrics"]
    (point,) = requests["sum"]["dataPoints"]
    assert (point["asInt"], point["startTimeUnixNano"], point["timeUnixNano"]) == ("4", "100000000000", "160000000000")
    (histogram,) = durations["histogram"]["dataPoints"]
    counts = [int(count) for count in histogram["bucketCounts"]]
    assert len(counts) == len(BOUNDS) + 1
    assert (counts[0], counts[BOUNDS.index(0.5)], counts[-1]) == (2, 1, 1)
    assert (histogram["count"], sum(counts)) == ("4", 4)


# -- over the wire ----------------------------------------------------------------------------------------------------


async def talk(data: bytes, service: Service | None = None) -> bytes:
    """What the server says to these bytes until it ends the connection."""
    server = Server((service or Service(Settings())).handle)
    port = await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    await server.stop(1)
    return answer


async def test_two_requests_pass_over_one_connection() -> None:
    answer = await talk(b"GET / HTTP/1.1\r\n\r\nGET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.index(b"Connection: keep-alive") < answer.index(b"Connection: close")


async def test_head_answers_without_a_body_and_http_1_0_ends_the_connection() -> None:
    answer = await talk(b"HEAD /healthz HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"Content-Length: 3\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"POST /settings HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"GET http://[ HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n", b"413"),
    ],
)
async def test_a_bad_request_gets_a_sentence_and_the_connection_ends(data: bytes, code: bytes) -> None:
    assert (await talk(data)).startswith(b"HTTP/1.1 " + code)


async def test_stop_lets_a_request_under_way_end() -> None:
    server = Server(Service(Settings(work_ms=50)).handle)
    port = await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await asyncio.sleep(0.02)
    await server.stop(5)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"Connection: close" in answer


# -- as a program -----------------------------------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[tuple[int, list[dict[str, object]]]]:
    """A port that takes OTLP messages, and what came."""
    messages: list[dict[str, object]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_port, messages
        server.shutdown()
        thread.join()


def test_the_program_serves_pushes_and_ends_cleanly_on_sigterm(
    receiver: tuple[int, list[dict[str, object]]], tmp_path: Path
) -> None:
    port, messages = receiver
    environment = {
        **os.environ, "PORT": "0", "HOST": "127.0.0.1", "POD_NAME": "web-1", "DRAIN_S": "0.05",
        "OTLP_INTERVAL_S": "0.1",
        "OTLP_TARGET": f"http://127.0.0.1:{port}/v1/metrics",
    }  # fmt: skip
    # -S: without site-packages, as in its image
    argv = [sys.executable, "-S", "-m", "loadtest.sample"]
    with subprocess.Popen(argv, cwd=CHECKOUT, env=environment, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        address = child.stderr.readline().removeprefix("listening on ").strip()
        with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
            assert answer.read() == b"web-1\n"
        child.send_signal(signal.SIGTERM)
        assert child.wait(5) == 0
        assert child.stderr.read() == ""
    last = cast(Any, messages[-1])["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]
    assert (last["name"], last["sum"]["dataPoints"][0]["asInt"]) == ("http_requests_total", "1")
