"""A look at an API server: what is asked and within which bounds, what cannot be read, and the exit codes."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from adapter.doctor import objects
from adapter.doctor.__main__ import Health, code, look, main, report_lines
from adapter.doctor.finding import About, Report
from adapter.doctor.settings import FLAGS, Settings
from adapter.kube.client import Client
from adapter.kube.errors import KubeError, Unauthorized
from adapter.kube.fake.server import FakeCluster
from adapter.kube.resources import CONFIG_MAPS, HORIZONTAL_POD_AUTOSCALERS, LEASES, NODES, ApiResource
from tests.doctor.conftest import (
    ACTIVE,
    CPU_50,
    STARVING,
    Authority,
    api_json,
    condition,
    deployment_json,
    hpa_json,
    pods_metric,
    utilization,
)
from tests.kubeconfig import kubeconfig
from tests.manifests.conftest import TOP, Build
from tests.manifests.rights import granted_rights, requested_rights

CUSTOM = "custom.metrics.k8s.io"
VALUES = f"/apis/{CUSTOM}/v1beta2/namespaces/shop/pods/"


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with FakeCluster() as made:
        yield made


@pytest.fixture
def settings(cluster: FakeCluster, tmp_path: Path) -> Callable[..., Settings]:
    """Settings for that cluster, with more flags."""
    return lambda *flags: FLAGS.parse([f"--kubeconfig={kubeconfig(tmp_path, cluster.url)}", *flags]).settings


def now(seconds: float = 0.0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


async def install_adapter(cluster: FakeCluster) -> None:
    """An adapter that serves custom metrics and offers one; a node with its Lease."""
    await cluster.put(objects.API_SERVICES, api_json())
    await cluster.put(objects.DEPLOYMENTS, deployment_json())
    service = {"metadata": {"name": "streamgate-adapter", "namespace": "streamgate"}}
    selector = {"app.kubernetes.io/name": "streamgate-adapter"}
    await cluster.put(objects.SERVICES, {**service, "spec": {"selector": selector}})
    cluster.register(ApiResource(CUSTOM, "v1beta2", "pods/http_requests", "", "MetricValueList", True))
    await cluster.put(NODES, {"metadata": {"name": "a"}, "status": {"conditions": [condition("Ready", "True")]}})
    lease = {"metadata": {"name": "a", "namespace": "kube-node-lease"}, "spec": {"renewTime": now()}}
    await cluster.put(LEASES, lease)


def objects_found(report: Report) -> list[str]:
    return [finding.object for finding in report.findings]


async def test_a_healthy_cluster_has_no_findings_and_who_serves_it_is_told(
    cluster: FakeCluster, settings: Callable[..., Settings]
) -> None:
    await install_adapter(cluster)
    await cluster.put(HORIZONTAL_POD_AUTOSCALERS, hpa_json("web", pods_metric("http_requests")))
    report = await look(settings())
    assert (report.findings, report.unseen) == ([], ())
    assert report.served == {f"v1beta2.{CUSTOM}": "streamgate/streamgate-adapter"}
    assert code(report) is Health.HEALTHY
    assert list(report_lines(report))[-1] == "nothing is wrong with what was looked at"


async def test_it_only_reads_but_for_reviews(cluster: FakeCluster, settings: Callable[..., Settings]) -> None:
    await install_adapter(cluster)
    await look(settings())
    written = {path for method, path in cluster.requests if method != "GET"}
    assert written == {"/apis/authorization.k8s.io/v1/subjectaccessreviews"}


async def test_the_role_in_the_docs_is_what_it_asks_for(
    cluster: FakeCluster, settings: Callable[..., Settings]
) -> None:
    await install_adapter(cluster)
    await cluster.put(objects.DEPLOYMENTS, deployment_json(secret="tls", rules="rules"))
    await cluster.put(objects.DEPLOYMENTS, deployment_json("rollout", "--leader-elect"))
    await cluster.put(objects.DEPLOYMENTS, {"metadata": {"name": "web", "namespace": "shop"}, "spec": {}})
    await cluster.put(HORIZONTAL_POD_AUTOSCALERS, hpa_json("web", pods_metric("http_requests"), conditions=(STARVING,)))
    await look(settings())
    paths = [path.partition("?")[0] for _, path in cluster.requests]
    assert any(path.endswith("/proxy/readyz") for path in paths)
    discovery = ("/version", "/proxy/readyz", f"/apis/{CUSTOM}/v1beta2")
    asked = requested_rights(
        one for one, path in zip(cluster.requests, paths, strict=True) if not path.endswith(discovery)
    )
    page = (TOP / "docs" / "doctor.md").read_text()
    role = yaml.safe_load(page.partition("```yaml")[2].partition("```")[0])
    allowed = granted_rights(Build([role]))
    of_values = {(CUSTOM, "pods/http_requests", "get")}  # the role says: any
    assert asked - of_values - allowed == {
        ("", "secrets", "get"),
        ("*", "*/scale", "get"),
    }  # by name; three kinds of it


async def test_each_fault_that_is_planted_is_found(cluster: FakeCluster, settings: Callable[..., Settings]) -> None:
    await install_adapter(cluster)
    ours, other = Authority(days=10_000), Authority(days=10_000)
    await cluster.put(objects.API_SERVICES, api_json(caBundle=other.bundle))
    await cluster.put(objects.DEPLOYMENTS, deployment_json(secret="adapter-tls"))
    secret = {"metadata": {"name": "adapter-tls", "namespace": "streamgate"}}
    await cluster.put(objects.SECRETS, {**secret, "data": {"tls.crt": ours.certificate(days=9_000), "tls.key": "a2V5"}})
    await cluster.put(objects.DEPLOYMENTS, deployment_json("rollout", "--leader-elect", available=0))
    cluster.authorize = lambda spec: (
        spec["resourceAttributes"]["resource"] != "nodes"
        and (spec["resourceAttributes"]["verb"] != "watch" or "rollout" in spec["user"])
    )
    await cluster.put(HORIZONTAL_POD_AUTOSCALERS, hpa_json("a", pods_metric("http_requests"), conditions=(STARVING,)))
    await cluster.put(HORIZONTAL_POD_AUTOSCALERS, hpa_json("b", pods_metric("http_request")))
    stuck = {"conditions": [condition("Stuck", "True", "NoProgress", "no pod is ready")]}
    await cluster.put(objects.POLICIES, {"metadata": {"name": "web", "namespace": "shop"}, "status": stuck})
    lease = {"metadata": {"name": "a", "namespace": "kube-node-lease"}, "spec": {"renewTime": now(30)}}
    await cluster.put(LEASES, lease)
    report = await look(settings())
    assert objects_found(report) == [
        f"APIService v1beta2.{CUSTOM}",  # its CA is another
        "Deployment streamgate-rollout/streamgate-rollout",  # no pod
        "Lease streamgate-rollout/streamgate-rollout",
        "Deployment streamgate/streamgate-adapter",  # lacks rights
        "metric pods/http_request",
        "HPA shop/a",
        "Deployment shop/web",  # two HPAs
        "RolloutPolicy shop/web",
        "Node a",
    ]
    assert report.unseen == ()
    assert code(report) is Health.FINDINGS


async def test_a_secrets_key_is_never_shown_or_kept(cluster: FakeCluster, settings: Callable[..., Settings]) -> None:
    await install_adapter(cluster)
    await cluster.put(objects.DEPLOYMENTS, deployment_json(secret="tls"))
    secret = {"metadata": {"name": "tls", "namespace": "streamgate"}}
    await cluster.put(objects.SECRETS, {**secret, "data": {"tls.crt": "nonsense", "tls.key": "a2V5"}})
    report = await look(settings())
    assert objects_found(report) == ["Secret streamgate/tls"]
    assert "a2V5" not in repr(report)
    async with Client(cluster.connection) as client:
        assert "a2V5" not in repr(await client.get(objects.SECRETS.path("streamgate", "tls"), objects.TlsSecret))


async def test_an_adapter_in_prometheus_adapters_place_is_found_by_what_it_serves(
    cluster: FakeCluster, settings: Callable[..., Settings]
) -> None:
    await install_adapter(cluster)
    renamed = deployment_json(available=0)
    renamed["metadata"] = {"name": "prometheus-adapter", "namespace": "streamgate"}
    await cluster.remove(objects.DEPLOYMENTS, "streamgate", "streamgate-adapter")
    await cluster.put(objects.DEPLOYMENTS, renamed)
    assert objects_found(await look(settings())) == ["Deployment streamgate/prometheus-adapter"]


async def test_a_starving_hpas_own_request_is_made_and_an_empty_list_is_no_value(
    cluster: FakeCluster, settings: Callable[..., Settings]
) -> None:
    await install_adapter(cluster)
    target = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {"matchLabels": {"app": "web"}}}}
    await cluster.put(objects.DEPLOYMENTS, target)
    await cluster.put(HORIZONTAL_POD_AUTOSCALERS, hpa_json("web", pods_metric("http_requests"), conditions=(STARVING,)))
    cluster.fail(VALUES, 503, "ServiceUnavailable")
    (finding,) = (await look(settings())).findings
    assert finding.next == f"kubectl get --raw '{VALUES}*/http_requests?labelSelector=app%3Dweb'"
    assert "503 ServiceUnavailable" in finding.says


async def test_of_an_hpa_that_lacks_a_metric_its_own_request_is_made(
    cluster: FakeCluster, settings: Callable[..., Settings]
) -> None:
    await install_adapter(cluster)
    target = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {"matchLabels": {"app": "web"}}}}
    await cluster.put(objects.DEPLOYMENTS, target)
    two = (pods_metric("http_requests"), utilization("cpu"))
    lacking = hpa_json("web", *two, conditions=(ACTIVE,), values=[{"type": ""}, CPU_50])
    await cluster.put(HORIZONTAL_POD_AUTOSCALERS, lacking)
    cluster.fail(VALUES, 404, "NotFound")
    (finding,) = [one for one in (await look(settings())).findings if one.about is About.HPA]
    assert finding.next == f"kubectl get --raw '{VALUES}*/http_requests?labelSelector=app%3Dweb'"
    assert "404 NotFound" in finding.says


async def test_names_that_can_be_no_part_of_a_path_hide_nothing_else(
    cluster: FakeCluster, settings: Callable[..., Settings]
) -> None:
    await install_adapter(cluster)
    await cluster.put(objects.DEPLOYMENTS, deployment_json(rules=".."))
    await cluster.put(objects.DEPLOYMENTS, {"metadata": {"name": "web", "namespace": "shop"}, "spec": {}})
    starving = [pods_metric(".."), pods_metric("http_requests")]
    await cluster.put(HORIZONTAL_POD_AUTOSCALERS, hpa_json("web", *starving, conditions=(STARVING,)))
    await cluster.put(HORIZONTAL_POD_AUTOSCALERS, hpa_json("b", *starving, target="..", conditions=(STARVING,)))
    report = await look(settings())
    assert objects_found(report) == ["metric pods/..", "HPA shop/b", "HPA shop/web"]
    assert [unseen.what for unseen in report.unseen] == ["ConfigMap streamgate/.."]


async def test_of_many_starving_hpas_the_first_twenty_are_asked_for(
    cluster: FakeCluster, settings: Callable[..., Settings]
) -> None:
    await install_adapter(cluster)
    await cluster.put(objects.DEPLOYMENTS, {"metadata": {"name": "web", "namespace": "shop"}, "spec": {}})
    for number in range(30):
        starving = hpa_json(f"web-{number:02}", pods_metric("http_requests"), conditions=(STARVING,))
        await cluster.put(HORIZONTAL_POD_AUTOSCALERS, starving)
    report = await look(settings())
    assert sum(name.startswith("HPA") for name in objects_found(report)) == 30
    assert sum(path.startswith(VALUES) for _, path in cluster.requests) == 20


async def test_lists_are_read_in_pages(cluster: FakeCluster, settings: Callable[..., Settings]) -> None:
    for number in range(1200):
        await cluster.put(HORIZONTAL_POD_AUTOSCALERS, hpa_json(f"web-{number}", target=f"web-{number}"))
    assert (await look(settings())).findings == []
    asked = [path for _, path in cluster.requests if path.startswith(HORIZONTAL_POD_AUTOSCALERS.path())]
    assert len(asked) == 3  # 500, 500 and 200
    assert all("limit=500" in path for path in asked)


async def test_pods_are_never_listed(cluster: FakeCluster, settings: Callable[..., Settings]) -> None:
    """There may be 100,000 of them, and nothing that is looked for needs them."""
    await install_adapter(cluster)
    await look(settings())
    assert not [path for _, path in cluster.requests if path.partition("?")[0].endswith("/pods")]


async def test_of_a_namespace_only_its_hpas_vpas_and_policies_are_asked_for(
    cluster: FakeCluster, settings: Callable[..., Settings]
) -> None:
    await cluster.put(HORIZONTAL_POD_AUTOSCALERS, hpa_json("web", conditions=(STARVING,)))
    assert objects_found(await look(settings("-n", "shop"))) == ["HPA shop/web"]
    assert objects_found(await look(settings("-n", "other"))) == []


async def test_what_is_forbidden_is_told_and_the_rest_is_looked_at(
    cluster: FakeCluster, settings: Callable[..., Settings]
) -> None:
    await cluster.put(HORIZONTAL_POD_AUTOSCALERS, hpa_json("web", conditions=(STARVING,)))
    cluster.forbid("/api/v1/nodes")
    cluster.forbid(CONFIG_MAPS.path("kube-system"))
    report = await look(settings())
    assert objects_found(report) == ["HPA shop/web"]
    assert sorted(unseen.what for unseen in report.unseen) == ["nodes", "the cluster's authorities"]
    assert code(report) is Health.FINDINGS
    assert code(Report({}, [], report.unseen)) is Health.COULD_NOT_LOOK


async def test_over_a_stuck_release_that_cannot_be_read_nothing_is_not_called_well(
    cluster: FakeCluster, settings: Callable[..., Settings]
) -> None:
    await install_adapter(cluster)
    status = {
        "phase": "Stepping",
        "release": {"number": 1, "waitingSince": "soon"},
        "conditions": [condition("Stuck", "True", "NoProgress", "no pod is ready")],
    }
    await cluster.put(objects.POLICIES, {"metadata": {"name": "web", "namespace": "shop"}, "status": status})
    report = await look(settings())
    (unseen,) = report.unseen
    assert (report.findings, unseen.what) == ([], "RolloutPolicies, shop/web")
    assert "$.status.release.waitingSince" in unseen.why
    assert code(report) is Health.COULD_NOT_LOOK


async def test_of_many_objects_that_cannot_be_read_the_first_twenty_are_named(
    cluster: FakeCluster, settings: Callable[..., Settings]
) -> None:
    for number in range(25):
        odd = {"metadata": {"name": f"web-{number:02}", "namespace": "shop"}, "spec": "odd"}
        await cluster.put(objects.VPAS, odd)
    unseen = {one.what: one.why for one in (await look(settings())).unseen}
    assert {f"VPAs, shop/web-{number:02}" for number in range(20)} | {"VPAs"} == unseen.keys()
    assert unseen["VPAs"] == "5 more cannot be read"


async def test_rights_that_cannot_be_asked_for_are_not_called_lacking(
    cluster: FakeCluster, settings: Callable[..., Settings]
) -> None:
    await install_adapter(cluster)
    cluster.forbid("/apis/authorization.k8s.io")
    report = await look(settings())
    assert report.findings == []
    assert [unseen.what for unseen in report.unseen] == ["rights of programs"]


async def test_wrong_credentials_end_the_look(cluster: FakeCluster, settings: Callable[..., Settings]) -> None:
    cluster.bearers = {"another"}
    with pytest.raises(Unauthorized):
        await look(settings())


class Hanging(FakeCluster):
    """Never answers requests of one path."""

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == HORIZONTAL_POD_AUTOSCALERS.path():
            await asyncio.Event().wait()
        return await super()._answer(request)


@pytest.mark.parametrize(
    ("flag", "why", "unseen"),
    [
        ("--request-timeout=300ms", "no answer within 0.3 s", {"HPAs"}),
        (
            "--timeout=300ms",
            "not done within --timeout=0.3s",
            {"HPAs", "Service streamgate/streamgate-adapter", f"metrics of {CUSTOM}"},
        ),
    ],
)
async def test_a_list_that_hangs_costs_its_time_and_no_more(
    tmp_path: Path, flag: str, why: str, unseen: set[str]
) -> None:
    """What was seen until then is told; what comes after the end of the whole time is not begun."""
    async with Hanging() as cluster:
        await cluster.put(objects.API_SERVICES, api_json(available=condition("Available", "False", "X", "y")))
        report = await look(FLAGS.parse([f"--kubeconfig={kubeconfig(tmp_path, cluster.url)}", flag]).settings)
    assert {one.what for one in report.unseen} == unseen
    assert all(why in one.why for one in report.unseen)
    assert objects_found(report) == [f"APIService v1beta2.{CUSTOM}"]


async def test_an_api_server_that_accepts_and_says_nothing_ends_the_look_within_one_calls_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        file = kubeconfig(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(KubeError, match=r"no answer within 0\.2 s"):
            await look(FLAGS.parse([f"--kubeconfig={file}", "--request-timeout=200ms"]).settings)


# ---- the program


def test_without_a_cluster_it_says_so_in_one_sentence_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"--kubeconfig={kubeconfig(tmp_path, 'http://127.0.0.1:1')}"]) == Health.COULD_NOT_LOOK
    assert main([f"--kubeconfig={tmp_path / 'none'}"]) == Health.COULD_NOT_LOOK
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("streamgate-doctor: GET /version: ")
    assert second.endswith("there is no such file")


def test_wrong_flags_are_2_and_help_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--output=yaml"]) == 2
    assert main(["--help"]) == 0
    assert "1 findings, 2 could not look" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["text", "json"])
async def test_the_program_tells_what_it_found(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    await cluster.put(HORIZONTAL_POD_AUTOSCALERS, hpa_json("web", conditions=(STARVING,)))
    cluster.forbid("/api/v1/nodes")
    arguments = [f"--kubeconfig={kubeconfig(tmp_path, cluster.url)}", "-o", form]
    assert await asyncio.to_thread(main, arguments) == Health.FINDINGS
    out = capsys.readouterr().out
    if form == "json":
        report: dict[str, Any] = json.loads(out)
        assert report["findings"][0].keys() == {"about", "object", "says", "next"}
        assert report["unseen"][0]["what"] == "nodes"
    else:
        assert "HPA shop/web: it gets no metric and holds its size" in out
        assert "  next: kubectl -n shop describe hpa web" in out
        assert "not looked at: nodes: " in out
        assert out.endswith("1 finding\n")
