"""Making objects small: nothing that is read later may change, and what repeats is held once."""

from typing import Any

import msgspec

from adapter.kube.compact import Compactor
from adapter.kube.decoding import decode
from adapter.kube.objects import Pod, condition
from tests.kube.test_views import POD


def read(**meta: Any) -> Pod:
    body = POD | {"metadata": POD["metadata"] | meta}
    body["status"] = POD["status"] | {
        "conditions": [{"type": kind, "status": "True"} for kind in ("Initialized", "Ready", "PodScheduled")]
    }
    return decode(msgspec.json.encode(body), Pod)


def test_only_the_wanted_annotations_and_conditions_are_kept() -> None:
    compact = Compactor(("prometheus.io/",))
    pod = compact(read(annotations={"prometheus.io/port": "1", "checksum/config": "x"}))
    assert pod.metadata.annotations == {"prometheus.io/port": "1"}
    assert [one.type for one in pod.status.conditions] == ["Ready"]


def test_what_containers_did_is_not_kept() -> None:
    before, after = read(), Compactor()(read())
    assert before.status.container_statuses
    assert after.status.container_statuses == after.status.init_container_statuses == ()


def test_no_annotation_is_kept_where_none_is_wanted() -> None:
    assert Compactor()(read(annotations={"": "x", "a": "b"})).metadata.annotations == {}


def test_everything_else_is_as_it_was() -> None:
    before, after = read(annotations={}), Compactor()(read(annotations={}))
    assert after.metadata == before.metadata
    assert after.spec == before.spec
    assert after.status.phase == before.status.phase
    assert after.status.pod_ip == before.status.pod_ip
    assert after.status.start_time == before.status.start_time
    assert condition(after.status.conditions, "Ready") == condition(before.status.conditions, "Ready")


def test_equal_parts_of_two_pods_are_one_and_different_ones_are_not() -> None:
    compact = Compactor()
    first, second = compact(read(name="a")), compact(read(name="b"))
    assert first.spec.containers is second.spec.containers
    assert first.metadata.owner_references is second.metadata.owner_references
    other = compact(read(ownerReferences=[{"kind": "Job", "name": "j"}]))
    assert other.metadata.owner_references[0].kind == "Job"


def test_a_bare_pod_passes() -> None:
    assert Compactor()(Pod()) == Pod()
