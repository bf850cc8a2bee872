"""`lint`: what the objects beside a policy say, in a file of several documents and in a cluster."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapter.kube.errors import Forbidden, NotFound
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS
from adapter.rollout.__main__ import main
from adapter.rollout.cli.survey import VPAS, Author, survey
from adapter.rollout.documents import MOST
from adapter.rollout.model.actions import CLAIMS, DEPLOYMENTS, HTTP_ROUTES, SERVICES
from adapter.rollout.model.policy import POLICIES
from adapter.rollout.neighbours import gather, sentences
from tests.rollout.shop import Shop, deployment, service

Object = dict[str, Any]
GATE = {"metric": "errors", "total": "requests", "limit": 0.01}


def policy(spec: Object | None = None, **more: Any) -> Object:
    spec = {"targetRef": {"name": "web"}, "canary": {"steps": [{"weight": 25}]}, "gates": [GATE], **(spec or {})}
    meta = {"name": "web", "namespace": "shop"}
    return {"apiVersion": "streamgate.io/v1alpha1", "kind": "RolloutPolicy", "metadata": meta, "spec": spec | more}


def web(**spec: Any) -> Object:
    body = deployment(3)
    body["spec"] |= spec
    return body


def pods_with(**spec: Any) -> Object:
    body = deployment(3)
    body["spec"]["template"]["spec"] |= spec
    return body


def hpa(*metrics: Object, **more: Any) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": target, "maxReplicas": 9, "metrics": list(metrics)}
    meta = {"name": "web", "namespace": "shop", **more}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": spec}


def vpa(mode: str | None = None, name: str = "web") -> Object:
    spec: Object = {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}}
    spec |= {"updatePolicy": {"updateMode": mode}} if mode else {}
    meta = {"name": "web", "namespace": "shop"}
    return {"apiVersion": "autoscaling.k8s.io/v1", "kind": "VerticalPodAutoscaler", "metadata": meta, "spec": spec}


def claim(*modes: str) -> Object:
    meta = {"name": "data", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": {"accessModes": list(modes)}}


def rename(body: Object, name: str) -> Object:
    return {**body, "metadata": {**body["metadata"], "name": name}}


def shard_of(app: str, name: str) -> Object:
    """A Deployment of its own, whose pods have a label of another one's."""
    body = rename(web(selector={"matchLabels": {"shard": name}}), name)
    body["spec"]["template"]["metadata"] = {"labels": {"app": app, "shard": name}}
    return body


def service_under_release(name: str, mark: str) -> Object:
    """A Service as a release makes it: it selects the pods of one ReplicaSet."""
    body = rename(service(name), name)
    body["metadata"]["labels"] = {"streamgate.io/release": mark}
    return {**body, "spec": {"selector": {"app": name, "pod-template-hash": "abc"}}}


def external(kind: str, value: Any = "30") -> Object:
    target = {"type": kind, "value" if kind == "Value" else "averageValue": value}
    return {"type": "External", "external": {"metric": {"name": "queue"}, "target": target}}


def queue_of(kind: str) -> Object:
    described = {"apiVersion": "v1", "kind": "Service", "name": "web"}
    source = {"describedObject": described, "metric": {"name": "queue"}, "target": {"type": kind, "value": 30}}
    return {"type": "Object", "object": source}


VOLUME = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}
PORTS = {"containers": [{"name": "web", "image": "web:1", "ports": [{"containerPort": 80, "hostPort": 8080}]}]}
ROUTE = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
}
ROUTED = {"canary": {"steps": [{"weight": 90}], "traffic": {"httpRoute": {"name": "web", "service": "web"}}}}
SIBLING = {"name": "web-r1", "namespace": "shop", "labels": {"streamgate.io/policy": "web"}}
PREVIEW = {"blueGreen": {"previewService": "look"}, "canary": None}

