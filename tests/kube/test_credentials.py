"""Kubeconfigs and service accounts: what is read, what is read again, and what is said where it cannot be."""

import base64
import json
import os
import ssl
import sys
from pathlib import Path
from ssl import SSLContext
from typing import Any

import pytest
import trustme
import yaml
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from adapter.kube.client import Client
from adapter.kube.config import ConfigError, Connection, connect
from adapter.kube.fake.server import FakeCluster
from adapter.kube.objects import Namespace

NOWHERE = {"PATH": os.environ["PATH"]}
"""Surroundings without a pod and without KUBECONFIG."""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def kubeconfig(
    folder: Path, user: dict | None = None, *, name: str = "config", server: str = "http://s:1", **cluster: bool | str
) -> str:
    """A file with one context, 'main', and a second one, 'other', in namespace 'elsewhere'."""
    written = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "clusters": [
            {"name": "c", "cluster": {"server": server, **cluster}},
            {"name": "d", "cluster": {"server": "http://other:2/"}},
        ],
        "contexts": [
            {"name": "main", "context": {"cluster": "c"} | ({"user": "u"} if user is not None else {})},
            {"name": "other", "context": {"cluster": "d", "namespace": "elsewhere"}},
        ],
        "users": [{"name": "u", "user": user}] if user is not None else [],
    }
    file = folder / name
    file.write_text(yaml.safe_dump(written))
    return str(file)


async def authorization(connection: Connection, refused: bool = False) -> str | None:
    return (await connection.credentials.headers(refused)).get("Authorization")


async def test_a_token_and_a_server_are_read(tmp_path: Path) -> None:
    connection = await connect(kubeconfig(tmp_path, {"token": "t"}), environ=NOWHERE)
    assert (connection.server, connection.namespace, connection.tls) == ("http://s:1", "default", None)
    assert await authorization(connection) == "Bearer t"


async def test_a_name_and_a_password_are_basic_authentication(tmp_path: Path) -> None:
    connection = await connect(kubeconfig(tmp_path, {"username": "ann", "password": "p"}), environ=NOWHERE)
    assert await authorization(connection) == "Basic " + base64.b64encode(b"ann:p").decode()


async def test_a_name_without_a_password_is_basic_authentication_too_as_in_go(tmp_path: Path) -> None:
    for user in ({"username": "ann"}, {"username": "ann", "password": None}):
        connection = await connect(kubeconfig(tmp_path, user), environ=NOWHERE)
        assert await authorization(connection) == "Basic " + base64.b64encode(b"ann:").decode()


async def test_a_user_may_act_as_another_one(tmp_path: Path) -> None:
    extra = {"example.com/Scopes": ["view", "edit"], "reason 100%": ["ünderstood"]}
    user = {"token": "t", "as": "ann", "as-uid": "7", "as-groups": ["g", "h"], "as-user-extra": extra}
    connection = await connect(kubeconfig(tmp_path, user), environ=NOWHERE)
    assert list((await connection.credentials.headers()).items()) == [
        ("Authorization", "Bearer t"),
        ("Impersonate-User", "ann"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "g"),
        ("Impersonate-Group", "h"),
        ("Impersonate-Extra-example.com%2FScopes", "view"),
        ("Impersonate-Extra-example.com%2FScopes", "edit"),
        ("Impersonate-Extra-reason%20100%25", "ünderstood"),
    ]


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ({"as-groups": ["g"]}, "are there without as"),
        ({"as-uid": "7"}, "are there without as"),
        ({"as": "ann", "as-groups": "g"}, "as-groups is no text of printable signs, or no list of such"),
        ({"as": "ann", "as-groups": ["g", 7]}, "as-groups is no text"),
        ({"as": "ann\r\nX-Other: x"}, "as is no text of printable signs"),
        ({"as": "ann", "as-user-extra": ["a"]}, "as-user-extra is no map"),
        ({"as": "ann", "as-user-extra": {"a": "b"}}, r"as-user-extra\['a'\] is no text"),
    ],
)
async def test_what_cannot_name_another_user_is_one_sentence(tmp_path: Path, user: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        await connect(kubeconfig(tmp_path, {"token": "t"} | user), environ=NOWHERE)


async def test_each_group_and_extra_of_another_user_is_a_header_of_its_own_on_the_wire(tmp_path: Path) -> None:
    seen: list[list[tuple[str, str]]] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        seen.append([(name, value) for name, value in request.headers.items() if name.startswith("Impersonate-")])
        return web.json_response({"metadata": {"name": "shop"}})

    user = {"as": "ann", "as-groups": ["g", "h"], "as-user-extra": {"scopes": ["view", "edit"]}}
    async with RawTestServer(answer) as server:
        file = kubeconfig(tmp_path, user, server=str(server.make_url("")))
        async with Client(await connect(file, environ=NOWHERE)) as client:
            await client.get("/api/v1/namespaces/shop", Namespace)
    assert seen == [
        [
            ("Impersonate-User", "ann"),
            ("Impersonate-Group", "g"),
            ("Impersonate-Group", "h"),
            ("Impersonate-Extra-scopes", "view"),
            ("Impersonate-Extra-scopes", "edit"),
        ]
    ]


async def test_a_plugins_path_is_meant_beside_the_file(tmp_path: Path) -> None:
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "of the plugin"},
    }
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    plugin.chmod(0o700)
    of = {"apiVersion": answer["apiVersion"], "command": "./plugin", "interactiveMode": "Never"}
    connection = await connect(kubeconfig(tmp_path, {"exec": of}), environ=NOWHERE)
    assert await authorization(connection) == "Bearer of the plugin"


