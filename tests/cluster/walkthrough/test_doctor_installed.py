"""The doctor beside all three programs as pods: it finds nothing, and for each fault the command that mends it."""

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.cluster import image
from tests.cluster.adapter import API_SERVICES, hpa, pods_metric
from tests.cluster.bed import Bed
from tests.cluster.doctor import until
from tests.cluster.installed import installed, trust_any_kubelet
from tests.cluster.recommender import CRDS, Web
from tests.cluster.rollout import DEFINITION, Shop

ADAPTER = "streamgate-adapter"
METRIC, MISSPELT = "http_requests_per_second", "http_request_per_second"
FIELD, NO_FIELD = "<<.LabelMatchers>>", "<<.LabelMatchrs>>"


@pytest.fixture(scope="module")
def programs(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """As docs/install.md says: for all three APIs, for VPAs and for releases."""
    image.install(bed, tmp_path_factory.mktemp("image"), targets=("adapter",))  # holds all programs
    bed.apply(CRDS)
    bed.apply(DEFINITION)
    with (
        installed(bed, "complete", ADAPTER, "streamgate"),
        installed(bed, "recommender", "streamgate-recommender", "streamgate-recommender"),
        installed(bed, "rollout", "streamgate-rollout", "streamgate-rollout"),
    ):
        trust_any_kubelet(bed)
        yield


@pytest.fixture
def well(bed: Bed, programs: None, namespace: str) -> Iterator[str]:
    """A namespace with a service that has an HPA, a VPA and a policy; nothing is wrong in the cluster."""
    shop = Shop(bed, namespace, {"canary": {"steps": [{"weight": 25}]}})
    shop.until("Idle")
    Web(bed, namespace, deploys=False).watch()
    bed.apply(hpa("web", namespace, pods_metric(METRIC, "100")))
    nothing_is_found(bed)
    yield namespace
    bed.kubectl("delete", "rolloutpolicy", "web", "-n", namespace, "--timeout=60s")


def nothing_is_found(bed: Bed) -> None:
    told = until(bed.kubeconfig, lambda told: told.code == 0, 120)
    assert (told.code, told.report["findings"], told.report["unseen"], told.errors) == (0, [], [], "")
    assert told.report["served"] == dict.fromkeys(API_SERVICES, f"streamgate/{ADAPTER}")


def is_mended(bed: Bed, about: str, name: str, says: str, *, command: str, editor: str = "") -> None:
    """The fault is told in these words with this command; typed, it leaves nothing to find. `editor` is the user's."""
    told = until(bed.kubeconfig, lambda told: (about, name) in told.found, 60)
    assert told.code == 1
    assert told.says(about, name) == says
    assert told.found[about, name] == command
    path = os.pathsep.join([str(bed.program.parent), os.environ["PATH"]])
    shell = {**os.environ, "PATH": path, "KUBECONFIG": str(bed.kubeconfig), "KUBE_EDITOR": editor}
    subprocess.run(["bash", "-euc", command], env=shell, check=True, timeout=60)
    nothing_is_found(bed)


def test_an_adapter_that_was_scaled_to_zero(bed: Bed, well: str) -> None:
    bed.kubectl("-n", "streamgate", "scale", "deployment", ADAPTER, "--replicas=0")
    command = f"kubectl -n streamgate scale deployment {ADAPTER} --replicas=1"
    is_mended(bed, "program", f"Deployment streamgate/{ADAPTER}", "it is scaled to zero", command=command)


def test_an_hpa_that_misspells_its_metric(bed: Bed, well: str) -> None:
    bed.apply(hpa("web", well, pods_metric(MISSPELT, "100")))
    says = f"it is not on offer, and HPA {well}/web wants it; pods/{METRIC} is, by a name like it"
    command, editor = f"kubectl -n {well} edit hpa web", f"sed -i s/{MISSPELT}/{METRIC}/"
    is_mended(bed, "rules", f"metric pods/{MISSPELT}", says, command=command, editor=editor)


def test_a_typo_in_a_rule(bed: Bed, well: str) -> None:
    (volume,) = (
        each["configMap"]["name"]
        for each in bed.get("deployment", ADAPTER, "-n", "streamgate")["spec"]["template"]["spec"]["volumes"]
        if "configMap" in each
    )
    text = bed.get("configmap", volume, "-n", "streamgate")["data"]["config.yaml"].replace(FIELD, NO_FIELD, 1)
    patch = json.dumps({"data": {"config.yaml": text}})
    bed.kubectl("patch", "configmap", volume, "-n", "streamgate", "--type=merge", "-p", patch)
    bed.kubectl("rollout", "restart", "deployment", ADAPTER, "-n", "streamgate")
    bed.rollout(ADAPTER, "streamgate", seconds=120)
    restart = f"kubectl -n streamgate rollout restart deployment {ADAPTER}"
    is_mended(
        bed, "rules", f"rules of adapter streamgate/{ADAPTER}",
        "the file: rules[0].metricsQuery, line 6: the template does not work: column 51: there is no field "
        ".LabelMatchrs; right would be one of .Series, .LabelMatchers, .LabelValuesByName, .GroupBy, .GroupBySlice",
        command=f"kubectl -n streamgate edit configmap {volume} && {restart}",
        editor=f"sed -i s/{NO_FIELD}/{FIELD}/",
    )  # fmt: skip
