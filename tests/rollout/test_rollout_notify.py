"""Notifications: who is told what, in which form, over which addresses; and that no receiver holds a release up."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapter.rollout.model import notice
from adapter.rollout.model.actions import DEPLOYMENTS, SECRETS, Told
from adapter.rollout.model.policy import Receiver, RolloutPolicy, SecretKey
from adapter.rollout.notify import LINE, OPEN, Notifier
from adapter.rollout.outside import Outside, OutsideError, networks, objection
from adapter.rollout.serve import serve
from adapter.rollout.settings import parse
from adapter.rollout.turns import Turns
from tests.rollout.shop import BLUE_GREEN, Shop, rolls_back
from tests.rollout.test_rollout_loop import SWIFT, eventually, living

NOW = 1_800_000_000.0


def policy(*receivers: Receiver, namespace: str = "shop") -> RolloutPolicy:
    raw = {"metadata": {"name": "web", "namespace": namespace}, "spec": {"targetRef": {"name": "app"}}}
    made = msgspec.convert(raw, RolloutPolicy)
    return msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, notifications=receivers))


# ---- what is told


def test_our_own_form_has_the_facts_apart() -> None:
    body = json.loads(notice.body(Receiver(), policy(), Told("RolledBack", "2 of 3 crash", True), NOW))
    assert body == {
        "time": "2027-01-15T08:00:00Z",
        "namespace": "shop",
        "policy": "web",
        "deployment": "app",
        "reason": "RolledBack",
        "message": "2 of 3 crash",
        "warning": True,
        "phase": "Pending",
        "release": None,
    }


def test_slacks_form_is_one_text_that_makes_no_link_and_calls_nobody() -> None:
    body = notice.body(Receiver(format="slack"), policy(), Told("Promoted", "<!channel> & <http://x|y>"), NOW)
    assert json.loads(body) == {"text": "shop/web: Promoted. &lt;!channel&gt; &amp; &lt;http://x|y&gt;"}
    body = notice.body(Receiver(format="slack"), policy(), Told("Refused", "no", True), NOW)
    assert json.loads(body) == {"text": "⚠ shop/web: Refused. no"}


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3)


@given(WORDS | WORDS.map(lambda text: text * 5000), st.sampled_from(["webhook", "slack"]))
def test_a_body_is_json_of_some_kib_whatever_is_told(message: str, form: str) -> None:
    body = notice.body(Receiver(format=form), policy(), Told("Refused", message, True), NOW)
    assert len(body) < 16_384
    json.loads(body)


@pytest.mark.parametrize(
    ("reasons", "told", "wanted"),
    [
        ((), Told("Promoted", ""), True),
        ((), Told("Step", ""), False),
        ((), Told("Anything", "", True), True),
        (("Step",), Told("Step", ""), True),
        (("Step",), Told("RolledBack", "", True), False),
    ],
)
def test_a_receiver_hears_the_usual_or_what_it_names(reasons: tuple[str, ...], told: Told, wanted: bool) -> None:
    assert notice.is_wanted(Receiver(reasons=reasons), told) is wanted


# ---- addresses


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("127.0.0.1", "this machine's own"),
        ("127.255.255.254", "this machine's own"),
        ("::1", "this machine's own"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("100.100.100.200", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("::ffff:169.254.169.254", "link-local"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("2002:a9fe:a9fe::1", "link-local"),
        ("2002:7f00:1::", "this machine's own"),
    ],
)
def test_addresses_that_only_we_can_reach_are_refused(address: str, words: str) -> None:
    assert words in objection(ip_address(address))
    assert objection(ip_address(address), networks(["0.0.0.0/0", "::/0"])) == ""


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.0.1", "93.184.216.34", "fd12::1", "2606:2800:220:1::1"])
def test_addresses_of_the_cluster_and_the_world_are_not(address: str) -> None:
    assert objection(ip_address(address)) == ""


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_the_same_however_ipv6_wraps_it(address: IPv4Address) -> None:
    mapped = IPv6Address(f"::ffff:{address}")
    translated = IPv6Address(int(ip_address("64:ff9b::")) + int(address))
    assert objection(mapped) == objection(translated) == objection(address)


# ---- over HTTP


@asynccontextmanager
async def receiving(answer: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


HERE = networks(["127.0.0.0/8", "::1/128"])


async def test_a_body_arrives_with_its_headers_and_a_redirect_is_not_followed() -> None:
    seen: list[tuple[str, str, bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("Authorization", ""), await request.read()))
        return web.Response(status=302, headers={"Location": "/elsewhere", "Set-Cookie": "a=b"})

    async with receiving(answer) as url, Outside(allowed=HERE) as outside:
        assert await outside.post(f"{url}/hook?a=1", b"{}", {"Authorization": "Bearer t"}) == 302
        assert await outside.post(f"{url}/hook", b"{}", {}) == 302
    assert seen == [("/hook", "Bearer t", b"{}"), ("/hook", "", b"{}")]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "127.1"]
)
async def test_our_own_machine_is_not_asked_however_it_is_written(host: str) -> None:
    called: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        called.append(request.path)
        return web.Response()

    async with receiving(answer) as url, Outside() as outside:
        port = url.rpartition(":")[2]
        with pytest.raises(OutsideError):
            await outside.post(f"http://{host}:{port}/", b"", {})
    assert called == []


@pytest.mark.parametrize(
    "url", ["", "http://", "ftp://a/", "http://u:p@a/", "file:///etc/passwd", "http://a:99999/", "x" * 3000]
)
async def test_a_url_that_is_none_of_ours_is_refused_in_a_sentence(url: str) -> None:
    async with Outside() as outside:
        with pytest.raises(OutsideError, match="right would be one like https:"):
            await outside.post(url, b"", {})


async def test_a_receiver_that_does_not_answer_is_given_up_and_its_path_is_not_repeated() -> None:
    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with receiving(answer) as url, Outside(allowed=HERE, seconds=0.1) as outside:
        with pytest.raises(OutsideError) as caught:
            await outside.post(f"{url}/secret", b"", {})
        assert str(caught.value) == "127.0.0.1 did not answer within 0.1 s"
    async with Outside(allowed=HERE) as outside:
        with pytest.raises(OutsideError) as caught:
            await outside.post("http://127.0.0.1:1/secret", b"", {})
        assert str(caught.value).startswith("127.0.0.1 cannot be reached: ")
        assert "secret" not in str(caught.value)


async def test_a_huge_answer_is_not_read() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(10_000):
            await response.write(b"x" * 100_000)
        return response

    async with receiving(answer) as url, Outside(allowed=HERE, seconds=5) as outside:
        assert await outside.post(url, b"", {}) == 200


# ---- the line


class Receivers:
    """Receivers by URL: what each was sent; `answers` says how."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: Callable[[str], int] = lambda url: 200
        self.slow: dict[str, float] = {}

    async def post(self, url: str, body: bytes, headers: Any) -> int:
        await asyncio.sleep(self.slow.get(url, 0))
        self.sent.append((url, json.loads(body)["reason"]))
        self.headers.append(dict(headers))
        return self.answers(url)


