"""Which pods take traffic and since when, and which pods' values belong together."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from adapter.collect import groups
from adapter.collect.groups import EACH, Group, GroupKey, Groups, Share
from adapter.collect.presence import Presences
from adapter.kube.index import Index
from adapter.kube.objects import Condition, ObjectMeta, Pod, PodStatus
from adapter.units.selector import Selector

NOW = 1_000_000.0
WEB = Selector.parse("app=web")


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def pod(
    name: str = "a",
    ready: float | None = None,
    unready: float | None = None,
    phase: str = "Running",
    ends: bool = False,
) -> Pod:
    """A pod that is ready (or not) since that Unix time; neither: the kubelet has not said yet."""
    since, status = (ready, "True") if ready is not None else (unready, "False")
    conditions = () if since is None else (Condition("Ready", status, last_transition_time=moment(since)),)
    meta = ObjectMeta(
        namespace="shop", name=name, labels={"app": "web"}, creation_timestamp=moment(NOW - 500), uid=name,
        deletion_timestamp=moment(NOW) if ends else None,
    )  # fmt: skip
    return Pod(metadata=meta, status=PodStatus(phase=phase, conditions=conditions))


class Cluster:
    """Pods, and what is known of them; time stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW
        self.index: Index[Pod] = Index()
        self.presences = Presences(lambda: self.now)
        self.groups = Groups(self.presences, self.index.select)
        self.index.on_change(self.presences.note_change)

    def at(self, seconds: float, *pods: Pod) -> None:
        self.now = NOW + seconds
        for each in pods:
            self.index.put(each)

    def describe(self, name: str = "a") -> str:
        presence = self.presences.of("shop", name)
        assert presence is not None
        return presence.describe(self.now)

    def since(self, name: str = "a") -> float:
        presence = self.presences.of("shop", name)
        assert presence is not None
        return presence.since - NOW


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        (pod(ready=NOW - 30), "ready for 29 s"),  # the API's time is in whole seconds, rounded down: 30 - 1
        (pod(unready=NOW - 12), "not ready for 11 s"),
        (pod(), "not ready for 499 s"),  # never told: since it was created
        (pod(ready=NOW - 30, ends=True), "being deleted for 0 s"),
        (pod(ready=NOW - 30, phase="Failed"), "finished for 0 s"),
    ],
)
def test_a_pod_is_told_by_its_condition(cluster: Cluster, listed: Pod, sentence: str) -> None:
    cluster.at(0, listed)
    assert cluster.describe() == sentence


def test_a_change_that_was_seen_counts_by_our_own_clock(cluster: Cluster) -> None:
    cluster.at(0, pod(unready=NOW - 20))
    cluster.at(7, pod(ready=NOW - 400))  # the kubelet's clock is minutes behind
    assert cluster.since() == 7


def test_a_clock_ahead_of_ours_makes_no_pod_ready_in_the_future(cluster: Cluster) -> None:
    cluster.at(0, pod(ready=NOW + 900))
    assert cluster.since() == 0


def test_a_pod_that_turned_twice_between_two_looks_counts_anew(cluster: Cluster) -> None:
    cluster.at(0, pod(ready=NOW - 100))
    cluster.at(50, pod(ready=NOW + 49))
    assert cluster.since() == 50


def test_what_does_not_turn_keeps_its_time(cluster: Cluster) -> None:
    cluster.at(0, pod(ready=NOW - 100))
    cluster.at(50, pod(ready=NOW - 100))
    assert cluster.since() == -99


def test_a_pod_that_is_gone_is_unknown(cluster: Cluster) -> None:
    cluster.at(0, pod(ready=NOW))
    cluster.index.remove("shop", "a")
    assert cluster.presences.of("shop", "a") is None


# ---- groups


def test_a_change_of_three_pods_is_a_change_of_their_group(cluster: Cluster) -> None:
    cluster.at(0, *(pod(name, ready=NOW - 100) for name in "abc"))
    cluster.groups.note_request("shop", WEB, NOW, "hpas")
    cluster.at(5, pod("d", unready=NOW))
    ((_, group),) = cluster.groups.within({"shop", "elsewhere"}, cluster.now)
    assert group.changed == 0  # one that takes no traffic yet moves no load
    cluster.at(9, pod("d", ready=NOW + 9))
    assert group.changed == 0  # whether it gives values is not known yet
    assert cluster.groups.coming({"shop"}, cluster.now) == {("shop", "d"): NOW + 9}
    cluster.at(11)
    cluster.groups.note_samples({("shop", "d")}, cluster.now)
    assert (group.changed, group.left) == (NOW + 9, 0)
    assert group.former == {("shop", name) for name in "abc"}
    assert not cluster.groups.coming({"shop"}, cluster.now)
    cluster.at(12, pod("a", ready=NOW - 100, ends=True))
    assert (group.changed, group.left) == (NOW + 12, NOW + 12)


