"""Releases on a real control plane, under load: no request fails, and promotion restarts no judged pod."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.adapter import ROOT
from tests.cluster.bed import Bed
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import sample_deployment
from tests.cluster.processes import CommandError, wait_until
from tests.cluster.rollout import DEFINITION, Clients, Shop, running_controller

BLUE_GREEN: dict[str, Any] = {"blueGreen": {"previewSeconds": 2, "verifySeconds": 5}}
CANARY: dict[str, Any] = {"canary": {"steps": [{"weight": 25, "pauseSeconds": 4}, {"weight": 50, "pauseSeconds": 4}]}}
ROLLING: dict[str, Any] = {"rolling": CANARY["canary"]}


@pytest.mark.parametrize("spec", [BLUE_GREEN, CANARY], ids=["blue-green", "canary"])
def test_a_promotion_and_a_rollback_under_load_lose_no_request(
    bed: Bed, namespace: str, tmp_path: Path, spec: dict[str, Any]
) -> None:
    shop = Shop(bed, namespace, spec)
    with running_controller(bed, namespace, tmp_path / "rollout.log") as controller:
        shop.until("Idle")
        with Clients(shop.address) as clients:
            shop.release("2")
            for phase in ("Switching", "Verifying", "Adopting"):  # where traffic and pods change hands
                shop.until(phase, or_later=True)
                controller.end(signal.SIGKILL)
                controller.start()
            judged = shop.pods("2")
            shop.wait_for_end("Promoted", 1)
            assert shop.pods() == judged  # the same pods, and not a restart
            assert len(judged) == 3
            assert shop.verb("wait", "--timeout=5") == 0
            shop.release("3")
            shop.until("Verifying" if "blueGreen" in spec else "Stepping")
            assert shop.verb("abort") == 0
            shop.until("Returning", or_later=True)
            controller.end(signal.SIGKILL)
            controller.start()
            shop.wait_for_end("Aborted", 2)
            assert shop.pods() == judged
            assert shop.verb("wait", "--timeout=5") == 1
        assert clients.failures == []
        assert clients.answers.keys() == {200}
        assert clients.answers.total() > 2000
        selector = bed.get("service", "web", "-n", namespace)["spec"]["selector"]
        assert selector == {"app": "web"}
        bed.kubectl("delete", "rolloutpolicy", "web", "-n", namespace, "--timeout=60s")
        deployment = bed.get("deployment", "web", "-n", namespace)
        assert not deployment["spec"].get("paused")
        bed.rollout("web", namespace)
        assert shop.pods() == judged


def test_a_rolling_release_is_held_by_the_deployment_controller_while_ours_is_gone(
    bed: Bed, namespace: str, tmp_path: Path
) -> None:
    """3 pods, then 1 new one beside them, then 3; the step holds without us, and what holds it is put back."""
    shop = Shop(bed, namespace, ROLLING)
    before = bed.get("deployment", "web", "-n", namespace)["spec"]
    with running_controller(bed, namespace, tmp_path / "rollout.log") as controller, Clients(shop.address) as clients:
        shop.until("Idle")
        shop.release("2")
        shop.until("Stepping")
        assert wait_until(lambda: len(shop.pods("2")) == 1, 60)
        controller.end(signal.SIGKILL)
        time.sleep(12)  # several reconciliations; the step's own pause is 4 s
        assert (len(shop.pods("1")), len(shop.pods("2"))) == (3, 1)
        (first,) = shop.pods("2")
        controller.start()
        shop.until("Completing", or_later=True)
        controller.end(signal.SIGKILL)
        controller.start()
        shop.wait_for_end("Promoted", 1)
        judged = shop.pods("2")
        assert first in judged  # what was judged stays
        assert len(judged) == len(shop.pods()) == 3
        shop.release("3")
        assert wait_until(lambda: len(shop.pods("3")) == 1, 60)
        bed.kubectl("rollout", "undo", "deployment/web", "-n", namespace)  # the Deployment is not paused in a step
        shop.wait_for_end("Reverted", 2)
        assert shop.pods() == judged  # no stable pod was touched
        shop.release("4")
        assert wait_until(lambda: len(shop.pods("4")) == 1, 60)
        assert shop.verb("abort") == 0
        shop.wait_for_end("Aborted", 3)
        assert shop.pods() == judged
    assert clients.failures == []
    assert clients.answers.total() > 2000
    after = bed.get("deployment", "web", "-n", namespace)["spec"]
    held = ("strategy", "minReadySeconds", "progressDeadlineSeconds")
    assert [after.get(field) for field in held] == [before.get(field) for field in held]


def test_new_pods_are_probed_and_sent_requests_at_their_own_addresses_before_a_switch(
    bed: Bed, namespace: str, tmp_path: Path
) -> None:
    """No Service selects them then; a path that answers 404 is never switched to."""
    probe = {"name": "health", "path": "/healthz", "everySeconds": 1}
    generate = {"requestsPerSecond": 100, "requests": 2000, "limit": 0.05}
    looked = {"blueGreen": {"previewSeconds": 1, "verifySeconds": 2, "probes": [probe], "generate": generate}}
    shop = Shop(bed, namespace, looked)
    with running_controller(bed, namespace, tmp_path / "rollout.log"), Clients(shop.address) as clients:
        shop.until("Idle")
        shop.release("2")
        shop.wait_for_end("Promoted", 1)
        judged = shop.pods("2")
        wrong = [{"op": "replace", "path": "/spec/blueGreen/probes/0/path", "value": "/nowhere"}]
        bed.kubectl("patch", "rolloutpolicy", "web", "-n", namespace, "--type=json", f"--patch={json.dumps(wrong)}")
        shop.release("3")
        shop.wait_for_end("RolledBack", 2)
        assert "answered 404 to /nowhere, 3 times in a row" in shop.status()["history"][0]["reason"]
        assert shop.pods() == judged
    assert clients.failures == []
    assert clients.answers.keys() == {200}


BAD: dict[str, dict[str, Any]] = {
    "both strategies": {**BLUE_GREEN, **CANARY},
    "no strategy": {},
    "weight 101": {"canary": {"steps": [{"weight": 101}], "traffic": {"httpRoute": {"name": "a", "service": "b"}}}},
    "falling weights": {"canary": {"steps": [{"weight": 40}, {"weight": 20}]}},
    "the same weight twice": {"canary": {"steps": [{"weight": 40}, {"weight": 40}]}},
    "60 percent by the ratio of pods": {"canary": {"steps": [{"weight": 60}]}},
    "no step": {"canary": {"steps": []}},
    "gate without metric": {**CANARY, "gates": [{"limit": 0.1, "total": "a"}]},
    "gate without total": {**CANARY, "gates": [{"metric": "a", "limit": 0.1}]},
    "gate without limit": {**CANARY, "gates": [{"metric": "a", "total": "b"}]},
    "rolling and canary": {**ROLLING, **CANARY},
    "60 percent in place": {"rolling": {"steps": [{"weight": 60}]}},
    "weights that fall in place": {"rolling": {"steps": [{"weight": 40}, {"weight": 20}]}},
    "a stage in place": {**ROLLING, "gates": [{"metric": "a", "total": "b", "limit": 0.1, "stage": "post"}]},
    "margin in blue-green": {**BLUE_GREEN, "gates": [{"metric": "a", "total": "b", "margin": 1}]},
    "limit of 1": {**CANARY, "gates": [{"metric": "a", "total": "b", "limit": 1}]},
    "a receiver without URL": {**CANARY, "notifications": [{"format": "slack"}]},
    "a receiver with two URLs": {
        **CANARY,
        "notifications": [{"url": "https://a/", "urlFrom": {"secret": "a", "key": "b"}}],
    },
    "a URL with a user": {**CANARY, "notifications": [{"url": "https://u:p@a/"}]},
    "a probe at an address": {"blueGreen": {"probes": [{"name": "a", "path": "http://169.254.169.254/"}]}},
    "a probe without a name": {"blueGreen": {"probes": [{"path": "/"}]}},
    "two probes of one name": {"blueGreen": {"probes": [{"name": "a"}, {"name": "a"}]}},
    "a thousand requests a second": {"blueGreen": {"generate": {"requestsPerSecond": 1000}}},
    "a query without a name": {**CANARY, "gates": [{"query": {"bad": "a", "total": "b"}, "limit": 0.1}]},
    "a query beside a metric": {
        **CANARY,
        "gates": [{"name": "a", "metric": "a", "query": {"bad": "a", "total": "b"}, "limit": 0.1}],
    },
    "a query of events without a total": {**CANARY, "gates": [{"name": "a", "query": {"bad": "a"}, "limit": 0.1}]},
    "a gauge's query of bad ones": {
        **CANARY,
        "gates": [{"name": "a", "kind": "gauge", "query": {"bad": "a"}, "limit": 1}],
    },
    "a window of five seconds": {
        **CANARY,
        "gates": [{"name": "a", "kind": "gauge", "query": {"value": "a", "windowSeconds": 5}, "limit": 1}],
    },
    "a StatefulSet": {**CANARY, "targetRef": {"kind": "StatefulSet", "name": "web"}},
}


@pytest.mark.anywhere
def test_bad_policies_are_refused_at_admission_and_the_samples_are_not(bed: Kubectl, namespace: str) -> None:
    bed.apply(DEFINITION)
    bed.wait("crd/rolloutpolicies.streamgate.io", "condition=Established", 30)
    for name, spec in BAD.items():
        policy = {
            "apiVersion": "streamgate.io/v1alpha1",
            "kind": "RolloutPolicy",
            "metadata": {"name": "bad", "namespace": namespace},
            "spec": {"targetRef": {"name": "web"}, **spec},
        }
        with pytest.raises(CommandError) as refused:
            bed.apply(policy)
        assert "spec" in str(refused.value), name
    for sample in ("canary-setup.yaml", "blue-green-setup.yaml", "rolling-setup.yaml"):
        bed.kubectl("apply", "--dry-run=server", "-f", str(ROOT / "manifests/samples" / sample))
    for sample in ("rollout-author.yaml", "rollout-pipeline.yaml"):
        bed.kubectl("apply", "--dry-run=server", "-f", str(ROOT / "manifests/samples" / sample))


def write_policy(folder: Path, namespace: str, target: str) -> Path:
    """A file with the policy of the shop, or one of a Deployment that there is not."""
    gate = {"metric": "http_errors_total", "total": "http_requests_total", "limit": 0.01}
    policy = {
        "apiVersion": "streamgate.io/v1alpha1",
        "kind": "RolloutPolicy",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"targetRef": {"name": target}, **BLUE_GREEN, "gates": [gate]},
    }
    path = folder / f"{target}.json"
    path.write_text(json.dumps(policy))
    return path


def condition(bed: Bed, namespace: str, policy: str, kind: str) -> str:
    """The message of a policy's condition where it is true; '' where it is not."""
    status = bed.get("rolloutpolicy", policy, "-n", namespace).get("status", {})
    matches = [each for each in status.get("conditions", ()) if each["type"] == kind and each["status"] == "True"]
    return str(matches[0]["message"]) if matches else ""


