"""Pods from our manifests, of images from our Dockerfile, as a user would install them; and gone again."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import pytest
import yaml

from loadtest.pods import PodsLoad
from tests.cluster import image, page, peer
from tests.cluster.adapter import CUSTOM, OVERLAYS, ROOT, hpa, pods_metric, try_raw, wait_for_replicas
from tests.cluster.background import in_background
from tests.cluster.bed import Bed
from tests.cluster.bystander import Bystander
from tests.cluster.chart import CHART, run_helm
from tests.cluster.installed import installed, ours, remove_leftovers, trust_any_kubelet
from tests.cluster.manifests import PORT, sample_deployment
from tests.cluster.processes import CommandError, wait_until
from tests.cluster.prometheus import PER_SECOND, running_prometheus
from tests.cluster.recommender import CRDS, Web, eventually
from tests.cluster.rollout import Clients, Shop
from tests.cluster.steady import quick_hpas, steady_deployment

METRIC = "http_requests_per_second"


@pytest.fixture(scope="module")
def images(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The three images, on the node, under the names that the manifests ask for."""
    image.install(bed, tmp_path_factory.mktemp("image"))
    remove_leftovers(bed)


@pytest.fixture
def load(bed: Bed, namespace: str) -> Iterator[PodsLoad]:
    """100 requests/s on the Deployment `web`."""
    bed.apply(sample_deployment("web", namespace))
    bed.rollout("web", namespace)
    with in_background(
        bed.kubeconfig,
        lambda client: [PodsLoad(client, namespace=namespace, selector="app=web", port=PORT, rate=100.0)],
    ) as made:
        yield made[0]


def test_the_adapters_pods_scale_an_hpa_while_they_are_replaced_and_leave_nothing(
    bed: Bed, images: None, namespace: str, load: PodsLoad
) -> None:
    """100 requests/s at a target of 60 are 2 pods: 1.67. An upgrade is a rolling update: no answer may fail then."""
    with installed(bed, "embedded", "streamgate-adapter", "streamgate"):
        path = f"{CUSTOM}/namespaces/{namespace}/pods/*/{METRIC}"
        assert wait_until(lambda: isinstance(try_raw(bed, path), dict), 60, every=0.5), try_raw(bed, path)
        bed.apply(hpa("web", namespace, pods_metric(METRIC, "60")))
        wait_for_replicas(bed, "web", namespace, 2, 90)
        with Bystander(bed, path) as bystander:
            bed.kubectl("rollout", "restart", "deployment", "streamgate-adapter", "-n", "streamgate")
            bed.rollout("streamgate-adapter", "streamgate", seconds=120)
            time.sleep(5)  # the last of the old pods have gone
        assert bystander.answers > 20
        assert bystander.failures == []
        assert bed.get("deployment", "web", "-n", namespace)["spec"]["replicas"] == 2
    assert ours(bed) == []


def test_the_complete_overlay_serves_kubectl_top_and_the_recommender_recommends_by_it(
    bed: Bed, images: None, namespace: str
) -> None:
    """The recommender comes last: its loop is a minute, and so its first one finds everything."""
    bed.apply(CRDS)
    bed.wait("crd/verticalpodautoscalers.autoscaling.k8s.io", "condition=Established", 30)

    def top(*arguments: str) -> str:
        try:
            return bed.kubectl("top", *arguments)
        except CommandError:
            return ""

    with installed(bed, "complete", "streamgate-adapter", "streamgate"):
        trust_any_kubelet(bed)
        web = Web(bed, namespace)
        web.watch()
        eventually(lambda: "web-" in top("pods", "-n", namespace), 90, "kubectl top shows no pod")
        eventually(lambda: "Mi" in top("nodes"), 30, "kubectl top shows no node")
        with installed(bed, "recommender", "streamgate-recommender", "streamgate-recommender"):
            eventually(web.target, 150, "no recommendation")
    assert ours(bed) == []


def test_the_overlay_prometheus_runs_with_components_and_the_console_beside_it(
    bed: Bed, images: None, namespace: str, load: PodsLoad, tmp_path: Path
) -> None:
    """As a user has it: a copy of the manifests, with a URL, rules and components of their own.

    What the NetworkPolicies do is not shown: the bed's network enforces none.
    """
    copy = shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    overlay = copy / "overlays" / "prometheus"
    shutil.copy(copy / "overlays" / "complete" / "rules.yaml", overlay)
    file = overlay / "kustomization.yaml"
    with running_prometheus(bed, tmp_path, address=bed.host_address) as prometheus:
        text = re.sub(r"--prometheus-url=[^\"]+", f"--prometheus-url={prometheus.url}", file.read_text())
        components = [f"../../components/{name}" for name in ("network-policy", "external-metrics", "console")]
        file.write_text(f"{text}components: {json.dumps(components)}\n")
        try:
            with installed(bed, str(overlay), "streamgate-adapter", "streamgate"):
                secret = ("secret", "generic", "streamgate-console", "-n", "streamgate-console")
                bed.kubectl("create", *secret, "--from-literal=token=" + "t" * 32)
                path = f"{CUSTOM}/namespaces/{namespace}/pods/*/{METRIC}"
                assert wait_until(lambda: isinstance(try_raw(bed, path), dict), 60, every=0.5), try_raw(bed, path)
                bed.wait("apiservice/v1beta1.external.metrics.k8s.io", "condition=Available", 30)
                bed.rollout("streamgate-console", "streamgate-console", seconds=120)
                there = bed.get("service", "streamgate-console", "-n", "streamgate-console")["spec"]
                with closing(HTTPConnection(there["clusterIP"], there["ports"][0]["port"], timeout=10)) as place:
                    assert status_of(place, "/") == HTTPStatus.FORBIDDEN
                    assert status_of(place, f"/?token={'t' * 32}") == HTTPStatus.SEE_OTHER  # to the page, with a cookie
        finally:
            assert ours(bed) == []


