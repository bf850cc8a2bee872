"""Probes and requests of our own by https: whose certificate is taken, and who vouches for it."""

import base64
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from adapter.rollout.hear import MetricsEars
from adapter.rollout.model.preview import GENERATE, PROBE
from adapter.rollout.model.tls import MOST_CA, TLS, Tls, is_ca
from adapter.rollout.outside import Outside, OutsideError, networks
from adapter.rollout.preview import trusting
from adapter.rollout.turns import Turns
from tests.rollout.shop import Shop
from tests.rollout.test_rollout_gates_crd import SPEC
from tests.rollout.test_rollout_preview import HEALTH, PROBED, release_with_answers


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def https(authority: trustme.CA) -> AsyncIterator[int]:
    """The port of a server whose certificate is for web.shop.svc, and which answers 204 to /healthz."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("web.shop.svc").configure_cert(context)

    async def health(request: web.Request) -> web.Response:
        return web.Response(status=204 if request.host == "web.shop.svc" else 200)

    app = web.Application()
    app.router.add_get("/healthz", health)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def bundle(authority: trustme.CA) -> str:
    return base64.b64encode(authority.cert_pem.bytes()).decode()


async def ask(port: int, tls: Tls, name: str, scheme: str = "https") -> int:
    async with Outside(allowed=networks(["127.0.0.0/8"])) as outside:
        trust = trusting(tls, name) if scheme == "https" else None
        headers = {"Host": name} if name else {}
        return await outside.get(f"{scheme}://127.0.0.1:{port}/healthz", headers, 5.0, trust)


async def test_https_is_spoken_to_pods_and_their_certificate_verified(authority: trustme.CA, https: int) -> None:
    """The address is a pod's; the name is the one that the policy wants to stand in the certificate."""
    mine, anybody = Tls(ca_bundle=bundle(authority)), Tls(insecure_skip_verify=True)
    assert await ask(https, mine, "web.shop.svc") == 204
    assert await ask(https, anybody, "") == 200
    with pytest.raises(OutsideError, match=r"127.0.0.1: its certificate is refused: .*ostname mismatch"):
        await ask(https, mine, "other.shop.svc")
    with pytest.raises(OutsideError, match=r"its certificate is refused: .*self-signed|unable to get local issuer"):
        await ask(https, Tls(), "web.shop.svc")
    with pytest.raises(OutsideError, match="certificate is refused"):
        await ask(https, Tls(ca_bundle=bundle(trustme.CA())), "web.shop.svc")
    with pytest.raises(OutsideError, match="no name to verify"):
        await ask(https, mine, "")
    with pytest.raises(OutsideError, match=r"127\.0\.0\.1"):
        await ask(https, mine, "web.shop.svc", scheme="http")


async def test_probes_and_requests_of_our_own_go_by_https_where_the_policy_says_so(authority: trustme.CA) -> None:
    spoken = {"scheme": "HTTPS", "tls": {"serverName": "web.shop.svc", "caBundle": bundle(authority)}}
    strategy = {**PROBED["blueGreen"], "probes": [{**HEALTH, **spoken}], "generate": {"port": 8080, **spoken}}
    shop, pods = await release_with_answers({"blueGreen": strategy}, lambda image, path: 204)
    await shop.some(40)
    assert {path for _, url, _ in pods.asked for path in [url.split("/", 3)[3]]} == {"healthz", ""}
    assert all(url.startswith("https://10.") for _, url, _ in pods.asked)
    assert {trust.name for trust in pods.trusts if trust} == {"web.shop.svc"}
    assert None not in pods.trusts


async def test_a_ca_that_is_none_is_refused_before_a_release() -> None:
    tls = {"scheme": "HTTPS", "host": "web", "tls": {"caBundle": "bm90IG9uZQ=="}}
    shop = Shop({"blueGreen": {"probes": [{"name": "a", "port": 8080, **tls}]}})
    shop.turns = Turns(shop.client, MetricsEars(shop.client))
    await shop.some(5)
    (refused,) = [each for each in shop.status["conditions"] if each["type"] == "Refused"]
    assert refused["message"].startswith("spec.blueGreen.probes[0].tls.caBundle: it holds no certificate")


def test_the_fields_are_those_of_the_definition() -> None:
    probe, generate = SPEC["blueGreen"]["properties"]["probes"]["items"], SPEC["blueGreen"]["properties"]["generate"]
    assert (set(probe["properties"]), set(generate["properties"])) == (set(PROBE), set(GENERATE))
    assert set(probe["properties"]["tls"]["properties"]) == set(TLS)
    assert probe["properties"]["tls"]["properties"]["caBundle"]["maxLength"] == MOST_CA
    assert probe["x-kubernetes-validations"] == generate["x-kubernetes-validations"]


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda data: b"0" + bytes([len(data)]) + data))
def test_whatever_stands_in_a_ca_it_is_used_or_named(der: bytes) -> None:
    """What looks like a certificate and is none is said when it is used, in a sentence, too."""
    pem = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE-----\n"
    tls = Tls(ca_bundle=base64.b64encode(pem.encode()).decode())
    assert is_ca(tls.ca_bundle) == (der[:1] == b"0" and len(der) >= 2 and der[1] == len(der) - 2)
    with pytest.raises(OutsideError, match="it holds no certificate"):
        trusting(tls, "web")


def test_several_certificates_may_stand_in_it(authority: trustme.CA) -> None:
    both = authority.cert_pem.bytes() + trustme.CA().cert_pem.bytes()
    assert is_ca(base64.b64encode(both).decode())
    assert not is_ca(base64.b64encode(both.replace(b"MII", b"", 1)).decode())