def test_a_pod_that_never_gave_a_sample_comes_and_goes_unnoticed(cluster: Cluster) -> None:
    cluster.at(0, *(pod(name, ready=NOW - 100) for name in "abc"))
    cluster.groups.note_request("shop", WEB, NOW, "hpas")
    ((key, group),) = cluster.groups.within({"shop"}, cluster.now)
    cluster.at(5, pod("d", ready=NOW + 5))
    assert cluster.groups.members_that_count(key, group) == {("shop", name) for name in "abc"}
    cluster.at(8, pod("d", unready=NOW + 8))
    assert (group.changed, group.left) == (0, NOW + 8)
    cluster.at(9, pod("d", ready=NOW + 9))
    assert not cluster.groups.coming({"shop"}, NOW + 69.1)  # a minute later nobody asks after it any more
    cluster.groups.note_samples({("shop", "d")}, NOW + 69.1)
    assert cluster.groups.members_that_count(key, group) == {("shop", name) for name in "abcd"}
    assert group.changed == 0  # that it came is too long ago


def test_one_pod_of_twenty_is_within_the_tolerance_and_two_are_not(cluster: Cluster) -> None:
    cluster.at(0, *(pod(f"p{number}", ready=NOW - 100) for number in range(20)))
    cluster.groups.note_request("shop", WEB, NOW, "hpas")
    ((_, group),) = cluster.groups.within({"shop", "elsewhere"}, cluster.now)
    cluster.at(1, pod("p0", unready=NOW + 1))
    assert group.changed == 0  # 1 of the 19 that are left; a tenth of them is 1.9
    cluster.at(2, pod("p1", unready=NOW + 2))
    assert group.changed == NOW + 2  # 2 of 18


def test_comings_and_goings_a_minute_apart_do_not_add_up(cluster: Cluster) -> None:
    cluster.at(0, *(pod(f"p{number}", ready=NOW - 100) for number in range(20)))
    cluster.groups.note_request("shop", WEB, NOW, "hpas")
    ((_, group),) = cluster.groups.within({"shop", "elsewhere"}, cluster.now)
    for number in range(5):
        cluster.at(61 * number, pod(f"p{number}", unready=NOW + 61 * number))
    assert group.changed == 0


def test_pods_of_others_change_nothing(cluster: Cluster) -> None:
    cluster.groups.note_request("elsewhere", WEB, NOW, "hpas")
    cluster.groups.note_request("shop", Selector.parse("app=api"), NOW, "hpas")
    cluster.at(1, pod(ready=NOW))
    cluster.at(2, pod(unready=NOW))
    assert [group.changed for _, group in cluster.groups.within({"shop", "elsewhere"}, cluster.now)] == [0, 0]


def test_who_takes_traffic(cluster: Cluster) -> None:
    cluster.at(0, pod("a", ready=NOW), pod("b", unready=NOW), pod("c", ready=NOW, ends=True))
    assert cluster.groups.taking(GroupKey("shop", WEB), Group(NOW)) == {("shop", "a")}


def test_a_pod_whose_labels_change_leaves_its_group(cluster: Cluster) -> None:
    cluster.at(0, *(pod(name, ready=NOW - 100) for name in "ab"))
    cluster.groups.note_request("shop", WEB, NOW, "hpas")
    ((key, group),) = cluster.groups.within({"shop", "elsewhere"}, NOW)
    moved = pod("b", ready=NOW - 100)
    cluster.at(3, replace(moved, metadata=replace(moved.metadata, labels={"app": "other"})))
    assert cluster.groups.taking(key, group) == {("shop", "a")}
    assert group.changed == NOW + 3


def test_a_group_that_nobody_asks_for_is_forgotten_after_ten_minutes(cluster: Cluster) -> None:
    cluster.groups.note_request("shop", WEB, NOW, "hpas")
    assert len(cluster.groups.within({"shop", "elsewhere"}, NOW + 600)) == 1
    assert not cluster.groups.within({"shop", "elsewhere"}, NOW + 601)


def test_whatever_others_ask_for_an_hpas_group_is_kept(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "OF_ALL", Share(3, 100_000))
    (controller, *_) = groups.HPA_USERS
    cluster.groups.note_request("shop", Selector.parse("app=web"), NOW, controller)
    for number in range(9):
        cluster.groups.note_request("shop", Selector.parse(f"app!=w{number}"), NOW, "alice")
    assert len(cluster.groups) == 3
    assert cluster.groups.find("shop", Selector.parse("app=web"))
    assert cluster.groups.find("shop", Selector.parse("app!=w8"))
    for number in range(3):
        cluster.groups.note_request("shop", Selector.parse(f"app=v{number}"), NOW, controller)
    assert not cluster.groups.find("shop", Selector.parse("app=web"))


