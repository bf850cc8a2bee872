"""`plan`: the writes that it foretells are those that the controller then makes, one by one, to the byte."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter.rollout.act import options
from adapter.rollout.cli.files import VerbError
from adapter.rollout.cli.plan import as_json, lines, template_of
from adapter.rollout.foresee.walk import Note, Write, walk
from adapter.rollout.model.actions import HTTP_ROUTES, SERVICES, Action, Create, Patch
from adapter.rollout.model.policy import POLICIES
from adapter.rollout.observe import Reader
from tests.rollout.shop import BLUE_GREEN, CANARY, NAMESPACE, ROLLING, Shop, add_route_and_ingress, service

STEPS = [{"weight": 20, "pauseSeconds": 1}, {"weight": 90, "pauseSeconds": 1}]
ROUTE = {"canary": {"steps": STEPS, "traffic": {"httpRoute": {"name": "web", "service": "web"}}}}
NGINX = {"canary": {"steps": STEPS, "traffic": {"nginx": {"name": "web", "service": "web"}}}}
MANUAL = {"canary": {"steps": [{"weight": 25, "pauseSeconds": 0, "manual": True}]}}
PREVIEW = {"blueGreen": {"previewService": "look", "previewSeconds": 1, "verifySeconds": 1, "manual": True}}


class Recorded:
    """What a shop's controller writes."""

    def __init__(self, shop: Shop) -> None:
        self.actions: list[Action] = []
        act = shop.turns._writer.act

        async def act_and_record(namespace: str, actions: Any) -> Any:
            result = await act(namespace, actions)
            self.actions += result.made
            return result

        shop.turns._writer.act = act_and_record  # type: ignore[method-assign]


async def foretell(shop: Shop, template: Any = None) -> list[Write | Note]:
    entry = await Reader(shop.client).policy(NAMESPACE, "web")
    assert entry
    return list(walk(entry.policy, await Reader(shop.client).observe(entry.policy, entry.raw), shop.now, template))


def note_texts(told: list[Write | Note]) -> list[str]:
    return [one.text for one in told if isinstance(one, Note)]


UNKNOWN = re.compile(r"<[^>]*>")


def comparable(action: Action) -> Any:
    """A write without what only the API server gives: versions, uids and hashes of new objects."""
    if isinstance(action, Create):
        body: Any = action.body
    elif isinstance(action, Patch):
        body = [one for one in action.operations if one["path"] not in ("/metadata/resourceVersion", "/metadata/uid")]
    else:
        body = {**options(action), "preconditions": None}
    return type(action).__name__, action.resource.plural, action.name, body


def same(told: Any, made: Any, known: dict[str, str]) -> bool:
    """Whether two bodies are equal, where an angle bracket stands for one and the same text everywhere."""
    if isinstance(told, str) and isinstance(made, str):
        for word, text in known.items():
            told = told.replace(word, text)
        words = UNKNOWN.findall(told)
        match = re.fullmatch("(.+)".join(map(re.escape, UNKNOWN.split(told))), made)
        known.update(zip(words, match.groups(), strict=True) if match else ())
        return match is not None
    if isinstance(told, dict) and isinstance(made, dict):
        return told.keys() == made.keys() and all(same(value, made[key], known) for key, value in told.items())
    if isinstance(told, list | tuple) and isinstance(made, list | tuple):
        return len(told) == len(made) and all(same(*pair, known) for pair in zip(told, made, strict=True))
    return bool(told == made)


