"""Pods, VPAs and namespaces of all shapes before a server that refuses what a real one would: who is asked for what."""

from datetime import datetime
from typing import Any, NamedTuple, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapter.kube.client import Client
from adapter.kube.objects import ObjectMeta
from adapter.units.quantity import Quantity
from recommender.model.cluster import TrackedVpa
from recommender.objects import ContainerPolicy, Pod, ResourcePolicy
from recommender.updater.admissible import Namespace
from recommender.updater.apply import Applier
from recommender.updater.facts import Advice
from recommender.updater.objects import LimitRange
from recommender.updater.resize import wish
from recommender.updater.shape import shape
from tests.recommender.acting import NOW, Server, container, limit_range, pod, quota, sibling, vpa

KEEP = {"containerName": "*", "controlledValues": "RequestsOnly"}
NOBODY: tuple[str, ...] = ()
SHRINK = "resize web-1 app requests cpu=100m"
DEFERRED, INFEASIBLE = "PodResizePending Deferred", "PodResizePending Infeasible"
RUNNING, ERROR = "PodResizeInProgress", "PodResizeInProgress Error"


class Shape(NamedTuple):
    """What is there, and what is asked for in the first loop."""

    pods: tuple[Any, ...]
    vpa: Any
    asked: tuple[str, ...] = NOBODY
    how: str = "all"
    namespace: Any = None
    """Lists by plural name, or the budget."""
    cause: str = ""
    """What the log says is against it."""


def two(*containers: Any, **more: Any) -> tuple[Any, ...]:
    """Two pods, of which one may be evicted."""
    return pod(*containers, **more), pod(*containers, **more | {"name": "web-2"})


def small(mode: str, **more: Any) -> Any:
    """A VPA that says 100m of CPU, within 50m to 200m."""
    return vpa(mode, app="cpu=100m", **more)