class World:
    def __init__(self) -> None:
        self.shop = Shop()
        self.receivers, self.results = Receivers(), list[str]()
        self.notifier = Notifier(self.shop.client, self.receivers, self.results.append, clock=lambda: 0.0)

    def tell(self, *receivers: Receiver, namespace: str = "shop", reason: str = "Promoted") -> None:
        self.notifier.tell(policy(*receivers, namespace=namespace), [Told(reason, "m")], NOW)

    def secret(self, labels: Any, **data: bytes) -> None:
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        self.shop.put(SECRETS, {"metadata": {"name": "chat", "namespace": "shop", "labels": labels}, "data": encoded})


@pytest.mark.looptime
async def test_a_slow_receiver_delays_its_own_namespace_alone_and_nobody_waits_for_it() -> None:
    world, loop = World(), asyncio.get_running_loop()
    world.receivers.slow = {"http://slow": 100}
    began = loop.time()
    world.tell(Receiver(url="http://slow"), Receiver(url="http://a"))
    world.tell(Receiver(url="http://b"), namespace="yard")
    assert loop.time() == began  # whoever tells goes on at once
    await asyncio.sleep(1)
    assert world.receivers.sent == [("http://b", "Promoted")]
    await asyncio.sleep(100)
    assert world.receivers.sent[1:] == [("http://slow", "Promoted"), ("http://a", "Promoted")]
    assert world.results == ["sent"] * 3


@pytest.mark.looptime
async def test_a_line_is_bounded_and_drops_the_oldest() -> None:
    world = World()
    world.receivers.slow = {"http://slow": 1}
    for number in range(LINE + 5):
        world.tell(Receiver(url="http://slow", reasons=(f"R{number}",)), reason=f"R{number}")
    await asyncio.sleep(100)
    assert world.results.count("dropped") == 5
    assert [reason for _, reason in world.receivers.sent] == [f"R{number}" for number in range(5, LINE + 5)]
    world.tell(Receiver(url="http://a"))  # and the line lives on
    await asyncio.sleep(1)
    assert world.receivers.sent[-1] == ("http://a", "Promoted")


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("status", "tries", "result"),
    [(204, 1, "sent"), (503, 2, "failed"), (429, 2, "failed"), (404, 1, "failed"), (302, 1, "failed")],
)
async def test_what_may_pass_is_tried_once_more(status: int, tries: int, result: str) -> None:
    world = World()
    world.receivers.answers = lambda url: status
    world.tell(Receiver(url="http://a"))
    await asyncio.sleep(10)
    assert (len(world.receivers.sent), world.results) == (tries, [result])


