"""`import`: every field of a foreign object's spec is either taken or named, and so is one that nobody knows."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
import yaml

from adapter.rollout.foreign import read as reader
from adapter.rollout.foreign.raw import Raw
from adapter.rollout.foreign.read import Import
from tests.rollout.theirs import (
    SAMPLES,
    Object,
    canary,
    metric,
    of,
    rollout,
    sentences_about,
    strategy_with_analysis,
    template,
)

Place: TypeAlias = tuple[str | int, ...]
KINDS: Final = (
    "Rollout", "AnalysisTemplate", "ClusterAnalysisTemplate", "Canary", "MetricTemplate", "AlertProvider",
)  # fmt: skip
MADE_OF: Final = ("Rollout", "Canary")
OTHER: Final = ("other", 7, True, {"name": "x"}, [{"name": "x"}])
"""Values for a field that was not there."""
WITHOUT_A_WORD: Final = re.compile(
    r".*\.args(\[\d+\](\.(name|value))?)?"  # of an argument the query that it fills is taken
    r"|spec\.analysis\.metrics\[\d+\]\.templateVariables\..*"
    r"|spec\.metrics\[\d+\]\.interval"  # where the query has a range of its own
    r"|spec\.strategy\.blueGreen\.activeService|spec\.strategy\.canary\.stableService"  # all Services are moved
    r"|spec\.analysis\.alerts\[\d+\]\.name"
)
"""As docs/import.md lists them."""


@pytest.fixture
def convert(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Object]], Import]:
    """A function that imports objects directly, without the time that YAML takes."""
    given: list[list[Object]] = []
    monkeypatch.setattr(reader, "values", lambda data, place: given[-1])

    def call(objects: list[Object]) -> Import:
        given[:] = [objects]
        return reader.read(b"", "theirs.yaml")

    return call


def objects_of(path: Path) -> list[Object]:
    """The objects of a YAML file; the items of a List one by one."""
    documents = list(yaml.safe_load_all(path.read_text()))
    return [item for each in documents for item in (each["items"] if each["kind"] == "List" else [each])]


def leaves(node: Any, path: Place) -> Iterator[Place]:
    """Every value that is no mapping and no list with something in it, but for what a template of pods holds."""
    if isinstance(node, dict) and node and path[-1] != "template":
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list) and node:
        for index, value in enumerate(node):
            yield from leaves(value, (*path, index))
    else:
        yield path


def join_path(path: Place) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")


def split_path(text: str) -> Place:
    """The keys of a dotted path; unique, as the one odd key (`gatewayAPI`) has a slash and no dot."""
    return tuple(int(each[1:-1]) if each[0] == "[" else each for each in re.findall(r"\[\d+\]|[^.\[\]]+", text))


def is_named(conversion: Import, number: int, kind: str, path: Place) -> bool:
    """Whether a finding is about a field, or about a mapping around it; one on the whole of a release is about none."""
    place = join_path(path)
    fields = [each.field for each in conversion.findings if each.document == number]
    return any(
        field == "kind" or (place + ".").replace("[", ".[").startswith((field + ".").replace("[", ".["))
        for field in fields
        if not (field == "spec" and kind in MADE_OF)
    )


def replace_field(objects: list[Object], number: int, path: Place, value: object) -> list[Object] | None:
    """A copy with another value at a path; None where something else stands in the way of it."""
    copied: list[Object] = json.loads(json.dumps(objects))
    node: Any = copied[number - 1]
    for key in path[:-1]:
        if isinstance(node, dict):
            node = node.setdefault(key, {})
        elif isinstance(node, list) and isinstance(key, int) and key < len(node):
            node = node[key]
        else:
            return None
    if not isinstance(node, dict | list):
        return None
    last: Any = path[-1]
    node[last] = value
    return copied


def others(value: object) -> list[object]:
    """Other values of the same kind."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value * 100 + 1]
    if isinstance(value, str):
        return ["77s", "7"] if re.fullmatch(r"(\d+(ms|[smhd])?)+", value) else [f"{value}x", "other"]
    return ["other"]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_each_value_of_a_sample_is_taken_or_named(path: Path, convert: Callable[[list[Object]], Import]) -> None:
    """Another value in its place makes other objects of ours, or a finding is about it."""
    objects = objects_of(path)
    before, lost = convert(objects), []
    for number, theirs in enumerate(objects, 1):
        for place in leaves(theirs["spec"], ("spec",)) if theirs["kind"] in KINDS else ():
            if is_named(before, number, theirs["kind"], place) or WITHOUT_A_WORD.fullmatch(join_path(place)):
                continue
            value: Any = theirs
            for key in place:
                value = value[key]
            after = [convert(replace_field(objects, number, place, other) or []) for other in others(value)]
            if not any(
                each.objects != before.objects or is_named(each, number, theirs["kind"], place) for each in after
            ):
                lost.append((number, join_path(place)))
    assert lost == []


