"""The adapter wired of its parts: what /readyz waits for, and credentials for Prometheus and for kubelets."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import trustme
import yaml
from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from adapter.kube.fake.server import FakeCluster
from adapter.metrics.prometheus.client import PrometheusSource
from adapter.metrics.source import Query, SourceError
from adapter.program.run import Failures, Job, StartError, supervise
from adapter.settings import Settings
from adapter.wiring.source import kubelet_access, prometheus
from adapter.wiring.whole import Adapter, build_adapter

VECTOR = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "1"]}]}}


def kubeconfig(folder: Path, user: Mapping[str, object], server: str = "https://kubernetes:1", **cluster: Any) -> str:
    """A file with one context."""
    written = {
        "current-context": "main",
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": dict(user)}],
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(written))
    return str(file)


# ---- readiness


def waiting(adapter: Adapter) -> dict[str, str]:
    return adapter.server.readiness.waiting()


async def test_without_a_cluster_scrapes_and_the_first_collection_are_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    file.write_text("")
    settings = Settings(standalone=str(file), cert_dir=str(tmp_path / "certs"), secure_port=0, bind_address="127.0.0.1")
    async with AsyncExitStack() as stack:
        adapter = await build_adapter(settings, stack)
        causes = waiting(adapter)
        assert (list(causes), causes["collection"] != "") == (["scrapes", "collection"], True)
        assert (tmp_path / "certs/kubeconfig").exists()


async def test_in_a_cluster_pods_and_its_authorities_are_waited_for_too(tmp_path: Path) -> None:
    async with FakeCluster() as cluster, AsyncExitStack() as stack:
        settings = Settings(
            kubeconfig=kubeconfig(tmp_path, {"token": "t"}, cluster.url),
            prometheus_url="http://127.0.0.1:1",
            cert_dir=str(tmp_path),
            secure_port=0,
            bind_address="127.0.0.1",
        )
        adapter = await build_adapter(settings, stack)
        assert waiting(adapter) == {
            "pods": "the first list is not here yet",
            "authentication": "the first list is not here yet",
            "collection": "the first collection has neither worked nor failed yet",
        }
        names = [job.name for job in adapter.jobs]
        assert len(set(names)) == len(names)
        assert {"pods", "nodes", "hpas", "collector", "API resources", "authentication", "CA files"} <= set(names)


# ---- jobs


class Panic(BaseException):
    """As a Rust extension's, which is no Exception."""


def deeper() -> None:
    deeper()


def failing_once(job: Job, error: type[BaseException], note: Callable[[str], None]) -> Job:
    """The job, whose first run fails as an input would make it fail; the second says so to `note` and ends at once."""
    failed = False

    async def run() -> None:
        nonlocal failed
        if failed:
            note(job.name)
            return
        failed = True
        if error is RecursionError:
            deeper()
        raise error("an input that nobody thought of")

    return job._replace(run=run)


@pytest.mark.parametrize("error", [Panic, RecursionError, MemoryError, asyncio.CancelledError, AssertionError])
@pytest.mark.parametrize("prometheus_url", ["", "http://127.0.0.1:1"], ids=["embedded", "Prometheus"])
async def test_no_job_of_the_adapter_ends_it_and_each_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prometheus_url: str, error: type[BaseException]
) -> None:
    monkeypatch.setattr("adapter.program.run.FIRST_PAUSE", 0.01)
    registry, stop, ran = CollectorRegistry(), asyncio.Event(), list[str]()
    async with FakeCluster() as cluster, AsyncExitStack() as stack:
        settings = Settings(
            kubeconfig=kubeconfig(tmp_path, {"token": "t"}, cluster.url),
            prometheus_url=prometheus_url,
            cert_dir=str(tmp_path),
            secure_port=0,
            bind_address="127.0.0.1",
        )
        jobs = (await build_adapter(settings, stack)).jobs
        assert not any(job.ends_program for job in jobs)

        def note(name: str) -> None:
            ran.append(name)
            if len(ran) == len(jobs):
                stop.set()

        with capture_logs() as said:
            async with asyncio.timeout(20):
                await supervise([failing_once(job, error, note) for job in jobs], stop, Failures(registry))
    names = {job.name for job in jobs}
    assert set(ran) == names == {line["job"] for line in said if line["event"].startswith("a job failed")}
    for name in names:
        assert registry.get_sample_value("streamgate_job_failures_total", {"job": name}) == 1


# ---- a source that refuses


