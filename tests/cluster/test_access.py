"""Who may read metrics on a real cluster: through the aggregator, and past it at the adapter's own port."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest

from tests.cluster.adapter import CUSTOM, CUSTOM_API_SERVICES, RunningAdapter, running_adapter, try_raw
from tests.cluster.bed import Bed
from tests.cluster.certs import Authority, Pair
from tests.cluster.manifests import sample_deployment
from tests.cluster.processes import CommandError, wait_until

METRIC = "http_requests_per_second"
PROTOBUF = "application/vnd.kubernetes.protobuf, */*"
ROOT = {"X_Remote_User": "root", "X_Remote_Group": "system:masters"}


@dataclass(frozen=True)
class Place:
    """A pod with a metric, and the path to it."""

    namespace: str

    @property
    def path(self) -> str:
        return f"{CUSTOM}/namespaces/{self.namespace}/pods/*/{METRIC}"


@pytest.fixture(scope="module")
def adapter(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAdapter]:
    folder = tmp_path_factory.mktemp("adapter")
    with running_adapter(bed, folder, apis=CUSTOM_API_SERVICES, overlay="embedded") as running:
        yield running


@pytest.fixture(scope="module")
def place(bed: Bed, adapter: RunningAdapter) -> Iterator[Place]:
    place = Place(f"access-{datetime.datetime.now(datetime.UTC):%H%M%S}")
    bed.create_namespace(place.namespace)
    bed.apply(sample_deployment("web", place.namespace))
    bed.rollout("web", place.namespace)
    assert wait_until(lambda: "items" in try_raw(bed, place.path) and bed.raw(place.path)["items"], 60, every=0.5)
    yield place
    bed.delete_namespace(place.namespace)


def test_a_user_without_rights_is_told_so_by_the_aggregator(bed: Bed, place: Place) -> None:
    kubeconfig = bed.kubeconfig_for("jane", ["developers"])
    with pytest.raises(CommandError) as refused:
        bed.kubectl(f"--kubeconfig={kubeconfig}", "get", "--raw", place.path)
    assert 'User "jane" cannot' in refused.value.output
    assert 'in API group "custom.metrics.k8s.io"' in refused.value.output


def test_a_user_without_rights_is_told_so_by_the_adapter(bed: Bed, adapter: RunningAdapter, place: Place) -> None:
    answer = adapter.ask(place.path, bed.certificate("jane", ["developers"]))
    assert (answer.status, answer.json["reason"]) == (403, "Forbidden")
    words = f'User "jane" cannot get resource "pods/{METRIC}" in API group "custom.metrics.k8s.io"'
    assert f'{words} in the namespace "{place.namespace}"' in answer.json["message"]


def test_who_shows_nothing_is_anonymous_and_may_nothing(adapter: RunningAdapter, place: Place) -> None:
    answer = adapter.ask(place.path)
    assert answer.status == 403
    assert 'User "system:anonymous" cannot' in answer.json["message"]
    assert adapter.ask("/metrics").status == 403
    assert adapter.ask("/explain/" + place.path).status == 403
    assert adapter.ask("/readyz").status == 200  # the kubelet shows nothing either


def test_a_wrong_token_is_no_anonymous_user(adapter: RunningAdapter, place: Place) -> None:
    for token in ("nonsense", "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJyb290In0.c2lnbmF0dXJl"):
        answer = adapter.ask(place.path, Authorization=f"Bearer {token}")
        assert (answer.status, answer.json["reason"]) == (401, "Unauthorized")


def test_a_token_for_another_audience_is_refused(bed: Bed, adapter: RunningAdapter, place: Place) -> None:
    token = bed.kubectl("create", "token", "default", "-n", place.namespace, "--audience=vault").strip()
    assert adapter.ask(place.path, Authorization=f"Bearer {token}").status == 401


def test_headers_of_who_is_no_front_proxy_are_not_looked_at(
    bed: Bed, adapter: RunningAdapter, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    nobody = adapter.ask(place.path, **cast(Any, ROOT))
    assert 'User "system:anonymous" cannot' in nobody.json["message"]
    jane = adapter.ask(place.path, bed.certificate("jane"), **cast(Any, ROOT))
    assert 'User "jane" cannot' in jane.json["message"]
    namesake = adapter.ask(place.path, bed.certificate("front-proxy-client"), **cast(Any, ROOT))  # of the clients' CA
    assert 'User "front-proxy-client" cannot' in namesake.json["message"]
    colleague = bed.plane.front_proxy_ca.issue("somebody-else", "somebody-else")  # the right CA, a name not allowed
    assert adapter.ask(place.path, colleague, **cast(Any, ROOT)).status == 401
    forged = Authority(tmp_path_factory.mktemp("pki"), "front-proxy-ca").issue("forged", "front-proxy-client")
    assert is_refused(adapter, place, forged)


def is_refused(adapter: RunningAdapter, place: Place, pair: Pair) -> bool:
    """A certificate of an unknown CA ends in the handshake or in 401; either way it reads nothing."""
    try:
        return adapter.ask(place.path, pair, **cast(Any, ROOT)).status == 401
    except OSError:
        return True


def test_the_front_proxy_speaks_for_others_within_their_rights(bed: Bed, adapter: RunningAdapter, place: Place) -> None:
    jane = adapter.ask(place.path, bed.front_proxy, X_Remote_User="jane")
    assert (jane.status, 'User "jane" cannot' in jane.json["message"]) == (403, True)
    assert adapter.ask(place.path, bed.front_proxy, **cast(Any, ROOT)).status == 200


def test_a_service_account_with_the_readers_role_reads(bed: Bed, adapter: RunningAdapter, place: Place) -> None:
    namespace = place.namespace
    bed.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    token = bed.token(namespace, "reader")
    assert adapter.ask(place.path, Authorization=f"Bearer {token}").status == 403
    role = ("--clusterrole=streamgate-metrics-reader", f"--serviceaccount={namespace}:reader")
    bed.kubectl("create", "rolebinding", "reader", "-n", namespace, *role)
    assert wait_until(lambda: adapter.ask(place.path, Authorization=f"Bearer {token}").status == 200, 20, every=0.5)
    server = (f"--server={bed.plane.url}", f"--certificate-authority={bed.ca}", "--kubeconfig=/dev/null")
    assert METRIC in bed.kubectl("get", "--raw", place.path, f"--token={token}", *server)
    elsewhere = place.path.replace(namespace, "kube-system")
    assert adapter.ask(elsewhere, Authorization=f"Bearer {token}").status == 403


def test_protobuf_is_spoken_as_the_hpa_asks_for_it(bed: Bed, adapter: RunningAdapter, place: Place) -> None:
    admin = bed.certificate("root", ["system:masters"])
    answer = adapter.ask(place.path, admin, Accept=PROTOBUF)
    assert (answer.status, answer.kind) == (200, "application/vnd.kubernetes.protobuf")
    assert answer.body.startswith(b"k8s\0")
    [item] = adapter.ask(place.path, admin, Accept="application/json").json["items"]
    for text in ("MetricValueList", item["describedObject"]["name"], METRIC, place.namespace):
        assert text.encode() in answer.body
    refusal = adapter.ask(place.path, Accept=PROTOBUF)
    assert (refusal.status, refusal.kind) == (403, "application/vnd.kubernetes.protobuf")
    assert b"system:anonymous" in refusal.body