def status_of(place: HTTPConnection, path: str) -> int:
    """The status of the answer to a GET, asked as through a port-forward."""
    place.request("GET", path, headers={"Host": "localhost"})
    answer = place.getresponse()
    answer.read()
    return answer.status


def test_the_rollout_controllers_pod_promotes_a_release(bed: Bed, images: None, namespace: str) -> None:
    bed.apply(ROOT / "manifests" / "crds" / "rolloutpolicy.yaml")
    with installed(bed, "rollout", "streamgate-rollout", "streamgate-rollout"):
        shop = Shop(bed, namespace, {"blueGreen": {"previewSeconds": 1, "verifySeconds": 2}})
        shop.until("Idle")
        with Clients(shop.address) as clients:
            shop.release("2")
            shop.wait_for_end("Promoted", 1)
        assert clients.failures == []
        bed.kubectl("delete", "rolloutpolicy", "web", "-n", namespace, "--timeout=60s")
    assert ours(bed) == []


def test_prometheus_adapter_gives_way_and_comes_back_under_load_and_the_hpa_stays(
    bed: Bed, images: None, tmp_path: Path
) -> None:
    """By the commands of docs/install.md. An answer may fail for as long as an endpoint takes to leave, no longer."""
    take_its_place, go_back = page.under(page.INSTALL, "In place of prometheus-adapter")

    def images_of_its_pods() -> set[str]:
        pods = bed.get("pods", "-n", peer.NAMESPACE, "-l", f"app.kubernetes.io/name={peer.NAME}")["items"]
        return {pod["spec"]["containers"][0]["image"] for pod in pods}

    with (
        quick_hpas(bed),
        running_prometheus(bed, tmp_path, address=bed.host_address) as prometheus,
        peer.installed(bed, prometheus.url, PER_SECOND.format(window="30s")),
        steady_deployment(bed) as steady,
        Bystander(bed, f"{CUSTOM}/{steady.path}") as bystander,
    ):
        with steady.undisturbed():
            page.run_script(take_its_place, page.shell_of(bed))
            time.sleep(5)  # the last of its pods has gone
        assert images_of_its_pods() == {"streamgate/adapter:0.1.0"}
        there = len(bystander.failures)
        with steady.undisturbed():
            page.run_script(go_back, page.shell_of(bed))
            time.sleep(5)
        assert images_of_its_pods() == {peer.IMAGE}
    assert bystander.answers > 100
    assert bystander.longest <= 10, (there, bystander.failures)
    assert ours(bed) == []


# ---- by Helm

EXTERNAL = yaml.safe_load((OVERLAYS / "complete" / "rules.yaml").read_text())["externalRules"]


def helm(bed: Bed, *arguments: str) -> str:
    """helm in the release's namespace, with the bed's kubeconfig; it waits for what it changes."""
    place = ["--kubeconfig", str(bed.kubeconfig), "-n", "streamgate"]
    done = run_helm(*arguments, *place, "--wait", "--timeout=100s", seconds=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def installed_by_helm(bed: Bed, *flags: str) -> Iterator[str]:
    """`helm install` into a namespace for restricted pods; the notes. `helm uninstall` afterwards."""
    bed.kubectl("create", "namespace", "streamgate")
    bed.kubectl("label", "namespace", "streamgate", "pod-security.kubernetes.io/enforce=restricted")
    try:
        yield helm(bed, "install", "streamgate", str(CHART), *flags)
        helm(bed, "uninstall", "streamgate")
    finally:
        run_helm(
            "uninstall", "streamgate", "--kubeconfig", str(bed.kubeconfig), "-n", "streamgate", "--ignore-not-found"
        )
        bed.kubectl("delete", "namespace", "streamgate", "--timeout=60s")


def test_helm_installs_all_three_upgrades_without_a_lost_answer_goes_back_and_leaves_nothing(
    bed: Bed, images: None, namespace: str, load: PodsLoad
) -> None:
    """100 requests/s at a target of 60 are 2 pods: 1.67. The upgrade brings a rules file, and by it one more API."""
    bed.apply(CRDS)
    bed.apply(ROOT / "manifests" / "crds" / "rolloutpolicy.yaml")
    path, external = f"{CUSTOM}/namespaces/{namespace}/pods/*/{METRIC}", "v1beta1.external.metrics.k8s.io"
    with installed_by_helm(bed, "--set", "recommender.enabled=true,rollout.enabled=true") as notes:
        assert "kubectl -n streamgate rollout status deployment streamgate-adapter" in notes
        assert "definition" not in notes  # both are there
        assert wait_until(lambda: isinstance(try_raw(bed, path), dict), 60, every=0.5), try_raw(bed, path)
        bed.apply(hpa("web", namespace, pods_metric(METRIC, "60")))
        wait_for_replicas(bed, "web", namespace, 2, 90)
        with Bystander(bed, path) as bystander:
            more = ["--set-json", f"rules.external={json.dumps(EXTERNAL)}"]
            helm(bed, "upgrade", "streamgate", str(CHART), "--reset-then-reuse-values", *more)
            bed.wait(f"apiservice/{external}", "condition=Available", 30)
            helm(bed, "rollback", "streamgate", "1")
        assert bystander.answers > 20
        assert bystander.failures == []
        assert external not in bed.kubectl("get", "apiservices", "-o", "name")
        assert bed.get("deployment", "web", "-n", namespace)["spec"]["replicas"] == 2
    assert ours(bed) == []
