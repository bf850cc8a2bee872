"""The rollout controller's installation: flags, names, and the rights that it has are those that it uses."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter.kube.fake.server import FakeCluster
from adapter.rollout.cli.verbs import VERBS
from adapter.rollout.hear import MetricsEars
from adapter.rollout.model.actions import CLAIMS, DEPLOYMENTS
from adapter.rollout.model.policy import POLICIES
from adapter.rollout.notify import Notifier
from adapter.rollout.serve import serve
from adapter.rollout.settings import parse
from adapter.rollout.turns import Turns
from tests.manifests.rights import called, granted
from tests.rollout.shop import BLUE_GREEN, CANARY, NAMESPACE, Shop, rolls_back, routed

NAME = "streamgate-rollout"
ROUTERS = {"rollout-gateway": "httpRoute", "rollout-nginx": "nginx"}


def container_of(build: Any) -> Any:
    (container,) = build.one("Deployment", NAME)["spec"]["template"]["spec"]["containers"]
    return container


def settings_of(build: Any, *more: str) -> Any:
    verb, *flags = container_of(build)["args"]
    assert verb == "run"
    assert verb in VERBS
    return parse([*flags, *more])


def test_the_definition_is_applied_by_itself(build: Any, manifests: Path) -> None:
    (definition,) = yaml.safe_load_all((manifests / "crds/rolloutpolicy.yaml").read_text())
    assert definition["metadata"]["name"] == f"{POLICIES.plural}.{POLICIES.group}"
    assert build("rollout").of("CustomResourceDefinition") == []


def test_it_is_probed_and_scraped_where_it_listens(build: Any) -> None:
    found = build("rollout")
    (port,) = container_of(found)["ports"]
    assert settings_of(found).address == f":{port['containerPort']}"
    for probe in ("livenessProbe", "readinessProbe"):
        assert container_of(found)[probe]["httpGet"] == {"path": "/healthz", "port": port["name"]}


def test_the_lease_is_the_one_that_its_role_names(build: Any) -> None:
    settings, role = settings_of(build("rollout")), build("rollout").one("Role", NAME)
    assert settings.leader_elect
    assert settings.lease_namespace == role["metadata"]["namespace"]
    assert [rule.get("resourceNames") for rule in role["rules"]] == [[settings.lease_name], None]


def test_it_runs_with_no_more_rights_than_a_pod_can_do_with(build: Any) -> None:
    found, adapter = build("rollout"), build("embedded")
    spec = found.one("Deployment", NAME)["spec"]["template"]["spec"]
    assert spec["securityContext"] == adapter.pod["securityContext"]
    assert container_of(found)["securityContext"] == adapter.container["securityContext"]
    assert container_of(found)["image"] == adapter.container["image"]
    labels = found.one("Namespace", NAME)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


GATES = [{"metric": "http_errors_total", "total": "http_requests_total", "limit": 0.01, "stage": "pre"}]


async def worked(settings: Any) -> Any:
    """What the program asks for while it starts, leads and stops."""
    async with FakeCluster() as cluster:
        cluster.streams_lists = False
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(settings, cluster.connection, stop))
        for _ in range(100):
            await asyncio.sleep(0.05)
            if {resource for _, resource, verb in called(cluster.requests) if verb == "watch"} >= {"endpointslices"}:
                break
        stop.set()
        await serving
        return called(cluster.requests)


async def released(shop: Any, calls: set[tuple[str, str]]) -> None:
    """A promotion, one back to the first template, a rollback, and the policy's end."""
    await shop.ready()
    for image in ("web:2", "web:1"):
        shop.release(image)
        await shop.settled("Promoted")
    shop.ears.say = lambda phase: rolls_back()
    shop.release("web:3")
    await shop.settled("RolledBack")
    for image in ("web:4", "web:5"):  # so that stored templates become superfluous
        shop.ears.say = Shop(BLUE_GREEN).ears.say
        shop.release(image)
        await shop.settled("Promoted")
    shop.delete_policy()
    await shop.until(lambda: shop.get(POLICIES) is None)
    calls |= set(shop.client.calls)