async def test_another_context_can_be_chosen(tmp_path: Path) -> None:
    connection = await connect(kubeconfig(tmp_path, {"token": "t"}), "other", environ=NOWHERE)
    assert (connection.server, connection.namespace) == ("http://other:2", "elsewhere")
    assert await authorization(connection) is None


async def test_the_environment_names_the_files_and_several_are_merged(tmp_path: Path) -> None:
    first = kubeconfig(tmp_path, {"token": "first"}, name="first")
    second = kubeconfig(tmp_path, {"token": "second"}, name="second", server="http://unseen:9")
    connection = await connect(environ=NOWHERE | {"KUBECONFIG": f"{tmp_path}/missing:{first}:{second}"})
    assert connection.server == "http://s:1"
    assert await authorization(connection) == "Bearer first"


async def test_a_context_without_a_user_is_anonymous_even_over_tls(tmp_path: Path) -> None:
    connection = await connect(kubeconfig(tmp_path, server="https://s:1"), environ=NOWHERE)
    assert connection.tls is not None
    assert await authorization(connection) is None


async def test_options_of_the_cluster_are_heeded(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "tls-server-name": "kubernetes",
        "proxy-url": "http://p:3",
        "insecure-skip-tls-verify": True,
    }
    file = kubeconfig(tmp_path, {"token": "t"}, server="https://s:1", **options)
    connection = await connect(file, environ=NOWHERE)
    assert (connection.server_name, connection.proxy) == ("kubernetes", "http://p:3")
    assert (connection.tls.verify_mode, connection.tls.check_hostname) == (ssl.CERT_NONE, False)


@pytest.mark.parametrize("strict", [True, False])
async def test_strictness_about_certificates_can_be_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strict: bool
) -> None:
    """Python 3.13 is strict by default; here every version is."""
    make = ssl.create_default_context

    def strict_by_default(*args: Any, **options: Any) -> SSLContext:
        context = make(*args, **options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict_by_default)
    file = kubeconfig(tmp_path, {"token": "t"}, server="https://s:1")
    connection = await connect(file, environ=NOWHERE, strict_x509=strict)
    assert bool(connection.tls.verify_flags & ssl.VERIFY_X509_STRICT) is strict


async def test_a_token_file_is_read_again_after_a_minute_and_its_newline_stripped(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "token").write_text("one\n")
    connection = await connect(kubeconfig(tmp_path, {"tokenFile": "token"}), environ=NOWHERE, clock=clock)
    (tmp_path / "token").write_text("two\n")
    clock.now += 59
    assert await authorization(connection) == "Bearer one"
    clock.now += 1
    assert await authorization(connection) == "Bearer two"


