"""The doctor at a real API server with every fault planted: each is found, with the next command, and nothing else.

The API server is alone, without a node: what controllers would say of HPAs, Deployments and policies is written into
their status. Of metrics on offer, which need an adapter, tests/doctor tells.
"""

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.binaries import find
from tests.cluster.conftest import Beds
from tests.cluster.doctor import (
    SENTENCES,
    api_service,
    apis_by_the_wrong_server,
    autoscalers_at_odds,
    clock_ahead,
    expected_commands,
    look,
    policy,
    programs_without_rights,
    runs,
    until,
)
from tests.cluster.kubectl import Kubectl
from tests.cluster.recommender import CRDS
from tests.cluster.rollout import DEFINITION
from tests.cluster.versions import TOKEN, serving

SICK = "sick"
NEWER = "v1beta2.custom.metrics.k8s.io"


@pytest.fixture(scope="module")
def server(beds: Beds) -> Iterator[Kubectl]:
    """An API server of the test's own that knows VPAs and policies, and nothing else of ours."""
    if beds.foreign:
        pytest.skip("this test breaks APIs of the whole cluster, so it starts one")
    with beds.possible():
        program = find(
            ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"]
        )
    with serving(program["kube-apiserver"]) as cluster:
        cluster.apply(CRDS)
        cluster.apply(DEFINITION)
        for name in ("rolloutpolicies.streamgate.io", "verticalpodautoscalers.autoscaling.k8s.io"):
            cluster.wait(f"crd/{name}", "condition=Established", 30)
        yield cluster


def test_where_nothing_is_wrong_nothing_is_found_and_all_is_looked_at(server: Kubectl) -> None:
    told = look(server.kubeconfig)
    assert (told.code, told.report["findings"], told.report["unseen"], told.errors) == (0, [], [], "")


def test_who_may_not_look_is_told_what_was_not_looked_at(server: Kubectl, tmp_path: Path) -> None:
    server.kubectl("create", "namespace", "jane")
    server.kubectl("create", "serviceaccount", "jane", "-n", "jane")
    told = look(another(server, tmp_path, server.token("jane", "jane")))
    assert (told.code, told.report["findings"]) == (2, [])
    assert {"APIServices", "HPAs", "nodes"} <= {each["what"] for each in told.report["unseen"]}
    assert all("system:serviceaccount:jane:jane" in each["why"] for each in told.report["unseen"])


def test_who_is_not_known_or_meets_nobody_has_one_sentence(server: Kubectl, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    nowhere.write_text(json.dumps({**config(server), "clusters": [{"name": "it", "cluster": {"server": NOBODY}}]}))
    for kubeconfig, words in ((another(server, tmp_path, "of-nobody"), "401"), (nowhere, "127.0.0.1:1")):
        told = look(kubeconfig)
        assert (told.code, told.report) == (2, {})
        assert told.errors.startswith("streamgate-doctor: ")
        assert words in told.errors
        assert told.errors.count("\n") == 1


NOBODY = "https://127.0.0.1:1"


def config(server: Kubectl) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(server.kubeconfig.read_text())
    return config


def another(server: Kubectl, folder: Path, token: str) -> Path:
    """A kubeconfig for another token."""
    path = folder / "another"
    path.write_text(server.kubeconfig.read_text().replace(TOKEN, token))
    return path


def says(server: Kubectl, kind: str, name: str, status: dict[str, Any]) -> None:
    """What its controller would write into its status."""
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    server.kubectl("patch", kind, name, "-n", SICK, *patch)


def controllers_speak(server: Kubectl) -> None:
    """Pods are available; an HPA has no metric; one policy is refused, another has waited for twenty minutes."""
    now = datetime.datetime.now(datetime.UTC)
    for name in ("streamgate-adapter", "streamgate-recommender"):
        says(server, "deployment", name, {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1})
    inactive = {"type": "ScalingActive", "status": "False", "reason": "FailedGetPodsMetric", "message": "none"}
    inactive["lastTransitionTime"] = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    says(server, "hpa", "by-nothing", {"currentReplicas": 1, "desiredReplicas": 1, "conditions": [inactive]})
    refused = {"type": "Refused", "status": "True", "reason": "Refused"}
    refused["message"] = "no Service selects the pods of Deployment lonely"
    says(server, "rolloutpolicy", "refused", {"phase": "Idle", "conditions": [refused]})
    since = (now - datetime.timedelta(minutes=20)).isoformat()
    release = {"since": since, "waitingSince": since}
    status = {"phase": "Starting", "message": "no pod is available", "release": release}
    says(server, "rolloutpolicy", "waits", status)


@pytest.fixture
def sick(server: Kubectl) -> None:
    """Every fault at once."""
    server.kubectl("create", "namespace", SICK)
    programs_without_rights(server, SICK)
    autoscalers_at_odds(server, SICK)
    server.apply([policy("refused", SICK, "lonely"), policy("waits", SICK, "web")])
    controllers_speak(server)
    apis_by_the_wrong_server(server, SICK)
    server.apply(api_service(NEWER, SICK, "absent"))
    clock_ahead(server)


def test_each_fault_that_is_planted_is_found_with_the_next_command(server: Kubectl, sick: None) -> None:
    wanted = {key: command for key, command in expected_commands(SICK).items() if key[0] != "rules"}
    wanted["api", f"APIService {NEWER}"] = f"kubectl -n {SICK} get service,endpointslices,pods"
    wanted["api", "API metrics.k8s.io"] = "kubectl apply -k manifests/overlays/complete"
    told = until(server.kubeconfig, lambda told: told.found == wanted, 30)
    assert (told.code, told.found) == (1, wanted)
    unseen = [each["what"] for each in told.report["unseen"]]
    assert unseen == [f"/readyz of {SICK}/streamgate-adapter", "metrics of custom.metrics.k8s.io"]
    for about, name, words in SENTENCES:
        if about != "rules":
            assert words in told.says(about, name.format(SICK))
    for command in "\n".join(told.found.values()).splitlines():
        runs(server, command)