PLAIN = {
    "a resize": Shape(two(), small("InPlace"), (SHRINK,)),
    "a resize where both would do": Shape(two(), small("InPlaceOrRecreate"), (SHRINK,)),
    "an eviction": Shape(two(), small("Recreate"), ("evict web-1",)),
    "an eviction for the deprecated mode": Shape(two(), small("Auto"), ("evict web-1",)),
    "an eviction that the flag forbids": Shape(two(), small("Recreate"), how="in-place"),
    "a single pod is resized": Shape((pod(),), small("InPlace"), (SHRINK,)),
    "a single pod is not evicted": Shape((pod(),), small("Recreate")),
    "a single pod is, where the VPA says one is enough": Shape((pod(),), small("Recreate", least=1), ("evict web-1",)),
    "new pods only": Shape(two(), small("Initial")),
    "nothing": Shape(two(), small("Off")),
    "a mode of tomorrow": Shape(two(), small("Sideways")),
    "within its bounds and young": Shape(two(container(requests="cpu=150m")), small("Recreate")),
    "within its bounds and old": Shape(
        two(container(requests="cpu=150m"), age=50_000), small("Recreate"), ("evict web-1",)
    ),
}
UNDER_WAY = {
    "deferred, the same": Shape(two(container(requests="cpu=100m"), resize=DEFERRED, has="cpu=1"), small("InPlace")),
    "deferred for long, the same": Shape(
        two(container(requests="cpu=100m"), resize=DEFERRED, since=400, has="cpu=1"), small("InPlace")
    ),
    "deferred for long, the same, evicted": Shape(
        two(container(requests="cpu=100m"), resize=DEFERRED, since=400, has="cpu=1"),
        small("InPlaceOrRecreate"),
        ("evict web-1",),
    ),
    "deferred, another": Shape(
        two(container(requests="cpu=8"), resize=DEFERRED, has="cpu=1"), small("InPlace"), (SHRINK,)
    ),
    "deferred, and what it has is right again": Shape(
        two(container(requests="cpu=8"), resize=DEFERRED, has="cpu=100m"), small("InPlace"), (SHRINK,)
    ),
    "infeasible, less": Shape(
        two(container(requests="cpu=8"), resize=INFEASIBLE, has="cpu=1"), small("InPlace"), (SHRINK,)
    ),
    "infeasible, more": Shape(
        two(container(requests="cpu=8"), resize=INFEASIBLE, has="cpu=1"), vpa("InPlace", app="cpu=20")
    ),
    "infeasible, more, evicted": Shape(
        two(container(requests="cpu=8"), resize=INFEASIBLE, has="cpu=1"),
        vpa("InPlaceOrRecreate", app="cpu=20"),
        ("evict web-1",),
    ),
    "in progress, the same": Shape(
        two(container(requests="cpu=100m"), resize=RUNNING, has="cpu=1"), small("InPlaceOrRecreate")
    ),
    "in progress for hours, the same": Shape(
        two(container(requests="cpu=100m"), resize=RUNNING, since=4000, has="cpu=1"),
        small("InPlaceOrRecreate"),
        ("evict web-1",),
    ),
    "in progress, another": Shape(
        two(container(requests="cpu=4"), resize=RUNNING, has="cpu=1"), small("InPlace"), (SHRINK,)
    ),
    "failing, the same": Shape(
        two(container(requests="cpu=100m"), resize=ERROR, since=4000, has="cpu=1"), small("InPlaceOrRecreate")
    ),
    "failing, another": Shape(two(container(requests="cpu=4"), resize=ERROR, has="cpu=1"), small("InPlace"), (SHRINK,)),
    "under way, and new pods are what the mode makes": Shape(
        two(container(requests="cpu=4"), resize=DEFERRED, has="cpu=1"), small("Recreate"), ("evict web-1",)
    ),
}
SIDE = container("proxy", requests="cpu=1", restartPolicy="Always")
CONTAINERS = {
    "both of two": Shape(
        (pod(container("a"), container("b")),),
        vpa("InPlace", a="cpu=100m", b="cpu=2"),
        ("resize web-1 a requests cpu=100m", "resize web-1 b requests cpu=2"),
    ),
    "one of two": Shape(
        (pod(container("a"), container("b")),), vpa("InPlace", b="cpu=2"), ("resize web-1 b requests cpu=2",)
    ),
    "one of two has no request": Shape(
        (pod(container("a", requests=""), container("b")),),
        vpa("InPlace", a="cpu=100m", b="cpu=2"),
        ("resize web-1 b requests cpu=2",),
    ),
    "one without a request is no cause": Shape(
        (pod(container("a", requests=""), container("b")),), vpa("InPlace", a="cpu=100m", b="cpu=1")
    ),
    "one without a request gets it anew": Shape(
        two(container("a", requests=""), container("b")), vpa("Recreate", a="cpu=100m", b="cpu=1"), ("evict web-1",)
    ),
    "one that is gone": Shape((pod(container("a")),), vpa("InPlace", a="cpu=1", gone="cpu=9")),
    "one that VPA's admission controller has not seen": Shape(
        two(container("a"), container("b"), annotations={"vpaObservedContainers": "a"}),
        vpa("Recreate", a="cpu=1", b="cpu=9"),
    ),
    "limits go with requests": Shape(
        (pod(container(limits="cpu=4 memory=1Gi")),),
        small("InPlace"),
        ("resize web-1 app requests cpu=100m", "resize web-1 app limits cpu=400m"),
    ),
    "limits stay": Shape((pod(container(limits="cpu=4 memory=1Gi")),), small("InPlace", policies=[KEEP]), (SHRINK,)),
    "limits stay and hold": Shape(
        (pod(container(limits="cpu=4 memory=2Gi")),),
        vpa("InPlace", policies=[KEEP], app="cpu=8"),
        ("resize web-1 app requests cpu=4",),
    ),
    "guaranteed": Shape(
        (pod(container(limits="cpu=1 memory=1Gi")),),
        small("InPlace"),
        ("resize web-1 app requests cpu=100m", "resize web-1 app limits cpu=100m"),
    ),
    "guaranteed, limits stay": Shape(
        two(container(limits="cpu=1 memory=1Gi")), small("InPlaceOrRecreate", policies=[KEEP])
    ),
    "would become guaranteed": Shape(
        (pod(container(requests="cpu=500m memory=1Gi", limits="cpu=1 memory=1Gi")),),
        vpa("InPlace", policies=[KEEP], app="cpu=4"),
        ("resize web-1 app requests cpu=999m",),
    ),
    "best effort": Shape((pod(container(requests="")),), small("InPlaceOrRecreate")),
    "best effort, made anew": Shape(two(container(requests="")), small("InPlaceOrRecreate"), ("evict web-1",)),
    "a sidecar": Shape(
        (pod(init=[SIDE]),), vpa("InPlace", proxy="cpu=100m"), ("resize web-1 proxy requests cpu=100m",)
    ),
    "a sidecar, which VPA's admission controller would leave as it is": Shape(
        two(init=[SIDE]), vpa("Recreate", app="cpu=1 memory=1Gi", proxy="cpu=100m")
    ),
    "a sidecar beside a container that is another anew": Shape(
        two(init=[SIDE]), vpa("Recreate", app="cpu=100m", proxy="cpu=100m"), ("evict web-1",)
    ),
    "a sidecar that would not fit, but stays as it is anew": Shape(
        two(init=[SIDE]),
        vpa("Recreate", app="cpu=100m", proxy="cpu=5"),
        ("evict web-1",),
        namespace={"limitranges": [limit_range(max="cpu=3", default="cpu=3", defaultRequest="cpu=1")]},
    ),
    "a sidecar and its container": Shape(
        (pod(init=[SIDE]),),
        vpa("InPlace", proxy="cpu=100m", app="cpu=2"),
        ("resize web-1 app requests cpu=2", "resize web-1 proxy requests cpu=100m"),
    ),
    "an init container is nobody's": Shape(
        (pod(init=[container("migrate", requests="cpu=4")]),), vpa("InPlace", migrate="cpu=100m")
    ),
    "pods that differ: the one that must grow comes first": Shape(
        (pod(), pod(container(requests="cpu=10m"), name="web-2")),
        small("InPlace"),
        ("resize web-2 app requests cpu=100m",),
    ),
    "pods that differ: one of an older form without the container": Shape(
        (pod(container("old")), pod(name="web-2")), small("InPlace"), ("resize web-2 app requests cpu=100m",)
    ),
    "a pod that is going": Shape((pod(deletionTimestamp="2026-01-01T05:00:00Z"),), small("InPlace")),
}
LARGE = vpa("InPlaceOrRecreate", app="cpu=2")
PROPORTIONAL = container(limits="cpu=2 memory=2Gi")
AT_LEAST_4 = {"containerName": "*", "minAllowed": {"cpu": "4"}}
RANGED = {
    "a largest limit": Shape(
        (pod(PROPORTIONAL),),
        vpa("InPlace", app="cpu=2"),
        ("resize web-1 app requests cpu=1500m", "resize web-1 app limits cpu=3"),
        namespace={"limitranges": [limit_range(max="cpu=3")]},
    ),
    "a largest limit that it has": Shape(
        two(PROPORTIONAL), LARGE, namespace={"limitranges": [limit_range(max="cpu=2")]}
    ),
    "a least request": Shape(
        (pod(PROPORTIONAL),),
        small("InPlace"),
        ("resize web-1 app requests cpu=500m", "resize web-1 app limits cpu=1"),
        namespace={"limitranges": [limit_range(min="cpu=500m")]},
    ),
    "several, the strictest of each": Shape(
        (pod(PROPORTIONAL),),
        small("InPlace"),
        ("resize web-1 app requests cpu=300m", "resize web-1 app limits cpu=600m"),
        namespace={"limitranges": [limit_range(min="cpu=300m"), limit_range(name="b", min="cpu=200m", max="cpu=5")]},
    ),
    "of the pod, most": Shape(
        (pod(PROPORTIONAL),),
        vpa("InPlace", app="cpu=2"),
        ("resize web-1 app requests cpu=1500m", "resize web-1 app limits cpu=3"),
        namespace={"limitranges": [limit_range("Pod", max="cpu=3")]},
    ),
    "of the pod, a ratio that limits which stay would break": Shape(
        (pod(PROPORTIONAL),),
        small("InPlace", policies=[KEEP]),
        ("resize web-1 app requests cpu=500m",),
        namespace={"limitranges": [limit_range("Pod", maxLimitRequestRatio="cpu=4")]},
    ),
    "of the pod, a ratio that limits which go with requests would break": Shape(
        two(container("a", limits="cpu=1"), container("b", limits="cpu=4")),
        vpa("InPlaceOrRecreate", a="cpu=100m", b="cpu=2"),
        namespace={"limitranges": [limit_range("Pod", maxLimitRequestRatio="cpu=3")]},
        cause="limits.cpu of the pod would be 3.86 times the requests, 3 are allowed",  # 8.1 / 2.1
    ),
    "a largest limit, of a new pod": Shape(
        two(PROPORTIONAL),
        vpa("Recreate", app="cpu=2"),
        ("evict web-1",),
        namespace={"limitranges": [limit_range(max="cpu=3")]},
    ),
    "a largest limit below the policy's least, which VPA's admission controller heeds last": Shape(
        two(PROPORTIONAL),
        vpa("Recreate", app="cpu=4", policies=[AT_LEAST_4]),
        namespace={"limitranges": [limit_range(max="cpu=3")]},
        cause="limits.cpu of container app would be 8, 3 at most is allowed",
    ),
    "a largest limit below the policy's least, of a resize": Shape(
        (pod(PROPORTIONAL),),
        vpa("InPlace", app="cpu=4", policies=[AT_LEAST_4]),
        ("resize web-1 app requests cpu=1500m", "resize web-1 app limits cpu=3"),
        namespace={"limitranges": [limit_range(max="cpu=3")]},
    ),
    "a least request above the policy's most, of a new pod": Shape(
        two(PROPORTIONAL),
        small("Recreate", policies=[{"containerName": "*", "maxAllowed": {"cpu": "100m"}}]),
        namespace={"limitranges": [limit_range(min="cpu=500m")]},
        cause="requests.cpu of container app would be 100m, 500m at least is wanted",
    ),
    "a ratio, of which VPA's admission controller knows nothing": Shape(
        two(PROPORTIONAL),
        small("Recreate", policies=[KEEP]),
        namespace={"limitranges": [limit_range("Pod", maxLimitRequestRatio="cpu=4")]},
        cause="limits.cpu of the pod would be 20 times the requests, 4 are allowed",
    ),
    "a limit that the namespace asks for since": Shape(
        (pod(),),
        small("InPlace"),
        namespace={"limitranges": [limit_range(max="cpu=3")]},
        cause="container app must have a limit of cpu, 3 at most",
    ),
    "a limit that the namespace gives to new pods": Shape(
        two(),
        small("InPlaceOrRecreate"),
        ("evict web-1",),
        namespace={"limitranges": [limit_range(max="cpu=3", default="cpu=3", defaultRequest="cpu=1")]},
        cause="container app must have a limit of cpu",  # so that the one that is left cannot be resized either
    ),
    "what it was given when it was made": Shape(
        (pod(container(requests="cpu=500m memory=512Mi", limits="cpu=500m memory=512Mi")),),
        small("InPlace"),
        ("resize web-1 app requests cpu=100m", "resize web-1 app limits cpu=100m"),
        namespace={"limitranges": [limit_range(default="cpu=500m memory=512Mi")]},
    ),
    "what volumes may be": Shape(
        (pod(),),
        small("InPlace"),
        (SHRINK,),
        namespace={"limitranges": [limit_range("PersistentVolumeClaim", max="storage=1Gi")]},
    ),
}
WHOLE = {"requests": {"cpu": "2"}, "limits": {"cpu": "4"}}
POD_LEVEL = {
    "within what the pod has": Shape((pod(whole=WHOLE),), small("InPlace"), (SHRINK,)),
    "no more than the pod requests": Shape(
        (pod(whole=WHOLE),), vpa("InPlace", app="cpu=3"), ("resize web-1 app requests cpu=2",)
    ),
    "of two containers, in proportion": Shape(
        (pod(container("a", requests="cpu=500m"), container("b", requests="cpu=500m"), whole=WHOLE),),
        vpa("InPlace", a="cpu=3", b="cpu=1"),
        ("resize web-1 a requests cpu=1500m",),
    ),
    "no more than the pod requests, of a new pod": Shape(two(whole=WHOLE), small("Recreate"), ("evict web-1",)),
    "more than the pod requests, as VPA's admission controller would write it": Shape(
        two(whole=WHOLE),
        vpa("Recreate", app="cpu=3"),
        cause="the pod's own resources: requests.cpu of its containers would be 3, it requests 2",
    ),
    "a limit above the pod's, as VPA's admission controller would write it": Shape(
        two(PROPORTIONAL, whole={"requests": {"cpu": "2"}, "limits": {"cpu": "3"}}),
        vpa("Recreate", app="cpu=2"),
        cause="the pod's own resources: limits.cpu of app would be 4, its limit is 3",
    ),
    "the pod counts in a quota, not its containers": Shape(
        (pod(whole=WHOLE),),
        vpa("InPlace", app="cpu=2"),
        ("resize web-1 app requests cpu=2",),
        namespace={"resourcequotas": [quota("requests.cpu=2 limits.cpu=4", "requests.cpu=2 limits.cpu=4")]},
    ),
}
UPWARD = {"resources": ["cpu"], "changeRequirement": "TargetHigherThanRequests"}
OTHERS = {
    "a budget that allows none": Shape(two(), small("Recreate"), ("evict web-1",), namespace={"budget": 0}),
    "a budget does not hold a resize": Shape(two(), small("InPlace"), (SHRINK,), namespace={"budget": 0}),
    "a resize that restarts heeds the replicas": Shape(
        (pod(container(resizePolicy=[{"resourceName": "cpu", "restartPolicy": "RestartContainer"}])),), small("InPlace")
    ),
    "under release": Shape(two(), small("InPlaceOrRecreate"), namespace={"deployments": [sibling(app="web")]}),
    "another's release": Shape(two(), small("InPlace"), (SHRINK,), namespace={"deployments": [sibling(app="other")]}),
    "evicted upward only, and it shrinks": Shape(two(), small("Recreate", evictionRequirements=[UPWARD])),
    "evicted upward only, and it grows": Shape(
        two(container(requests="cpu=10m")), small("Recreate", evictionRequirements=[UPWARD]), ("evict web-1",)
    ),
}
FULL = quota("requests.cpu=3", "requests.cpu=3")
QUOTAS = {
    "no room for a resize": Shape(
        two(),
        vpa("InPlace", app="cpu=2"),
        namespace={"resourcequotas": [FULL]},
        cause="ResourceQuota compute: requests.cpu would be 4 in all, 3 is allowed",
    ),
    "no room, and no eviction instead": Shape(
        two(), LARGE, namespace={"resourcequotas": [FULL]}, cause="requests.cpu would be 4 in all"
    ),
    "no room for the pod that would come": Shape(
        two(), vpa("Recreate", app="cpu=2"), namespace={"resourcequotas": [FULL]}, cause="requests.cpu would be 4"
    ),
    "less fits into a full one": Shape(two(), small("InPlace"), (SHRINK,), namespace={"resourcequotas": [FULL]}),
    "less fits into one that is over full": Shape(
        two(), small("InPlace"), (SHRINK,), namespace={"resourcequotas": [quota("requests.cpu=1", "requests.cpu=3")]}
    ),
    "a new pod does not, though it is smaller": Shape(
        two(),
        small("Recreate"),
        namespace={"resourcequotas": [quota("requests.cpu=1", "requests.cpu=3")]},
        cause="requests.cpu would be 2100m in all, 1 is allowed",
    ),
    "more pods than it allows": Shape(
        two(), small("Recreate"), namespace={"resourcequotas": [quota("pods=1", "pods=2")]}, cause="pods would be 2"
    ),
    "just enough room": Shape(
        two(),
        vpa("InPlace", app="cpu=2"),
        ("resize web-1 app requests cpu=2",),
        namespace={"resourcequotas": [quota("cpu=4", "cpu=3")]},
    ),
    "no room for limits": Shape(
        (pod(PROPORTIONAL),),
        vpa("InPlace", app="cpu=2"),
        namespace={"resourcequotas": [quota("limits.cpu=3", "limits.cpu=2")]},
        cause="limits.cpu would be 4 in all, 3 is allowed",
    ),
    "no room for memory beside CPU": Shape(
        (pod(),),
        vpa("InPlace", app="cpu=100m memory=4Gi"),
        namespace={"resourcequotas": [quota("requests.memory=2Gi", "requests.memory=1Gi")]},
        cause="requests.memory would be 4Gi in all, 2Gi is allowed",
    ),
    "a container without what it counts": Shape(
        two(container("app"), container("b", requests="memory=1Gi")),
        small("InPlaceOrRecreate"),
        namespace={"resourcequotas": [quota("requests.cpu=9", "requests.cpu=3")]},
        cause="container b must say requests.cpu",
    ),
    "use that is not known yet": Shape(
        (pod(),),
        small("InPlace"),
        namespace={"resourcequotas": [quota("requests.cpu=9", "")]},
        cause="what is used of requests.cpu is not known yet",
    ),
    "one for jobs": Shape(
        (pod(),),
        vpa("InPlace", app="cpu=2"),
        ("resize web-1 app requests cpu=2",),
        namespace={"resourcequotas": [quota("requests.cpu=3", "requests.cpu=3", scopes=["Terminating"])]},
    ),
    "one for services": Shape(
        (pod(),),
        vpa("InPlace", app="cpu=2"),
        namespace={
            "resourcequotas": [quota("requests.cpu=3", "requests.cpu=3", scopes=["NotTerminating", "NotBestEffort"])]
        },
        cause="requests.cpu would be 4",
    ),
    "one for another class": Shape(
        (pod(),),
        vpa("InPlace", app="cpu=2"),
        ("resize web-1 app requests cpu=2",),
        namespace={
            "resourcequotas": [
                quota(
                    "requests.cpu=3",
                    "requests.cpu=3",
                    scopeSelector={
                        "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]
                    },
                )
            ]
        },
    ),
    "what is under way is counted already": Shape(
        (pod(container(requests="cpu=4"), resize=DEFERRED, has="cpu=1"),),
        vpa("InPlace", app="cpu=3"),
        ("resize web-1 app requests cpu=3",),
        namespace={"resourcequotas": [quota("requests.cpu=4", "requests.cpu=4")]},
    ),
    "the second of several": Shape(
        (pod(),),
        vpa("InPlace", app="cpu=2"),
        namespace={"resourcequotas": [quota("requests.cpu=9", "requests.cpu=1", name="a"), FULL]},
        cause="ResourceQuota compute",
    ),
    "another namespace's": Shape(
        (pod(),),
        vpa("InPlace", app="cpu=2"),
        ("resize web-1 app requests cpu=2",),
        namespace={"resourcequotas": [FULL | {"metadata": {"name": "compute", "namespace": "other"}}]},
    ),
}
EVERY = {**PLAIN, **UNDER_WAY, **CONTAINERS, **RANGED, **POD_LEVEL, **OTHERS, **QUOTAS}
SAID = "pod left as it is: its namespace would refuse what is recommended"


