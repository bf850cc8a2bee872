"""Fixtures of the cluster tests: `bed`, up once per session, and `namespace`, fresh per test.

STREAMGATE_REUSE_BED=1 takes a bed that is up already and leaves it up. STREAMGATE_USE_KUBECONFIG=1 or --use-kubeconfig
takes the user's own cluster. STREAMGATE_CLUSTER_REQUIRED=1 makes a bed that cannot come up a failure instead of a loud
skip. STREAMGATE_KUBERNETES=1.30.14 has the bed run that version.
"""

import os
import re
import secrets
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NoReturn

import pytest

from tests.cluster import network
from tests.cluster.adapter import API_SERVICES, running_adapter
from tests.cluster.bed import Bed, BedError, BusyError, Options
from tests.cluster.binaries import MissingError
from tests.cluster.foreign import REQUIRED, ForeignBed, is_requested
from tests.cluster.kubectl import Kubectl
from tests.cluster.network import NetworkError
from tests.cluster.recommender import CRDS, Program, Web, recommender_program
from tests.cluster.state import find_programs

TEST_SECONDS = 300
_failed = pytest.StashKey[bool]()
_absent = pytest.StashKey[str]()


class Beds:
    """The session's bed, started when the first test asks for it."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.foreign = is_requested([bool(config.getoption("--use-kubeconfig"))])
        self.reused = False
        self.current: Kubectl | None = None

    def get(self) -> Kubectl:
        if self.current is None:
            self.current = self._take()
        return self.current

    def _take(self) -> Kubectl:
        if self.foreign:
            return ForeignBed()
        if os.environ.get("STREAMGATE_REUSE_BED") == "1":
            try:
                bed = Bed.attach()
            except BedError:
                pass  # none is up: ours, then
            else:
                self.reused = True
                return bed
        return self._up()

    def _up(self) -> Bed:
        """Waits for its turn where others use the machine too, when STREAMGATE_BED_WAIT says how many seconds."""
        deadline = time.monotonic() + float(os.environ.get("STREAMGATE_BED_WAIT") or 0)
        while True:
            try:
                bed = Bed.up(Options(kubernetes=os.environ.get("STREAMGATE_KUBERNETES", "")), say=self.say)
                bed.claim("a test session")
                return bed
            except BusyError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def down(self) -> None:
        """Only what we started ourselves; the logs stay when a test failed."""
        if isinstance(self.current, Bed) and not self.reused:
            owner = self.current.owner()
            if owner is not None and owner.pid == os.getpid():  # else somebody forced it down meanwhile
                self.current.down(self.config.stash.get(_failed, False), self.say)
            self.current = None

    def say(self, text: str) -> None:
        """Past pytest's capture: a build of twenty minutes should not look like a hang."""
        capture = self.config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            print(f"\n[bed] {text}", flush=True)  # noqa: T201

    @contextmanager
    def possible(self) -> Iterator[None]:
        """Turns a bed that cannot be into a skip, told at the end; or into a failure, where one is required."""
        try:
            yield
        except (BedError, MissingError, NetworkError) as error:
            self._unavailable(error)

    def _unavailable(self, error: Exception) -> NoReturn:
        self.config.stash[_absent] = str(error)
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"the test bed is required and cannot come up: {error}", pytrace=False)
        pytest.skip("no test bed; the end of this run's output says why")


@pytest.fixture(scope="session")
def beds(pytestconfig: pytest.Config) -> Iterator[Beds]:
    beds = Beds(pytestconfig)
    yield beds
    beds.down()


@pytest.fixture(scope="session")
def bed(beds: Beds) -> Kubectl:
    """The cluster: a Bed, or with --use-kubeconfig a ForeignBed that skips what it cannot do."""
    with beds.possible():
        return beds.get()


@pytest.fixture
def own_folder(beds: Beds, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For tests of the bed's own life, which come last: no bed is up, and one may be in this folder."""
    if beds.foreign or os.environ.get("STREAMGATE_REUSE_BED") == "1":
        pytest.skip("this test needs to start and end the bed itself")
    beds.down()
    with beds.possible():
        find_programs(Options(), beds.say)
        if network.present():
            raise BusyError("another bed is up, which is not this session's to take down")
    return tmp_path_factory.mktemp("own") / "bed"


@pytest.fixture
def new_namespace(bed: Kubectl) -> Iterator[Callable[[], str]]:
    """Makes namespaces that nobody used before; they go after the test."""
    made: list[str] = []

    def make(stem: str = "test") -> str:
        name = f"{stem}-{secrets.token_hex(4)}"
        bed.create_namespace(name)
        made.append(name)
        return name

    yield make
    for name in made:
        bed.delete_namespace(name)


@pytest.fixture
def namespace(request: pytest.FixtureRequest, new_namespace: Callable[[str], str]) -> str:
    """A namespace of the test's own, named after it."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())
    return new_namespace(words[:40].strip("-"))


@pytest.fixture(scope="module")
def resource_metrics(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """metrics.k8s.io, from our adapter, and VPA's two definitions: what the recommender needs."""
    bed.apply(CRDS)
    for plural in ("verticalpodautoscalers", "verticalpodautoscalercheckpoints"):
        bed.wait(f"crd/{plural}.autoscaling.k8s.io", "condition=Established", 30)
    served = [name for name in API_SERVICES if name == "v1beta1.metrics.k8s.io"]
    with running_adapter(bed, tmp_path_factory.mktemp("adapter"), apis=served):
        yield


@pytest.fixture
def recommender(bed: Bed, resource_metrics: None, tmp_path: Path) -> Iterator[Program]:
    """Not started yet."""
    with recommender_program(bed, tmp_path / "recommender.log") as program:
        yield program


@pytest.fixture
def web(bed: Kubectl, resource_metrics: None, namespace: str) -> Web:
    """A Deployment of the test's own, without a VPA yet."""
    return Web(bed, namespace)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--use-kubeconfig", action="store_true", help="use the cluster of KUBECONFIG instead of the test bed"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.cluster)
        # The first test waits for the bed, which is no fault of its own.
        item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True), append=True)
    items.sort(key=lambda item: "own_folder" in getattr(item, "fixturenames", ()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.config.stash[_failed] = True
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    absent = terminalreporter.config.stash.get(_absent, None)
    if absent:
        terminalreporter.section("THE CLUSTER TESTS DID NOT RUN", red=True, bold=True)
        terminalreporter.write_line(absent)
