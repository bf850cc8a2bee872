"""Small promises that whole releases would hide: guards of writes, the gentle strategy, names, commands."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.kube.objects import ObjectMeta
from adapter.kube.resources import CONFIG_MAPS, HORIZONTAL_POD_AUTOSCALERS
from adapter.rollout.decide.context import MARK
from adapter.rollout.decide.names import is_anothers, release_id, revision, sibling
from adapter.rollout.decide.roll import gentle
from adapter.rollout.model.actions import SECRETS
from adapter.rollout.model.observation import Deployment, Service
from adapter.rollout.model.policy import COMMAND, RolloutPolicy, command_of
from adapter.rollout.model.status import Status
from adapter.rollout.model.template import fingerprint, without_hash
from tests.rollout.shop import BLUE_GREEN, Shop

HEARD = '{"id": "heard", "verb": "x"}'
NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def policy_named(
    name: str, annotations: dict[str, str] | None = None, *, command: str = "", uid: str = "0b9c2f6e-1111"
) -> RolloutPolicy:
    meta = ObjectMeta(name=name, uid=uid, annotations=annotations or {})
    return RolloutPolicy(metadata=meta, status=Status(command=command))


async def test_what_somebody_writes_between_our_look_and_our_write_stays() -> None:
    shop = await Shop(BLUE_GREEN, replicas=4, hpa=True).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Finishing")
    raced: list[str] = []

    def hook(verb: str, path: str) -> None:
        if verb == "PATCH" and "autoscalers" in path and not raced:
            raced.append(path)
            shop.edit(HORIZONTAL_POD_AUTOSCALERS, lambda raw: raw["spec"].update(minReplicas=7))

    shop.client.before.append(hook)
    await shop.until_outcome("Promoted")
    assert raced
    assert shop.get(HORIZONTAL_POD_AUTOSCALERS)["spec"]["minReplicas"] == 7


@pytest.mark.parametrize(("given_surge", "surge"), [("25%", "25%"), (3, 3), (0, 1), ("0%", 1), (None, "25%")], ids=str)
def test_a_roll_of_ours_loses_no_pod(given_surge: Any, surge: Any) -> None:
    rolling = {"maxUnavailable": "100%"} | ({} if given_surge is None else {"maxSurge": given_surge})
    strategy = gentle({"type": "RollingUpdate", "rollingUpdate": rolling})
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": surge}}
    assert gentle({"type": "Recreate"})["rollingUpdate"]["maxUnavailable"] == 0


@given(NAMES, st.integers(1, 10**6), JSON)
def test_names_fit_where_they_are_used(name: str, number: int, template: Any) -> None:
    """A pod's name is its host name: 63 characters, of which hash and suffix take 17. A label's value has 63."""
    mark = fingerprint({"spec": template})
    policy = policy_named(name)
    made = sibling(Deployment({"metadata": {"name": name}}), number, mark)
    assert len(made) <= 46
    assert len(f"{release_id(policy, number)}-{10**6}") <= 63
    assert len(revision(policy, mark)) <= 63
    for text in (made, release_id(policy, number), revision(policy, mark)):
        assert text[0].isalnum()
        assert text[-1].isalnum()


@given(NAMES, st.integers(1, 10**6), st.integers(0, 9))
def test_a_policy_knows_the_services_that_its_releases_mark_and_those_of_others(
    name: str, number: int, shift: int
) -> None:
    marked = Service({"metadata": {"labels": {MARK: f"{release_id(policy_named(name), number)}-{shift}"}}})
    assert not is_anothers(policy_named(name), marked)
    assert is_anothers(policy_named(f"a{name}"), marked) or f"a{name}"[:36] == name[:36]
    assert not is_anothers(policy_named(name), Service({"metadata": {}}))


def test_a_policy_that_is_made_anew_is_the_same_by_its_name_unless_the_mark_has_it_in_part() -> None:
    def marked_by(policy: RolloutPolicy) -> Service:
        return Service({"metadata": {"labels": {MARK: f"{release_id(policy, 7)}-1"}}})

    assert not is_anothers(policy_named("web", uid="second"), marked_by(policy_named("web", uid="first")))
    long = "a" * 50
    assert is_anothers(policy_named(long, uid="second"), marked_by(policy_named(f"{long}b", uid="first")))


@pytest.mark.parametrize("mark", ["", "web", "web-1", "by hand"])
def test_a_mark_of_nobody_is_anothers(mark: str) -> None:
    assert is_anothers(policy_named("web"), Service({"metadata": {"labels": {MARK: mark}}}))


@given(JSON, JSON)
def test_fingerprints_tell_templates_apart_and_no_order_of_keys(one: Any, two: Any) -> None:
    first, second = fingerprint({"a": one, "b": 1}), fingerprint({"b": 1, "a": one})
    assert first == second
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    assert (fingerprint({"a": one}) == fingerprint({"a": two})) == same


def test_a_replica_sets_template_without_its_hash_is_the_deployments() -> None:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels, "annotations": {"a": "b"}}, "spec": {"odd": [1]}}
    hashed = {**template, "metadata": {"labels": {**labels, "pod-template-hash": "x"}, "annotations": {"a": "b"}}}
    assert without_hash(hashed) == template


@pytest.mark.parametrize(
    "text", ["", "no json", "[]", '{"verb": 3}', '{"verb": "abort"}', '{"id": "heard", "verb": "x"}']
)
def test_a_command_that_cannot_be_read_or_was_heard_is_none(text: str) -> None:
    policy = policy_named("web", {COMMAND: text}, command="heard")
    assert command_of(policy) is None


async def test_a_command_is_heard_once() -> None:
    shop = await Shop(BLUE_GREEN).ready()
    shop.command("restart", key="a")
    await shop.until_outcome("Promoted")
    await shop.some(20)
    assert shop.status["number"] == 1


async def test_a_command_that_means_nothing_now_is_said_and_forgotten() -> None:
    shop = await Shop(BLUE_GREEN).ready()
    shop.command("promote", key="a")
    await shop.some(3)
    assert "Ignored" in shop.events
    shop.release("web:2")
    await shop.until_outcome("Promoted")


async def test_what_a_policy_remembers_of_a_secret_cannot_be_guessed_from_its_data() -> None:
    """Two Secrets of the same data; a ConfigMap's data are no secret."""
    shop = Shop(BLUE_GREEN, triggers={"secrets": ["a", "b"], "configMaps": ["a", "b"]})
    for name in ("a", "b"):
        for resource in (SECRETS, CONFIG_MAPS):
            shop.put(resource, {"metadata": {"name": name, "namespace": "shop"}, "data": {"pin": "MTIzNA=="}})
    await shop.ready()
    await shop.some(5)
    watched = shop.status["watched"]
    assert watched["secrets/a"] != watched["secrets/b"]
    assert watched["configmaps/a"] == watched["configmaps/b"]
    shop.edit(SECRETS, lambda raw: raw["metadata"].update(labels={"touched": "yes"}), name="a")
    await shop.some(5)
    assert shop.status["watched"] == watched