async def test_a_refusal_reads_again_at_once_but_not_every_second(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "token").write_text("one")
    connection = await connect(kubeconfig(tmp_path, {"tokenFile": "token"}), environ=NOWHERE, clock=clock)
    (tmp_path / "token").write_text("two")
    clock.now += 9
    assert await authorization(connection, refused=True) == "Bearer one"
    clock.now += 1
    assert await authorization(connection, refused=True) == "Bearer two"


def plugin(folder: Path, status: str, fails: bool = False) -> dict:
    """An exec plugin that counts its runs in the file `runs` and answers with `status` (a format of the count)."""
    script = folder / "plugin.py"
    script.write_text(
        f"import json, os, pathlib\n"
        f"assert json.loads(os.environ['KUBERNETES_EXEC_INFO'])['kind'] == 'ExecCredential'\n"
        f"runs = pathlib.Path({str(folder / 'runs')!r})\n"
        f"count = len(runs.read_text()) if runs.exists() else 0\n"
        f"runs.write_text('x' * (count + 1))\n"
        f"{'raise SystemExit(3)' if fails else ''}\n"
        f"status = json.loads({status!r}.replace('COUNT', str(count)))\n"
        f"print(json.dumps(dict(apiVersion='client.authentication.k8s.io/v1', kind='ExecCredential', status=status)))\n"
    )
    command = {"command": sys.executable, "args": ["-S", str(script)], "interactiveMode": "Never"}
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", **command}}


async def test_a_plugins_token_is_kept_until_it_expires(tmp_path: Path, clock: Clock) -> None:
    status = json.dumps({"token": "COUNT", "expirationTimestamp": "2000-01-01T00:00:00Z"})  # long expired
    connection = await connect(kubeconfig(tmp_path, plugin(tmp_path, status)), environ=NOWHERE, clock=clock)
    assert await authorization(connection) == "Bearer 0"
    clock.now += 61
    assert await authorization(connection) == "Bearer 1"


async def test_a_plugin_that_names_no_expiry_is_run_again_only_after_a_refusal(tmp_path: Path, clock: Clock) -> None:
    status = json.dumps({"token": "COUNT"})
    connection = await connect(kubeconfig(tmp_path, plugin(tmp_path, status)), environ=NOWHERE, clock=clock)
    clock.now += 3600
    assert await authorization(connection) == "Bearer 0"
    assert await authorization(connection, refused=True) == "Bearer 1"


async def test_a_plugin_that_fails_is_told_in_one_sentence(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, plugin(tmp_path, "", fails=True))
    with pytest.raises(ConfigError, match="config: the exec plugin gave no credentials"):
        await connect(file, environ=NOWHERE)


async def test_a_plugins_client_certificate_changes_in_place(tmp_path: Path, clock: Clock) -> None:
    """Two CAs' certificates in turn; the server trusts the second only."""
    ca = trustme.CA()
    wanted = ca.issue_cert("ann@example.org")
    stranger = trustme.CA().issue_cert("bob@example.org")
    for number, one in enumerate((stranger, wanted)):
        (tmp_path / f"cert{number}").write_bytes(one.cert_chain_pems[0].bytes())
        (tmp_path / f"key{number}").write_bytes(one.private_key_pem.bytes())
    user = plugin(tmp_path, json.dumps({"expirationTimestamp": "2000-01-01T00:00:00Z", "token": "COUNT"}))
    script = tmp_path / "plugin.py"
    read = (
        "status = {k: pathlib.Path(f'{runs.parent}/{f}{count}').read_text() for k, f in "
        "(('clientCertificateData', 'cert'), ('clientKeyData', 'key'))}\nprint"
    )
    script.write_text(script.read_text().replace("\nprint", "\n" + read))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(server)
    ca.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    server.maximum_version = ssl.TLSVersion.TLSv1_2  # in 1.3 a refusal comes only after the handshake
    ca.cert_pem.write_to_path(str(tmp_path / "ca"))
    async with FakeCluster(certificate=server) as cluster:
        file = kubeconfig(tmp_path, user, server=cluster.url, **{"certificate-authority": "ca"})
        connection = await connect(file, environ=NOWHERE, clock=clock)
        async with Client(connection) as client:
            with pytest.raises(Exception, match="GET /api"):
                await client.get("/api")
            clock.now += 61
            await connection.credentials.headers(refused=True)
            assert await client.get("/api")


