"""Scraping over loopback: what is kept, what a bad target does to itself and to nobody else."""

import asyncio
import gzip
import math
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapter.metrics.bounded import BodyError, Inflater, inflate, read_body
from adapter.metrics.sample import Point, Series
from adapter.metrics.scrape.fetch import ScrapeLimits
from adapter.metrics.scrape.health import Health
from adapter.metrics.scrape.phase import until_between, until_next
from adapter.metrics.scrape.reports import Reports
from adapter.metrics.scrape.scraper import Scraper
from adapter.metrics.scrape.target import Target, TargetError, pod_target
from adapter.metrics.slices import Slices

NOW = 1_700_000_000.0
FAST = 0.03
PATIENT = 0.4
"""Where the answer, not the time that it may take, is what is tested."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Store:
    """Collects points, and waits for those that a test expects."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self._news = asyncio.Event()

    def extend(self, points: Iterable[Point]) -> list[Series]:
        self.points += points
        self._news.set()
        return []

    def values(self, name: str, **labels: str) -> list[float]:
        return [v for s, v, _ in self.points if s.name == name and labels.items() <= dict(s.labels).items()]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self._news.clear()
                await self._news.wait()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[str]]]:
    servers = []

    async def start(handler: Handler) -> str:
        app = web.Application()
        app.router.add_get("/metrics", handler)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        return str(server.make_url("/metrics"))

    yield start
    for server in servers:
        await server.close()


def answering(body: str | bytes, **arguments: object) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=body, **arguments)  # type: ignore[arg-type]

    return handle


def target(url: str, name: str = "one", **arguments: object) -> Target:
    return Target(name, url, {"pod": name}, interval_s=arguments.pop("interval_s", FAST), **arguments)  # type: ignore[arg-type]


async def run_scraper(
    *targets: Target, until: Callable[[Store, Scraper], object], limits: ScrapeLimits | None = None
) -> tuple[Store, Scraper]:
    store = Store()
    async with Scraper(store.extend, limits=limits or ScrapeLimits(), clock=lambda: NOW) as scraper:
        scraper.set_targets(targets)
        await store.until(lambda: until(store, scraper))
        return store, scraper


async def error_of(url: str, limits: ScrapeLimits | None = None, **arguments: Any) -> str:
    one = target(url, **arguments)
    store, scraper = await run_scraper(one, until=lambda store, _: store.values("up"), limits=limits)
    assert store.values("up")[0] == 0.0
    assert [series.name for series, *_ in store.points] == ["up"] * len(store.points)
    return scraper.health["one"].error


# -- what is kept ------------------------------------------------------------------------------------------------------


async def test_points_come_with_the_targets_labels_and_up(serve: Callable[..., Awaitable[str]]) -> None:
    url = await serve(answering('a{pod="x"} 1\nb 2 1699999999000\n'))

    store, scraper = await run_scraper(target(url), until=lambda store, _: len(store.values("up")) > 1)

    assert store.points[:3] == [
        (store.points[0][0], 1.0, NOW), (store.points[1][0], 2.0, NOW - 1), (store.points[2][0], 1.0, NOW),
    ]  # fmt: skip
    assert [dict(series.labels) for series, *_ in store.points[:3]] == [
        {"__name__": "a", "pod": "one", "exported_pod": "x"},
        {"__name__": "b", "pod": "one"},
        {"__name__": "up", "pod": "one"},
    ]  # fmt: skip
    health = scraper.health["one"]
    assert (health.last_success, health.error, health.samples, health.failures) == (NOW, "", 2, 0)
    assert health.scrapes >= 2


async def test_openmetrics_and_gzip_are_understood_and_asked_for(serve: Callable[..., Awaitable[str]]) -> None:
    seen: dict[Any, Any] = {}

    async def handle(request: web.Request) -> web.Response:
        seen.update(request.headers)
        body = gzip.compress(b"a_total 1 1699999999.5\n# EOF\n")
        return web.Response(
            body=body,
            headers={"Content-Encoding": "gzip", "Content-Type": "application/openmetrics-text; version=1.0.0"},
        )

    store, _ = await run_scraper(
        target(await serve(handle), headers=lambda: {"Authorization": "Bearer t"}),
        until=lambda store, _: store.values("up"),
    )

    assert store.points[0][1:] == (1.0, NOW - 0.5)
    assert "openmetrics" in seen["Accept"]
    assert (seen["Accept-Encoding"], seen["Authorization"]) == ("gzip", "Bearer t")


