"""The rollout controller's installation: flags, names, and the rights that it has are those that it uses."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter.kube.fake.api import Refusal
from adapter.kube.fake.server import FakeCluster
from adapter.rollout.__main__ import main
from adapter.rollout.cli.verbs import VERBS
from adapter.rollout.hear import MetricsEars
from adapter.rollout.model.actions import CLAIMS, DEPLOYMENTS
from adapter.rollout.model.policy import COMMAND, POLICIES
from adapter.rollout.notify import Notifier
from adapter.rollout.serve import serve
from adapter.rollout.settings import parse
from adapter.rollout.turns import Turns
from tests.kubeconfig import kubeconfig
from tests.manifests.rights import granted_rights, of_roles, requested_rights
from tests.rollout.shop import BLUE_GREEN, CANARY, NAMESPACE, Shop, add_route_and_ingress, rolls_back

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
    installation = build("rollout")
    (port,) = container_of(installation)["ports"]
    assert settings_of(installation).address == f":{port['containerPort']}"
    for probe in ("livenessProbe", "readinessProbe"):
        assert container_of(installation)[probe]["httpGet"] == {"path": "/healthz", "port": port["name"]}


def test_the_lease_is_the_one_that_its_role_names(build: Any) -> None:
    settings, role = settings_of(build("rollout")), build("rollout").one("Role", NAME)
    assert settings.leader_elect
    assert settings.lease_namespace == role["metadata"]["namespace"]
    assert [rule.get("resourceNames") for rule in role["rules"]] == [[settings.lease_name], None]


def test_it_runs_with_no_more_rights_than_a_pod_can_do_with(build: Any) -> None:
    installation, adapter = build("rollout"), build("embedded")
    spec = installation.one("Deployment", NAME)["spec"]["template"]["spec"]
    assert spec["securityContext"] == adapter.pod["securityContext"]
    assert container_of(installation)["securityContext"] == adapter.container["securityContext"]
    assert container_of(installation)["image"] == adapter.container["image"]
    labels = installation.one("Namespace", NAME)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


ERRORS = {"metric": "http_errors_total", "total": "http_requests_total", "limit": 0.01}
GATES = [{**ERRORS, "stage": "pre"}]


async def observe_rights(settings: Any) -> Any:
    """The rights that the program uses while it starts, leads and stops."""
    async with FakeCluster() as cluster:
        cluster.streams_lists = False
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(settings, cluster.connection, stop))
        for _ in range(100):
            await asyncio.sleep(0.05)
            if {resource for _, resource, verb in requested_rights(cluster.requests) if verb == "watch"} >= {
                "endpointslices"
            }:
                break
        stop.set()
        await serving
        return requested_rights(cluster.requests)


async def run_releases(shop: Any, calls: set[tuple[str, str]]) -> None:
    """Adds to `calls` those of a promotion, one back to the first template, a rollback, and a deletion."""
    await shop.ready()
    for image in ("web:2", "web:1"):
        shop.release(image)
        await shop.until_outcome("Promoted")
    shop.ears.say = lambda phase: rolls_back()
    shop.release("web:3")
    await shop.until_outcome("RolledBack")
    for image in ("web:4", "web:5"):  # so that stored templates become superfluous
        shop.ears.say = Shop(BLUE_GREEN).ears.say
        shop.release(image)
        await shop.until_outcome("Promoted")
    shop.delete_policy()
    await shop.until(lambda: shop.get(POLICIES) is None)
    calls |= set(shop.client.calls)


def with_claim(shop: Shop) -> None:
    """The template mounts a claim."""
    shop.put(CLAIMS, {"metadata": {"name": "data", "namespace": NAMESPACE}, "spec": {"accessModes": ["ReadWriteMany"]}})
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    shop.edit(DEPLOYMENTS, lambda raw: raw["spec"]["template"]["spec"].update(volumes=volumes))


async def preview_with_gates(calls: set[tuple[str, str]]) -> None:
    """Adds to `calls` those of a preview whose gates ask for metrics and whose template mounts a claim."""
    shop = await Shop(BLUE_GREEN, hpa=True, gates=GATES, allowParallel=True).ready()
    shop.turns = Turns(shop.client, MetricsEars(shop.client))
    with_claim(shop)
    await shop.until(lambda: shop.phase == "Previewing")
    await shop.some(3)
    calls |= set(shop.client.calls)


async def test_what_the_program_asks_for_is_what_its_roles_grant(build: Any) -> None:
    calls: set[tuple[str, str]] = set()
    await run_releases(Shop(BLUE_GREEN, hpa=True), calls)
    await preview_with_gates(calls)
    asked = requested_rights(calls) | await observe_rights(settings_of(build("rollout"), "--address=127.0.0.1:0"))
    metrics = {one for one in asked if one[0] == "custom.metrics.k8s.io"}
    assert metrics
    assert asked - metrics | {("custom.metrics.k8s.io", "*", "get")} == granted_rights(build("rollout"))


@pytest.mark.parametrize("component", ROUTERS)
async def test_what_a_router_asks_for_is_what_its_component_grants(composed: Any, build: Any, component: str) -> None:
    strategy = {
        "canary": {
            "steps": [{"weight": 20, "pauseSeconds": 1}, {"weight": 90, "pauseSeconds": 1}],
            "traffic": {ROUTERS[component]: {"name": "web", "service": "web"}},
        }
    }
    shop = Shop(strategy)
    add_route_and_ingress(shop)
    calls: set[tuple[str, str]] = set()
    await shop.ready()
    shop.release("web:2")
    await shop.until_outcome("Promoted")
    calls |= set(shop.client.calls)
    more = granted_rights(composed(component, overlay="rollout")) - granted_rights(build("rollout"))
    assert more == requested_rights(calls) - granted_rights(build("rollout"))
    shop.clean("web:2")


async def test_triggers_are_read_with_the_rights_of_their_component(composed: Any, build: Any) -> None:
    shop = await Shop(CANARY, triggers={"configMaps": ["web"], "secrets": ["web"]}).ready()
    await shop.some(2)
    more = granted_rights(composed("rollout-triggers", overlay="rollout")) - granted_rights(build("rollout"))
    assert more == requested_rights(shop.client.calls) - granted_rights(build("rollout"))


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
    more = granted_rights(composed("rollout-notifications", overlay="rollout")) - granted_rights(build("rollout"))
    assert more == requested_rights(shop.client.calls) - granted_rights(build("rollout"))


# ---- the pipeline's role

PIPELINE = "samples/rollout-pipeline.yaml"
OF_KUBECTL = {("apps", "deployments", "get"), ("apps", "deployments", "patch")}
"""`kubectl set image`."""
REVIEWS = {("authorization.k8s.io", "selfsubjectaccessreviews", "create")}
"""Everybody may ask for their own rights (system:basic-user)."""


def traffic(of: str) -> Any:
    return {"canary": {"steps": [{"weight": 20}], "traffic": {of: {"name": "web", "service": "web"}}}}


class Pipeline:
    """Verbs of the command line over a fake API server that grants what a Role does, and nothing else."""

    def __init__(self, shop: Shop, folder: Path, grants: set[tuple[str, str, str]]) -> None:
        self.shop, self.folder, self.grants = shop, folder, grants
        self.asked: set[tuple[str, str, str]] = set()
        shop.cluster.faults.append(self._refuse_unless_granted)
        shop.cluster.authorize = lambda spec: ("apps", "deployments", "patch") in grants

    def _refuse_unless_granted(self, request: Any) -> Refusal | None:
        (one,) = requested_rights([(request.method, request.path_qs)])
        self.asked.add(one)
        within = one in REVIEWS or f"/namespaces/{NAMESPACE}/" in request.path
        if within and one in self.grants | REVIEWS:
            return None
        return Refusal(403, "Forbidden", f"the pipeline may not {one[2]} {one[1]}")

    async def run(self, verb: str) -> int:
        """The exit code of a verb, of the shop's policy or, with lint, of its file."""
        file = self.folder / "policy.yaml"
        file.write_text(yaml.safe_dump(self.shop.policy))
        given = [verb, str(file) if verb == "lint" else "web"]
        given += [f"--kubeconfig={kubeconfig(self.folder, self.shop.cluster.url)}", f"--namespace={NAMESPACE}"]
        return await asyncio.to_thread(main, given)

    async def all_verbs(self) -> list[int]:
        """The exit codes of those between releases, then of those in one."""
        await self.shop.ready()
        async with self.shop.cluster:
            codes = [await self.run(verb) for verb in ("lint", "wait", "status", "history")]
            self.shop.release("web:2")
            await self.shop.until(lambda: self.shop.status.get("release"))
            return [*codes, await self.run("status"), await self.run("abort")]