def test_bad_policies_that_admission_cannot_see_are_said_in_a_condition(
    bed: Bed, namespace: str, tmp_path: Path
) -> None:
    gates = [{"metric": "no_such_errors", "total": "no_such_requests", "limit": 0.1}]
    Shop(bed, namespace, {**CANARY, "gates": gates})
    query = {"bad": "sum(up)", "total": "sum(up)"}
    specs: dict[str, Any] = {
        "web-2": CANARY,  # on the same Deployment; of two that were made in one second the first by name has it
        "orphan": {**CANARY, "targetRef": {"name": "worker"}},  # no Service selects its pods
        "query": {**CANARY, "targetRef": {"name": "worker"}, "gates": [{"name": "a", "query": query, "limit": 0.1}]},
    }
    worker = sample_deployment("worker", namespace, 1)
    bed.apply([part for part in worker if part["kind"] == "Deployment"])
    for name, spec in specs.items():
        bed.apply({
            "apiVersion": "streamgate.io/v1alpha1",
            "kind": "RolloutPolicy",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"targetRef": {"name": "web"}, **spec},
        })  # fmt: skip
    words = {
        ("web", "MetricsMissing"): "no_such_requests",
        ("web-2", "Refused"): "releases Deployment web already",
        ("orphan", "Refused"): "no Service selects the pods of Deployment worker",
        ("query", "Refused"): "spec.gates[0].query.bad: it reads the same for both arms",
    }

    def is_said(key: tuple[str, str]) -> bool:
        return words[key] in condition(bed, namespace, *key)

    with running_controller(bed, namespace, tmp_path / "rollout.log"):
        assert wait_until(lambda: all(map(is_said, words)), 60), [
            (key, condition(bed, namespace, *key)) for key in words
        ]


