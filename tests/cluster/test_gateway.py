"""A canary by the weights of an HTTPRoute, on a real implementation: the traffic follows the weights, per request."""

import asyncio
import math
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from tests.cluster.bed import Bed
from tests.cluster.gateway import route, running_gateway
from tests.cluster.manifests import sample_deployment
from tests.cluster.rollout import Shop, running_controller

HOST = "shop.example"
REQUESTS = 10_000
AT_ONCE = 20
WEIGHTS = (10, 40)
MOST_SIGMAS = 4
"""Standard deviations of the binomial distribution: chance exceeds them once in 16,000 tries."""


async def ask(address: str, path: str, number: int) -> Counter[str]:
    """`number` requests of HOST: by status and the version that answered."""
    told: Counter[str] = Counter()
    left = iter(range(number))

    async def client(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.get(f"http://{address}{path}", headers={"Host": HOST}) as answer:
                words = (await answer.text()).split()
                told[f"{answer.status} {words[1] if len(words) > 1 else ''}".strip()] += 1

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        await asyncio.gather(*(client(session) for _ in range(AT_ONCE)))
    return told


def rules() -> list[dict[str, Any]]:
    """The canary's rule, and one that is nobody's business: its weights and its filter must stay."""
    header = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-rule", "value": "a"}]}}

    def of(path: str) -> list[dict[str, Any]]:
        return [{"path": {"type": "PathPrefix", "value": path}}]

    return [
        {"matches": of("/healthz"), "backendRefs": [{"name": "other", "port": 80}], "filters": [header]},
        {"matches": of("/readyz"), "backendRefs": [{"name": "other", "port": 80, "weight": 7}]},
        {"backendRefs": [{"name": "web", "port": 80}]},
    ]


def test_the_traffic_follows_the_weights_and_other_rules_stay(bed: Bed, namespace: str, tmp_path: Path) -> None:
    steps = [{"weight": weight, "pauseSeconds": 0, "manual": True} for weight in WEIGHTS]
    spec = {"canary": {"steps": steps, "traffic": {"httpRoute": {"name": "web", "service": "web"}}}}
    with running_gateway(bed, tmp_path / "gateway") as gateway:
        bed.apply(sample_deployment("other", namespace, 1))
        bed.apply(route("web", namespace, HOST, rules()))
        bed.rollout("other", namespace)
        shop = Shop(bed, namespace, spec)

        def route_rules() -> list[dict[str, Any]]:
            return list(bed.get("httproute", "web", "-n", namespace)["spec"]["rules"])

        before = route_rules()
        with running_controller(bed, namespace, tmp_path / "rollout.log"):
            shop.until("Idle")
            gateway.wait_routed(HOST)
            assert set(asyncio.run(ask(gateway.address, "/", 200))) == {"200 1"}
            shop.release("2")
            for number, weight in enumerate(WEIGHTS):
                shop.weighs(number, weight)
                told = asyncio.run(ask(gateway.address, "/", REQUESTS))
                assert set(told) == {"200 1", "200 2"}
                share = weight / 100
                most = MOST_SIGMAS * math.sqrt(REQUESTS * share * (1 - share))
                assert abs(told["200 2"] - REQUESTS * share) <= most, told
                assert route_rules()[:2] == before[:2]
                assert shop.verb("promote") == 0
            shop.wait_for_end("Promoted", 1)
            assert set(asyncio.run(ask(gateway.address, "/", 200))) == {"200 2"}
            assert route_rules() == before
            bed.kubectl("delete", "rolloutpolicy", "web", "-n", namespace, "--timeout=60s")
