"""Acting on recommendations: what a resize asks for, and that nothing happens unless it was asked for."""

from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest
from structlog.testing import capture_logs

from adapter.kube.client import Client, Listing
from adapter.kube.errors import Forbidden, KubeError, NotFound, Unreachable
from adapter.kube.objects import Condition, ObjectMeta, ResourceRequirements
from adapter.units.quantity import Quantity
from adapter.units.selector import Selector
from recommender.model.cluster import TrackedVpa
from recommender.objects import (
    ContainerPolicy,
    ContainerRecommendation,
    ContainerStatus,
    Pod,
    PodContainer,
    PodRecommendation,
    PodSpec,
    PodStatus,
    ResourcePolicy,
    UpdatePolicy,
    Vpa,
    VpaSpec,
    VpaStatus,
)
from recommender.updater.admission import Admission
from recommender.updater.apply import Applier
from recommender.updater.facts import Advice, InPlace
from recommender.updater.objects import LimitRange, LimitRangeItem, LimitRangeSpec
from recommender.updater.releases import PodTemplate, Sibling, SiblingSpec
from recommender.updater.resize import facts, resize, scale, wish

NOW = 1767243600.0


def q(**texts: str) -> dict[str, Quantity]:
    return {name: Quantity.parse(text) for name, text in texts.items()}


def pod(
    name: str = "web-1",
    requests: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    conditions: tuple[Any, ...] = (),
    going: bool = False,
) -> Pod:
    resources = ResourceRequirements(requests=requests or {"cpu": "1", "memory": "1Gi"}, limits=limits or {})
    return Pod(
        metadata=ObjectMeta(
            name=name,
            uid=name,
            namespace="shop",
            deletion_timestamp=datetime.fromtimestamp(NOW, UTC) if going else None,
        ),
        spec=PodSpec(containers=(PodContainer(name="app", resources=resources),)),
        status=PodStatus(phase="Running", start_time=datetime.fromtimestamp(NOW - 60, UTC), conditions=conditions),
    )


def tracked_vpa(
    mode: str,
    target: str = "100m",
    least: int | None = None,
    *,
    lower: Any = "50m",
    upper: Any = "200m",
    policy: Any = None,
) -> TrackedVpa:
    entry = ContainerRecommendation(
        container_name="app", target={"cpu": target}, lower_bound={"cpu": lower}, upper_bound={"cpu": upper}
    )
    recommendation = PodRecommendation(container_recommendations=(entry,))
    return TrackedVpa(
        Vpa(
            metadata=ObjectMeta(name="web", namespace="shop"),
            spec=VpaSpec(
                update_policy=UpdatePolicy(update_mode=mode, min_replicas=least),
                resource_policy=ResourcePolicy(container_policies=(policy,) if policy else ()),
            ),
            status=VpaStatus(recommendation=recommendation),
        )
    )


class Recorder:
    """Stands for a Client; notes what it is asked to write."""

    def __init__(
        self, refuse: Any = None, lease: dict[Any, Any] | None = None, ranges: Any = (), quotas: Any = ()
    ) -> None:
        self.written, self._refuse, self._lease, self._ranges = list[Any](), refuse, lease, list(ranges)
        self.quotas: Any = list(quotas)
        self.siblings: list[Sibling] | KubeError = []

    async def get(self, path: str, kind: type[dict]) -> dict[Any, Any]:
        if self._lease is None:
            raise NotFound(404, "NotFound", path)
        return self._lease

    async def list(self, path: Any, kind: Any, *, params: Any = None) -> Any:
        if path.endswith("/limitranges"):
            return Listing(self._ranges, "1")
        if path.endswith("/resourcequotas"):
            if isinstance(self.quotas, KubeError):
                raise self.quotas
            return Listing(self.quotas, "1")
        assert (path, params) == ("/apis/apps/v1/deployments", {"labelSelector": "streamgate.io/release"})
        if isinstance(self.siblings, KubeError):
            raise self.siblings
        return Listing(self.siblings, "1")

    async def patch(self, path: str, body: dict[str, Any], kind: type[dict], *, content: str) -> None:
        self.written.append(("patch", path, body))
        if self._refuse is not None:
            raise self._refuse

    async def create(self, path: str, body: dict[str, Any], kind: type[dict]) -> None:
        self.written.append(("create", path, body))