WRONG: dict[str, tuple[Object, list[Object], str]] = {
    "a Value target of an External metric": (
        policy(), [web(), hpa(external("AverageValue"), external("Value"))],
        "HorizontalPodAutoscaler web: spec.metrics[1].external.target: type Value multiplies by the ready pods",
    ),
    "a Value target given as a number": (
        policy(), [web(), hpa(external("Value", 30))], "spec.metrics[0].external.target: type Value",
    ),
    "a Value target of an Object metric": (
        policy(), [web(), hpa(queue_of("Value"))], "spec.metrics[0].object.target: type Value",
    ),
    "an HPA of KEDA": (
        policy(),
        [web(), hpa(ownerReferences=[{"kind": "ScaledObject", "name": "web", "uid": "u", "controller": True}])],
        "HorizontalPodAutoscaler web belongs to another controller: its minReplicas is not held",
    ),
    "a VPA": (policy(), [web(), vpa()], "VerticalPodAutoscaler web sets the requests"),
    "a VPA in place": (policy(), [web(), vpa("InPlaceOrRecreate")], "VerticalPodAutoscaler web sets the requests"),
    "no Service that selects it": (
        policy(), [web(), {**service("other"), "spec": {"selector": {"app": "other"}}}],
        "no Service selects the pods of Deployment web: there is no traffic to move",
    ),
    "a Service with a hash of its own": (
        policy(), [web(), {**service("web"), "spec": {"selector": {"app": "web", "pod-template-hash": "x"}}}],
        "Service web selects a pod-template-hash by itself",
    ),
    "a preview Service for other pods": (
        policy(PREVIEW), [web(), service("web"), {**rename(service("x"), "look"), "spec": {"selector": {"app": "x"}}}],
        "spec.blueGreen.previewService: no Service look selects the pods of Deployment web",
    ),
    "Recreate": (policy(), [web(strategy={"type": "Recreate"})], "the Deployment's strategy is Recreate: two versions"),
    "a host port": (policy(), [pods_with(**PORTS)], "the template takes host port 8080: two versions"),
    "a claim for one pod": (
        policy(), [pods_with(**VOLUME), claim("ReadWriteOncePod")], "claim data is ReadWriteOncePod: two versions",
    ),
    "a claim for one node": (
        policy(), [pods_with(**VOLUME), claim("ReadWriteOnce")], "claim data is ReadWriteOnce: new pods on another",
    ),
    "another Deployment on its pods": (
        policy(), [web(), rename(web(), "other")], "Deployment other selects the same pods: give it a selector",
    ),
    "a Service over the pods of another Deployment": (
        policy(), [web(), shard_of("web", "b"), service("web")],
        "Service web selects pods of Deployment b too, which would lose its traffic in a release",
    ),
    "a Service that another policy's release has narrowed": (
        policy(), [web(), service_under_release("web", "other-7-abcde-1")],
        "Service web is narrowed by a release of another policy (other-7-abcde-1): where that policy is gone, take",
    ),
    "labels that do not match": (
        policy(), [web(selector={"matchLabels": {"app": "other"}})], "labels of the template do not match the selector",
    ),
    "a route that does not name the Service": (
        policy(ROUTED), [web(), {**ROUTE, "spec": {"rules": [{"backendRefs": [{"name": "other"}]}]}}],
        "spec.canary.traffic.httpRoute: no rule of web has Service web as backend",
    ),
    "an object that Kubernetes would not take": (
        policy(), [web(), {**service("web"), "spec": 5}],
        "Service web: Expected `object`, got `int`; right would be what Kubernetes takes; it is left out",
    ),
}  # fmt: skip
RIGHT: dict[str, tuple[Object, list[Object]]] = {
    "the policy alone": (policy(), []),
    "objects of others": (policy(), [rename(web(strategy={"type": "Recreate"}), "other"), vpa(name="other")]),
    "no Service in the file": (policy(), [web()]),
    "no preview Service in the file": (policy(PREVIEW), [web(), service("web")]),
    "AverageValue": (policy(), [web(), service("web"), hpa(external("AverageValue"), queue_of("AverageValue"))]),
    "a VPA of a rolling release": (
        policy({"canary": None, "rolling": {"steps": [{"weight": 25}]}}),
        [web(), service("web"), vpa()],
    ),
    "a Service over two Deployments of which one is a release's": (
        policy(),
        [web(), {**shard_of("web", "web-r1"), "metadata": SIBLING}, service("web")],
    ),
    "a Service over two Deployments, and a rolling release": (
        policy({"canary": None, "rolling": {"steps": [{"weight": 25}]}}),
        [web(), shard_of("web", "b"), service("web")],
    ),
    "a Service of its own, and one of other pods that a release has narrowed": (
        policy(),
        [web(), service_under_release("web", "web-7-abcde-1"), service_under_release("other", "other-7-abcde-1")],
    ),
    "a VPA that is off": (policy(), [web(), vpa("Off")]),
    "a claim for many": (policy(), [pods_with(**VOLUME), claim("ReadWriteOnce", "ReadWriteMany")]),
    "a claim of another file": (policy(), [pods_with(**VOLUME)]),
    "parallel by leave": (
        policy(allowParallel=True),
        [pods_with(**VOLUME, **PORTS), claim("ReadWriteOnce"), claim("ReadWriteOncePod")],
    ),
    "a route": (policy(ROUTED), [web(), service("web"), ROUTE]),
    "a route of another file": (policy(ROUTED), [web(), service("web")]),
    "another namespace": (
        policy(),
        [{**web(strategy={"type": "Recreate"}), "metadata": {"name": "web", "namespace": "yard"}}],
    ),
    "another group's kind of that name": (
        policy(),
        [web(), {**service("web"), "apiVersion": "serving.knative.dev/v1", "spec": {"selector": 5}}],
    ),
}