@pytest.mark.looptime
async def test_a_receiver_that_fails_is_a_line_once() -> None:
    world = World()
    world.receivers.answers = lambda url: 404
    with capture_logs() as lines:
        for _ in range(3):
            world.tell(Receiver(url="http://a/secret"))
            await asyncio.sleep(10)
    (line,) = [line for line in lines if line["event"] == "not notified"]
    assert (line["field"], line["cause"]) == ("spec.notifications[0]", "the receiver answered 404")
    assert "secret" not in str(line)


URL = SecretKey("chat", "url")


@pytest.mark.looptime
async def test_url_and_token_come_from_a_secret_that_is_read_anew() -> None:
    world = World()
    world.secret({OPEN: "true"}, url=b"http://hidden\n", token=b"t1")
    receiver = Receiver(url_from=URL, token_from=SecretKey("chat", "token"))
    world.tell(receiver)
    await asyncio.sleep(1)
    world.secret({OPEN: "true"}, url=b"http://moved", token=b"t2")
    world.tell(receiver)
    await asyncio.sleep(1)
    assert [url for url, _ in world.receivers.sent] == ["http://hidden", "http://moved"]
    assert [headers["Authorization"] for headers in world.receivers.headers] == ["Bearer t1", "Bearer t2"]


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("labels", "data", "words"),
    [
        ({}, {"url": b"http://a"}, "may not be sent: it has no label"),
        ({OPEN: "yes"}, {"url": b"http://a"}, "may not be sent: it has no label"),
        ({OPEN: "true"}, {}, "has no text under key url"),
        ({OPEN: "true"}, {"url": b"\xff"}, "has no text under key url"),
        ({OPEN: "true"}, {"url": b"http://a\r\nX: y"}, "is no line of text"),
        (None, {}, "not found"),
    ],
)
async def test_a_secret_that_was_not_opened_or_holds_nothing_is_not_sent(labels: Any, data: Any, words: str) -> None:
    world = World()
    if labels is not None:
        world.secret(labels, **data)
    with capture_logs() as lines:
        world.tell(Receiver(url="http://collector", token_from=URL))
        await asyncio.sleep(10)
    assert world.receivers.sent == []
    assert [words in line["cause"] for line in lines if line["event"] == "not notified"] == [True]
    assert world.results == ["failed"]


@pytest.mark.looptime
async def test_after_the_end_nothing_is_sent() -> None:
    world = World()
    world.receivers.slow = {"http://a": 5}
    world.tell(Receiver(url="http://a"))
    await asyncio.sleep(1)
    await world.notifier.stop()
    await asyncio.sleep(10)
    assert world.receivers.sent == []


# ---- a release


@pytest.mark.looptime
async def test_a_release_tells_its_course_and_waits_for_no_receiver() -> None:
    receiver = {"url": "http://a"}
    plain, told = (
        Shop(BLUE_GREEN),
        Shop(BLUE_GREEN, notifications=[receiver, {"url": "http://slow", "reasons": ["Released"]}]),
    )
    receivers = Receivers()
    receivers.slow = {"http://slow": 3600}
    told.turns = Turns(told.client, told.ears, Notifier(told.client, receivers).tell)
    for shop in (plain, told):
        await shop.ready()
        shop.release("web:2")
        await shop.until_outcome("Promoted")
        shop.ears.say = lambda phase: rolls_back() if phase == "Verifying" else Shop().ears.say(phase)
        shop.release("web:3")
        await shop.until_outcome("RolledBack")
    assert told.since == plain.since  # to the second
    await asyncio.sleep(10_000)
    reasons = [reason for url, reason in receivers.sent if url == "http://a"]
    assert reasons == ["Released", "Switched", "Promoted", "Released", "Switched", "RolledBack", "RolledBack"]
    assert [reason for url, reason in receivers.sent if url == "http://slow"] == ["Released", "Released"]


async def test_the_program_tells_receivers_over_http() -> None:
    told: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        told.append(json.loads(await request.read())["reason"])
        return web.Response()

    async with receiving(answer) as url:
        spec = {"blueGreen": {"previewSeconds": 0, "verifySeconds": 0}, "notifications": [{"url": url}]}
        async with living(spec) as shop:
            stop = asyncio.Event()
            settings = parse([*SWIFT, "--allowed-networks=127.0.0.0/8"])
            task = asyncio.create_task(serve(settings, shop.cluster.connection, stop))
            await eventually(lambda: shop.phase == "Idle" and shop.get(DEPLOYMENTS)["spec"].get("paused"))
            shop.release("web:2")
            await eventually(lambda: told == ["Released", "Switched", "Promoted"])
            stop.set()
            await task


def test_a_network_that_is_none_is_a_wrong_flag() -> None:
    with pytest.raises(ValueError, match=r"--allowed-networks=10.0.0.1/8: .*a network like .* is wanted"):
        parse(["--allowed-networks=10.0.0.1/8"])