@pytest.mark.parametrize(
    ("how", "mode", "verb"),
    [
        ("off", "InPlaceOrRecreate", None),
        ("in-place", "Off", None),
        ("in-place", "Initial", None),
        ("in-place", "Recreate", None),
        ("in-place", "InPlace", "patch"),
        ("in-place", "InPlaceOrRecreate", "patch"),
        ("all", "Recreate", "create"),
        ("all", "InPlaceOrRecreate", "patch"),
    ],
)
async def test_only_what_flag_and_update_mode_both_allow_is_done(how: str, mode: str, verb: str | None) -> None:
    client = Recorder()
    await Applier(cast(Client, client), how).act([(tracked_vpa(mode), [pod("web-1"), pod("web-2")])], NOW)
    assert [entry[0] for entry in client.written] == ([verb] if verb else [])


async def test_one_pod_of_a_workload_changes_at_a_time() -> None:
    client = Recorder()
    done = await Applier(cast(Client, client), "in-place").act(
        [(tracked_vpa("InPlace"), [pod(f"web-{n}") for n in range(5)])], NOW
    )
    assert (done, len(client.written)) == (1, 1)
    assert client.written[0][1].endswith("/pods/web-0/resize") or "/pods/web-" in client.written[0][1]


async def test_a_pod_of_which_nothing_can_change_is_not_patched_again_and_again() -> None:
    """It has no CPU request, which a resize may not add; the others' turn must not be lost to it."""
    client = Recorder()
    pods = [pod("web-1", requests={"memory": "1Gi"}), pod("web-2")]
    assert await Applier(cast(Client, client), "in-place").act([(tracked_vpa("InPlace"), pods)], NOW) == 1
    assert client.written[0][1].endswith("/pods/web-2/resize")


@pytest.mark.parametrize(("least", "replicas", "evicted"), [(None, 2, 1), (3, 2, 0), (None, 5, 0), (1, 2, 1)])
async def test_evictions_heed_the_vpas_min_replicas_and_what_the_target_asks_for(
    least: int | None, replicas: int, evicted: int
) -> None:
    """Two pods run. Where five are asked for, int(5 × 0.5) = 2 may be down, and three are."""
    client = Recorder()
    asked = tracked_vpa("Recreate", least=least)
    asked.replicas = replicas
    await Applier(cast(Client, client), "all").act([(asked, [pod("web-1"), pod("web-2")])], NOW)
    assert len(client.written) == evicted


async def test_what_the_server_refused_is_not_asked_again_but_after_an_hour_or_with_another_number() -> None:
    """A real server refuses what the node has no room for with 403."""
    client = Recorder(refuse=Forbidden(403, "Forbidden", "node didn't have enough allocatable resources"))
    applier, one, less = (
        Applier(cast(Client, client), "in-place"),
        tracked_vpa("InPlace"),
        tracked_vpa("InPlace", target="90m"),
    )
    for asked, at in ((one, 0), (one, 60), (less, 120), (less, 180), (less, 3800)):
        await applier.act([(asked, [pod()])], NOW + at)
    assert [entry[2]["spec"]["containers"][0]["resources"]["requests"]["cpu"] for entry in client.written] == [
        "100m", "90m", "90m",
    ]  # fmt: skip


async def test_a_passing_fault_is_tried_again_at_once() -> None:
    client = Recorder(refuse=Unreachable("no answer"))
    applier = Applier(cast(Client, client), "in-place")
    for at in (0, 60):
        await applier.act([(tracked_vpa("InPlace"), [pod()])], NOW + at)
    assert len(client.written) == 2


async def test_a_refused_resize_becomes_an_eviction_where_the_mode_allows_it() -> None:
    client = Recorder(refuse=Forbidden(403, "Forbidden", "no room"))
    applier = Applier(cast(Client, client), "all")
    for at in (0, 60):
        await applier.act([(tracked_vpa("InPlaceOrRecreate"), [pod(), pod("web-2")])], NOW + at)
    assert [entry[0] for entry in client.written] == ["patch", "create"]