@pytest.fixture
def lint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str]]]:
    def call(policy: Object, objects: list[Object], *flags: str) -> tuple[int, list[str]]:
        path = tmp_path / "all.yaml"
        policy = {**policy, "spec": {key: value for key, value in policy["spec"].items() if value is not None}}
        if "blueGreen" in policy["spec"]:
            policy["spec"]["gates"] = [GATE]
        path.write_text(yaml.safe_dump_all([*objects, policy]))
        code = main(["lint", str(path), "--output=json", *flags])
        return code, json.loads(capsys.readouterr().out)["problems"]

    return call


@pytest.mark.parametrize("case", WRONG)
def test_what_would_go_wrong_is_said_of_the_objects_of_a_file(lint: Any, case: str) -> None:
    policy, objects, words = WRONG[case]
    code, problems = lint(policy, objects)
    assert code == 1
    (said,) = problems
    assert words in said


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_not_in_the_file_or_is_right_is_not_complained_about(lint: Any, case: str) -> None:
    assert lint(*RIGHT[case]) == (0, [])


def test_all_is_said_at_once_and_beside_what_is_wrong_with_the_policy_itself(lint: Any) -> None:
    code, problems = lint(policy(settleSeconds=-1), [pods_with(**PORTS), vpa(), hpa(external("Value"))])
    assert code == 1
    assert [each.split(":")[0] for each in problems] == [
        "spec.settleSeconds",
        "the template takes host port 8080",
        "HorizontalPodAutoscaler web",
        "VerticalPodAutoscaler web sets the requests of the Deployment's own pods, but not those of a release's",
    ]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=6,
)
FIELDS = [
    "spec",
    "metadata",
    "selector",
    "template",
    "matchLabels",
    "labels",
    "rules",
    "backendRefs",
    "volumes",
    "name",
]
WHATEVER = st.recursive(
    ANY, lambda inner: st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4) | st.lists(inner, max_size=2)
)


@given(st.sampled_from([web(), service("web"), hpa(), vpa(), claim(), ROUTE]), WHATEVER, WHATEVER)
def test_whatever_an_object_holds_it_is_read_or_named(body: Object, spec: Any, metadata: Any) -> None:
    for raw in ({**body, "spec": spec}, {**body, "metadata": metadata}, {**body, "spec": {**body["spec"], **{}}}):
        for said in sentences(policy(ROUTED), gather([web(), raw], "shop")):
            assert "\n" not in said


