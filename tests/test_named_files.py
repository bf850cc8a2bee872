"""Whatever names a file may name a device, a pipe, a folder or a gigabyte: one sentence at once, nothing held."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from adapter.console.__main__ import read_token
from adapter.files import read_text
from adapter.kube.config import ConfigError, connect
from adapter.kube.documents import DocumentError, read_objects
from adapter.kube.plugin import PluginError, run
from adapter.metrics.prometheus.connection import Connection, Endpoint
from adapter.metrics.prometheus.identity import Identity
from adapter.metrics.source import SourceError
from adapter.program.flags import SettingsError
from adapter.program.run import StartError
from adapter.rollout.__main__ import main as rollout
from adapter.serve.certs import CertificateError, read_pair
from adapter.serve.trust import AnchorFiles, ProxyRules, TrustError
from adapter.settings import Settings as AdapterSettings
from adapter.wiring import whole
from adapter.wiring.source import kubelet_access
from recommender.config import history
from recommender.input.usage_file import UsageError, read_usage
from recommender.offline.checkpoint_files import read_checkpoints
from recommender.settings import Settings as RecommenderSettings
from tests.awkward import AWKWARD, Make

SAMPLES = Path(__file__).resolve().parents[1] / "manifests" / "samples"
NOWHERE = {"PATH": os.environ["PATH"]}
REFUSED = (
    CertificateError, ConfigError, DocumentError, OSError, SettingsError, SourceError, StartError, TrustError,
    UsageError,
)  # fmt: skip


async def kubeconfig(named: Path, _: Path) -> None:
    await connect(str(named), environ=NOWHERE)


async def one_of_several_kubeconfigs(named: Path, folder: Path) -> None:
    await connect(f"{write_kubeconfig(folder, {'token': 't'})}:{named}", environ=NOWHERE)


def write_kubeconfig(folder: Path, user: dict[str, Any], **cluster: str) -> Path:
    file = folder / "config"
    tree = {
        "current-context": "m",
        "contexts": [{"name": "m", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://s:1", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    file.write_text(yaml.safe_dump(tree))
    return file


async def token_of_a_kubeconfig(named: Path, folder: Path) -> None:
    await connect(str(write_kubeconfig(folder, {"tokenFile": str(named)})), environ=NOWHERE)


async def authority_of_a_kubeconfig(named: Path, folder: Path) -> None:
    await connect(
        str(write_kubeconfig(folder, {"token": "t"}, **{"certificate-authority": str(named)})), environ=NOWHERE
    )


async def key_of_a_kubeconfig(named: Path, folder: Path) -> None:
    user = {"client-certificate": str(pair(folder)[0]), "client-key": str(named)}
    await connect(str(write_kubeconfig(folder, user)), environ=NOWHERE)


def pair(folder: Path) -> tuple[Path, Path]:
    made = trustme.CA().issue_cert("a.example")
    certificate, key = folder / "certificate", folder / "key"
    made.cert_chain_pems[0].write_to_path(certificate)
    made.private_key_pem.write_to_path(key)
    return certificate, key


async def account(folder: Path, *, mounted: str, named: Path) -> None:
    for name in {"token", "ca.crt", "namespace"} - {mounted}:
        (folder / name).write_text("x")
    (folder / mounted).symlink_to(named)
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    await connect(service_account=folder, environ=environ)


async def token_of_a_service_account(named: Path, folder: Path) -> None:
    await account(folder, mounted="token", named=named)


async def authority_of_a_service_account(named: Path, folder: Path) -> None:
    await account(folder, mounted="ca.crt", named=named)


async def token_for_prometheus(named: Path, _: Path) -> None:
    identity = Identity(Connection(["http://p"], token_file=str(named)))
    await identity.headers(Endpoint("http://p", use_post=True), {})


async def authority_of_prometheus(named: Path, _: Path) -> None:
    Identity(Connection(["http://p"], ca_file=str(named))).tls()


async def key_for_prometheus(named: Path, folder: Path) -> None:
    certificate, _ = pair(folder)
    Identity(Connection(["http://p"], certificate_file=str(certificate), key_file=str(named))).tls()


async def authority_of_kubelets(named: Path, folder: Path) -> None:
    kubeconfig = str(write_kubeconfig(folder, {"token": "t"}))
    await kubelet_access(AdapterSettings(kubeconfig=kubeconfig, kubelet_certificate_authority=str(named)))


async def client_ca_file(named: Path, _: Path) -> None:
    AnchorFiles(client_ca_file=str(named), requestheader_client_ca_file="", rules=ProxyRules()).load()


async def tls_private_key_file(named: Path, folder: Path) -> None:
    read_pair(pair(folder)[0], named)


async def rules(named: Path, _: Path) -> None:
    whole.read_rules(AdapterSettings(config=str(named)))


async def standalone(named: Path, _: Path) -> None:
    read_objects(named)


async def token_of_the_console(named: Path, _: Path) -> None:
    read_token(str(named))


async def token_of_the_recommender(named: Path, _: Path) -> None:
    history(RecommenderSettings(bearer_token_file=str(named)))


async def checkpoints(named: Path, _: Path) -> None:
    read_checkpoints(named, 0.0)


DOORS: list[tuple[Callable[[Path, Path], Awaitable[None]], str]] = [
    (kubeconfig, "4 MiB"),
    (one_of_several_kubeconfigs, "4 MiB"),
    (token_of_a_kubeconfig, "64 KiB"),
    (authority_of_a_kubeconfig, "4 MiB"),
    (key_of_a_kubeconfig, "4 MiB"),
    (token_of_a_service_account, "64 KiB"),
    (authority_of_a_service_account, "4 MiB"),
    (token_for_prometheus, "64 KiB"),
    (authority_of_prometheus, "4 MiB"),
    (key_for_prometheus, "4 MiB"),
    (authority_of_kubelets, "4 MiB"),
    (client_ca_file, "4 MiB"),
    (tls_private_key_file, "4 MiB"),
    (rules, "8 MiB"),
    (standalone, "4 MiB"),
    (token_of_the_console, "64 KiB"),
    (token_of_the_recommender, "64 KiB"),
    (checkpoints, "1 MiB"),
]
"""Who reads a file by a name, and how much of it."""
GIVEN_PIPES = (rules, standalone, checkpoints)
"""Where a person may give a pipe: what did not come of it is told."""


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe is waited for for 5 s at a start, for 600 s by a verb; an export may have a gigabyte."""
    monkeypatch.setattr("adapter.files.PIPE_S", 0.01)
    monkeypatch.setattr("recommender.offline.checkpoint_files.PIPE_S", 0.01)
    monkeypatch.setattr("recommender.offline.checkpoint_files.MAX_BYTES", 1 << 20)


