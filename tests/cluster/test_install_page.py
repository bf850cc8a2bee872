"""docs/install.md, command by command: what it has a user type installs, answers at 3 a.m., and goes again."""

from collections.abc import Iterator

import pytest

from tests.cluster import image
from tests.cluster.bed import Bed
from tests.cluster.installed import ours, remove_leftovers
from tests.cluster.page import INSTALL, run_script, shell_of, under
from tests.cluster.processes import wait_until

ABSENT = "(NotFound)"
SAMPLES = "kubectl delete --ignore-not-found -f manifests/samples/app.yaml -f manifests/samples/hpa-pods.yaml"


@pytest.fixture(scope="module")
def images(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the page has `docker build`: the same Dockerfile, by buildah."""
    image.install(bed, tmp_path_factory.mktemp("image"), targets=("adapter",))  # holds all programs
    remove_leftovers(bed)


@pytest.fixture
def shell(bed: Bed, images: None) -> Iterator[dict[str, str]]:
    """Of someone on call. Nothing of us is there afterwards."""
    environment = shell_of(bed)
    yield environment
    run_script(SAMPLES, environment)
    assert ours(bed) == []


def send_requests(lines: str, shell: dict[str, str]) -> dict[str, str]:
    """Each of the HPA's requests with its answer; "404" where the API is none of the overlay's."""
    told = {}
    for line in lines.splitlines():
        text = run_script(f"{line} 2>&1 || true", shell)
        told[line.split(" ")[3].split("?")[0]] = "404" if ABSENT in text else text
    return told


def test_the_adapter_as_the_page_installs_looks_into_and_removes_it(bed: Bed, shell: dict[str, str]) -> None:
    _, install = under(INSTALL, "Installing the adapter")
    (who_serves,) = under(INSTALL, "Beside metrics-server, KEDA and others")
    reachable, ready, offered, explained = under(INSTALL, "At three in the morning")
    (remove,) = under(INSTALL, "Upgrading, removing")
    run_script(install, shell)
    try:
        assert "streamgate/streamgate-adapter" in run_script(who_serves, shell)
        bed.wait("deployment/sample", "condition=Available", 60, "default")
        assert '"reason":"Passed"' in run_script(reachable, shell)
        assert "readyz check passed" in run_script(ready, shell)
        names, value, *others = wait_for_a_value(offered, shell).values()
        assert "pods/http_requests_per_second" in names
        assert '"name":"sample-' in value
        assert others == ["404", "404"]  # the overlay serves custom metrics alone, and the page says so
        told = run_script(explained, shell)
        assert "http_requests_per_second" in told
        assert "streamgate_offers" in told
    finally:
        run_script("kubectl delete clusterrolebinding oncall --ignore-not-found", shell)
        run_script(remove, shell)


def wait_for_a_value(offered: str, shell: dict[str, str]) -> dict[str, str]:
    """A new pod has its first rate when it was scraped twice."""
    told: dict[str, str] = {}

    def has_a_value() -> bool:
        told.update(send_requests(offered, shell))
        return '"name":"sample-' in list(told.values())[1]

    assert wait_until(has_a_value, 60, every=2), told
    return told


def test_the_recommender_as_the_page_installs_it(shell: dict[str, str]) -> None:
    install, *_ = under(INSTALL, "The recommender")
    try:
        assert "successfully rolled out" in run_script(install, shell)
    finally:
        run_script("kubectl delete -k manifests/overlays/recommender", shell)


def test_the_rollout_controller_as_the_page_installs_it(shell: dict[str, str]) -> None:
    (install,) = under(INSTALL, "The rollout controller")
    wait = "kubectl -n streamgate-rollout rollout status deployment streamgate-rollout --timeout=90s"
    try:
        assert "successfully rolled out" in run_script(install + wait, shell)
    finally:
        run_script("kubectl delete -f manifests/samples/rollout-author.yaml", shell)
        run_script("kubectl delete -k manifests/overlays/rollout", shell)
