"""Who asks, over real TLS: front proxies, client certificates, tokens, nobody; and what changes while we run."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from adapter.inbound.listener import Listener
from adapter.serve.authenticate import (
    Authentication,
    Authenticator,
    BearerTokens,
    ClientCertificates,
    FrontProxyHeaders,
    User,
)
from adapter.serve.authorize import (
    AccessReviews,
    AlwaysAllowedPaths,
    Attributes,
    Authorization,
    PrivilegedGroups,
    Verdict,
)
from adapter.serve.certs import KeyPair, make_pair
from adapter.serve.chains import Pool
from adapter.serve.server import Server, serve
from adapter.serve.tls import FilePair, Tls
from adapter.serve.trust import Trust
from tests.serve.conftest import Answer, FakeAnswers, read_answer, review_token

CLIENTS, PROXIES, NEW_PROXIES, STRANGERS = (trustme.CA(key_type=trustme.KeyType.ECDSA) for _ in range(4))
SERVING = make_pair(["localhost"], 1795396678.0)
METRIC = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/bench-golden/pods/*/golden_depth"


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


def config_map(proxies: str, **other: str) -> dict[str, str]:
    return {
        "client-ca-file": pem(CLIENTS),
        "requestheader-client-ca-file": proxies,
        "requestheader-allowed-names": '["front-proxy-client"]',
        "requestheader-username-headers": '["X-Remote-User"]',
        "requestheader-group-headers": '["X-Remote-Group"]',
        "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
        "requestheader-uid-headers": '["X-Remote-Uid"]',
        **other,
    }


@dataclass
class Bed:
    """A server over TLS that lets everybody known in, and remembers whom it saw."""

    trust: Trust = field(default_factory=Trust)
    seen: list[Attributes] = field(default_factory=list)
    port: int = 0
    tls: Tls | None = None

    async def review(self, attributes: Attributes) -> Verdict:
        self.seen.append(attributes)
        return Verdict(attributes.user.name != "system:anonymous")

    @asynccontextmanager
    async def connect(self, shown: trustme.LeafCert | None = None) -> AsyncIterator["Caller"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if shown is not None:
            shown.configure_cert(context)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        try:
            yield Caller(reader, writer)
        finally:
            writer.close()

    async def ask(self, shown: trustme.LeafCert | None = None, *headers: str, path: str = METRIC) -> Answer:
        async with self.connect(shown) as caller:
            return await caller.ask(*headers, path=path)

    @property
    def user(self) -> User:
        return self.seen[-1].user


@dataclass
class Caller:
    """One kept-alive connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, *headers: str, path: str = METRIC) -> Answer:
        lines = "".join(f"{header}\r\n" for header in headers)
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        return await read_answer(self.reader)


@pytest.fixture
async def bed() -> AsyncIterator[Bed]:
    bed = Bed()
    bed.trust.learn(config_map(pem(PROXIES)))
    ways: list[Authenticator] = [
        FrontProxyHeaders(bed.trust),
        ClientCertificates(bed.trust),
        BearerTokens(review_token),
    ]
    rights = Authorization([PrivilegedGroups(), AlwaysAllowedPaths(), AccessReviews(bed.review)])
    server = Server(FakeAnswers(), Authentication(ways), rights)
    bed.tls = Tls(SERVING, bed.trust)
    listener: Listener = await serve(server, "127.0.0.1", 0, bed.tls)
    bed.port = listener.port
    yield bed
    await listener.close(0.1)


PROXY = PROXIES.issue_cert(common_name="front-proxy-client")
ANN = CLIENTS.issue_cert(common_name="ann", organization_name="dev")


async def test_a_front_proxy_names_the_user_his_groups_and_the_rest(bed: Bed) -> None:
    answer = await bed.ask(
        PROXY,
        "X-Remote-User: ann",
        "X-Remote-Group: dev",
        "X-Remote-Group: ops",
        "X-Remote-Uid: u-1",
        "X-Remote-Extra-Example.com%2Fscopes: read",
    )
    assert answer.status == 200
    extra = (("example.com/scopes", ("read",)),)
    assert bed.user == User("ann", ("dev", "ops", "system:authenticated"), "u-1", extra)


@pytest.mark.parametrize("shown", [None, ANN], ids=["no certificate", "a client's certificate"])
async def test_headers_of_anyone_else_are_not_looked_at(bed: Bed, shown: trustme.LeafCert | None) -> None:
    await bed.ask(shown, "X-Remote-User: root", "X-Remote-Group: system:masters")
    assert bed.user.name == ("system:anonymous" if shown is None else "ann")
    assert "system:masters" not in bed.user.groups