async def test_a_prometheus_that_refuses_us_is_told_to_readyz_and_beside_the_hpas_that_starve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.collect.announce.LOOK_EVERY", 0.05)
    metrics = [{"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "Value", "value": "1"}}}]
    meta = {"name": "web", "namespace": "shop", "uid": "u"}
    async with FakeCluster() as cluster, refusing() as url, AsyncExitStack() as stack:
        cluster.store.collection("autoscaling", "horizontalpodautoscalers").put({
            "metadata": meta,
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 3, "metrics": metrics},
        })  # fmt: skip
        events = cluster.store.collection("", "events")
        settings = Settings(
            kubeconfig=kubeconfig(tmp_path, {"token": "t"}, cluster.url),
            prometheus_url=url,
            cert_dir=str(tmp_path),
            secure_port=0,
            bind_address="127.0.0.1",
        )
        adapter, stop = await build_adapter(settings, stack), asyncio.Event()
        running = asyncio.ensure_future(supervise(adapter.jobs, stop))
        async with asyncio.timeout(20), events.changed:
            await events.changed.wait_for(lambda: bool(events.objects))
        [note] = adapter.server.readiness.notes()
        stop.set()
        await running
    assert "could not be looked up: Prometheus did not answer" in note
    assert "answered 401; check its credentials" in note
    [event] = events.objects.values()
    assert (event["involvedObject"]["name"], event["reason"]) == ("web", "MetricUnavailable")
    assert "answered 401" in event["message"]


@asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """A Prometheus that knows nobody."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=401)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# ---- credentials for Prometheus


@asynccontextmanager
async def prometheus_over_tls(authority: trustme.CA, *, clients: bool = False) -> AsyncIterator[tuple[str, list[str]]]:
    """A Prometheus behind TLS: its URL, and what each request says of who asks."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization", ""))
        return web.json_response(VECTOR)

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    if clients:
        authority.configure_trust(tls)
        tls.verify_mode = ssl.CERT_REQUIRED
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


async def ask(url: str, **flags: Any) -> int:
    """How many samples Prometheus gives to who is described by flags."""
    source = PrometheusSource(await prometheus(Settings(prometheus_url=url, **flags)))
    try:
        return len(await source.query(Query("up"), 1.0))
    finally:
        await source.close()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("user", "sent"),
    [
        ({"token": "secret"}, "Bearer secret"),
        ({"username": "ada", "password": "pass"}, aiohttp.encode_basic_auth("ada", "pass")),
    ],
    ids=["token", "username and password"],
)
async def test_the_user_of_a_kubeconfig_asks_prometheus_and_its_ca_data_verify_it(
    tmp_path: Path, user: Mapping[str, object], sent: str
) -> None:
    authority = trustme.CA()
    file = kubeconfig(tmp_path, user, **{"certificate-authority-data": text(authority.cert_pem.bytes())})
    async with prometheus_over_tls(authority) as (url, seen):
        assert await ask(url, prometheus_auth_config=file) == 1
        assert seen == [sent]


async def test_the_certificate_in_a_kubeconfig_is_shown_to_prometheus(tmp_path: Path) -> None:
    authority = trustme.CA()
    client = authority.issue_cert("adapter@example.org")
    user = {
        "client-certificate-data": text(client.cert_chain_pems[0].bytes()),
        "client-key-data": text(client.private_key_pem.bytes()),
    }
    file = kubeconfig(tmp_path, user, **{"certificate-authority-data": text(authority.cert_pem.bytes())})
    async with prometheus_over_tls(authority, clients=True) as (url, _):
        assert await ask(url, prometheus_auth_config=file) == 1


async def test_prometheus_is_not_verified_only_where_the_kubeconfig_says_so(tmp_path: Path) -> None:
    async with prometheus_over_tls(trustme.CA()) as (url, _):
        assert (
            await ask(
                url, prometheus_auth_config=kubeconfig(tmp_path, {}, **cast(Any, {"insecure-skip-tls-verify": True}))
            )
            == 1
        )
        with pytest.raises(SourceError, match="certificate verify failed"):
            await ask(url, prometheus_auth_config=kubeconfig(tmp_path, {}))


async def test_a_plugin_of_a_kubeconfig_says_who_asks_prometheus(tmp_path: Path) -> None:
    authority, plugin = trustme.CA(), tmp_path / "plugin"
    said = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "made"}}
    plugin.write_text(f"#!/bin/sh\necho '{json.dumps(said)}'\n")
    plugin.chmod(0o700)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "args": []}}
    file = kubeconfig(tmp_path, user, **{"certificate-authority-data": text(authority.cert_pem.bytes())})
    async with prometheus_over_tls(authority) as (url, seen):
        assert await ask(url, prometheus_auth_config=file) == 1
        assert seen == ["Bearer made"]
    plugin.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(StartError, match=f"--prometheus-auth-config={file}: .*exec"):
        await ask("https://127.0.0.1:1", prometheus_auth_config=file)


async def test_within_the_cluster_the_service_accounts_token_and_ca_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    monkeypatch.setattr("adapter.kube.config.SERVICE_ACCOUNT", tmp_path)
    (tmp_path / "token").write_text("account\n")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    async with prometheus_over_tls(authority) as (url, seen):
        assert await ask(url, prometheus_auth_incluster=True) == 1
        assert seen == ["Bearer account"]
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
        with pytest.raises(SourceError, match="certificate verify failed"):  # --prometheus-ca-file goes before it
            await ask(url, prometheus_auth_incluster=True, prometheus_ca_file=str(tmp_path / "other.pem"))


