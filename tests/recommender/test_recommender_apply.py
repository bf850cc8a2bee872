"""Acting on recommendations: what a resize asks for, and that nothing happens unless it was asked for."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from adapter.kube.errors import Forbidden, NotFound, Unreachable
from adapter.kube.objects import Condition, ObjectMeta, ResourceRequirements
from adapter.units.quantity import Quantity
from recommender.model.cluster import TrackedVpa
from recommender.objects import (
    ContainerPolicy,
    ContainerRecommendation,
    Pod,
    PodContainer,
    PodRecommendation,
    PodSpec,
    PodStatus,
    UpdatePolicy,
    Vpa,
    VpaSpec,
    VpaStatus,
)
from recommender.updater.admission import Admission
from recommender.updater.apply import Applier, facts, resize, scaled
from recommender.updater.decide import Advice

NOW = 1767243600.0


def q(**texts):
    return {name: Quantity.parse(text) for name, text in texts.items()}


def pod(name="web-1", requests=None, limits=None, conditions=(), going=False):
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


def tracked(mode, target="100m", least=None):
    entry = ContainerRecommendation(
        container_name="app", target={"cpu": target}, lower_bound={"cpu": "50m"}, upper_bound={"cpu": "200m"}
    )
    recommendation = PodRecommendation(container_recommendations=(entry,))
    return TrackedVpa(
        Vpa(
            metadata=ObjectMeta(name="web", namespace="shop"),
            spec=VpaSpec(update_policy=UpdatePolicy(update_mode=mode, min_replicas=least)),
            status=VpaStatus(recommendation=recommendation),
        )
    )


class Recorder:
    """Stands for a Client; notes what it is asked to write."""

    def __init__(self, refuse=None, lease=None):
        self.written, self._refuse, self._lease = [], refuse, lease

    async def get(self, path, kind):
        if self._lease is None:
            raise NotFound(404, "NotFound", path)
        return self._lease

    async def patch(self, path, body, kind, *, content):
        self.written.append(("patch", path, body))
        if self._refuse is not None:
            raise self._refuse

    async def create(self, path, body, kind):
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
async def test_only_what_flag_and_update_mode_both_allow_is_done(how, mode, verb):
    client = Recorder()
    await Applier(client, how).act([(tracked(mode), [pod("web-1"), pod("web-2")])], NOW)
    assert [entry[0] for entry in client.written] == ([verb] if verb else [])


async def test_one_pod_of_a_workload_changes_at_a_time():
    client = Recorder()
    done = await Applier(client, "in-place").act([(tracked("InPlace"), [pod(f"web-{n}") for n in range(5)])], NOW)
    assert (done, len(client.written)) == (1, 1)
    assert client.written[0][1].endswith("/pods/web-0/resize") or "/pods/web-" in client.written[0][1]


async def test_a_pod_of_which_nothing_can_change_is_not_patched_again_and_again():
    """It has no CPU request, which a resize may not add; the others' turn must not be lost to it."""
    client = Recorder()
    pods = [pod("web-1", requests={"memory": "1Gi"}), pod("web-2")]
    assert await Applier(client, "in-place").act([(tracked("InPlace"), pods)], NOW) == 1
    assert client.written[0][1].endswith("/pods/web-2/resize")


@pytest.mark.parametrize(("least", "replicas", "evicted"), [(None, 2, 1), (3, 2, 0), (None, 5, 0), (1, 2, 1)])
async def test_evictions_heed_the_vpas_min_replicas_and_what_the_target_asks_for(least, replicas, evicted):
    """Two pods run. Where five are asked for, int(5 × 0.5) = 2 may be down, and three are."""
    client = Recorder()
    asked = tracked("Recreate", least=least)
    asked.replicas = replicas
    await Applier(client, "all").act([(asked, [pod("web-1"), pod("web-2")])], NOW)
    assert len(client.written) == evicted


async def test_what_the_server_refused_is_not_asked_again_but_after_an_hour_or_with_another_number():
    """A real server refuses what the node has no room for with 403."""
    client = Recorder(refuse=Forbidden(403, "Forbidden", "node didn't have enough allocatable resources"))
    applier, one, less = Applier(client, "in-place"), tracked("InPlace"), tracked("InPlace", target="90m")
    for asked, at in ((one, 0), (one, 60), (less, 120), (less, 180), (less, 3800)):
        await applier.act([(asked, [pod()])], NOW + at)
    assert [entry[2]["spec"]["containers"][0]["resources"]["requests"]["cpu"] for entry in client.written] == [
        "100m", "90m", "90m",
    ]  # fmt: skip


async def test_a_passing_fault_is_tried_again_at_once():
    client = Recorder(refuse=Unreachable("no answer"))
    applier = Applier(client, "in-place")
    for at in (0, 60):
        await applier.act([(tracked("InPlace"), [pod()])], NOW + at)
    assert len(client.written) == 2


async def test_a_refused_resize_becomes_an_eviction_where_the_mode_allows_it():
    client = Recorder(refuse=Forbidden(403, "Forbidden", "no room"))
    applier = Applier(client, "all")
    for at in (0, 60):
        await applier.act([(tracked("InPlaceOrRecreate"), [pod(), pod("web-2")])], NOW + at)
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
async def test_without_vpas_admission_controller_nothing_is_evicted(lease, evicted):
    """On a real cluster every new pod was evicted again, one a loop, without end."""
    client = Recorder(lease=lease)
    applier = Applier(client, "all", admission=Admission(client, "kube-system"))
    with capture_logs() as lines:
        for at in (0, 1):
            await applier.act([(tracked("Recreate"), [pod("web-1"), pod("web-2")])], NOW + at)
    assert bool(client.written) == bool(evicted)
    assert len([line for line in lines if line["event"].startswith("no pod is evicted")]) == (not evicted)


async def test_a_pod_that_is_going_is_left_alone_and_does_not_count():
    client = Recorder()
    pods = [pod("web-1", going=True), pod("web-2")]
    await Applier(client, "all").act([(tracked("Recreate"), pods)], NOW)
    assert client.written == []


def test_limits_keep_their_ratio_to_requests():
    """cpu: 2000m × 300 / 1000 = 600m; memory: 3 GiB × 512 / 1024 = 1.5 GiB."""
    wanted, limits = scaled(
        q(cpu="1", memory="1Gi"), q(cpu="2", memory="3Gi"), q(cpu="300m", memory="512Mi"), keep_limits=False
    )
    assert [str(value) for value in wanted.values()] == ["300m", "512Mi"]
    assert [str(value) for value in limits.values()] == ["600m", "1536Mi"]


def test_with_requests_only_the_limit_stays_and_holds_the_request():
    wanted, limits = scaled(q(cpu="1"), q(cpu="2"), q(cpu="3"), keep_limits=True)
    assert (str(wanted["cpu"]), limits) == ("2", {})


def test_a_resource_without_a_request_gets_none():
    """A new request would change the pod's QoS class, which a resize may not."""
    assert scaled(q(cpu="1"), {}, q(cpu="100m", memory="1Gi"), keep_limits=False)[0].keys() == {"cpu"}


def test_the_patch_names_only_containers_with_advice():
    policy = ContainerPolicy(container_name="app", controlled_values="RequestsOnly")
    body = resize(pod(limits={"cpu": "2"}), {"app": Advice(q(cpu="100m"))}, {"app": policy})
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
def test_a_resize_under_way_is_read_from_the_pods_conditions(condition, state):
    assert facts(pod(conditions=(condition,))).resize_state == state