@pytest.mark.parametrize("shape", EVERY.values(), ids=EVERY.keys())
async def test_each_is_asked_for_what_is_due_and_no_more(shape: Shape) -> None:
    """The first loop asks; nothing is refused; and three further loops ask for nothing that changes nothing."""
    server = Server(*shape.pods, **(shape.namespace or {}))
    applier = Applier(cast(Client, server), shape.how)
    shape.vpa.replicas = len(shape.pods)
    with capture_logs() as lines:
        await applier.act([(shape.vpa, server.typed_pods())], NOW)
        assert tuple(server.asked) == shape.asked
        for minute in range(1, 4):
            await applier.act([(shape.vpa, server.typed_pods())], NOW + 60.0 * minute)
    assert not server.refused
    assert len(server.asked) <= 2 * max(len(shape.asked), 1) * len(shape.pods)
    causes = [line["cause"] for line in lines if line["event"] == SAID]
    assert len(causes) == bool(shape.cause), causes
    assert shape.cause in "".join(causes)


def with_name(name: str, shaped: Any) -> Any:
    """The VPA under another name, older by that."""
    made = f"2026-01-0{ord(name[-1]) - ord('a') + 1}T00:00:00Z"
    meta = ObjectMeta(name=name, namespace="shop", creation_timestamp=datetime.fromisoformat(made))
    return TrackedVpa(msgspec.structs.replace(shaped.vpa, metadata=meta), selector=shaped.selector)