@pytest.fixture
def role(manifests: Path) -> set[tuple[str, str, str]]:
    return of_roles(each for each in yaml.safe_load_all((manifests / PIPELINE).read_text()) if each["kind"] == "Role")


@pytest.mark.parametrize("of", ["httpRoute", "nginx"])
async def test_a_pipeline_does_its_verbs_with_its_role_and_needs_all_of_it(
    of: str, role: set[tuple[str, str, str]], tmp_path: Path
) -> None:
    shop = Shop(traffic(of), hpa=True, gates=[ERRORS], allowParallel=True)
    add_route_and_ingress(shop)
    with_claim(shop)
    pipeline = Pipeline(shop, tmp_path, role)
    assert await pipeline.all_verbs() == [0] * 6
    assert "abort" in shop.get(POLICIES)["metadata"]["annotations"][COMMAND]
    other = {"httpRoute": "ingresses", "nginx": "httproutes"}[of]
    assert {one for one in role if one[1] != other} == (pipeline.asked - REVIEWS) | OF_KUBECTL


@pytest.mark.parametrize(
    ("taken", "verb"),
    [
        (("streamgate.io", "rolloutpolicies", "patch"), "abort"),
        (("", "pods", "list"), "status"),
        (("apps", "deployments", "get"), "wait"),
        (("autoscaling.k8s.io", "verticalpodautoscalers", "list"), "lint"),
    ],
)
async def test_without_one_of_its_rights_a_verb_of_the_pipeline_fails(
    taken: tuple[str, str, str], verb: str, role: set[tuple[str, str, str]], tmp_path: Path
) -> None:
    shop = await Shop(CANARY, gates=[ERRORS]).ready()
    if verb == "abort":
        shop.release("web:2")
        await shop.until(lambda: shop.status.get("release"))
    pipeline = Pipeline(shop, tmp_path, role)
    async with shop.cluster:
        assert await pipeline.run(verb) == 0
        pipeline.grants = role - {taken}
        assert await pipeline.run(verb) != 0


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
