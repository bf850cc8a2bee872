"""Verdicts: whose, how long they hold, and what holds while the API server is away."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import trustme
from msgspec.structs import replace
from structlog.testing import capture_logs

from adapter.kube.client import Client
from adapter.kube.fake.server import FakeCluster
from adapter.kube.resources import CONFIG_MAPS
from adapter.serve.authenticate import ANONYMOUS, User
from adapter.serve.authorize import (
    MAX_KEY,
    MAX_VERDICT_BYTES,
    AccessReviews,
    AllowAuthenticated,
    AlwaysAllowedPaths,
    Attributes,
    Authorization,
    PrivilegedGroups,
    Verdict,
    attributes_of,
)
from adapter.serve.requestinfo import read_request
from adapter.serve.reviews import Reviews, _spec, follow_trust
from adapter.serve.status import StatusError, unavailable
from adapter.serve.trust import Trust

ANN = User("ann", ("dev", "system:authenticated"), "u-1", (("scopes", ("a", "b")),))
POD = read_request("GET", "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/*/m")
QUEUE = read_request("GET", "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/q?labelSelector=a%3Db,c+in+(d,e),!f")


class Asked:
    """An API server whose verdict, and whose health, the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.count = 0
        self.verdict = Verdict(True)
        self.away = False
        self.gate: asyncio.Event | None = None

    async def review(self, _: Attributes) -> Verdict:
        self.count += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            raise unavailable("access cannot be reviewed: the Kubernetes API cannot be reached")
        return self.verdict

    @property
    def reviews(self) -> AccessReviews:
        return AccessReviews(self.review, allowed_ttl=10, denied_ttl=5, grace=30, clock=lambda: self.now)


ATTRIBUTES = attributes_of(POD, ANN)


async def test_an_allowance_holds_10_s_and_a_denial_5() -> None:
    asked = Asked()
    reviews = asked.reviews
    for at, count in ((0, 1), (9.9, 1), (10, 2)):
        asked.now = at
        assert await reviews.authorize(ATTRIBUTES) == Verdict(True)
        assert asked.count == count
    asked.verdict, asked.now = Verdict(False, "no"), 20.0
    for at, count in ((20, 3), (24.9, 3), (25, 4)):
        asked.now = at
        assert await reviews.authorize(ATTRIBUTES) == Verdict(False, "no")
        assert asked.count == count


async def test_while_the_api_server_is_away_an_allowance_holds_30_s_longer_and_nothing_else_does() -> None:
    asked = Asked()
    reviews = asked.reviews
    await reviews.authorize(ATTRIBUTES)
    asked.away, asked.now = True, 39.9  # 10 s fresh, 30 s of grace
    with capture_logs():
        assert await reviews.authorize(ATTRIBUTES) == Verdict(True)
    asked.now = 40.0
    with pytest.raises(StatusError, match="access cannot be reviewed"):
        await reviews.authorize(ATTRIBUTES)


async def test_a_denial_does_not_outlive_its_time_as_an_allowance() -> None:
    asked = Asked()
    asked.verdict = Verdict(False)
    reviews = asked.reviews
    await reviews.authorize(ATTRIBUTES)
    asked.away, asked.now = True, 6.0
    with pytest.raises(StatusError) as raised:
        await reviews.authorize(ATTRIBUTES)
    assert raised.value.code == 503


async def test_many_at_once_ask_once_and_one_that_leaves_does_not_end_it() -> None:
    asked = Asked()
    asked.gate = asyncio.Event()
    reviews = asked.reviews
    callers = [asyncio.ensure_future(reviews.authorize(ATTRIBUTES)) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    callers[0].cancel()
    asked.gate.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [Verdict(True)] * 4
    assert asked.count == 1


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/healthz", True),
        ("/healthz/", True),
        ("/healthz/ping", False),
        ("/static/x", True),
        ("/metrics", False),
        ("/", False),
    ],
)
async def test_always_allowed_paths(path: str, allowed: bool) -> None:
    paths = AlwaysAllowedPaths(("/healthz", "/static/*"))
    verdict = await paths.authorize(attributes_of(read_request("GET", path), ANN))
    assert (verdict is not None) is allowed


