"""The console's installation: flags, names, and the rights that it has are those that it uses."""

import asyncio
from pathlib import Path
from typing import Any

from adapter.console.__main__ import serve
from adapter.console.settings import FLAGS, Settings
from adapter.kube.fake.server import FakeCluster
from recommender.objects import VPAS
from tests.console.conftest import vpa_json
from tests.kubeconfig import kubeconfig
from tests.manifests.conftest import Build
from tests.manifests.rights import granted_rights, requested_rights

NAME = "streamgate-console"


def pod_of(build: Any) -> Any:
    return build.one("Deployment", NAME)["spec"]["template"]["spec"]


def container_of(build: Any) -> Any:
    (container,) = pod_of(build)["containers"]
    return container


def settings_of(build: Any, *more: str) -> Settings:
    return FLAGS.parse([*container_of(build)["args"], *more]).settings


def test_it_is_probed_and_served_where_it_listens(composed: Any) -> None:
    installation = composed("console")
    (port,) = container_of(installation)["ports"]
    assert settings_of(installation).address == f":{port['containerPort']}"
    for probe in ("livenessProbe", "readinessProbe"):
        assert container_of(installation)[probe]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    service = installation.one("Service", NAME)["spec"]
    labels = installation.one("Deployment", NAME)["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    assert [one["targetPort"] for one in service["ports"]] == [port["name"]]
    policy = installation.one("NetworkPolicy", NAME)["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert [one["port"] for rule in policy["ingress"] for one in rule["ports"]] == [port["containerPort"]]


def test_the_token_is_a_file_of_a_secret_that_is_not_part_of_it(composed: Any) -> None:
    installation = composed("console")
    (mount,), (volume,) = container_of(installation)["volumeMounts"], pod_of(installation)["volumes"]
    assert (mount["name"], mount["readOnly"]) == (volume["name"], True)
    assert settings_of(installation).token_file == f"{mount['mountPath']}/token"
    assert volume["secret"]["secretName"] == NAME
    assert installation.of("Secret") == []  # a token that everybody has is none


def test_it_runs_with_no_more_rights_than_a_pod_can_do_with(composed: Any) -> None:
    installation = adapter = composed("console")
    assert pod_of(installation)["securityContext"] == adapter.pod["securityContext"]
    assert container_of(installation)["securityContext"] == adapter.container["securityContext"]
    assert container_of(installation)["image"] == adapter.container["image"]
    labels = installation.one("Namespace", NAME)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


async def test_what_the_program_asks_for_is_what_its_role_grants(composed: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a" * 64)
    installation = composed("console")
    own = [role for role in installation.of("ClusterRole") if role["metadata"]["name"] == NAME]
    rights = granted_rights(Build(own))
    async with FakeCluster() as cluster:
        await cluster.put(VPAS, vpa_json())
        file = kubeconfig(tmp_path, cluster.url)
        more = (f"--kubeconfig={file}", f"--token-file={tmp_path / 'token'}", "--address=127.0.0.1:0", "--refresh=1")
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(settings_of(installation, *more), stop))
        async with asyncio.timeout(20):
            while requested_rights(cluster.requests) < rights:
                assert not serving.done(), serving.exception()
                await asyncio.sleep(0.05)
        stop.set()
        await serving
        assert requested_rights(cluster.requests) == rights