# ---- a cluster


def shop(*objects: tuple[Any, Object]) -> Shop:
    made = Shop()
    made.cluster.store.collection(POLICIES.group, POLICIES.plural).remove("shop", "web")
    for resource, body in objects:
        made.put(resource, body)
    return made


async def review(made: Shop, body: Object | None = None, author: Author = Author()) -> list[str]:  # noqa: B008
    client: Any = Reviewing(made)
    return await survey(client, body or policy(), "shop", author)


class Reviewing:
    """The shop's client, with reviews answered."""

    def __init__(self, made: Shop, *, rights: bool = True) -> None:
        self.made, self.rights, self.specs = made, rights, list[Object]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.made.client, name)

    async def create(self, path: str, body: Object, kind: Any) -> Any:
        self.specs.append({"path": path, **body["spec"]})
        return msgspec.convert({"status": {"allowed": self.rights}}, kind)


async def test_a_namespace_in_which_a_release_can_be_has_nothing_to_say() -> None:
    assert await review(shop()) == []


IN_CLUSTER: dict[str, tuple[list[tuple[Any, Object]], str]] = {
    "Recreate": ([(DEPLOYMENTS, web(strategy={"type": "Recreate"}))], "strategy is Recreate"),
    "a Value target": ([(HORIZONTAL_POD_AUTOSCALERS, hpa(external("Value")))], "type Value multiplies"),
    "a VPA": ([(VPAS, vpa())], "VerticalPodAutoscaler web sets"),
    "a claim": ([(DEPLOYMENTS, pods_with(**VOLUME)), (CLAIMS, claim("ReadWriteOncePod"))], "claim data is"),
    "another policy": (
        [(POLICIES, rename(policy(), "first"))],
        "RolloutPolicy first releases Deployment web already: delete one of the two",
    ),
}


@pytest.mark.parametrize("case", IN_CLUSTER)
async def test_a_cluster_is_told_the_same(case: str) -> None:
    objects, words = IN_CLUSTER[case]
    (said,) = await review(shop(*objects))
    assert words in said


async def test_what_is_missing_in_a_cluster_is_said() -> None:
    made = shop()
    assert "spec.targetRef.name: there is no Deployment nosuch in this namespace" in await review(
        made, policy(targetRef={"name": "nosuch"})
    )
    made.cluster.store.collection(SERVICES.group, SERVICES.plural).remove("shop", "web")
    assert await review(made) == ["no Service selects the pods of Deployment web: there is no traffic to move"]
    made = shop()
    assert await review(made, policy(ROUTED)) == [
        "spec.canary.traffic.httpRoute: there is no HTTPRoute web in this namespace"
    ]
    made.put(HTTP_ROUTES, ROUTE)
    (said,) = await review(made, policy(ROUTED))
    assert said.startswith("HTTPRoute web: no gateway has taken it")
    taken = [{"type": kind, "status": "True"} for kind in ("Accepted", "ResolvedRefs")]
    made.put(HTTP_ROUTES, {**ROUTE, "status": {"parents": [{"conditions": taken}]}})
    assert await review(made, policy(ROUTED)) == []
    (said,) = await review(made, {**policy(PREVIEW), "spec": {**policy()["spec"], "blueGreen": PREVIEW["blueGreen"]}})
    assert said.startswith("spec.blueGreen.previewService: no Service look selects")


async def test_a_policy_that_is_written_already_is_no_rival_of_itself() -> None:
    assert await review(shop((POLICIES, policy()))) == []