@pytest.mark.parametrize(
    ("lease", "evicted"),
    [
        ({"spec": {"renewTime": "2026-01-01T04:59:30.000000Z"}}, 1),  # NOW is 05:00
        ({"spec": {"renewTime": "2026-01-01T04:58:30.000000Z"}}, 0),
        ({"spec": {}}, 0),
        ({"spec": {"renewTime": "soon"}}, 0),
        (None, 0),
    ],
)
async def test_without_vpas_admission_controller_nothing_is_evicted(lease: dict[Any, Any], evicted: int) -> None:
    """On a real cluster every new pod was evicted again, one a loop, without end."""
    client = Recorder(lease=lease)
    applier = Applier(cast(Client, client), "all", admission=Admission(cast(Client, client), "kube-system"))
    with capture_logs() as lines:
        for at in (0, 1):
            await applier.act([(tracked_vpa("Recreate"), [pod("web-1"), pod("web-2")])], NOW + at)
    assert bool(client.written) == bool(evicted)
    assert len([line for line in lines if line["event"].startswith("no pod is evicted")]) == (not evicted)


@pytest.mark.parametrize("younger", ["b", "a"])
async def test_of_several_vpas_of_a_pod_the_oldest_decides_and_the_others_say_so_once(younger: str) -> None:
    """One says 100m, the other 300m: both would act, each at what the other has just done."""
    older = with_name_and_time(tracked_vpa("InPlace"), "older", NOW - 60)
    others = [
        with_name_and_time(tracked_vpa("InPlace", "300m", lower="250m", upper="400m"), younger, NOW),
        with_name_and_time(tracked_vpa("Off"), "c", 0),
    ]
    for vpas in ([older, *others], [*others, older]):
        client = Recorder()
        applier = Applier(cast(Client, client), "in-place")
        with capture_logs() as lines:
            for at in (0, 60):
                assert await applier.act([(vpa, [pod()]) for vpa in vpas], NOW + at) == 1
        asked = [entry[2]["spec"]["containers"][0]["resources"]["requests"]["cpu"] for entry in client.written]
        assert asked == ["100m", "100m"]
        said = [line for line in lines if line["event"] == "pods left to an older VPA"]
        assert [(line["vpa"], line["older"]) for line in said] == [(f"shop/{younger}", "older")]


def with_name_and_time(asked: TrackedVpa, name: str, made: float) -> TrackedVpa:
    """The VPA under this name, made at this time, Unix s."""
    meta = ObjectMeta(name=name, namespace="shop", creation_timestamp=datetime.fromtimestamp(made, UTC))
    return TrackedVpa(msgspec.structs.replace(asked.vpa, metadata=meta))


async def test_a_pod_that_is_going_is_left_alone_and_does_not_count() -> None:
    client = Recorder()
    pods = [pod("web-1", going=True), pod("web-2")]
    await Applier(cast(Client, client), "all").act([(tracked_vpa("Recreate"), pods)], NOW)
    assert client.written == []


def test_limits_keep_their_ratio_to_requests() -> None:
    """cpu: 2000m × 300 / 1000 = 600m; memory: 3 GiB × 512 / 1024 = 1.5 GiB."""
    wanted = scale(q(cpu="1", memory="1Gi"), q(cpu="2", memory="3Gi"), q(cpu="300m", memory="512Mi"), keep_limits=False)
    assert [str(value) for value in wanted.requests.values()] == ["300m", "512Mi"]
    assert [str(value) for value in wanted.limits.values()] == ["600m", "1536Mi"]


def test_with_requests_only_the_limit_stays_and_holds_the_request() -> None:
    wanted = scale(q(cpu="1"), q(cpu="2"), q(cpu="3"), keep_limits=True)
    assert (str(wanted.requests["cpu"]), wanted.limits) == ("2", {})


def test_a_resource_without_a_request_gets_none() -> None:
    """A new request would change the pod's QoS class, which a resize may not."""
    assert scale(q(cpu="1"), {}, q(cpu="100m", memory="1Gi"), keep_limits=False).requests.keys() == {"cpu"}


def test_the_patch_names_only_containers_with_advice() -> None:
    policy = ContainerPolicy(container_name="app", controlled_values="RequestsOnly")
    body, in_place, _ = resize(
        pod(limits={"cpu": "2"}), {"app": Advice(q(cpu="100m"))}, ResourcePolicy(container_policies=(policy,))
    )
    assert in_place is InPlace.POSSIBLE
    assert body == {"spec": {"containers": [{"name": "app", "resources": {"requests": {"cpu": "100m"}}}]}}