def collect_lookups(
    monkeypatch: pytest.MonkeyPatch, objects: list[Object], convert: Callable[[list[Object]], Import]
) -> set[tuple[int, str]]:
    """(document, path) of every field that import looks for; of alike ones in a list only the first."""
    lookups: dict[tuple[int, str], tuple[int, str]] = {}

    def record_calls(name: str) -> None:
        own = getattr(Raw, name)

        def call(self: Raw, field: str) -> object:
            if field:
                place = (self.origin.number, self.at(field))
                lookups.setdefault((place[0], re.sub(r"\[\d+\]", "[]", place[1])), place)
            return own(self, field)

        monkeypatch.setattr(Raw, name, call)

    record_calls("take")
    record_calls("has")
    convert(objects)
    return set(lookups.values())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_each_field_that_import_knows_is_taken_or_named_where_it_is_added(
    path: Path, convert: Callable[[list[Object]], Import], monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = objects_of(path)
    before, lost = convert(objects), []
    for number, text in sorted(collect_lookups(monkeypatch, objects, convert)):
        kind, place = objects[number - 1]["kind"], split_path(text)
        if WITHOUT_A_WORD.fullmatch(text) or is_named(before, number, kind, place):
            continue
        for value in OTHER if _at(objects[number - 1], place) is None else ():
            inner = [each for each in leaves(value, place) if not WITHOUT_A_WORD.fullmatch(join_path(each))]
            given = replace_field(objects, number, place, value)
            after = convert(given) if given else None
            if after and after.objects == before.objects and not all(is_named(after, number, kind, x) for x in inner):
                lost.append((number, text, value))
    assert lost == []


def _at(node: Any, path: Place) -> object:
    for key in path:
        try:
            node = node[key]
        except (KeyError, IndexError, TypeError):
            return None
    return node


def test_the_look_sees_what_is_lost(convert: Callable[[list[Object]], Import]) -> None:
    """A value that import takes, one that it names, and one that is free, in the eyes of the tests above."""
    objects = [canary({"threshold": 3})]
    before = convert(objects)
    assert is_named(before, 1, "Canary", ("spec", "analysis", "threshold"))
    assert not is_named(before, 1, "Canary", ("spec", "analysis", "stepWeight"))
    taken = replace_field(objects, 1, ("spec", "analysis", "stepWeight"), 15)
    assert taken is not None
    assert convert(taken).objects != before.objects


# ---- fields one by one


def provider(name: str = "chat", namespace: str = "shop", **spec: Any) -> Object:
    meta = {"name": name, "namespace": namespace}
    spec = {"type": "slack", "address": "https://chat.example/x", **spec}
    return {"apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": meta, "spec": spec}


def receivers(conversion: Import) -> list[Any]:
    return list(conversion.policies[0]["spec"]["notifications"])


@pytest.mark.parametrize(
    ("severity", "reasons"),
    [
        ("info", None),
        (None, None),
        ("warn", ["RolledBack", "Aborted", "Refused", "Interfered"]),
        ("error", ["RolledBack", "Aborted", "Refused", "Interfered"]),
    ],
)
def test_the_severity_of_an_alert_is_the_reasons_that_it_hears_of(severity: str | None, reasons: object) -> None:
    alerts = [{"name": "a", "severity": severity, "providerRef": {"name": "chat"}}]
    conversion = of(canary({"alerts": alerts}), provider())
    (receiver,) = receivers(conversion)
    assert receiver.get("reasons") == reasons
    waits = sentences_about(conversion, "spec.analysis.alerts[0].severity")
    assert len(waits) == (severity == "warn")  # of what only waits nobody is told


def test_a_severity_that_there_is_not_is_said() -> None:
    conversion = of(
        canary({"alerts": [{"name": "a", "severity": "fatal", "providerRef": {"name": "chat"}}]}), provider()
    )
    assert sentences_about(conversion, "spec.analysis.alerts[0].severity") == ["it is none of info, warn and error"]
    assert "reasons" not in receivers(conversion)[0]


def test_a_hook_after_a_rollout_hears_of_its_end_and_one_of_events_of_the_usual() -> None:
    hooks = [{"name": kind, "type": kind, "url": "http://ci.shop/x"} for kind in ("post-rollout", "event")]
    first, second = receivers(of(canary({"webhooks": hooks})))
    assert first == {"format": "webhook", "url": "http://ci.shop/x", "reasons": ["Promoted", "RolledBack", "Aborted"]}
    assert second == {"format": "webhook", "url": "http://ci.shop/x"}


def test_a_secret_of_another_namespace_has_to_come_to_the_policys() -> None:
    alerts = [{"name": "a", "providerRef": {"name": "chat", "namespace": "tools"}}]
    conversion = of(canary({"alerts": alerts}), provider(namespace="tools", secretRef={"name": "url"}, address=None))
    (finding,) = [each for each in conversion.findings if each.field == "spec.secretRef"]
    assert finding.instead.startswith("put it into namespace shop, and give it the label")


def gateway(**plugin: Any) -> Object:
    routing = {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "web", **plugin}}}
    return rollout({"canary": {"stableService": "web", "trafficRouting": routing, "steps": [{"setWeight": 20}]}})