async def test_what_one_vpa_takes_of_a_quota_the_next_one_does_not_have_in_the_same_loop() -> None:
    """Each of two pods is to grow from 1 CPU to 2, of 3 in all: one does; when that is counted, there is still none."""
    server = Server(*two(), resourcequotas=[quota("requests.cpu=3", "requests.cpu=2")])
    applier, pods = Applier(cast(Client, server), "in-place"), server.typed_pods()
    for minute in range(3):
        both = [(with_name(f"web-{k}", vpa("InPlace", app="cpu=2")), [one]) for k, one in zip("ab", pods, strict=True)]
        await applier.act(both, NOW + 60.0 * minute)
        server.lists["resourcequotas"] = [quota("requests.cpu=3", "requests.cpu=3")]
        pods = server.typed_pods()
    assert server.asked == ["resize web-1 app requests cpu=2"]


async def test_room_that_comes_is_used_and_what_was_said_is_said_again_when_it_is_gone() -> None:
    server, large = Server(pod()), vpa("InPlace", app="cpu=2")
    applier = Applier(cast(Client, server), "in-place")
    with capture_logs() as lines:
        for minute, used in enumerate((3, 3, 3, 2)):
            server.lists["resourcequotas"] = [quota("requests.cpu=3", f"requests.cpu={used}")]
            await applier.act([(large, server.typed_pods())], NOW + 60.0 * minute)
    assert server.asked == ["resize web-1 app requests cpu=2"]
    assert [line["pod"] for line in lines if line["event"] == SAID] == ["shop/web-1"]


