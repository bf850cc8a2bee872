"""The recommender's installation: flags, names, the image, and the rights that it has are those that it uses."""

import asyncio
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter.kube.fake.server import FakeCluster
from adapter.kube.known import CONTROLLERS
from adapter.kube.resources import PODS, Resource
from adapter.rollout.model.policy import POLICIES
from recommender.objects import CHECKPOINTS, POD_METRICS, VPAS
from recommender.serve import serve
from recommender.settings import Settings, parse
from tests.manifests.conftest import Build
from tests.manifests.rights import classify_request, granted_rights, requested_rights

NAME = "streamgate-recommender"
OURS = ("recommender", "beside-vpa")
DROP_IN = "recommender-drop-in"
EXTRA = "prometheus-api-client"


@pytest.fixture(params=OURS)
def ours(request: pytest.FixtureRequest, build: Callable[..., Any]) -> Build:
    """Each overlay that installs the recommender."""
    return build(request.param)


def pod_of(build: Build) -> dict[str, Any]:
    return build.one("Deployment", NAME)["spec"]["template"]


def container_of(build: Build) -> dict[str, Any]:
    (container,) = pod_of(build)["spec"]["containers"]
    return container


def settings_of(build: Build) -> Settings:
    """The settings that the Deployment's arguments give; raises where one is unknown."""
    return parse(container_of(build)["args"]).settings


# ---- what is installed


def test_vpas_definitions_are_applied_by_themselves(builder: Any, build: Callable[..., Any], manifests: Path) -> None:
    """Deleted together with the recommender they would take every VPA of the cluster along."""
    definitions = builder(manifests / "crds")
    assert {item["kind"] for item in definitions} == {"CustomResourceDefinition"}
    names = {item["metadata"]["name"] for item in definitions}
    assert names == {f"{resource.plural}.{resource.group}" for resource in (VPAS, CHECKPOINTS, POLICIES)}
    for overlay in (*OURS, DROP_IN):
        assert build(overlay).of("CustomResourceDefinition") == []


def test_beside_vpa_only_vpas_that_name_it_are_served(build: Callable[..., Any]) -> None:
    assert settings_of(build("recommender")).recommender_name == "default"
    assert settings_of(build("beside-vpa")).recommender_name == "streamgate"


def test_nothing_is_shared_with_the_adapters_installation(ours: Build, build: Callable[..., Any]) -> None:
    """So that either is removed with `kubectl delete -k` and the other stays."""
    keys = [
        {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in installation.objects}
        for installation in (ours, build("complete"))
    ]
    assert keys[0]
    assert not keys[0] & keys[1]


def test_pods_are_changed_only_with_the_component_and_its_role(
    composed: Callable[..., Any], build: Callable[..., Any]
) -> None:
    plain, acting = build("recommender"), composed("recommender-apply", overlay="recommender")
    assert (settings_of(plain).apply, settings_of(acting).apply) == ("off", "in-place")
    added = {item["metadata"]["name"] for item in acting.objects} - {item["metadata"]["name"] for item in plain.objects}
    assert added == {f"{NAME}-apply"}


# ---- the program


def test_every_flag_is_one_of_the_recommenders(ours: Build) -> None:
    assert settings_of(ours).leader_elect


def test_it_is_probed_and_scraped_where_it_listens(ours: Build) -> None:
    container = container_of(ours)
    (port,) = container["ports"]
    assert settings_of(ours).address == f":{port['containerPort']}"
    assert pod_of(ours)["metadata"]["annotations"]["prometheus.io/port"] == str(port["containerPort"])
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health-check", "port": port["name"]}


def test_the_lease_is_the_one_that_its_role_names(ours: Build) -> None:
    settings, role = settings_of(ours), ours.one("Role", NAME)
    assert settings.lease_namespace == role["metadata"]["namespace"]
    assert [rule.get("resourceNames") for rule in role["rules"]] == [[settings.lease_name], None]