async def test_a_target_may_take_its_points_itself_and_only_some_metrics(serve: Callable[..., Awaitable[str]]) -> None:
    taken: list[list[Point]] = []

    def take(points: list[Point]) -> Slices[None]:
        taken.append(points)
        yield

    url = await serve(answering("".join(f'a{{i="{i}"}} 1\n' for i in range(1200)) + "b 2\n"))

    store, _ = await run_scraper(
        target(url, on_points=take, names=frozenset(["a"]), interval_s=0.2),
        until=lambda store, _: store.values("up"),
    )

    assert len(taken[0]) == 1200
    assert {series.name for series, *_ in store.points} == {"up"}


async def test_targets_come_change_and_go(serve: Callable[..., Awaitable[str]]) -> None:
    url = await serve(answering("a 1\n"))
    store, gone = Store(), list[str]()
    async with Scraper(store.extend, on_gone=lambda gone_target: gone.append(gone_target.id)) as scraper:
        one, two = target(url, "one"), target(url, "two")
        scraper.set_targets([one, two])
        tasks = dict(scraper._tasks)
        await store.until(lambda: store.values("up", pod="two"))
        scraper.set_targets([target(url, "one"), target(url, "three")])
        await store.until(lambda: store.values("up", pod="three"))
        seen = len(store.values("up", pod="two"))
        await asyncio.sleep(3 * FAST)

        assert scraper._tasks["one"] is tasks["one"]
        assert len(store.values("up", pod="two")) == seen
        assert gone == ["two"]
        assert set(scraper.health) == {"one", "three"}

        scraper.set_targets([Target("one", url, {"pod": "renamed"}, interval_s=FAST)])
        assert gone == ["two", "one", "three"]
        await store.until(lambda: store.values("up", pod="renamed"))


async def test_targets_are_bounded() -> None:
    async with Scraper(lambda _: (), limits=ScrapeLimits(targets=2)) as scraper:
        scraper.set_targets(Target(str(i), "http://127.0.0.1:9/metrics", {}) for i in range(5))

        assert sorted(scraper.health) == ["0", "1"]


# -- bad targets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"body": "no", "status": 404}, "it answered with status 404"),
        ({"body": "", "status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, "redirects are not followed"),
        ({"body": "<html>", "content_type": "text/html"}, "'text/html; charset=utf-8', which is not"),
        ({"body": b"x" * 2000}, "the body has more than 1000 bytes"),
        ({"body": gzip.compress(b"\0" * 10**7), "headers": {"Content-Encoding": "gzip"}}, "1000 bytes when inflated"),
        ({"body": b"plain", "headers": {"Content-Encoding": "gzip"}}, "the body is not gzip"),
        ({"body": gzip.compress(b"a 1\n")[:-9], "headers": {"Content-Encoding": "gzip"}}, "gzip stream is cut short"),
        ({"body": b"x", "headers": {"Content-Encoding": "br"}}, "only gzip was asked for"),
    ],
)
async def test_a_bad_answer_is_one_sentence_of_its_health(
    serve: Callable[..., Awaitable[str]], arguments: dict[str, object], reason: str
) -> None:
    if arguments.get("content_type"):
        arguments = {"body": arguments["body"], "headers": {"Content-Type": "text/html; charset=utf-8"}}
    url = await serve(answering(**arguments))  # type: ignore[arg-type]

    assert reason in await error_of(url, ScrapeLimits(body_bytes=1000), interval_s=PATIENT)


async def test_an_endless_body_is_cut_by_time_and_by_size(serve: Callable[..., Awaitable[str]]) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"a 1\n")
            await asyncio.sleep(0.005)

    async def pour(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"a 1\n" * 10_000)

    limits = ScrapeLimits(body_bytes=10**6, total_s=0.1)
    assert await error_of(await serve(drip), limits, interval_s=0.1) == "no complete answer within 0.1 s"
    assert (
        await error_of(await serve(pour), ScrapeLimits(body_bytes=10**6), interval_s=1.0)
        == "the body has more than 1000000 bytes"
    )