@pytest.mark.parametrize(("namespace", "count"), [("gateways", 1), ("shop", 0), (None, 0)])
def test_a_route_of_another_namespace_is_said(namespace: str | None, count: int) -> None:
    conversion = of(gateway(namespace=namespace))
    place = "spec.strategy.canary.trafficRouting.plugins.argoproj-labs/gatewayAPI.namespace"
    assert sentences_about(conversion, place) == ["a policy moves an HTTPRoute of its own namespace alone"] * count


@pytest.mark.parametrize(("analysis", "count"), [({"iterations": 5}, 1), ({}, 0)])
def test_an_ingress_that_iterations_do_not_move_is_said(analysis: Object, count: int) -> None:
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "web"}
    conversion = of(canary(analysis, provider="nginx", ingressRef=ingress))
    assert len(sentences_about(conversion, "spec.ingressRef")) == count
    assert ("blueGreen" in conversion.policies[0]["spec"]) == bool(count)


def test_of_a_canary_beside_blue_green_it_is_said_which_was_read() -> None:
    conversion = of(rollout({"blueGreen": {"activeService": "web"}, "canary": {"steps": [{"setWeight": 20}]}}))
    assert "blueGreen" in conversion.policies[0]["spec"]
    assert sentences_about(conversion, "spec.strategy.canary") == ["a Rollout has one strategy: blueGreen was read"]
    alone = of(rollout({"blueGreen": {"activeService": "web"}, "canary": None}))
    assert sentences_about(alone, "spec.strategy.canary") == []


def test_a_template_that_nobody_names_is_said_and_so_is_the_second_of_a_name() -> None:
    conversion = of(
        rollout(strategy_with_analysis()),
        template(metric()),
        template(metric("other")),
        template(metric(), name="free"),
    )
    assert [each.document for each in conversion.findings if each.field == "kind"] == [3, 4]
    assert len(conversion.policies[0]["spec"]["gates"]) == 1


def test_an_analysis_before_and_after_the_switch_gives_it_the_time_to_measure() -> None:
    """Five measurements, one every 20 s, are over after 80 s; then autoPromotionSeconds begin, 30 + 80 = 110."""
    inner = {"templates": [{"templateName": "check"}]}
    strategy = {"activeService": "web", "autoPromotionSeconds": 30, "scaleDownDelaySeconds": 10}
    strategy |= {"prePromotionAnalysis": inner, "postPromotionAnalysis": inner}
    conversion = of(rollout({"blueGreen": strategy}), template(metric(interval="20s", count=5)))
    made = conversion.policies[0]["spec"]["blueGreen"]
    assert (made["previewSeconds"], made["verifySeconds"]) == (110, 80)


# ---- unknown fields


def places(node: Any, path: Place = ()) -> list[Place]:
    """Every mapping of an object that is not free text of the user's own."""
    if isinstance(node, dict):
        inner = [
            place
            for key, value in node.items()
            if key not in ("template", "templateVariables", "metadata")
            for place in places(value, (*path, key))
        ]
        return [path, *inner]
    if isinstance(node, list):
        return [place for index, value in enumerate(node) for place in places(value, (*path, index))]
    return []


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_field_that_nobody_knows_is_a_finding_wherever_it_is(
    path: Path, convert: Callable[[list[Object]], Import]
) -> None:
    """An unknown field in each mapping of a sample, one after the other: it is in the Deployment, or said."""
    objects = objects_of(path)
    before = convert(objects)
    for number, theirs in enumerate(objects, 1):
        for place in places(theirs["spec"], ("spec",)) if theirs["kind"] in KINDS else ():
            after = convert(replace_field(objects, number, (*place, "unheardOf"), 1) or [])
            known = is_named(before, number, theirs["kind"], place) or "unheardOf" in json.dumps(after.objects)
            assert known or any("unheardOf" in each.field for each in after.findings), place