async def test_privileged_groups_and_the_known() -> None:
    root = replace(ATTRIBUTES, user=User("root", ("system:masters",)))
    await Authorization([PrivilegedGroups()]).check(root)
    await Authorization([AllowAuthenticated()]).check(ATTRIBUTES)
    with pytest.raises(StatusError) as raised:
        await Authorization([PrivilegedGroups()]).check(ATTRIBUTES)
    assert raised.value.message == (
        'pods.custom.metrics.k8s.io "*" is forbidden: User "ann" cannot get resource "pods/m" '
        'in API group "custom.metrics.k8s.io" in the namespace "ns"'
    )


async def test_the_reason_of_a_denial_is_told() -> None:
    asked = Asked()
    asked.verdict = Verdict(False, "RBAC: no role says so")
    with pytest.raises(StatusError, match='in the namespace "ns": RBAC: no role says so'):
        await Authorization([asked.reviews]).check(ATTRIBUTES)


def test_a_review_says_what_kubernetes_own_does() -> None:
    spec = _spec(attributes_of(QUEUE, ANN))
    assert (spec.user, spec.uid, spec.groups, spec.extra) == ("ann", "u-1", ANN.groups, {"scopes": ("a", "b")})
    asked = spec.resource_attributes
    assert asked is not None
    assert (asked.verb, asked.namespace, asked.group, asked.version) == (
        "list",
        "ns",
        "external.metrics.k8s.io",
        "v1beta1",
    )
    assert (asked.resource, asked.subresource, asked.name) == ("q", "", "")
    assert asked.label_selector == {
        "requirements": [
            {"key": "a", "operator": "In", "values": ["b"]},
            {"key": "c", "operator": "In", "values": ["d", "e"]},
            {"key": "f", "operator": "DoesNotExist"},
        ]
    }
    assert asked.field_selector is None
    path = _spec(attributes_of(read_request("GET", "/metrics"), ANN)).non_resource_attributes
    assert path is not None
    assert (path.path, path.verb) == ("/metrics", "get")


def test_a_selector_that_cannot_be_reviewed_is_left_out() -> None:
    for selector in ("a%3E3", "a%3D%3D%3D", "a+in+(o.*)", "a%3Dx/y,b%3Dc"):
        info = read_request("GET", f"/apis/metrics.k8s.io/v1beta1/pods?labelSelector={selector}")
        asked = _spec(attributes_of(info, ANN)).resource_attributes
        assert asked is not None
        assert asked.label_selector is None


@pytest.mark.parametrize(
    "query", ["labelSelector=queue+in+(o.*)", "labelSelector=a%3D" + "x" * 64, "fieldSelector=%3Dx"]
)
async def test_what_no_review_can_take_does_not_keep_an_ordinary_user_out(cluster: FakeCluster, query: str) -> None:
    info = read_request("GET", f"/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/q?{query}")
    async with Client(cluster.connection) as client:
        assert (await Reviews(tokens=client).review_access(attributes_of(info, ANN))).allowed


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with FakeCluster() as cluster:
        yield cluster


async def test_reviews_over_the_wire(cluster: FakeCluster) -> None:
    async with Client(cluster.connection) as client:
        reviews = Reviews(tokens=client)
        verdict = await reviews.review_access(ATTRIBUTES)
        assert verdict.allowed
        assert await reviews.review_token("unknown") is None
        cluster.forbid("/apis/authorization.k8s.io")
        with pytest.raises(StatusError, match=r"access cannot be reviewed: the Kubernetes API refused \(403\)"):
            await reviews.review_access(ATTRIBUTES)
        await cluster.stop()
        with pytest.raises(StatusError, match="the token cannot be reviewed: the Kubernetes API cannot be reached"):
            await reviews.review_token("t")