def test_of_two_pods_only_one_writes(ours: Build) -> None:
    """A rollout runs two at once; without the lease both would write checkpoints."""
    assert ours.one("Deployment", NAME)["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert settings_of(ours).leader_elect


def test_selector_namespaces_and_account_match(ours: Build) -> None:
    deployment, pod = ours.one("Deployment", NAME), pod_of(ours)
    assert deployment["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    account = ours.one("ServiceAccount", pod["spec"]["serviceAccountName"])
    namespace = ours.one("Namespace", deployment["metadata"]["namespace"])["metadata"]["name"]
    assert account["metadata"]["namespace"] == namespace
    subject = {"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": namespace}
    assert all(item["subjects"] == [subject] for item in ours.of("ClusterRoleBinding", "RoleBinding"))
    assert pod["spec"]["automountServiceAccountToken"]


def test_it_runs_with_no_more_rights_than_a_pod_can_do_with(ours: Build, build: Callable[..., Any]) -> None:
    """The same as the adapter."""
    adapter = build("embedded")
    spec, container = pod_of(ours)["spec"], container_of(ours)
    assert spec["securityContext"] == adapter.pod["securityContext"]
    assert container["securityContext"] == adapter.container["securityContext"]
    assert container["resources"]["limits"].keys() == {"memory"}
    labels = ours.one("Namespace", NAME)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


# ---- the image


def test_the_adapters_image_is_told_to_start_the_recommender(
    ours: Build, build: Callable[..., Any], manifests: Path
) -> None:
    scripts = tomllib.loads((manifests.parent / "pyproject.toml").read_text())["project"]["scripts"]
    container = container_of(ours)
    assert container["image"] == build("embedded").container["image"]
    assert container["command"] == [NAME]
    assert scripts[NAME] == "recommender.__main__:main"


def test_the_drop_in_changes_image_and_command_and_adds_one_role(
    ours: Build, build: Callable[..., Any], manifests: Path
) -> None:
    patch = yaml.safe_load((manifests / f"overlays/{DROP_IN}/image.yaml").read_text())
    wanted = {"name": "recommender"} | {key: container_of(ours)[key] for key in ("image", "command")}
    assert patch == {"spec": {"template": {"spec": {"containers": [wanted]}}}}
    installation = build(DROP_IN)
    assert {(item["kind"], item["metadata"]["name"]) for item in installation.objects} == {
        ("ClusterRole", f"{NAME}-drop-in"),
        ("ClusterRoleBinding", f"{NAME}-drop-in"),
    }
    assert granted_rights(installation) <= granted_rights(ours)


WITHOUT_EXTRAS = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from recommender.__main__ import main
from recommender.config import history
from recommender.input.history import connect
from recommender.settings import parse
import recommender.serve
connect(history(parse(["--storage=prometheus"]).settings))
sys.exit(main(["--help"]))
"""


def test_the_image_has_all_that_the_loop_needs(manifests: Path) -> None:
    """It has no extras but the client for --storage=prometheus."""
    top = manifests.parent
    extras = tomllib.loads((top / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = {re.split(r"[><=]", entry)[0] for entry in extras["reports"]}
    assert EXTRA in wanted
    assert f"{EXTRA}==" in (top / "constraints.txt").read_text()
    modules = {name.replace("-", "_") for name in wanted - {EXTRA}} | {"pandas"}
    command = [sys.executable, "-c", WITHOUT_EXTRAS.format(modules=modules)]
    done = subprocess.run(command, cwd=top, capture_output=True, text=True, check=False, timeout=40)
    assert done.returncode == 0, done.stderr
    assert "--storage" in done.stdout


# ---- rights: what the roles grant is what the program asks for, no less and no more


def test_requests_are_told_apart_as_the_api_server_does() -> None:
    assert classify_request("GET", "/api/v1/pods", "watch=1") == ("", "pods", "watch")
    assert classify_request("GET", "/apis/apps/v1/namespaces/shop/deployments/web", "") == (
        "apps",
        "deployments",
        "get",
    )
    assert classify_request("GET", "/apis/apps/v1/namespaces/shop/deployments", "") == ("apps", "deployments", "list")
    assert classify_request("PATCH", "/api/v1/namespaces/shop/pods/web-1/resize", "") == ("", "pods/resize", "patch")
    assert classify_request("GET", "/apis/example.com/v1/namespaces/shop/crontabs/web/scale", "") == (
        "*",
        "*/scale",
        "get",
    )


API_VERSIONS = {"ReplicationController": "v1", "Job": "batch/v1", "CronJob": "batch/v1", "CronTab": "example.com/v1"}


def vpa(kind: str) -> dict[str, Any]:
    target = {"apiVersion": API_VERSIONS.get(kind, "apps/v1"), "kind": kind, "name": "web"}
    spec = {"targetRef": target, "recommenders": [{"name": "streamgate"}], "updatePolicy": {"updateMode": "InPlace"}}
    return {"metadata": {"name": f"web-{kind.lower()}", "namespace": "shop"}, "spec": spec}


async def furnish(cluster: FakeCluster) -> None:
    """A VPA for every kind of target, one pod that uses more than it requests, and a checkpoint of nobody."""
    spec = {"selector": {"matchLabels": {"app": "web"}}}
    deployment = {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}
    await cluster.put(Resource("apps", "v1", "deployments"), deployment)
    for kind in (*CONTROLLERS, "CronTab"):
        await cluster.put(VPAS, vpa(kind))
    meta = {"name": "web-1", "namespace": "shop", "uid": "u1", "labels": {"app": "web"}}
    resources = {"requests": {"cpu": "10m", "memory": "32Mi"}}
    status = {"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "containerStatuses": [{"name": "app"}]}
    containers = [{"name": "app", "resources": resources}]
    await cluster.put(PODS, {"metadata": meta, "spec": {"containers": containers}, "status": status})
    usage = {"containers": [{"name": "app", "usage": {"cpu": "100m", "memory": "900Mi"}}], "window": "15s"}
    await cluster.put(POD_METRICS, {"metadata": meta, "timestamp": datetime.now(UTC).isoformat(), **usage})
    orphan = {"spec": {"vpaObjectName": "gone", "containerName": "app"}, "status": {"version": "v3"}}
    await cluster.put(CHECKPOINTS, {"metadata": {"name": "gone-app", "namespace": "shop"}, **orphan})


async def observe_rights(settings: Settings, wanted: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """The rights that the program uses until it has used all of `wanted`, or for 8 s, and while it stops."""
    async with FakeCluster() as cluster:
        cluster.streams_lists = False  # an API server that makes it list and watch
        await furnish(cluster)
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(settings, cluster.connection, stop))
        for _ in range(160):
            await asyncio.sleep(0.05)
            if wanted - requested_rights(cluster.requests) <= {("coordination.k8s.io", "leases", "update")}:
                break
        stop.set()
        await serving
        return requested_rights(cluster.requests)


@pytest.mark.parametrize("components", [(), ("recommender-apply",)])
async def test_what_the_program_asks_for_is_what_its_roles_grant(
    composed: Callable[..., Any], components: tuple[Any, ...]
) -> None:
    """With the Deployment's own flags, but a loop that takes no minute."""
    build = composed(*components, overlay="beside-vpa")
    quick = ["--address=127.0.0.1:0", "--recommender-interval=50ms", "--checkpoints-gc-interval=10ms"]
    quick.append("--apply-min-history=1ns")  # pods are acted on at once
    settings = parse([*container_of(build)["args"], *quick]).settings
    assert await observe_rights(settings, granted_rights(build)) == granted_rights(build)


# ---- the page


def test_the_page_names_each_role_and_how_vpas_are_named(
    ours: Build, composed: Callable[..., Any], build: Callable[..., Any], manifests: Path
) -> None:
    page = (manifests.parent / "docs/install.md").read_text()
    acting = composed("recommender-apply", overlay="recommender")
    for installation in (ours, acting, build(DROP_IN)):
        for role in installation.of("ClusterRole", "Role"):
            assert f"`{role['metadata']['name']}`" in page
    assert f"recommenders: [{{name: {settings_of(build('beside-vpa')).recommender_name}}}]" in page