async def test_a_front_proxy_of_another_name_is_none(bed: Bed) -> None:
    answer = await bed.ask(PROXIES.issue_cert(common_name="somebody-else"), "X-Remote-User: ann")
    assert answer.status == 401
    assert answer.json["reason"] == "Unauthorized"


async def test_a_front_proxy_that_names_nobody_is_nobody(bed: Bed) -> None:
    assert (await bed.ask(PROXY)).status == 401


@pytest.mark.parametrize(
    ("headers", "user"),
    [
        (["X-Remote-User: ", "X-Remote-User: ann"], None),
        (["X-Remote-User: ann", "X-Remote-User: bob"], User("ann", ("system:authenticated",))),
        (["X-Remote-User: ann", "X-Remote-Uid: ", "X-Remote-Uid: 1"], User("ann", ("system:authenticated",))),
        (
            ["X-Remote-User: ann", "X-Remote-Group: ", "X-Remote-Group: dev"],
            User("ann", ("dev", "system:authenticated")),
        ),
        (
            ["X-Remote-User: ann", "X-Remote-Extra-a%2zb%41: x"],
            User("ann", ("system:authenticated",), "", (("a%2zb%41", ("x",)),)),
        ),
    ],
)
async def test_odd_headers_of_a_front_proxy_are_read_as_go_reads_them(
    bed: Bed, headers: list[str], user: User | None
) -> None:
    """k8s.io/apiserver, headerrequest: of one header the first line counts, of groups all that are not empty."""
    answer = await bed.ask(PROXY, *headers)
    if user is None:
        assert answer.status == 401
    else:
        assert bed.user == user


async def test_the_second_name_of_a_user_header_counts_where_the_first_is_empty(bed: Bed) -> None:
    bed.trust.learn(config_map(pem(PROXIES), **{"requestheader-username-headers": '["X-Remote-User", "X-User"]'}))
    await bed.ask(PROXY, "X-Remote-User: ", "X-Remote-User: ann", "X-User: bob")
    assert bed.user.name == "bob"


async def test_a_client_certificate_gives_name_and_groups(bed: Bed) -> None:
    answer = await bed.ask(ANN)
    assert answer.status == 200
    assert (bed.user.name, bed.user.groups) == ("ann", ("dev", "system:authenticated"))
    assert bed.user.extra[0][0] == "authentication.kubernetes.io/credential-id"


async def test_an_unknown_certificate_ends_in_the_handshake(bed: Bed) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await bed.ask(STRANGERS.issue_cert(common_name="ann"))


@pytest.mark.parametrize(
    ("header", "status", "name"),
    [
        ("Authorization: Bearer authorised", 200, "bench-metrics-reader"),
        ("authorization: bearer authorised", 200, "bench-metrics-reader"),
        ("Authorization: Bearer wrong", 401, None),
        ("Authorization: Basic YTpi", 403, "system:anonymous"),
        ("Authorization: Bearer", 403, "system:anonymous"),
        ("X-Nothing: at all", 403, "system:anonymous"),
    ],
)
async def test_tokens(bed: Bed, header: str, status: int, name: str | None) -> None:
    assert (await bed.ask(None, header)).status == status
    assert [attributes.user.name for attributes in bed.seen] == ([name] if name else [])


async def test_a_good_token_counts_where_the_certificate_does_not(bed: Bed) -> None:
    assert (await bed.ask(PROXY, "Authorization: Bearer authorised")).status == 200
    assert bed.user.name == "bench-metrics-reader"


async def test_a_new_front_proxy_ca_holds_at_once_and_without_restart(bed: Bed) -> None:
    renewed = NEW_PROXIES.issue_cert(common_name="front-proxy-client")
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await bed.ask(renewed, "X-Remote-User: ann")
    bed.trust.learn(config_map(pem(PROXIES) + pem(NEW_PROXIES)))
    assert (await bed.ask(renewed, "X-Remote-User: ann")).status == 200
    assert (await bed.ask(PROXY, "X-Remote-User: ann")).status == 200


async def test_an_open_connection_loses_its_rights_with_its_ca(bed: Bed) -> None:
    async with bed.connect(PROXY) as caller:
        assert (await caller.ask("X-Remote-User: ann")).status == 200
        bed.trust.learn(config_map(pem(NEW_PROXIES)))
        assert (await caller.ask("X-Remote-User: ann")).status == 401
        bed.trust.learn(config_map(pem(PROXIES)))
        assert (await caller.ask("X-Remote-User: ann")).status == 200