def assert_made(told: list[Write | Note], made: Recorded) -> None:
    """The writes that were foretold are those that were made."""
    writes = [comparable(one.action) for one in told if isinstance(one, Write)]
    actions = [comparable(action) for action in made.actions]
    assert [one[:2] for one in writes] == [one[:2] for one in actions]
    known: dict[str, str] = {}
    for one, action in zip(writes, actions, strict=True):
        assert same(one, action, known), (one, action)


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "blue-green": (BLUE_GREEN, {"hpa": True}),
    "blue-green with preview": (PREVIEW, {}),
    "canary": (CANARY, {"hpa": True}),
    "manual canary": (MANUAL, {}),
    "HTTPRoute": (ROUTE, {}),
    "ingress-nginx": (NGINX, {}),
    "rolling": (ROLLING, {"hpa": True}),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_is_foretold_is_what_is_then_written(case: str) -> None:
    spec, more = CASES[case]
    shop = Shop(spec, **more)
    add_route_and_ingress(shop)
    if "preview" in case:
        shop.put(SERVICES, service("look"))
    await shop.ready()
    await shop.some(3)
    shop.release("web:2")
    told = await foretell(shop)
    made = Recorded(shop)
    for step in range(300):
        if shop.outcomes == ["Promoted"]:
            break
        if "promote" in shop.status.get("message", ""):
            shop.command("promote", key=str(step))
        await shop.step()
    await shop.some(5)
    assert shop.outcomes == ["Promoted"]
    assert_made(told, made)
    assert note_texts(told) == (
        ["a person says promote"] if case in ("manual canary", "blue-green with preview") else []
    )


async def test_nothing_is_written_and_what_was_read_is_as_it_was() -> None:
    shop = await Shop(CANARY).ready()
    shop.release("web:2")
    before, version = len(shop.client.calls), shop.cluster.store.version
    entry = await Reader(shop.client).policy(NAMESPACE, "web")
    assert entry
    seen = await Reader(shop.client).observe(entry.policy, entry.raw)
    one, other = (list(walk(entry.policy, seen, shop.now)) for _ in range(2))
    assert one == other
    assert {verb for verb, _ in shop.client.calls[before:]} == {"GET"}
    assert shop.cluster.store.version == version


async def test_without_a_new_template_the_present_one_stands_for_it_and_a_file_gives_another() -> None:
    shop = await Shop(CANARY).ready()
    await shop.some(3)
    told = await foretell(shop)
    assert note_texts(told) == ["another template is written, here the present one, restarted"]
    creates = [one.action for one in told if isinstance(one, Write) and isinstance(one.action, Create)]
    sibling = next(each for each in creates if each.resource.plural == "deployments")
    assert "kubectl.kubernetes.io/restartedAt" in sibling.body["spec"]["template"]["metadata"]["annotations"]
    template = {**shop.template, "spec": {"containers": [{"name": "web", "image": "web:9"}]}}
    told = await foretell(shop, template)
    assert note_texts(told) == ["another template is written"]
    creates = [one.action for one in told if isinstance(one, Write) and isinstance(one.action, Create)]
    sibling = next(each for each in creates if each.resource.plural == "deployments")
    assert sibling.body["spec"]["template"] == template


async def test_in_mid_release_it_goes_on_from_there() -> None:
    shop = await Shop(BLUE_GREEN).ready()
    shop.release("web:2")
    whole = [comparable(one.action) for one in await foretell(shop) if isinstance(one, Write)]
    await shop.until(lambda: shop.mark == "Verifying")
    rest = [comparable(one.action) for one in await foretell(shop) if isinstance(one, Write)]
    assert [one[:2] for one in rest] == [one[:2] for one in whole][-len(rest) :]
    assert 1 <= len(rest) < len(whole)
    shop.command("pause")
    await shop.some(2)
    assert note_texts(await foretell(shop)) == ["a person says resume"]


async def test_of_a_policy_that_is_being_deleted_its_way_out_is_shown() -> None:
    shop = await Shop(CANARY).ready()
    await shop.some(3)
    shop.delete_policy()
    told = await foretell(shop)
    assert [one.action.why for one in told if isinstance(one, Write)] == [
        "the policy goes: the stable template, not paused",
        "nothing of the policy is left",
    ]
    assert len(told) == 2


@pytest.mark.parametrize("spec", [BLUE_GREEN, CANARY, ROLLING], ids=["blue-green", "canary", "rolling"])
async def test_of_a_new_policy_its_beginning_and_a_release_are_shown(spec: Any) -> None:
    shop = Shop(spec)
    told = await foretell(shop)
    assert note_texts(told) == ["another template is written, here the present one, restarted"]
    (at,) = [index for index, one in enumerate(told) if isinstance(one, Note)]
    made = Recorded(shop)
    await shop.ready()
    await shop.some(3)
    assert_made(told[:at], made)
    assert [one.phase for one in told][-1] == ("Rolling" if spec is ROLLING else "Finishing")