def test_a_group_of_somebody_elses_counts_where_it_has_no_pod_of_an_hpas(cluster: Cluster) -> None:
    cluster.at(0, pod("a", ready=NOW - 100))
    asked = [("app=web", "alice"), ("app", "alice"), ("app=api", "alice")]
    for selector, user in asked:
        cluster.groups.note_request("shop", Selector.parse(selector), NOW, user)
    assert len(cluster.groups.within({"shop"}, NOW)) == 3
    cluster.groups.note_request("shop", Selector.parse("app=web"), NOW, next(iter(groups.HPA_USERS)))
    counted = [str(key.selector) for key, _ in cluster.groups.within({"shop"}, NOW)]
    assert sorted(counted) == ["app=api", "app=web"]


def ask(cluster: Cluster, user: str, *selectors: str, namespace: str = "shop") -> list[str | None]:
    """Whose group was forgotten for each."""
    return [cluster.groups.note_request(namespace, Selector.parse(text), cluster.now, user) for text in selectors]


def list_followed(cluster: Cluster) -> list[str]:
    return [str(key.selector) for key, _ in cluster.groups.within({"shop", "elsewhere"}, cluster.now)]


def test_a_user_who_asks_for_more_groups_than_his_share_loses_his_own_oldest_and_nobody_elses(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.collect.groups.OF_USER", Share(3, 10_000))
    assert ask(cluster, "hpas", "app=web", "app=api") == [None, None]
    assert ask(cluster, "curious", *(f"app=w{number}" for number in range(10))) == 3 * [None] + 7 * ["curious"]
    assert list_followed(cluster) == ["app=web", "app=api", "app=w7", "app=w8", "app=w9"]
    assert (len(cluster.groups), cluster.groups.let_go) == (5, 7)


def test_a_group_that_two_users_ask_for_stays_until_both_have_let_it_go(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.collect.groups.OF_USER", Share(1, 10_000))
    ask(cluster, "hpas", "app=web")
    ask(cluster, "curious", "app=web", "app=other")
    assert list_followed(cluster) == ["app=web", "app=other"]
    ask(cluster, "hpas", "app=api")
    assert list_followed(cluster) == ["app=other", "app=api"]


def test_groups_of_many_pods_weigh_more(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 selectors that each find all pods of a namespace would hold its names 5,000 times."""
    cluster.at(0, *(pod(f"p{number}", ready=NOW - 100) for number in range(20)))
    one = 20 * EACH + len("app=web") + 1
    monkeypatch.setattr("adapter.collect.groups.OF_USER", Share(100, 2 * one + 40))
    ask(cluster, "curious", "app=web", "app=web,!a", "app=web,!b", "app=none")
    assert list_followed(cluster) == ["!a,app=web", "app=web,!b", "app=none"]
    assert cluster.groups.weight <= 2 * one + 40


def test_what_a_group_weighs_follows_its_pods(cluster: Cluster) -> None:
    ask(cluster, "hpas", "app=web")
    alone = cluster.groups.weight
    cluster.at(1, *(pod(f"p{number}", ready=NOW) for number in range(20)))
    assert cluster.groups.weight == alone + 20 * EACH
    ask(cluster, "curious", "app=web")
    assert cluster.groups.weight == 2 * (alone + 20 * EACH)
    cluster.groups.within({"shop"}, NOW + 700)
    assert (cluster.groups.weight, len(cluster.groups)) == (0, 0)


def test_of_many_users_together_the_one_with_the_most_gives_way(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.collect.groups.OF_ALL", Share(8, 10_000))
    ask(cluster, "hpas", "app=web", "app=api", namespace="elsewhere")
    for user in ("one", "two"):
        ask(cluster, user, *(f"app={user}{number}" for number in range(8)))
    assert {"app=web", "app=api"} <= set(list_followed(cluster))
    assert len(cluster.groups) == 8
    assert ask(cluster, "hpas", "app=web", namespace="elsewhere") == [None]


def test_what_was_asked_for_last_is_followed_whatever_it_weighs(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.collect.groups.OF_USER", Share(3, 10))
    monkeypatch.setattr("adapter.collect.groups.OF_ALL", Share(3, 20))
    ask(cluster, "hpas", "app=a-long-name-of-a-label", "app=another-long-name")
    assert list_followed(cluster) == ["app=another-long-name"]