async def test_certificates_of_a_kubeconfig_open_the_door(tmp_path: Path) -> None:
    ca = trustme.CA()
    ann = ca.issue_cert("ann@example.org")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(server)
    ca.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    (tmp_path / "ann.key").write_bytes(ann.private_key_pem.bytes())
    user = {
        "client-certificate-data": base64.b64encode(ann.cert_chain_pems[0].bytes()).decode(),
        "client-key": "ann.key",
    }
    authority = {"certificate-authority-data": base64.b64encode(ca.cert_pem.bytes()).decode()}
    async with FakeCluster(certificate=server) as cluster:
        connection = await connect(kubeconfig(tmp_path, user, server=cluster.url, **authority), environ=NOWHERE)
        async with Client(connection) as client:
            assert await client.get("/api")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no such file"),
        ("", "it is no kubeconfig; right would be a map with contexts, clusters, users$"),
        ("just text", "it is no kubeconfig; right"),
        ("[1]", "it is no kubeconfig; right"),
        ("{}", ""),
        ("a: [", "it is no YAML: while parsing a flow node expected the node content.* line 1, column 5$"),
        ("[" * 200_000, "it is more than 50 levels deep; right would be fewer"),
        ("a: 1\n---\nb: 2\n", "it is no YAML: expected a single document"),
        (
            "users: [{name: u, user: {username: a, password: 1234}}]",
            "user u: password is no text; right would be quotes",
        ),
        ("users: [{name: u, user: {token: 1234}}]", "user u: token is no text; right would be quotes"),
        ("current-context: x\nclusters: []\ncontexts: []\nusers: []", "x"),
        ("current-context: x\nclusters: 7\ncontexts: {}\nusers: yes", ""),
    ],
)
async def test_a_broken_file_is_told_by_its_name(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "broken"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=f"{file}: .*{said}"):
        await connect(str(file), environ=NOWHERE)


async def test_an_unknown_context_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="third"):
        await connect(kubeconfig(tmp_path, {"token": "t"}), "third", environ=NOWHERE)


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """A pod's service account, as the kubelet mounts it."""
    folder = tmp_path / "account"
    folder.mkdir()
    (folder / "token").write_text("one\n")
    (folder / "namespace").write_text("autoscaling\n")
    trustme.CA().cert_pem.write_to_path(str(folder / "ca.crt"))
    return folder


POD = NOWHERE | {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


async def test_in_a_pod_the_service_account_is_used_and_its_token_rotates(account: Path, clock: Clock) -> None:
    connection = await connect(environ=POD, service_account=account, clock=clock)
    assert (connection.server, connection.namespace) == ("https://10.96.0.1:443", "autoscaling")
    assert (await authorization(connection)).lower() == "bearer one"
    (account / "token").write_text("two\n")
    clock.now += 61
    assert (await authorization(connection)).lower() == "bearer two"


async def test_a_token_that_is_missing_for_a_moment_leaves_the_old_one_in_use(account: Path, clock: Clock) -> None:
    connection = await connect(environ=POD, service_account=account, clock=clock)
    (account / "token").rename(account / "gone")
    clock.now += 61
    assert (await authorization(connection)).lower() == "bearer one"
    (account / "gone").rename(account / "token")
    (account / "token").write_text("two")
    clock.now += 61
    assert (await authorization(connection)).lower() == "bearer two"


async def test_an_ipv6_server_is_bracketed(account: Path) -> None:
    connection = await connect(environ=POD | {"KUBERNETES_SERVICE_HOST": "fd00::1"}, service_account=account)
    assert connection.server == "https://[fd00::1]:443"


async def test_a_pod_without_a_service_account_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing: Service token file does not exist"):
        await connect(environ=POD, service_account=tmp_path / "nothing")


async def test_a_kubeconfig_in_a_pod_wins_over_the_service_account(account: Path, tmp_path: Path) -> None:
    connection = await connect(kubeconfig(tmp_path, {"token": "t"}), environ=POD, service_account=account)
    assert connection.server == "http://s:1"
