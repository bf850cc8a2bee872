"""Probes and requests of our own to the new pods, before they get traffic; bounded, and at no address but the pods'."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from adapter.kube.resources import PODS
from adapter.rollout.hear import MetricsEars
from adapter.rollout.model import shape
from adapter.rollout.model.gates import read
from adapter.rollout.model.preview import Probe, Rounds, after, port_of, verdict
from adapter.rollout.model.verdict import FREE, Said, Verdict
from adapter.rollout.outside import Outside, OutsideError, Trust, networks
from adapter.rollout.preview import Preview
from adapter.rollout.turns import Turns
from tests.rollout.shop import Shop, image_of, rolls_back

HEALTH = {"name": "health", "path": "/healthz", "port": 8080, "everySeconds": 1, "successes": 3, "failures": 2}
PROBED = {"blueGreen": {"previewSeconds": 0, "verifySeconds": 1, "probes": [HEALTH]}}


class Pods:
    """Answers in place of pods: `say` gives the status by image and path."""

    def __init__(self, shop: Shop, say: Callable[[str, str], int]) -> None:
        self._shop, self.say = shop, say
        self.asked: list[tuple[str, str, str]] = []
        """Image, URL, phase."""
        self.trusts: list[Trust | None] = []
        self.running = self.most = 0

    async def get(self, url: str, headers: Mapping[str, str], seconds: float, trust: Trust | None = None) -> int:
        address = url.split("/")[2].partition(":")[0]
        (pod,) = [each for each in self._shop.all(PODS) if each["status"].get("podIP") == address]
        self.asked.append((image_of(pod), url, self._shop.phase))
        self.trusts.append(trust)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        status = self.say(image_of(pod), "/" + url.split("/", 3)[3])
        if status == 0:
            raise OutsideError(f"{address} did not answer within {seconds:g} s")
        return status


async def release_with_answers(strategy: dict[str, Any], say: Callable[[str, str], int]) -> tuple[Shop, Pods]:
    shop = Shop(strategy)
    addresses = (f"10.0.{number // 250}.{number % 250 + 1}" for number in range(10_000))
    known: dict[str, str] = {}

    def place() -> None:
        for pod in shop.all(PODS):
            address = known.setdefault(pod["metadata"]["uid"], "") or next(addresses)
            known[pod["metadata"]["uid"]] = address
            shop.put(PODS, {**pod, "status": {**pod["status"], "podIP": address}})

    inner = shop.simulator._pods

    def pods() -> None:
        inner()
        place()

    shop.simulator._pods = pods  # type: ignore[method-assign]
    answers = Pods(shop, say)
    shop.turns = Turns(shop.client, MetricsEars(shop.client, preview=Preview(answers)))
    await shop.ready()
    shop.release("web:2")
    return shop, answers


async def test_pods_that_answer_are_switched_to_after_their_rounds() -> None:
    shop, pods = await release_with_answers(PROBED, lambda image, path: 204)
    await shop.until_outcome("Promoted")
    assert {image for image, _, _ in pods.asked} == {"web:2"}
    assert {phase for _, _, phase in pods.asked} <= {"Previewing", "Switching"}  # a last round may be under way
    assert all(url.endswith(":8080/healthz") for _, url, _ in pods.asked)
    assert len(pods.asked) >= 3 * 3  # three rounds of three pods
    shop.clean("web:2")


@pytest.mark.parametrize("status", [0, 301 + 99, 500, 199])
async def test_pods_that_answer_otherwise_are_rolled_back_without_a_request_to_them(status: int) -> None:
    shop, _ = await release_with_answers(PROBED, lambda image, path: status)
    await shop.until_outcome("RolledBack")
    assert "probe health" in shop.status["history"][0]["reason"]
    assert "2 times in a row" in shop.status["history"][0]["reason"]
    assert all(images == {"web:1"} for images in shop.seen if images)
    shop.clean("web:1")


async def test_a_round_counts_as_bad_if_one_pod_of_three_does_not_answer() -> None:
    sick: list[str] = []

    def say(image: str, path: str) -> int:
        sick.append(image)
        return 500 if len(sick) % 3 == 0 else 200

    shop, _ = await release_with_answers(PROBED, say)
    await shop.until_outcome("RolledBack")


async def test_the_switch_waits_for_the_probes_and_says_so() -> None:
    answers = iter([200] * 3 + [500] + [200] * 1000)
    shop, _ = await release_with_answers(PROBED, lambda image, path: next(answers))
    await shop.until_outcome("Promoted")  # good, bad, then three good ones in a row


async def test_promote_full_waits_for_no_probe() -> None:
    slow = {"blueGreen": {**PROBED["blueGreen"], "probes": [{**HEALTH, "successes": 100, "everySeconds": 60}]}}
    shop, _ = await release_with_answers(slow, lambda image, path: 200)
    await shop.until(lambda: shop.phase == "Previewing")
    await shop.some(30)
    assert shop.phase == "Previewing"
    shop.command("promote", full=True)
    await shop.until_outcome("Promoted")


def strategy_with_traffic(limit: float = 0.05, **more: Any) -> dict[str, Any]:
    wanted = {"paths": ["/", "/cart"], "requestsPerSecond": 100, "requests": 3000, "limit": limit, **more}
    return {"blueGreen": {"previewSeconds": 0, "verifySeconds": 1, "generate": wanted}}


@pytest.mark.looptime
@pytest.mark.parametrize(("bad", "end"), [(0, "Promoted"), (2, "RolledBack")])
async def test_requests_of_our_own_judge_the_new_pods_before_the_switch(bad: int, end: str) -> None:
    count = 0

    def say(image: str, path: str) -> int:
        nonlocal count
        count += 1
        return 503 if bad and count % bad == 0 else 404  # a path that is not there is no fault of the pods

    shop, pods = await release_with_answers(strategy_with_traffic(), say)
    for _ in range(200):
        await asyncio.sleep(1)  # a burst takes its time
        await shop.step()
        if shop.outcomes:
            break
    assert shop.outcomes == [end]
    assert "Switching" not in shop.phases or end == "Promoted"
    assert {url.rsplit("/", 1)[1] for _, url, _ in pods.asked} == {"", "cart"}
    assert pods.most <= 10


@pytest.mark.looptime
async def test_requests_of_our_own_end_with_their_number() -> None:
    shop, pods = await release_with_answers(strategy_with_traffic(limit=0.0001, requests=700), lambda image, path: 200)
    for _ in range(60):
        await asyncio.sleep(1)
        await shop.step()
    assert len(pods.asked) == 700
    assert shop.phase == "Previewing"  # undecided: 700 clean ones do not show less than 1 in 10,000


ROUNDS = st.lists(st.booleans(), max_size=30)


@given(ROUNDS, st.integers(1, 5), st.integers(1, 5))
def test_a_verdict_needs_rounds_in_a_row(rounds: list[bool], successes: int, failures: int) -> None:
    record = Rounds()
    for good in rounds:
        record = after(record, "" if good else "it was wrong")
    probe = Probe(name="a", successes=successes, failures=failures)
    said = verdict([probe], {"a": record}, FREE).said
    tail = list(rounds[-failures:])
    if len(tail) == failures and not any(tail):
        assert said is Said.ROLLBACK
    elif len(rounds) >= successes and all(rounds[-successes:]):
        assert said is Said.PROMOTE
    else:
        assert said is Said.HOLD


def test_a_gate_that_fails_needs_no_probe_and_one_that_holds_holds() -> None:
    probe = Probe(name="a", successes=1)
    assert verdict([probe], {}, rolls_back()).said is Said.ROLLBACK
    hold = Verdict(Said.HOLD, "not enough requests")
    assert verdict([probe], {"a": Rounds(good=1)}, hold) == hold


@pytest.mark.parametrize(
    ("wanted", "number"), [(None, 80), (80, 80), ("web", 8080), (8080, 8080), (10250, None), ("x", None)]
)
def test_only_ports_that_the_template_declares_are_asked(wanted: Any, number: Any) -> None:
    containers: list[dict[str, Any]] = [
        {"name": "a", "ports": [{"containerPort": 80}]},
        {"ports": [{"containerPort": 8080, "name": "web"}]},
    ]
    assert port_of(containers, wanted) == number
    assert port_of([{"name": "a"}], None) is None


@pytest.mark.parametrize("field", ["probes", "generate"])
async def test_a_port_that_is_not_declared_is_refused(field: str) -> None:
    probes = {"probes": [{**HEALTH, "port": 10250}]} if field == "probes" else {"generate": {"port": "kubelet"}}
    shop = Shop({"blueGreen": probes})
    shop.turns = Turns(shop.client, MetricsEars(shop.client))
    await shop.some(5)
    (refused,) = [each for each in shop.status["conditions"] if each["type"] == "Refused"]
    assert "the template declares no container port" in refused["message"]
    assert refused["message"].startswith(f"spec.blueGreen.{field}")


@pytest.mark.parametrize(
    ("blue_green", "words"),
    [
        ({"probes": [{"path": "/"}]}, "name: missing"),
        ({"probes": [{"name": "a", "path": "healthz"}]}, "a path such as /healthz"),
        ({"probes": [{"name": "a", "path": "http://169.254.169.254/"}]}, "a path such as /healthz"),
        ({"probes": [{"name": "a", "path": "/\r\nHost: b"}]}, "a path such as /healthz"),
        ({"probes": [{"name": "a", "host": "a b"}]}, "Host header"),
        ({"probes": [{"name": "a", "port": 70000}]}, "70000 is no port"),
        ({"probes": [{"name": "a"}, {"name": "a"}]}, "the same name"),
        ({"probes": [{"name": str(number)} for number in range(9)]}, "0 to 8 of them"),
        ({"probes": [{"name": "a", "timeoutSeconds": 60}]}, "from 1 to 5"),
        ({"generate": {"requestsPerSecond": 1000}}, "from 1 to 100"),
        ({"generate": {"requests": 1e9}}, "from 1 to 100000"),
        ({"generate": {"limit": 1}}, "limit: 1 is out of range; right would be a number from 1e-06 to 0.999999"),
        ({"generate": {"limit": 1e-9}}, "limit: 1e-09 is out of range"),
        ({"generate": {"paths": []}}, "paths: 0 entries; right would be a list of 1 to 16, each a path such as /h"),
        ({"generate": {"paths": ["a"]}}, "paths[0]: 'a' is no good; right would be a path such as /healthz"),
        ({"generate": {"url": "http://a/"}}, "no such field"),
        ({"probes": [{"name": "a", "scheme": "https"}]}, "HTTP or HTTPS"),
        ({"probes": [{"name": "a", "scheme": "HTTPS"}]}, "no name to verify"),
        ({"probes": [{"name": "a", "scheme": "HTTPS", "tls": {}}]}, "no name to verify"),
        ({"probes": [{"name": "a", "tls": {"serverName": "web"}}]}, "for scheme HTTPS"),
        ({"generate": {"scheme": "HTTPS", "tls": {"serverName": "a b"}}}, "stands in the certificate"),
        ({"generate": {"scheme": "HTTPS", "host": "web", "tls": {"caBundle": "bm90IG9uZQ=="}}}, "no certificate"),
        ({"generate": {"scheme": "HTTPS", "host": "web", "tls": {"caBundle": "-----BEGIN"}}}, "of base64"),
        ({"generate": {"scheme": "HTTPS", "host": "web", "tls": {"caFile": "/a"}}}, "no such field"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_sentence(blue_green: dict[str, Any], words: str) -> None:
    policy = {"metadata": {"name": "a"}, "spec": {"targetRef": {"name": "web"}, "blueGreen": blue_green}}
    assert words in "; ".join(shape.problems(policy))


def test_requests_of_our_own_are_a_gate_that_shares_alpha() -> None:
    gates, problems = read(
        {"blueGreen": {"generate": {"limit": 0.02}}, "gates": [{"metric": "a", "total": "b", "limit": 0.1}]}
    )
    assert problems == []
    assert [(gate.name, gate.limit, gate.stage) for gate in gates.gates][1] == ("generated-traffic", 0.02, "pre")
    assert gates.bar(gates.gates[0]) == 2 / 0.05


async def test_a_get_follows_no_redirect_reads_no_large_body_and_asks_no_address_of_this_machine() -> None:
    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound("http://169.254.169.254/")

    async def large(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(b"x" * 65536)
        except (ConnectionError, asyncio.CancelledError):
            return answer

    app = web.Application()
    app.router.add_get("/redirect", redirect)
    app.router.add_get("/large", large)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with Outside(allowed=networks(["127.0.0.0/8"])) as outside:
            assert await outside.get(f"http://127.0.0.1:{port}/redirect", {}, 2.0) == 302
            assert await outside.get(f"http://127.0.0.1:{port}/large", {}, 2.0) == 200
        async with Outside() as outside:
            with pytest.raises(OutsideError, match="this machine's own"):
                await outside.get(f"http://127.0.0.1:{port}/redirect", {}, 2.0)
            with pytest.raises(OutsideError, match="link-local"):
                await outside.get("http://169.254.169.254/latest", {}, 2.0)
    finally:
        await runner.cleanup()