@pytest.mark.parametrize(
    ("condition", "state"),
    [
        (Condition(type="PodResizePending", status="True", reason="Infeasible"), "Infeasible"),
        (Condition(type="PodResizePending", status="True", reason="Deferred"), "Deferred"),
        (Condition(type="PodResizeInProgress", status="True"), "InProgress"),
        (Condition(type="PodResizeInProgress", status="True", reason="Error"), "Error"),
        (Condition(type="PodResizeInProgress", status="False"), ""),
        (Condition(type="Ready", status="True"), ""),
    ],
)
def test_a_resize_under_way_is_read_from_the_pods_conditions(condition: Condition, state: str) -> None:
    assert facts(pod(conditions=(condition,))).resize_state == state


def small_limit_range(**most: Any) -> Any:
    item = LimitRangeItem(type="Container", max=most)
    return LimitRange(metadata=ObjectMeta(name="small", namespace="shop"), spec=LimitRangeSpec(limits=(item,)))


async def test_a_target_above_what_the_namespace_allows_evicts_nobody() -> None:
    """A LimitRange allows 1 CPU, which the pod has; 2 are recommended. VPA's admission would give 1 again."""
    client = Recorder(ranges=[small_limit_range(cpu="1")])
    asked = tracked_vpa("Recreate", target="2", lower="1500m", upper="3")
    applier = Applier(cast(Client, client), "all")
    for at in (0, 60):
        await applier.act([(asked, [pod("web-1"), pod("web-2")])], NOW + at)
    assert client.written == []


async def test_a_resize_asks_for_what_the_namespace_allows() -> None:
    client = Recorder(ranges=[small_limit_range(cpu="1500m")])
    await Applier(cast(Client, client), "in-place").act(
        [(tracked_vpa("InPlace", "2", lower="1500m", upper="3"), [pod(limits={"cpu": "1", "memory": "2Gi"})])], NOW
    )
    assert client.written[0][2]["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1500m"}


def guaranteed_pod(name: Any = "web-1") -> Any:
    return pod(name, limits={"cpu": "1", "memory": "1Gi"})


@pytest.mark.parametrize("mode", ["InPlace", "InPlaceOrRecreate"])
async def test_a_guaranteed_pod_of_which_only_requests_are_controlled_is_left_as_it_is(mode: Any) -> None:
    """A request below its limit would change the QoS class: the server refuses that."""
    client = Recorder()
    asked = tracked_vpa(mode, policy=ContainerPolicy(container_name="*", controlled_values="RequestsOnly"))
    await Applier(cast(Client, client), "all").act([(asked, [guaranteed_pod(), guaranteed_pod("web-2")])], NOW)
    assert client.written == []


async def test_a_guaranteed_pod_stays_so_with_requests_and_limits() -> None:
    client = Recorder()
    await Applier(cast(Client, client), "in-place").act([(tracked_vpa("InPlace"), [guaranteed_pod()])], NOW)
    resources = client.written[0][2]["spec"]["containers"][0]["resources"]
    assert resources == {"requests": {"cpu": "100m"}, "limits": {"cpu": "100m"}}