async def test_where_quotas_cannot_be_read_the_last_ones_hold_and_one_line_says_so() -> None:
    server, large = Server(pod(), resourcequotas=[FULL]), vpa("InPlace", app="cpu=2")
    applier = Applier(cast(Client, server), "in-place")
    await applier.act([(large, server.typed_pods())], NOW)
    server.away = {"resourcequotas"}
    with capture_logs() as lines:
        for minute in range(1, 4):
            await applier.act([(large, server.typed_pods())], NOW + 60.0 * minute)
    assert server.asked == []
    assert [line["what"] for line in lines if line["event"].startswith("not read")] == ["resourcequotas"]


async def test_what_a_budget_forbids_is_said_once() -> None:
    server = Server(*two(), budget=0)
    applier = Applier(cast(Client, server), "all")
    with capture_logs() as lines:
        for minute in range(4):
            await applier.act([(small("Recreate"), server.typed_pods())], NOW + 60.0 * minute)
    assert server.asked == ["evict web-1"] * 4
    assert [line["event"] for line in lines] == ["pod not changed"]


def test_init_containers_count_with_the_sidecars_before_them() -> None:
    """Containers 1 and sidecars 0.5 + 0.25 run together: 1.75; the init container has 2 beside the first sidecar."""
    first = container("first", requests="cpu=500m", restartPolicy="Always")
    heavy, last = container("heavy", requests="cpu=2"), container("last", requests="cpu=250m", restartPolicy="Always")
    for order, cpu in (([first, heavy, last], "2500m"), ([heavy, first, last], "2"), ([first, last], "1750m")):
        whole = shape(msgspec.convert(pod(init=order), Pod), {})
        assert str(whole.requests["cpu"]) == cpu


@given(
    st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4), st.integers(1, 64_000)), min_size=1, max_size=4),
    st.integers(4000, 64_000),
    st.integers(1, 8),
    st.booleans(),
)
def test_what_fits_into_the_limits_of_containers_is_never_refused_for_them(
    containers: Any, most: int, ratio: int, keep: bool
) -> None:
    """Requests r and limits r x k, k at most the ratio and all of it at most `most`; w is wanted."""
    own = [
        container(f"c{n}", requests=f"cpu={r}m", limits=f"cpu={min(r * min(k, ratio), most)}m")
        for n, (r, k, _) in enumerate(containers)
    ]
    ranges = [msgspec.convert(limit_range(max=f"cpu={most}m", maxLimitRequestRatio=f"cpu={ratio}"), LimitRange)]
    policy = ResourcePolicy(container_policies=(msgspec.convert(KEEP, ContainerPolicy),) if keep else ())
    advice = {f"c{n}": Advice({"cpu": Quantity.parse(f"{w}m")}) for n, (_, _, w) in enumerate(containers)}
    wished = wish(msgspec.convert(pod(*own), Pod), advice, policy, Namespace(ranges))
    assert wished.refused_resize is None
