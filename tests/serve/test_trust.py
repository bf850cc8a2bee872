"""Whom the server believes: the ConfigMap, flags before it, files that change."""

import asyncio
from pathlib import Path

import pytest
import trustme
from structlog.testing import capture_logs

from adapter.serve.certs import CertificateError, KeyPair, make_pair
from adapter.serve.chains import Pool
from adapter.serve.tls import FilePair, Tls, keep_fresh
from adapter.serve.trust import (
    AnchorFiles,
    Anchors,
    FrontProxy,
    ProxyRules,
    Trust,
    TrustError,
    anchors_of,
    keep_anchors,
)

ONE, TWO = (trustme.CA(key_type=trustme.KeyType.ECDSA).cert_pem.bytes() for _ in range(2))
BASE = {"client-ca-file": ONE.decode(), "requestheader-client-ca-file": TWO.decode()}
HEADERS = {"requestheader-username-headers": '["X-User"]'}


def anchor_files(
    clients: Path | str = "",
    proxies: Path | str = "",
    rules: ProxyRules = ProxyRules(),  # noqa: B008 - immutable
) -> AnchorFiles:
    return AnchorFiles(client_ca_file=str(clients), requestheader_client_ca_file=str(proxies), rules=rules)


def test_the_config_map_says_everything() -> None:
    anchors = anchors_of(
        {
            **BASE,
            **HEADERS,
            "requestheader-allowed-names": '["a","b",""]',
            "requestheader-group-headers": '["X-G"]',
            "requestheader-extra-headers-prefix": '["X-E-"]',
        }
    )
    assert anchors.clients is not None
    assert anchors.front_proxy is not None
    assert (anchors.clients.pem, anchors.front_proxy.pool.pem) == (ONE, TWO)
    assert anchors.front_proxy.rules == ProxyRules(("a", "b"), ("X-User",), ("X-G",), ("X-E-",), ())
    assert anchors.pem == ONE + b"\n" + TWO


def test_what_is_missing_is_not_believed() -> None:
    assert anchors_of({}) == Anchors()
    assert anchors_of({"client-ca-file": ONE.decode()}).front_proxy is None


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({**BASE}, "requestheader-username-headers names no header"),
        ({**BASE, "requestheader-username-headers": "X-User"}, "requestheader-username-headers: must be a JSON list"),
        ({**BASE, **HEADERS, "requestheader-allowed-names": "{}"}, "requestheader-allowed-names: must be a JSON list"),
        ({"client-ca-file": "x"}, "client-ca-file: the CA bundle is not PEM"),
    ],
)
def test_what_cannot_be_read_is_refused_by_key(data: dict[str, str], says: str) -> None:
    with pytest.raises(TrustError, match=says):
        anchors_of(data)


def test_flags_go_before_the_config_map_part_by_part() -> None:
    trust = Trust(Anchors(clients=Pool(TWO)))
    trust.learn({**BASE, **HEADERS})
    assert trust.current.clients is not None
    assert trust.current.clients.pem == TWO
    assert trust.current.front_proxy is not None
    trust.fix(Anchors())
    assert trust.current.clients.pem == ONE


def test_only_a_change_is_told() -> None:
    trust = Trust()
    told: list[Anchors] = []
    trust.on_change(lambda: told.append(trust.current))
    trust.learn({**BASE, **HEADERS})
    pool = trust.current.clients
    trust.learn({**BASE, **HEADERS})
    assert len(told) == 1
    assert trust.current.clients is pool, "verdicts on open connections stay remembered"
    trust.learn({**BASE, **HEADERS, "requestheader-allowed-names": '["a"]'})
    assert len(told) == 2


def test_files_are_read_when_they_are_new(tmp_path: Path) -> None:
    clients, proxies = tmp_path / "clients.pem", tmp_path / "proxies.pem"
    clients.write_bytes(ONE)
    proxies.write_bytes(TWO)
    files = anchor_files(clients, proxies, ProxyRules(("a",)))
    anchors = files.load()
    assert anchors is not None
    assert isinstance(anchors.front_proxy, FrontProxy)
    assert anchors.front_proxy.rules.allowed_names == ("a",)
    assert files.load() is None
    clients.unlink()
    with pytest.raises(TrustError, match=r"clients\.pem: No such file"):
        files.load()
    only = anchor_files().load()
    assert only == Anchors()


@pytest.mark.looptime
async def test_files_are_looked_at_every_10_s_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(ONE)
    files = anchor_files(ca)
    trust = Trust(files.load() or Anchors())
    task = asyncio.create_task(keep_anchors(trust, files, every=10))
    ca.write_bytes(b"no certificate at all")
    with capture_logs() as logs:
        await asyncio.sleep(11)
        assert trust.current.clients is not None
        assert trust.current.clients.pem == ONE
        ca.write_bytes(TWO + b"\n")
        await asyncio.sleep(10)
    assert trust.current.clients.pem == TWO + b"\n"
    assert [line["log_level"] for line in logs] == ["error", "info"]
    task.cancel()


@pytest.mark.looptime
async def test_a_new_serving_certificate_is_taken_up_and_a_bad_one_is_not(tmp_path: Path) -> None:
    files = (tmp_path / "tls.crt", tmp_path / "tls.key")
    used: list[KeyPair] = []

    class Seen(Tls):
        def use(self, pair: KeyPair) -> None:
            super().use(pair)
            used.append(pair)

    first, second = make_pair(["a"], 1795396678.0), make_pair(["b"], 1795396678.0)
    for file, content in zip(files, first, strict=True):
        file.write_bytes(content)
    source = FilePair(*files)
    loaded = source.load()
    assert loaded is not None
    task = asyncio.create_task(keep_fresh(Seen(loaded, Trust()), source, every=10))
    with capture_logs() as logs:
        files[0].write_bytes(second.certificate)  # the key has not followed yet
        await asyncio.sleep(11)
        assert used == []
        files[1].write_bytes(second.key)
        await asyncio.sleep(10)
    assert used == [second]
    assert [line["log_level"] for line in logs] == ["error", "info"]
    task.cancel()


def test_a_pair_that_openssl_refuses_leaves_the_old_one() -> None:
    good = make_pair(["a"], 1795396678.0)
    tls = Tls(good, Trust())
    with pytest.raises(CertificateError, match="the serving certificate cannot be used"):
        tls.use(KeyPair(good.certificate, make_pair(["b"], 1795396678.0).key))
    tls.use(good)