def test_a_pod_does_not_become_guaranteed_by_a_resize() -> None:
    """Its requests grow to its limits, both of them; one stays a millicore below."""
    burstable = pod(requests={"cpu": "500m", "memory": "1Gi"}, limits={"cpu": "1", "memory": "1Gi"})
    policy = ResourcePolicy(container_policies=(ContainerPolicy(container_name="*", controlled_values="RequestsOnly"),))
    body, _, _ = resize(burstable, {"app": Advice(q(cpu="2", memory="2Gi"))}, policy)
    assert body["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "999m", "memory": "1Gi"}


def failing(requests: Any, since: Any) -> Any:
    """A resize that the kubelet has been at since `since` s ago and that now fails."""
    condition = Condition(
        type="PodResizeInProgress",
        status="True",
        reason="Error",
        last_transition_time=datetime.fromtimestamp(NOW - since, UTC),
    )
    has = ContainerStatus(name="app", resources=ResourceRequirements(requests={"cpu": "1", "memory": "1Gi"}))
    made = pod(requests=requests, conditions=(condition,))
    return msgspec.structs.replace(made, status=msgspec.structs.replace(made.status, container_statuses=(has,)))


async def test_an_error_that_passes_costs_no_pod() -> None:
    """It was under way for 50 minutes before it failed: that is no reason to evict ten seconds later."""
    client = Recorder()
    applier = Applier(cast(Client, client), "all")
    seen = [failing({"cpu": "100m", "memory": "1Gi"}, 3000), pod("web-2", {"cpu": "100m"})]
    for at, evicted in ((0, 0), (10, 0), (290, 0), (310, 1)):
        await applier.act([(tracked_vpa("InPlaceOrRecreate"), seen)], NOW + at)
        assert len(client.written) == evicted


async def test_after_an_error_another_target_is_asked_for() -> None:
    client = Recorder()
    await Applier(cast(Client, client), "in-place").act(
        [(tracked_vpa("InPlace"), [failing({"cpu": "4", "memory": "1Gi"}, 10)])], NOW
    )
    assert client.written[0][2]["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "100m"}


def pod_started_at(name: Any, at: Any) -> Any:
    made = pod(name)
    return msgspec.structs.replace(
        made, status=msgspec.structs.replace(made.status, start_time=datetime.fromtimestamp(at, UTC))
    )


async def test_a_pod_that_comes_back_as_it_was_is_evicted_ever_more_rarely() -> None:
    """Nobody gives new pods their requests. Evictions at 0, after 10 minutes, 20 more, 40 more."""
    client, applier = Recorder(), None
    applier = Applier(cast(Client, client), "all")
    evicted, since = list[Any](), NOW - 60
    for minute in range(75):
        at = NOW + 60.0 * minute
        await applier.act(
            [(tracked_vpa("Recreate"), [pod_started_at(f"web-{minute}", since), pod_started_at("web-old", since)])], at
        )
        if len(client.written) > len(evicted):
            evicted.append(minute)
            since = at + 5
    assert evicted == [0, 10, 30, 70]


def test_a_sidecar_is_resized_among_the_init_containers() -> None:
    resources = ResourceRequirements(requests={"cpu": "1"})
    sidecar = PodContainer(name="proxy", restart_policy="Always", resources=resources)
    first = PodContainer(name="migrate", resources=resources)
    made = pod()
    made = msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, init_containers=(first, sidecar)))
    wished = wish(made, {name: Advice(q(cpu="100m")) for name in ("proxy", "migrate")}, ResourcePolicy())
    assert wished.resized.body == {
        "spec": {"initContainers": [{"name": "proxy", "resources": {"requests": {"cpu": "100m"}}}]}
    }


def sibling(namespace: str = "shop", **labels: str) -> Sibling:
    """The Deployment of a release's new pods."""
    template = PodTemplate(metadata=ObjectMeta(labels=labels))
    return Sibling(metadata=ObjectMeta(name="web-r2", namespace=namespace), spec=SiblingSpec(template=template))


async def test_pods_under_release_are_left_alone_until_it_ends_and_others_are_not() -> None:
    client, web = Recorder(), tracked_vpa("InPlace")
    web.selector = Selector.parse("app=web")
    applier = Applier(cast(Client, client), "in-place")
    for siblings, done in (
        ([sibling(app="web")], 0),
        ([sibling(app="other"), sibling("elsewhere", app="web")], 1),  # another workload, another namespace
        ([sibling(app="web", tier="front")], 0),
        ([], 1),
    ):
        client.siblings = list(siblings)
        assert await applier.act([(web, [pod()])], NOW) == done


async def test_where_releases_cannot_be_read_what_was_known_holds() -> None:
    client, web = Recorder(), tracked_vpa("InPlace")
    web.selector = Selector.parse("app=web")
    applier = Applier(cast(Client, client), "in-place")
    client.siblings = Forbidden(403, "Forbidden", "deployments")
    assert await applier.act([(web, [pod()])], NOW) == 1
    client.siblings = [sibling(app="web")]
    assert await applier.act([(web, [pod()])], NOW) == 0
    client.siblings = Unreachable("no answer")
    assert await applier.act([(web, [pod()])], NOW) == 0