async def heard(calls: set[tuple[str, str]]) -> None:
    """The gates' metrics are asked for, and so is a claim of the template."""
    shop = await Shop(BLUE_GREEN, hpa=True, gates=GATES, allowParallel=True).ready()
    shop.put(CLAIMS, {"metadata": {"name": "data", "namespace": NAMESPACE}, "spec": {"accessModes": ["ReadWriteMany"]}})
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    shop.turns = Turns(shop.client, MetricsEars(shop.client))
    shop.edit(DEPLOYMENTS, lambda found: found["spec"]["template"]["spec"].update(volumes=volumes))
    await shop.until(lambda: shop.phase == "Previewing")
    await shop.some(3)
    calls |= set(shop.client.calls)


async def test_what_the_program_asks_for_is_what_its_roles_grant(build: Any) -> None:
    calls: set[tuple[str, str]] = set()
    await released(Shop(BLUE_GREEN, hpa=True), calls)
    await heard(calls)
    asked = called(calls) | await worked(settings_of(build("rollout"), "--address=127.0.0.1:0"))
    metrics = {one for one in asked if one[0] == "custom.metrics.k8s.io"}
    assert metrics
    assert asked - metrics | {("custom.metrics.k8s.io", "*", "get")} == granted(build("rollout"))


@pytest.mark.parametrize("component", ROUTERS)
async def test_what_a_router_asks_for_is_what_its_component_grants(composed: Any, build: Any, component: str) -> None:
    strategy = {
        "canary": {
            "steps": [{"weight": 20, "pauseSeconds": 1}, {"weight": 90, "pauseSeconds": 1}],
            "traffic": {ROUTERS[component]: {"name": "web", "service": "web"}},
        }
    }
    shop = Shop(strategy)
    routed(shop)
    calls: set[tuple[str, str]] = set()
    await shop.ready()
    shop.release("web:2")
    await shop.settled("Promoted")
    calls |= set(shop.client.calls)
    more = granted(composed(component, overlay="rollout")) - granted(build("rollout"))
    assert more == called(calls) - granted(build("rollout"))
    shop.clean("web:2")


async def test_triggers_are_read_with_the_rights_of_their_component(composed: Any, build: Any) -> None:
    shop = await Shop(CANARY, triggers={"configMaps": ["web"], "secrets": ["web"]}).ready()
    await shop.some(2)
    more = granted(composed("rollout-triggers", overlay="rollout")) - granted(build("rollout"))
    assert more == called(shop.client.calls) - granted(build("rollout"))


async def test_receivers_are_read_with_the_rights_of_their_component(composed: Any, build: Any) -> None:
    receiver = {"urlFrom": {"secret": "chat", "key": "url"}, "tokenFrom": {"secret": "chat", "key": "token"}}
    shop = Shop(CANARY, notifications=[receiver])
    notifier = Notifier(shop.client, Nowhere())
    shop.turns = Turns(shop.client, shop.ears, notifier.tell)
    await shop.ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Stepping")
    await asyncio.sleep(0)
    await notifier.stop()
    more = granted(composed("rollout-notifications", overlay="rollout")) - granted(build("rollout"))
    assert more == called(shop.client.calls) - granted(build("rollout"))


class Nowhere:
    """A receiver that takes everything."""

    async def post(self, url: str, body: bytes, headers: Any) -> int:
        return 200


def test_the_author_sample_lets_the_controller_through(manifests: Path, build: Any) -> None:
    policy, binding = yaml.safe_load_all((manifests / "samples/rollout-author.yaml").read_text())
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    account = build("rollout").one("ServiceAccount", NAME)["metadata"]
    (condition,) = policy["spec"]["matchConditions"]
    assert f"system:serviceaccount:{account['namespace']}:{account['name']}" in condition["expression"]
    assert re.search(r"check\('patch'\)", policy["spec"]["validations"][0]["expression"])