async def test_a_kubeconfig_names_the_server_and_the_proxy_of_prometheus(tmp_path: Path) -> None:
    authority = trustme.CA()
    cluster = {
        "certificate-authority-data": text(authority.cert_pem.bytes()),
        "tls-server-name": "127.0.0.1",
        "proxy-url": "http://proxy:3128",
    }
    connection = await prometheus(
        Settings(
            prometheus_url="https://p:9090", prometheus_auth_config=kubeconfig(tmp_path, {"token": "t"}, **cluster)
        )
    )
    assert (connection.server_name, connection.proxies) == ("127.0.0.1", ["http://proxy:3128"])
    async with prometheus_over_tls(authority) as (url, _):
        direct = cluster | {"proxy-url": ""}
        assert await ask(
            url.replace("127.0.0.1", "localhost"), prometheus_auth_config=kubeconfig(tmp_path, {"token": "t"}, **direct)
        )


@pytest.mark.parametrize("url", ["127.0.0.1:9090", " ", ",", "https://p:9090,prometheus:9090", "http://h:x"])
@pytest.mark.parametrize("auth_config", [False, True])
async def test_a_url_without_a_scheme_is_one_sentence(tmp_path: Path, url: str, auth_config: bool) -> None:
    file = kubeconfig(tmp_path, {"token": "t"}) if auth_config else ""
    with pytest.raises(StartError, match=r"^--prometheus-url: .*; right would be like https://"):
        await prometheus(Settings(prometheus_url=url, prometheus_auth_config=file))


async def test_the_environments_proxy_is_used_and_a_wrong_one_is_one_sentence() -> None:
    settings = Settings(prometheus_url="http://p:9090,https://q")
    connection = await prometheus(settings, {"HTTPS_PROXY": "http://proxy:3128"})
    assert connection.proxies == ["", "http://proxy:3128"]
    with pytest.raises(StartError, match="the proxy for Prometheus: HTTPS_PROXY gives no proxy that can be used"):
        await prometheus(settings, {"HTTPS_PROXY": "socks5://proxy:1080"})


async def test_a_header_that_is_given_twice_is_sent_with_both_values() -> None:
    given = ("X-Scope-OrgID=a=1", "x-scope-orgid=b", "X-Empty=")
    connection = await prometheus(Settings(prometheus_url="http://p:9090", prometheus_header=given))
    assert connection.headers == {"X-Scope-OrgID": "a=1, b", "X-Empty": ""}


async def test_a_token_file_and_a_ca_by_flags_go_before_the_kubeconfigs(tmp_path: Path) -> None:
    authority, token, ca = trustme.CA(), tmp_path / "token", tmp_path / "ca.pem"
    token.write_text("mine\n")
    authority.cert_pem.write_to_path(str(ca))
    file = kubeconfig(
        tmp_path, {"token": "other"}, **{"certificate-authority-data": text(trustme.CA().cert_pem.bytes())}
    )
    async with prometheus_over_tls(authority) as (url, seen):
        flags = {"prometheus_token_file": str(token), "prometheus_ca_file": str(ca)}
        assert await ask(url, prometheus_auth_config=file, **flags) == 1
        assert seen == ["Bearer mine"]


@pytest.mark.parametrize("content", [None, "clusters: [", "{}", "current-context: nobody"])
async def test_what_is_no_kubeconfig_keeps_the_program_from_starting(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "config"
    if content is not None:
        file.write_text(content)
    with pytest.raises(StartError, match=f"--prometheus-auth-config={file}: .+"):
        await prometheus(Settings(prometheus_url="https://p:9090", prometheus_auth_config=str(file)))


# ---- credentials for kubelets


async def test_kubelets_are_met_with_the_cluster_credentials_and_verified_unless_told_not_to(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, {"token": "t"})
    access, renewal = await kubelet_access(Settings(kubeconfig=file))
    assert renewal.name == "kubelet credentials"
    assert isinstance(access.tls, ssl.SSLContext)
    assert access.headers is not None
    assert access.headers() == {"Authorization": "Bearer t"}
    assert access.tls.verify_mode is ssl.CERT_REQUIRED
    assert not access.tls.verify_flags & ssl.VERIFY_X509_STRICT
    unverified, _ = await kubelet_access(Settings(kubeconfig=file, kubelet_insecure_tls=True))
    assert isinstance(unverified.tls, ssl.SSLContext)
    assert unverified.tls.verify_mode is ssl.CERT_NONE


async def test_an_authority_of_kubelets_that_is_no_file_is_named_with_its_flag(tmp_path: Path) -> None:
    settings = Settings(kubeconfig=kubeconfig(tmp_path, {}), kubelet_certificate_authority="/nowhere.pem")
    with pytest.raises(StartError, match=r"--kubelet-certificate-authority=/nowhere.pem: No such file or directory"):
        await kubelet_access(settings)