async def test_a_config_map_that_cannot_be_used_changes_nothing(bed: Bed) -> None:
    assert not bed.trust.learn(config_map("no certificate"))
    assert not bed.trust.learn(config_map(pem(NEW_PROXIES), **{"requestheader-username-headers": "X-Remote-User"}))
    assert (await bed.ask(PROXY, "X-Remote-User: ann")).status == 200


async def test_health_is_for_everybody_and_nothing_else_is(bed: Bed) -> None:
    assert (await bed.ask(path="/livez")).status == 200
    assert (await bed.ask(path="/metrics")).status == 403


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_is_known_on_every_connection_also_where_it_would_resume(
    bed: Bed, version: ssl.TLSVersion
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    ANN.configure_cert(context)

    def twice() -> list[bool]:
        reused, session = [], None
        for _ in range(2):
            plain = socket.create_connection(("127.0.0.1", bed.port))
            with context.wrap_socket(plain, session=session) as secured:
                secured.sendall(f"GET {METRIC} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                assert b"200 OK" in secured.recv(64)
                session = secured.session
                reused.append(secured.session_reused)
        return reused

    reused = await asyncio.to_thread(twice)
    assert [attributes.user.name for attributes in bed.seen] == ["ann"]  # the second verdict came from memory
    assert version is ssl.TLSVersion.TLSv1_2 or reused == [False, False]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_of_tls_take_client_certificates(bed: Bed, version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    ANN.configure_cert(context)
    reader, writer = await asyncio.open_connection("127.0.0.1", bed.port, ssl=context)
    assert (await Caller(reader, writer).ask()).status == 200
    writer.close()
    assert bed.user.name == "ann"


async def fetch_certificate(bed: Bed) -> bytes:
    async with bed.connect() as caller:
        return caller.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)


async def test_a_new_serving_certificate_is_shown_and_a_bad_one_is_not(bed: Bed, tmp_path: Path) -> None:
    assert bed.tls is not None
    files = (tmp_path / "tls.crt", tmp_path / "tls.key")
    first, second = make_pair(["a"], 1795396678.0), make_pair(["b"], 1795396678.0)
    source = FilePair(*files)

    def write(certificate: KeyPair, key: KeyPair) -> None:
        files[0].write_bytes(certificate.certificate)
        files[1].write_bytes(key.key)

    write(first, first)
    loaded = source.load()
    assert loaded is not None
    bed.tls.use(loaded)
    shown = await fetch_certificate(bed)
    assert source.load() is None
    write(second, first)
    with pytest.raises(ValueError, match="is not the key of the certificate"):
        source.load()
    assert await fetch_certificate(bed) == shown
    write(second, second)
    loaded = source.load()
    assert loaded is not None
    bed.tls.use(loaded)
    assert await fetch_certificate(bed) != shown


def test_pools_are_compared_by_identity() -> None:
    one = Pool(pem(PROXIES).encode())
    assert one in {one}
    assert Pool(pem(PROXIES).encode()) != one


def test_what_tls_must_not_do_is_switched_off() -> None:
    """No tickets (a resumed session has lost its chain), no compression (CRIME), no renegotiation (its cost)."""
    context = Tls(SERVING, Trust()).context
    for option in (ssl.OP_NO_TICKET, ssl.OP_NO_COMPRESSION, ssl.OP_NO_RENEGOTIATION):
        assert option in context.options
    assert context.num_tickets == 0
    assert context.verify_mode is ssl.CERT_OPTIONAL
    assert ssl.VERIFY_X509_PARTIAL_CHAIN in context.verify_flags
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


async def negotiate(tls: Tls, *, highest: ssl.TLSVersion) -> tuple[str, str, str | None]:
    """The version, cipher and protocol agreed on with a client that knows nothing newer than `highest`."""
    listener = await serve(
        Server(FakeAnswers(), Authentication([]), Authorization([AlwaysAllowedPaths()])), "127.0.0.1", 0, tls
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = highest
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port, ssl=context)
        agreed = writer.get_extra_info("ssl_object")
        writer.close()
        return agreed.version(), agreed.cipher()[0], agreed.selected_alpn_protocol()
    finally:
        await listener.close(0.1)


async def test_the_version_and_the_ciphers_that_were_asked_for_are_the_ones_spoken() -> None:
    suite = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"  # not what would be agreed on by itself
    one = Tls(SERVING, Trust(), cipher_suites=[suite])
    assert await negotiate(one, highest=ssl.TLSVersion.TLSv1_2) == (
        "TLSv1.2",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "http/1.1",
    )
    newest = Tls(SERVING, Trust(), min_version="VersionTLS13")
    assert (await negotiate(newest, highest=ssl.TLSVersion.TLSv1_3))[0] == "TLSv1.3"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await negotiate(newest, highest=ssl.TLSVersion.TLSv1_2)