def test_uninstall_in_mid_release_without_a_controller_leaves_an_ordinary_deployment(
    bed: Bed, namespace: str, tmp_path: Path
) -> None:
    """Whoever looks now and then must still see it in Previewing."""
    shop = Shop(bed, namespace, {"blueGreen": {"previewSeconds": 120, "verifySeconds": 5}})
    with running_controller(bed, namespace, tmp_path / "rollout.log") as controller:
        shop.until("Idle")
        before = shop.pods()
        assert shop.verb("plan") == 0
        assert shop.verb("lint", str(write_policy(tmp_path, namespace, "web")), policy="") == 0
        assert shop.verb("lint", str(write_policy(tmp_path, namespace, "other")), policy="") == 1
        with Clients(shop.address) as clients:
            shop.release("2")
            shop.until("Previewing")
            controller.end(signal.SIGKILL)
            assert shop.verb("uninstall", "--timeout=60s", policy="") == 0
        assert clients.failures == []
        assert clients.answers.keys() == {200}
    assert bed.get("rolloutpolicies", "-n", namespace)["items"] == []
    assert not bed.get("deployment", "web", "-n", namespace)["spec"].get("paused")
    bed.rollout("web", namespace)
    assert shop.pods() == before


def test_the_sample_policy_keeps_a_deployment_under_release_paused(bed: Bed, namespace: str, tmp_path: Path) -> None:
    """Whoever replaces it; and one that no policy has taken over can be un-paused as ever."""
    file = ROOT / "manifests/samples/rollout-keep-paused.yaml"
    shop = Shop(bed, namespace, CANARY)

    def is_paused() -> bool:
        return bool(bed.get("deployment", "web", "-n", namespace)["spec"].get("paused"))

    def is_taken_over() -> bool:
        metadata = bed.get("deployment", "web", "-n", namespace)["metadata"]
        return is_paused() and "streamgate.io/release-with" in metadata.get("annotations", {})

    def write(value: str) -> None:
        patch = f'{{"spec":{{"paused":{value}}}}}'
        bed.kubectl("patch", "deployment", "web", "-n", namespace, "--type=merge", "-p", patch)

    write("true")
    bed.kubectl("apply", "-f", str(file))
    try:
        write("false")
        assert not is_paused()
        with running_controller(bed, namespace, tmp_path / "rollout.log") as controller:
            shop.until("Idle")
            assert wait_until(is_taken_over, 30, every=0.2)
            controller.end()  # so that nobody but the policy can have paused it
            for _ in range(50):  # the API server reads new policies within some seconds
                write("true")
                write("false")
                if is_paused():
                    break
                time.sleep(0.2)
            assert is_paused()
            write("false")
            assert is_paused()
    finally:
        bed.kubectl("delete", "-f", str(file))