@pytest.mark.parametrize(("make", "said"), AWKWARD)
@pytest.mark.parametrize(("door", "most"), DOORS, ids=lambda each: getattr(each, "__name__", ""))
async def test_it_is_refused_in_one_sentence_with_its_name(
    tmp_path: Path, door: Callable[[Path, Path], Awaitable[None]], most: str, make: Make, said: str
) -> None:
    (tmp_path / "own").mkdir()
    named = make(tmp_path / "own")
    with pytest.raises(REFUSED) as error:
        await door(named, tmp_path)
    text = str(error.value)
    if door in GIVEN_PIPES and "a pipe" in said:
        said = "it gave nothing within 0.01 s; a file would be right"
    assert str(named) in text or f"{tmp_path}/" in text  # the name that was given, which may be a link
    assert said.replace("MOST", most) in text
    assert "\n" not in text


def plugin(*code: str) -> dict[str, Any]:
    version = "client.authentication.k8s.io/v1"
    return {"apiVersion": version, "command": sys.executable, "args": ["-S", "-c", "\n".join(code)]}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys\nwhile True: sys.stdout.write('x' * 65536)", "printed more than 1 MiB; right would be one Exec"),
        ("import time\ntime.sleep(60)", r"did not end within 0.5 s; run it by hand to see why"),
        ("import sys\nsys.exit(3)", "the exec plugin gave no credentials: .* ended with code 3"),
        ("print('[' * 100000)", "printed no JSON; run it by hand to see what"),
        ("print('[1]')", "printed something else than an ExecCredential of client.authentication.k8s.io/v1"),
    ],
)
async def test_a_plugin_that_never_ends_or_says_too_much_is_one_sentence(code: str, said: str) -> None:
    patience = 0.5 if "time" in code else 30.0
    with pytest.raises(PluginError, match=said):
        await run(plugin(code), patience)


async def test_a_plugin_that_fills_both_its_outputs_does_not_wait_for_ever() -> None:
    loud = plugin("import sys", "sys.stderr.write('x\\n' * 100000)", "sys.exit(1)")
    with pytest.raises(PluginError, match="ended with code 1"):
        await asyncio.wait_for(run(loud), 30)


async def test_what_aliases_blow_up_is_refused_before_it_is_written_out(tmp_path: Path) -> None:
    """Nine levels of nine aliases each: 9^9 = 387 million values of some hundred characters."""
    levels = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    file = tmp_path / "config"
    file.write_text("\n".join([*levels, "users: [{name: u, user: {token: *a9}}]", "clusters: []", "contexts: []"]))
    with pytest.raises(ConfigError, match="config: the file holds too many values, or too deep ones"):
        await connect(str(file), environ=NOWHERE)


def test_a_token_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    with pytest.raises(UnicodeDecodeError):
        read_text(tmp_path / "token", 10)
    with pytest.raises(SettingsError, match="--prometheus-bearer-token-file"):
        history(RecommenderSettings(bearer_token_file=str(tmp_path / "token")))


async def test_a_line_that_never_ends_is_given_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"/dev/zero: a line has more than 64 MiB; a csv or csv\.gz file is wanted"):
        read_usage([Path("/dev/zero")])
    policy = tmp_path / "policy.yaml"
    policy.write_text((SAMPLES / "canary-setup.yaml").read_text())
    assert rollout(["replay", str(policy), "/dev/zero"]) == 1
    assert "/dev/zero: a line has more than 64 MiB; JSON lines of windows are wanted" in capsys.readouterr().err