async def test_nobody_there_and_no_answer() -> None:
    assert "no answer: " in await error_of("http://127.0.0.1:1/metrics")

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.close()

    async def rubbish(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x16\x03\x01\0\0rubbish\r\n\r\n" * 1000)
        writer.close()

    for handler, reason in ((silent, "no complete answer within 0.1 s"), (rubbish, "no answer: ")):
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        assert reason in await error_of(f"http://127.0.0.1:{port}/metrics", interval_s=0.1)
        server.close()
    await asyncio.sleep(0.3)


async def test_bad_lines_are_told_and_the_others_kept(serve: Callable[..., Awaitable[str]]) -> None:
    body = "good 1\nbad\n" + "".join(f"worse{i}\n" for i in range(50)) + f'bomb{{x="{"y" * 10**5}"}} 1\n'

    store, scraper = await run_scraper(target(await serve(answering(body))), until=lambda store, _: store.values("up"))

    assert (store.values("good")[0], store.values("up")[0]) == (1.0, 1.0)
    assert len(scraper.health["one"].problems) == 11


async def test_dead_targets_slow_nobody(serve: Callable[..., Awaitable[str]]) -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError

    dead, alive = await serve(hang), await serve(answering("a 1\n"))
    targets = [target(dead, f"dead-{i}", interval_s=0.1) for i in range(20)] + [target(alive, "alive")]

    store, scraper = await run_scraper(
        *targets,
        until=lambda store, _: len(store.values("up", pod="alive")) >= 20,
        limits=ScrapeLimits(concurrent=2, concurrent_slow=1),
    )

    assert scraper.health["alive"].error == ""
    assert len(store.values("up", pod="alive")) >= 20


async def test_a_failure_and_a_recovery_are_logged_once(serve: Callable[..., Awaitable[str]]) -> None:
    working = False

    async def handle(_: web.Request) -> web.Response:
        return web.Response(text="a 1\n", status=200 if working else 500)

    url, store = await serve(handle), Store()
    with capture_logs() as logs:
        async with Scraper(store.extend) as scraper:
            scraper.set_targets([target(url)])
            await store.until(lambda: len(store.values("up")) >= 3)
            working = True
            await store.until(lambda: sum(store.values("up")) >= 2)

    assert [entry["event"] for entry in logs] == ["scrape failed", "scrape works again"]
    assert logs[0]["error"] == "it answered with status 500"


class Panic(BaseException):
    """As a Rust extension's, which is no Exception."""


@pytest.mark.parametrize("error", [RuntimeError, RecursionError, MemoryError, Panic, asyncio.CancelledError])
async def test_a_store_that_fails_in_whatever_way_does_not_end_the_scrapes(
    serve: Callable[..., Awaitable[str]], error: type[BaseException]
) -> None:
    calls, enough = [], asyncio.Event()

    def fail_to_store(points: Iterable[Point]) -> None:
        calls.append(list(points))
        if len(calls) == 3:
            enough.set()
        raise error("full")

    with capture_logs():
        async with Scraper(fail_to_store) as scraper:
            scraper.set_targets([target(await serve(answering("a 1\n")))])
            await asyncio.wait_for(enough.wait(), 5)
            await asyncio.sleep(0)
            assert scraper.health["one"].error == "its points could not be stored"


@given(st.text(max_size=8), st.floats(0, 1e6), st.sampled_from([0.03, 5.0, 15.0]))
def test_a_targets_turns_are_one_interval_apart_on_its_own_phase(name: str, now: float, interval_s: float) -> None:
    one = Target(name, "", {}, interval_s)
    wait = until_next(one, now)
    following = until_next(one, now + wait)

    assert interval_s / 100 < wait <= interval_s * 1.01
    assert following == pytest.approx(interval_s, rel=0.011)
    assert until_next(Target(name, "", {}, interval_s), now) == wait


@pytest.mark.looptime
async def test_who_is_new_among_others_is_scraped_within_a_second_and_then_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its first whole interval is half a usual one at least: shorter ones say too little."""
    loop, times = asyncio.get_running_loop(), dict[str, list[float]]()

    async def note(_: Scraper, target: Target, *__: object) -> None:
        times.setdefault(target.id, []).append(loop.time())

    monkeypatch.setattr(Scraper, "_scrape", note)
    first = [Target(f"old-{number}", "", {}, 5.0) for number in range(50)]
    new = [Target(f"new-{number}", "", {}, 5.0) for number in range(50)]
    async with Scraper(lambda _: ()) as scraper:
        began = loop.time()
        scraper.set_targets(first)
        await asyncio.sleep(11.3)
        joined = loop.time()
        scraper.set_targets([*first, *new])
        await asyncio.sleep(20)
    waits = {name: moments[0] - (began if name.startswith("old") else joined) for name, moments in times.items()}
    assert max(wait for name, wait in waits.items() if name.startswith("old")) > 4  # at the start nobody hurries
    assert max(wait for name, wait in waits.items() if name.startswith("new")) <= 1
    for one in new:
        gaps = [after - before for before, after in pairwise(times[one.id])]
        assert 2.5 <= gaps[0] <= 7.5
        assert gaps[1:] == [pytest.approx(5)] * len(gaps[1:])


@given(left=st.floats(0.01, 100), often=st.sampled_from([1.0, 2.0, 2.5, math.inf]))
def test_scrapes_between_two_turns_are_even_and_end_with_the_turn(left: float, often: float) -> None:
    waits, rest = list[float](), left
    while rest > 0:
        waits.append(until_between(rest, often))
        rest = rest - waits[-1] if waits[-1] < rest else 0.0
    assert sum(waits) == pytest.approx(left)
    assert waits[1:] == [pytest.approx(often)] * (len(waits) - 1)
    assert waits[0] == left or often / 2 <= waits[0] <= 1.5 * often + 1e-6


@pytest.mark.looptime
async def test_a_target_that_is_polled_keeps_its_turns_and_is_scraped_between_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """20 s in turns of 5 s are 4 of them, and 4 scrapes between each two, none for who is not polled."""
    loop, turns, between = asyncio.get_running_loop(), dict[str, list[float]](), dict[str, list[float]]()

    async def note(_: Scraper, target: Target, *__: object) -> None:
        turns.setdefault(target.id, []).append(loop.time())

    async def look(_: Scraper, target: Target, *__: object, within: float) -> None:
        between.setdefault(target.id, []).append(loop.time())

    monkeypatch.setattr(Scraper, "_scrape", note)
    monkeypatch.setattr(Scraper, "_look", look)
    polled, other = Target("polled", "", {}, 5.0), Target("other", "", {}, 5.0)
    async with Scraper(lambda _: (), often=lambda target: 1.0 if target == polled else math.inf) as scraper:
        scraper.set_targets([polled, other])
        await asyncio.sleep(until_next(polled, loop.time()) + 20.1)
    assert between.keys() == {"polled"}
    assert len(turns["polled"]) == 5
    for moments in turns.values():
        gaps = [after - before for before, after in pairwise(moments)]
        assert gaps == [pytest.approx(5)] * len(gaps)
    all_of_it = sorted([*turns["polled"], *between["polled"]])
    inner = [time for time in all_of_it if time >= turns["polled"][0]]
    assert [after - before for before, after in pairwise(inner)] == [pytest.approx(1)] * 20


@pytest.mark.parametrize(
    "health",
    [Health(error="no answer"), Health(duration_s=0.6), Health(samples=5001)],
    ids=["failing", "slow", "large"],
)
@pytest.mark.looptime
async def test_a_target_that_costs_too_much_has_its_own_turns_alone(
    monkeypatch: pytest.MonkeyPatch, health: Health
) -> None:
    looks = list[str]()

    async def note(*_: object) -> None:
        return None

    async def look(_: Scraper, target: Target, *__: object, within: float) -> None:
        looks.append(target.id)

    monkeypatch.setattr(Scraper, "_scrape", note)
    monkeypatch.setattr(Scraper, "_look", look)
    async with Scraper(lambda _: (), often=lambda _: 1.0) as scraper:
        scraper._health.update({"costly": health})
        scraper.set_targets([Target("costly", "", {}, 5.0), Target("quick", "", {}, 5.0)])
        await asyncio.sleep(20)
    assert set(looks) == {"quick"}


async def test_what_is_scraped_between_turns_goes_elsewhere(serve: Callable[..., Awaitable[str]]) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="requests_total 1\n")

    store, passing = Store(), Store()
    url = await serve(page)
    async with Scraper(store.extend, passing=passing.extend, often=lambda _: 0.05) as scraper:
        scraper.set_targets([Target("a", url, {}, 0.5)])
        await passing.until(lambda: len(passing.points) > 1)
        await store.until(lambda: store.values("up"))
    assert set(passing.values("requests_total")) == set(store.values("requests_total")) == {1}
    assert not passing.values("up")


async def test_a_failure_between_two_turns_is_for_the_next_turn_to_tell(serve: Callable[..., Awaitable[str]]) -> None:
    asked, store = asyncio.Semaphore(0), Store()

    async def page(_: web.Request) -> web.Response:
        asked.release()
        return web.Response(status=500)

    url = await serve(page)
    with capture_logs() as logs:
        async with Scraper(store.extend, passing=store.extend, often=lambda _: 0.05) as scraper:
            scraper.set_targets([Target("a", url, {}, 600.0)])
            for _ in range(3):
                await asked.acquire()
            assert scraper.health["a"] == Health(duration_s=scraper.health["a"].duration_s)
    assert logs == []
    assert store.points == []


def test_phases_are_spread_over_the_interval() -> None:
    waits = sorted(until_next(Target(f"pod/shop/web-{i}", "", {}, 5.0), 0.0) for i in range(1000))

    assert all(later - earlier < 0.1 for earlier, later in pairwise(waits))  # evenly: 0.005 apart


# -- bounded bodies ----------------------------------------------------------------------------------------------------


async def split_body(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=4), st.integers(1, 300))
async def test_members_of_gzip_are_inflated_however_they_are_cut(parts: list[bytes], size: int) -> None:
    body = b"".join(map(gzip.compress, parts))

    assert await read_body(split_body(body, size), 10_000, gzip=True) == b"".join(parts)
    assert await inflate(body, 10_000) == b"".join(parts)


async def test_a_bomb_is_never_inflated_beyond_the_limit() -> None:
    compressor = zlib.compressobj(wbits=31)
    bomb = b"".join(compressor.compress(b"\0" * 10**6) for _ in range(200)) + compressor.flush()  # 200 MB in 200 kB

    with pytest.raises(BodyError, match="more than 1000000 bytes when inflated"):
        await read_body(split_body(bomb, 65536), 10**6, gzip=True)
    with pytest.raises(BodyError, match="more than 1000000 bytes when inflated"):
        await inflate(bomb, 10**6)


# -- annotated pods ----------------------------------------------------------------------------------------------------


def pod(
    annotations: dict[str, str], ports: list[tuple[str, int]] | None = None, ip: str = "10.0.0.7", **more: Any
) -> Target | None:
    prefixed = {f"prometheus.io/{key}": value for key, value in annotations.items()}
    return pod_target(
        namespace="shop",
        name="web-1",
        ip=ip,
        annotations=prefixed,
        labels={"app": "web", "a/b.c": "d"},
        container_ports=ports or [],
        **more,
    )


def test_an_annotated_pod_is_a_target() -> None:
    one = pod({"scrape": "true", "port": "9090", "path": "/m?x=y", "scheme": "https"}, promote=["app", "a/b.c", "none"])

    assert one == Target(
        "pod/shop/web-1",
        "https://10.0.0.7:9090/m?x=y",
        {
            "namespace": "shop", "pod": "web-1", "instance": "10.0.0.7:9090", "job": "kubernetes-pods", "app": "web",
            "a_b_c": "d",
        },
        5.0,
        ssl=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ports", "number"),
    [([("http", 80), ("metrics", 91)], 91), ([("http", 80), ("http-metrics", 92)], 92), ([("", 80), ("x", 81)], 80)],
)
def test_the_port_is_the_one_called_metrics_else_the_first(ports: list[tuple[str, int]], number: int) -> None:
    one = pod({"scrape": "True"}, ports)

    assert one is not None
    assert one.url == f"http://10.0.0.7:{number}/metrics"


def test_an_address_of_version_6_stands_in_brackets() -> None:
    one = pod({"scrape": "true", "port": "1"}, ip="fd00::7")

    assert one is not None
    assert one.url == "http://[fd00::7]:1/metrics"


def test_a_pod_that_does_not_ask_or_has_no_address_is_none() -> None:
    assert pod({}) is None
    assert pod({"scrape": "false", "port": "rubbish"}) is None
    assert pod({"scrape": "true"}, ip="") is None


@pytest.mark.parametrize(
    ("annotations", "sentence"),
    [
        ({"scrape": "maybe"}, 'annotation prometheus.io/scrape is \'maybe\'; it must be "true" or "false"'),
        ({"scrape": "true"}, "annotation prometheus.io/port is missing and no container declares a port"),
        ({"scrape": "true", "port": "0"}, "annotation prometheus.io/port is '0'; it must be a number from 1 to 65535"),
        ({"scrape": "true", "port": "65536"}, "annotation prometheus.io/port is '65536'; it must be"),
        ({"scrape": "true", "port": "٣"}, "annotation prometheus.io/port is '٣'; it must be"),
        ({"scrape": "true", "port": "80@evil"}, "annotation prometheus.io/port is '80@evil'; it must be"),
        ({"scrape": "true", "port": "1", "path": "metrics"}, "annotation prometheus.io/path is 'metrics'; it must"),
        ({"scrape": "true", "port": "1", "path": "/a b"}, "annotation prometheus.io/path is '/a b'; it must"),
        ({"scrape": "true", "port": "1", "path": "/\r\nHost: x"}, "annotation prometheus.io/path is"),
        ({"scrape": "true", "port": "1", "path": "/" + "x" * 2000}, "annotation prometheus.io/path is"),
        (
            {"scrape": "true", "port": "1", "scheme": "file"},
            "annotation prometheus.io/scheme is 'file'; it must be http",
        ),
    ],
)
def test_a_bad_annotation_gives_one_sentence(annotations: dict[str, str], sentence: str) -> None:
    with pytest.raises(TargetError) as caught:
        pod(annotations)

    assert str(caught.value).startswith(sentence)
    assert len(str(caught.value)) < 250


EMPTY = gzip.compress(b"")


async def test_empty_members_are_bounded_by_their_number_and_let_others_run() -> None:
    """20 bytes each and nothing comes out: a bound on what comes out never bites."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert await inflate(EMPTY * 1000, 10) == b""
    assert turns >= 1000 * 4096 // (256 * 1024)  # a member counts as 4 KiB of work, and a turn comes each 256 KiB
    with pytest.raises(BodyError, match="the gzip stream has more than 1000 members"):
        await inflate(EMPTY * 200_000, 10)
    counting.cancel()


@pytest.mark.parametrize("member", [1, 100, 65536])
def test_the_work_on_a_gzip_stream_is_linear_in_its_bytes_and_members(member: int) -> None:
    """What is left over of a slice is copied: of a slice, never of the whole body."""
    packed = gzip.compress(b"\0" * member)
    given: list[int] = []

    class Counted(Inflater):
        def _step(self, data: bytes) -> tuple[bytes, bytes]:
            given.append(len(data))
            return super()._step(data)

    inflater = Counted()
    assert b"".join(inflater.feed(packed * 900)) == b"\0" * member * 900
    assert max(given) <= 16 * 1024
    assert inflater.work == 900 * (len(packed) + member) + 899 * 4096


async def test_pods_of_one_namespace_that_never_answer_keep_no_other_waiting(
    serve: Callable[..., Awaitable[str]],
) -> None:
    """60 of 0.3 s each on 4 places are 4.5 s; before they are through, the other has its third turn of 0.3 s."""

    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    hanging, good = await serve(hang), await serve(answering("a 1\n"))
    bad = [Target(f"bad-{i}", hanging, {"namespace": "bad", "pod": str(i)}, interval_s=0.3) for i in range(60)]
    one = Target("good", good, {"namespace": "shop", "pod": "good"}, interval_s=0.3)
    store, _ = await run_scraper(
        *bad,
        one,
        until=lambda store, _: len(store.values("up", pod="good")) >= 3,
        limits=ScrapeLimits(concurrent=4, concurrent_slow=2),
    )
    assert store.values("up", pod="good") == [1.0, 1.0, 1.0]
    assert len(store.values("up", namespace="bad")) < 60


def test_the_log_says_so_much_of_one_namespaces_scrapes_and_the_rest_of_others() -> None:
    """600 pods that fail, or 100 that flap six times, are 100 lines in ten minutes."""
    reports = Reports()
    with capture_logs() as said:
        for number in range(600):
            reports.note_failure(Target(f"bad-{number}", "http://x", {"namespace": "bad"}), "no answer", NOW)
        reports.note_failure(Target("web", "http://x", {"namespace": "shop"}), "no answer", NOW)
        reports.note_failure(Target("bad-0", "http://x", {"namespace": "bad"}), "no answer", NOW + 600)
    events = [line["event"] for line in said]
    assert events == [*["scrape failed"] * 99, "more scrapes fail", "scrape failed", "scrape failed"]
    assert [said[-2]["target"], said[-1]["target"]] == ["web", "bad-0"]