async def test_the_author_must_have_the_right_that_the_policy_lends() -> None:
    client: Any = Reviewing(shop(), rights=False)
    (said,) = await survey(client, policy(), "shop", Author())
    assert said.startswith("you may not patch Deployment web in namespace shop")
    (said,) = await survey(client, policy(), "shop", Author("ann", ("devs",)))
    assert said.startswith("user ann may not patch Deployment web")
    wanted = {"namespace": "shop", "verb": "patch", "group": "apps", "resource": "deployments", "name": "web"}
    reviews = "/apis/authorization.k8s.io/v1/"
    assert client.specs == [
        {"path": f"{reviews}selfsubjectaccessreviews", "resourceAttributes": wanted},
        {"path": f"{reviews}subjectaccessreviews", "resourceAttributes": wanted, "user": "ann", "groups": ["devs"]},
    ]


async def test_what_may_not_be_listed_is_said_and_the_others_are_looked_at() -> None:
    made = shop((DEPLOYMENTS, web(strategy={"type": "Recreate"})))

    def hook(verb: str, path: str) -> None:
        if "verticalpodautoscalers" in path:
            raise NotFound(404, "NotFound", "no such resource")
        if "horizontalpodautoscalers" in path:
            raise Forbidden(403, "Forbidden", "cannot list")

    made.client.before.append(hook)
    assert [said.split(":")[0] for said in await review(made)] == [
        "HorizontalPodAutoscalers could not be looked at",
        "the Deployment's strategy is Recreate",
    ]


def test_a_group_without_a_user_and_two_namespaces_are_refused(lint: Any, capsys: Any, tmp_path: Path) -> None:
    assert main(["lint", "x.yaml", "--as-group=devs"]) == 2
    assert "--as-group=devs: --as is wanted as well" in capsys.readouterr().err
    code, problems = lint(policy(), [], "--namespace=yard")
    assert (code, problems) == (1, ["metadata.namespace: shop is not --namespace=yard: name the same"])


# ---- several policies


def policy_for(name: str, namespace: str = "shop", **spec: Any) -> Object:
    body = policy({"targetRef": {"name": name}}, **spec)
    return {**body, "metadata": {"name": name, "namespace": namespace}}


def test_each_of_several_policies_is_checked_and_called(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`shop/web` beside its Deployment, which takes a host port; `yard/web` and `shop/pay` are not about it."""
    path = tmp_path / "all.yaml"
    documents = [pods_with(**PORTS), policy_for("web"), policy_for("web", "yard"), policy_for("pay", settleSeconds=-1)]
    path.write_text(yaml.safe_dump_all(documents))
    assert main(["lint", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["RolloutPolicy shop/web", "the template takes host port 8080"],
        ["RolloutPolicy yard/web", "1 gates, no problem"],
        ["RolloutPolicy shop/pay", "spec.settleSeconds"],
    ]
    assert main(["lint", str(path), "--output=json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in report["policies"]] == ["shop/web", "yard/web", "shop/pay"]
    assert [len(each["problems"]) for each in report["policies"]] == [1, 0, 1]
    path.write_text(yaml.safe_dump_all([pods_with(**PORTS), policy_for("web")]))
    main(["lint", str(path), "--output=json"])
    alone = json.loads(capsys.readouterr().out)
    assert {"name": "shop/web", **alone} == report["policies"][0]


def test_a_policy_without_a_name_is_told_by_its_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump_all([policy_for("web"), {**policy(), "metadata": None}]))
    assert main(["lint", str(path)]) == 1
    assert "RolloutPolicy number 2: metadata: missing" in capsys.readouterr().out


def test_a_clean_file_of_several_policies_ends_well_and_replay_still_wants_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump_all([policy_for("web"), policy_for("pay")]))
    assert main(["lint", str(path)]) == 0
    assert main(["replay", str(path), str(path)]) == 1
    assert "the file holds 2 objects of kind RolloutPolicy; right would be one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("count", "words"), [(0, "holds 0 objects of kind RolloutPolicy; right would be one"), (MOST + 1, "at most 1000")]
)
def test_a_file_with_no_policy_or_too_many_is_one_sentence(
    count: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "all.yaml"
    path.write_text("kind: Service\n---\n" + "kind: RolloutPolicy\n---\n" * count)
    assert main(["lint", str(path), "--output=json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["gates"] == []
    (said,) = report["problems"]
    assert words in said
