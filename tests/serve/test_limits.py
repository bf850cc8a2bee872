"""What the server bears: requests at once, time, size; and what it tells of itself."""

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from adapter.inbound.places import Bounds
from adapter.serve.encode import to_bytes_in_turns
from adapter.serve.negotiate import Choice, Media
from adapter.serve.requestinfo import read_request
from adapter.serve.server import Limits
from adapter.serve.telemetry import LoopWatch
from adapter.serve.values import Values
from tests.serve.conftest import NS, PODS, FakeAnswers, Held, Running, read_answer

DEPTH = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/bench-golden/pods/*/golden_depth"


async def waiting(api: Running, count: int) -> None:
    """Until so many questions wait at the gate."""
    while len(api.answers.asked) < count:  # noqa: ASYNC110 - a question sets no event
        await asyncio.sleep(0.001)


async def test_too_many_at_once_are_told_to_come_back_but_probes_and_masters_are_not(start: Callable[..., Any]) -> None:
    async with start(FakeAnswers(gate=asyncio.Event()), Limits(requests=3)) as api:
        held = [asyncio.create_task(api.send(DEPTH)) for _ in range(3)]
        await waiting(api, 3)
        refused = await api.send(DEPTH)
        assert refused.status == 429
        assert refused.headers["Retry-After"] == "1"
        assert refused.json["reason"] == "TooManyRequests"
        assert (await api.send("/readyz", user="anonymous")).status == 200
        assert (await api.send("/apis/custom.metrics.k8s.io/v1beta2", user="admin")).status == 200
        api.answers.gate.set()
        assert [(await task).status for task in held] == [200] * 3
        assert (await api.send(DEPTH)).status == 200


async def test_zero_is_no_limit_as_of_the_flag_of_kube_apiserver(start: Callable[..., Any]) -> None:
    async with start(FakeAnswers(gate=asyncio.Event()), Limits(requests=0)) as api:
        held = [asyncio.create_task(api.send(DEPTH)) for _ in range(20)]
        await waiting(api, 20)
        api.answers.gate.set()
        assert [(await task).status for task in held] == [200] * 20


async def test_a_request_that_takes_too_long_ends(start: Callable[..., Any]) -> None:
    async with start(FakeAnswers(gate=asyncio.Event()), Limits(seconds=0.05)) as api:
        answer = await api.send(DEPTH)
        assert answer.status == 504
        assert answer.json["message"] == "the answer took longer than the server's limit of 0.05 s"


async def test_large_answers_are_zipped_for_those_who_take_it(api: Running) -> None:
    api.answers.metrics[PODS, "golden_depth"] = [Held("Pod", "v1", NS, f"pod-{n:05}", n) for n in range(1000)]
    plain = await api.send(DEPTH)
    zipped = await api.send(DEPTH, Accept_Encoding="gzip")
    assert len(plain.body) > 128 * 1024
    assert "Content-Encoding" not in plain.headers
    assert (zipped.headers["Content-Encoding"], zipped.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(zipped.body) == plain.body
    assert len(zipped.body) < len(plain.body) / 5


@pytest.mark.parametrize("accept", ["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"])
async def test_a_long_list_is_the_same_as_one_written_at_once(
    api: Running, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.answers.metrics[PODS, "golden_depth"] = [Held("Pod", "v1", NS, f"pod-{n:05}", n) for n in range(501)]
    in_pieces = await api.send(DEPTH, Accept=accept)
    pretty = await api.send(f"{DEPTH}?pretty=true", Accept="application/json")
    monkeypatch.setattr("adapter.serve.encode.BATCH", 1000)
    monkeypatch.setattr("adapter.serve.values.BATCH", 1000)
    assert (await api.send(DEPTH, Accept=accept)).body == in_pieces.body
    assert (await api.send(f"{DEPTH}?pretty=true", Accept="application/json")).body == pretty.body
    assert len(pretty.json["items"]) == 501


@pytest.mark.parametrize("media", [Media.JSON, Media.PROTOBUF])
async def test_a_long_list_does_not_hold_the_loop(media: Media) -> None:
    answers = FakeAnswers()
    answers.metrics[PODS, "golden_depth"] = [Held("Pod", "v1", NS, f"pod-{n:05}", n) for n in range(3000)]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    message = await Values(answers).answer(read_request("GET", DEPTH), "ann")
    assert turns >= 3000 / 250  # nothing else here waits, so each turn comes after a piece
    built = turns
    assert len(await to_bytes_in_turns(message, Choice(media))) > 100_000
    assert turns - built >= 3000 / 250
    counting.cancel()


async def test_small_answers_are_never_zipped(api: Running) -> None:
    assert "Content-Encoding" not in (await api.send(DEPTH, Accept_Encoding="gzip")).headers


async def test_metrics_tell_what_happened(api: Running) -> None:
    for path, user in ((DEPTH, "authorised"), (DEPTH, "nobody"), (DEPTH, "wrong"), ("/readyz", "anonymous")):
        await api.send(path, user=user)
    text = (await api.send("/metrics")).body.decode()
    labels = 'group="custom.metrics.k8s.io",verb="get",version="v1beta2"'
    for code in (200, 403, 401):
        assert f'apiserver_request_duration_seconds_count{{code="{code}",{labels}}} 1.0' in text
    assert 'streamgate_authentications_total{result="anonymous"} 1.0' in text
    assert 'streamgate_authentications_total{result="refused"} 1.0' in text
    assert 'streamgate_authorizations_total{result="denied"} 1.0' in text
    assert 'metrics_apiserver_metric_freshness_seconds_count{group="custom.metrics.k8s.io"} 1.0' in text


async def test_no_stranger_can_make_series(api: Running) -> None:
    for number, method in enumerate(("PROPFIND", "LOCK", "COPY", "MOVE", "PURGE")):
        await api.send(f"/apis/group-{number}/v{number}/things/x", method=method, user="admin")
    text = (await api.send("/metrics")).body.decode()
    counted = [line for line in text.splitlines() if line.startswith("apiserver_request_duration_seconds_count")]
    assert counted == ['apiserver_request_duration_seconds_count{code="404",group="",verb="other",version=""} 5.0']


def test_the_longest_turn_is_that_of_the_last_minute() -> None:
    watch = LoopWatch(CollectorRegistry())
    for now, late in ((0.0, 0.2), (10.0, 0.5), (20.0, 0.1), (30.0, 0.3)):
        watch.note(now, late)
    assert watch.longest(69.0) == 0.5
    assert watch.longest(71.0) == 0.3  # 0.1 at 20 s was never the longest
    assert watch.longest(91.0) == 0.0


async def test_a_turn_that_holds_the_loop_is_seen() -> None:
    watch = LoopWatch(CollectorRegistry(), beat=0.005)
    task = asyncio.create_task(watch.run())
    await asyncio.sleep(0.01)
    loop = asyncio.get_running_loop()
    end = loop.time() + 0.05
    while loop.time() < end:
        pass
    await asyncio.sleep(0.01)
    task.cancel()
    assert watch.longest(loop.time()) > 0.03


@pytest.mark.parametrize("length", ["5", "nonsense"])
async def test_a_body_is_of_no_use_and_does_no_harm(api: Running, length: str) -> None:
    head = f"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    answer = await api.raw(head.encode() + b"hello")
    assert answer.status == (200 if length == "5" else 400)


async def test_a_stranger_gives_way_above_the_limit_and_who_is_known_stays(start: Callable[..., Any]) -> None:
    """The limit set to 2: of three kept open the stranger goes, not the one with a token who came first."""
    async with start(bounds=Bounds(connections=2)) as api:
        kept = [await asyncio.open_connection("127.0.0.1", api.listener.port) for _ in range(2)]
        for (reader, writer), token in zip(kept, (b"Authorization: Bearer authorised\r\n", b""), strict=True):
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + token + b"\r\n")
            assert (await read_answer(reader)).status == 200
        assert (await api.send("/livez")).status == 200
        assert await kept[1][0].read() == b""
        kept[0][1].write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await read_answer(kept[0][0])).status == 200
        text = (await api.send("/metrics", user="admin")).body.decode()
        assert "streamgate_connections_turned_away 1.0" in text
        for _, writer in kept:
            writer.close()


async def test_a_head_that_is_too_large_is_a_status(start: Callable[..., Any]) -> None:
    async with start(bounds=Bounds(head_bytes=1000)) as api:
        answer = await api.raw(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 2000)
        assert (answer.status, answer.json["reason"], answer.json["code"]) == (431, "RequestHeaderFieldsTooLarge", 431)
        assert "too long" in answer.json["message"]
