"""Which changes of pods and which events are OOM kills."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from adapter.kube.objects import (
    ContainerState,
    ContainerStateTerminated,
    ObjectMeta,
    ResourceRequirements,
)
from recommender.input.oom import QUEUE, Observer, evictions, kills
from recommender.objects import ContainerStatus, Event, InvolvedObject, Pod, PodContainer, PodSpec, PodStatus

AT = datetime(2026, 1, 1, 5, tzinfo=UTC)
RUNNING = ContainerState()
KILLED = ContainerState(terminated=ContainerStateTerminated(reason="OOMKilled", finished_at=AT))
ENDED = ContainerState(terminated=ContainerStateTerminated(reason="Completed", finished_at=AT))


def pod(
    state: ContainerState = RUNNING,
    restarts: int = 0,
    last: ContainerState = RUNNING,
    uid: str = "u",
    held: str | None = None,
) -> Pod:
    resources = ResourceRequirements(requests={"memory": held}) if held else None
    status = ContainerStatus(name="app", state=state, last_state=last, restart_count=restarts, resources=resources)
    container = PodContainer(name="app", resources=ResourceRequirements(requests={"memory": "1Gi"}))
    return Pod(
        metadata=ObjectMeta(name="web-1", namespace="shop", uid=uid),
        spec=PodSpec(containers=(container,)),
        status=PodStatus(container_statuses=(status,)),
    )


@pytest.mark.parametrize(
    ("before", "after", "killed"),
    [
        (pod(), pod(KILLED), True),
        (pod(), pod(ENDED), False),
        (pod(), pod(), False),
        (pod(KILLED), pod(KILLED), False),  # told already
        (pod(KILLED), pod(KILLED, restarts=1), True),  # killed again meanwhile
        (pod(restarts=1), pod(restarts=2, last=KILLED), True),  # restarted between two looks
        (pod(restarts=1), pod(restarts=2, last=ENDED), False),
        (pod(KILLED), pod(restarts=1, last=KILLED), False),  # the restart after a kill that was told
        (pod(restarts=2, last=KILLED), pod(restarts=2, last=KILLED), False),
        (pod(), pod(KILLED, uid="other"), False),  # another pod of the same name
    ],
)
def test_transitions_of_a_container(before: Pod, after: Pod, killed: bool) -> None:
    kills_seen = kills(before, after)
    assert bool(kills_seen) == killed
    if killed:
        assert kills_seen[0] == ("shop", "web-1", "app", AT.timestamp(), 2**30)


def test_the_request_is_what_the_kubelet_says_where_it_says_it() -> None:
    assert kills(pod(held="3Gi"), pod(KILLED))[0].memory == 3 * 2**30


@pytest.mark.parametrize(("at_limit", "worth"), [(True, 2**30), (False, 100 * 2**20)])
def test_a_kill_at_a_limit_above_the_request_is_worth_the_limit_but_for_vpa(at_limit: Any, worth: Any) -> None:
    resources = ResourceRequirements(requests={"memory": "100Mi"}, limits={"memory": "1Gi"})
    spec = PodSpec(containers=(PodContainer(name="app", resources=resources),))
    before, after = (msgspec.structs.replace(one, spec=spec) for one in (pod(), pod(KILLED)))
    assert [kill.memory for kill in kills(before, after, at_limit)] == [worth]


@pytest.mark.parametrize(("own", "fellows", "worth"), [("", 0, 2**30), ("512Mi", 0, 2**29), ("", 1, 100 * 2**20)])
def test_a_kill_at_the_limit_of_the_pod_is_worth_it_where_the_container_is_alone(
    own: Any, fellows: Any, worth: Any
) -> None:
    """Pod-level resources (Kubernetes 1.34): 1Gi for all containers together."""
    resources = ResourceRequirements(requests={"memory": "100Mi"}, limits={"memory": own} if own else {})
    others = (PodContainer(name="other"),) * fellows
    spec = PodSpec(
        containers=(PodContainer(name="app", resources=resources), *others),
        resources=ResourceRequirements(limits={"memory": "1Gi"}),
    )
    before, after = (msgspec.structs.replace(one, spec=spec) for one in (pod(), pod(KILLED)))
    assert [kill.memory for kill in kills(before, after)] == [worth]


def test_a_sidecar_is_killed_like_a_container() -> None:
    spec = PodSpec(init_containers=(PodContainer(name="app", restart_policy="Always"),))

    def as_sidecar(whole: Any) -> Any:
        status = PodStatus(init_container_statuses=whole.status.container_statuses)
        return msgspec.structs.replace(whole, spec=spec, status=status)

    assert [kill.container for kill in kills(as_sidecar(pod()), as_sidecar(pod(KILLED)))] == ["app"]


def event(**notes: str) -> Event:
    return Event(
        metadata=ObjectMeta(name="e", namespace="shop", annotations=notes),
        involved_object=InvolvedObject(kind="Pod", namespace="shop", name="web-1"),
        reason="Evicted",
        last_timestamp=AT,
    )


def test_an_eviction_names_containers_and_what_they_used() -> None:
    evicted = evictions(
        event(offending_containers="a,b", offending_containers_usage="1Gi,2Gi", starved_resource="memory")
    )
    assert [(kill.container, kill.memory) for kill in evicted] == [("a", 2**30), ("b", 2**31)]


@pytest.mark.parametrize(
    "notes",
    [
        {},
        {"offending_containers": "a", "offending_containers_usage": "1Gi", "starved_resource": "ephemeral-storage"},
        {"offending_containers": "a,b", "offending_containers_usage": "1Gi", "starved_resource": "memory"},
    ],
)
def test_other_evictions_are_none_of_ours(notes: dict[Any, Any]) -> None:
    assert evictions(event(**notes)) == []


def test_kills_wait_for_the_loop_and_the_oldest_are_dropped_beyond_a_bound() -> None:
    observer = Observer()
    for _ in range(QUEUE + 5):
        observer.pod_changed(pod(), pod(KILLED))
    observer.pod_changed(None, pod())
    observer.pod_changed(pod(), None)
    assert len(observer.drain()) == QUEUE
    assert observer.drain() == []