async def test_the_config_map_is_followed(cluster: FakeCluster) -> None:
    trust = Trust()
    learnt = asyncio.Event()
    trust.on_change(learnt.set)

    def config_map(ca: bytes) -> dict[str, object]:
        name = {"name": "extension-apiserver-authentication", "namespace": "kube-system"}
        return {"metadata": name, "data": {"client-ca-file": ca.decode()}}

    first, second = trustme.CA().cert_pem.bytes(), trustme.CA().cert_pem.bytes()
    await cluster.put(CONFIG_MAPS, config_map(first))
    async with Client(cluster.connection) as client, follow_trust(client, trust).running():
        await asyncio.wait_for(learnt.wait(), 5)
        assert trust.current.clients is not None
        assert trust.current.clients.pem == first
        learnt.clear()
        await cluster.put(CONFIG_MAPS, config_map(second))
        await asyncio.wait_for(learnt.wait(), 5)
        assert trust.current.clients.pem == second


@pytest.mark.parametrize("path", ["/", "", "*", "/*"])
async def test_no_path_that_is_always_allowed_allows_a_resource(path: str) -> None:
    """A request for a resource has no path of its own: '' must not pass for '/' without its slash, nor for '*'."""
    assert await AlwaysAllowedPaths((path,)).authorize(ATTRIBUTES) is None


async def test_the_grace_is_30_s_unless_it_is_said_otherwise() -> None:
    """An allowance of 10 s, then 30 s of grace: it ends 40 s after it was given."""
    asked = Asked()
    reviews = AccessReviews(asked.review, clock=lambda: asked.now)
    await reviews.authorize(ATTRIBUTES)
    asked.away = True
    for at in (9.9, 10.0, 39.9):
        asked.now = at
        with capture_logs() as lines:
            assert await reviews.authorize(ATTRIBUTES) == Verdict(True)
        assert len(lines) == (at >= 10)  # from then on it holds by grace, which is said
    asked.now = 40.0
    with pytest.raises(StatusError, match="access cannot be reviewed"):
        await reviews.authorize(ATTRIBUTES)


async def test_what_is_remembered_is_bounded_in_bytes_and_long_questions_are_not_remembered() -> None:
    asked = Asked()
    reviews = asked.reviews
    for number in range(3000):
        await reviews.authorize(Attributes(user=ANN, verb="get", path=f"/{number}" + "x" * 9_000))
    assert 0 < reviews._verdicts.weight <= MAX_VERDICT_BYTES * 9 // 8
    long = Attributes(user=ANN, verb="get", path="/" + "x" * MAX_KEY)
    before, weight = asked.count, reviews._verdicts.weight
    assert await reviews.authorize(long) == await reviews.authorize(long)
    assert (asked.count - before, reviews._verdicts.weight) == (2, weight)


async def test_denials_of_strangers_drive_out_nobodys_verdict() -> None:
    asked = Asked()
    reviews = asked.reviews
    await reviews.authorize(ATTRIBUTES)
    asked.verdict = Verdict(False)
    denied = Attributes(user=ANN, verb="get", path="/ann")
    await reviews.authorize(denied)
    for number in range(30_000):
        await reviews.authorize(Attributes(user=ANONYMOUS, verb="get", path=f"/{number}" + "x" * 500))
    count = asked.count
    assert await reviews.authorize(ATTRIBUTES) == Verdict(True)
    assert await reviews.authorize(denied) == Verdict(False)
    assert asked.count == count, "both are still remembered"


async def test_a_stranger_who_is_allowed_later_is_allowed() -> None:
    asked = Asked()
    asked.verdict = Verdict(False)
    reviews = asked.reviews
    stranger = Attributes(user=ANONYMOUS, verb="get", path="/metrics")
    assert await reviews.authorize(stranger) == Verdict(False)
    asked.now, asked.verdict = 6.0, Verdict(True)
    assert await reviews.authorize(stranger) == Verdict(True)
    assert await reviews.authorize(stranger) == Verdict(True)
    assert asked.count == 2