@pytest.mark.parametrize("spec", [BLUE_GREEN, CANARY, ROLLING], ids=["blue-green", "canary", "rolling"])
async def test_of_a_policy_that_is_deleted_in_mid_release_its_way_out_is_shown(spec: Any) -> None:
    shop = await Shop(spec).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase in ("Verifying", "Stepping"))
    await shop.some(2)
    shop.delete_policy()
    told = await foretell(shop)
    made = Recorded(shop)
    await shop.until(lambda: shop.get(POLICIES) is None)
    assert_made(told, made)
    assert note_texts(told) == []


async def test_a_return_to_the_template_of_before_is_shown() -> None:
    """Its ReplicaSet is there, without a pod."""
    shop = await Shop(ROLLING).ready()
    shop.release("web:2")
    await shop.until_outcome("Promoted")
    shop.release("web:1")
    told = await foretell(shop)
    made = Recorded(shop)
    await shop.until(lambda: shop.outcomes == ["Promoted", "Promoted"])
    await shop.some(5)
    assert_made(told, made)
    assert note_texts(told) == []


async def test_a_route_that_no_gateway_takes_is_foretold_to_be_refused() -> None:
    shop = Shop(ROUTE)
    add_route_and_ingress(shop)
    await shop.ready()
    shop.every_step.clear()  # the gateway
    shop.edit(HTTP_ROUTES, lambda raw: raw["status"]["parents"][0]["conditions"][0].update(status="False"))
    shop.release("web:2")
    (note,) = note_texts(await foretell(shop))
    assert note.startswith("refused: HTTPRoute web: ")


async def test_a_refused_policy_and_a_missing_deployment_are_said() -> None:
    shop = Shop({"canary": {"steps": [{"weight": 60}]}})
    (note,) = note_texts(await foretell(shop))
    assert "refused: spec.canary.steps: a weight of 60" in note
    shop = Shop(CANARY)
    shop.edit(POLICIES, lambda raw: raw["spec"]["targetRef"].update(name="gone"))
    (note,) = note_texts(await foretell(shop))
    assert "there is no Deployment gone" in note


@pytest.mark.parametrize("replicas", [0, 1, 10])
@pytest.mark.parametrize("spec", [BLUE_GREEN, CANARY, ROLLING], ids=["blue-green", "canary", "rolling"])
async def test_releases_of_every_size_come_to_their_end(spec: Any, replicas: int) -> None:
    shop = await Shop(spec, replicas=replicas).ready()
    await shop.some(3)
    shop.release("web:2")
    told = await foretell(shop)
    assert note_texts(told) == []
    last = [one for one in told if isinstance(one, Write)][-1]
    assert last.after < 120


async def test_a_write_shows_what_is_sent() -> None:
    shop = await Shop(BLUE_GREEN).ready()
    await shop.some(3)
    shop.release("web:2")
    told = await foretell(shop)
    writes = [as_json(one, NAMESPACE) for one in told if isinstance(one, Write)]
    methods = {(one["method"], one["content_type"]) for one in writes}
    assert methods == {
        ("PATCH", "application/json-patch+json"),
        ("POST", "application/json"),
        ("DELETE", "application/json"),
    }
    adopted = next(one for one in writes if one["method"] == "DELETE" and one["write"] == "delete deployments")
    assert adopted["path"].startswith("/apis/apps/v1/namespaces/shop/deployments/web-r1-")
    assert adopted["body"]["propagationPolicy"] == "Orphan"
    text = list(lines(told, NAMESPACE))
    assert len(text) == 2 * len(writes)
    assert re.match(
        r" +0 s  Preparing  POST /apis/apps/v1/namespaces/shop/controllerrevisions: the template is kept", text[0]
    )


def test_a_file_without_the_deployment_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    for text in ("kind: Deployment\nmetadata: {name: other}\nspec: {template: {}}", "kind: Deployment", "5"):
        path.write_text(text)
        with pytest.raises(VerbError, match="there is no Deployment web with a template in it"):
            template_of(str(path), "web")
    path.write_text(yaml.safe_dump({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"a": 1}}}))
    assert template_of(str(path), "web") == {"a": 1}
