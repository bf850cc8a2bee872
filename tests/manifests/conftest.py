"""Builds of the manifests: by the few features of kustomize that they use, and by kubectl itself where there is one.

Tests run on each builder that the machine has, so that they say the same with and without kubectl.
"""

import copy
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

Object = dict[str, Any]
Builder = Callable[[Path], list[Object]]

TOP = Path(__file__).resolve().parents[2]
MANIFESTS = TOP / "manifests"
OVERLAYS = sorted(path.name for path in (MANIFESTS / "overlays").iterdir())
WITHOUT_ADAPTER = {"drop-in", "recommender", "beside-vpa", "recommender-drop-in", "rollout"}
KNOWN = {"apiVersion", "kind", "resources", "components", "patches", "configMapGenerator"}


def files() -> list[Path]:
    """Every file that is YAML by itself: of the chart not the templates."""
    return [path for path in MANIFESTS.rglob("*.yaml") if "templates" not in path.parts]


def documents(path: Path) -> list[Object]:
    return [document for document in yaml.load_all(path.read_text(), yaml.CSafeLoader) if document]


@cache
def by_hand(folder: Path) -> list[Object]:
    """What `kubectl kustomize folder` prints, but for the order of objects and the suffixes of generated names."""
    objects: list[Object] = []
    accumulate(folder, objects)
    return objects


def accumulate(folder: Path, objects: list[Object]) -> None:
    (plan,) = documents(folder / "kustomization.yaml")
    assert plan.keys() <= KNOWN, f"{folder}: kustomization.yaml uses what is not followed here: {plan.keys() - KNOWN}"
    for name in plan.get("resources", ()):
        resource = folder / name
        objects += copy.deepcopy(by_hand(resource.resolve()) if resource.is_dir() else documents(resource))
    for name in plan.get("components", ()):
        accumulate((folder / name).resolve(), objects)
    for generator in plan.get("configMapGenerator", ()):
        pairs = (entry.partition("=") for entry in generator["files"])
        data = {key: (folder / file).read_text() for key, _, file in pairs}
        metadata = {"name": generator["name"], "namespace": generator["namespace"]}
        metadata |= {"labels": labels} if (labels := generator.get("options", {}).get("labels")) else {}
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    for patch in plan.get("patches", ()):
        targets = [item for item in objects if matches(item, patch["target"])]
        assert targets, f"{folder}: nothing matches the patch's target {patch['target']}"
        for item in targets:
            for operation in yaml.safe_load(patch["patch"]):
                apply(item, operation)


def matches(item: Object, target: Object) -> bool:
    return item["kind"] == target["kind"] and target.get("name", item["metadata"]["name"]) == item["metadata"]["name"]


def apply(item: Any, operation: Object) -> None:
    """One operation of RFC 6902."""
    *way, last = (part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:])
    for part in way:
        item = item[int(part) if isinstance(item, list) else part]
    match operation["op"], item, last:
        case "add", list(), "-":
            item.append(operation["value"])
        case "add", dict(), _:
            item[last] = operation["value"]
        case "replace", dict(), _ if last in item:
            item[last] = operation["value"]
        case "remove", dict(), _:
            del item[last]
        case _:
            raise AssertionError(f"this operation is not followed here: {operation}")


def kubectl() -> str | None:
    """The test bed's, else the one on PATH."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamgate"
    cached = sorted(Path(os.environ.get("STREAMGATE_CACHE") or base).glob("kubernetes-*/kubectl"))
    return str(cached[-1]) if cached else shutil.which("kubectl")


@cache
def by_kubectl(folder: Path) -> list[Object]:
    program = kubectl()
    assert program
    done = subprocess.run([program, "kustomize", str(folder)], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    return list(yaml.load_all(without_hashes(done.stdout), yaml.CSafeLoader))


def without_hashes(text: str) -> str:
    return re.sub(r"(name: streamgate-adapter-rules)-[a-z0-9]{10}$", r"\1", text, flags=re.MULTILINE)


BUILDERS: dict[str, Builder] = {"by hand": by_hand, **({"by kubectl": by_kubectl} if kubectl() else {})}


class Build:
    """The objects of one build, by kind and name."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self.objects = copy.deepcopy(list(objects))

    def of(self, *kinds: str) -> list[Object]:
        return [item for item in self.objects if item["kind"] in kinds]

    def one(self, kind: str, name: str) -> Object:
        (match,) = (item for item in self.of(kind) if item["metadata"]["name"] == name)
        return match

    @property
    def deployment(self) -> Object:
        return self.one("Deployment", "streamgate-adapter")

    @property
    def pod(self) -> Object:
        return self.deployment["spec"]["template"]["spec"]

    @property
    def container(self) -> Object:
        (container,) = self.pod["containers"]
        return container

    @property
    def apis(self) -> set[str]:
        return {item["metadata"]["name"] for item in self.of("APIService")}


@pytest.fixture(params=BUILDERS)
def builder(request: pytest.FixtureRequest) -> Builder:
    return BUILDERS[request.param]


@pytest.fixture
def build(builder: Builder) -> Callable[[str], Build]:
    """`build('embedded')`: the objects of an overlay."""
    return lambda overlay: Build(builder(MANIFESTS / "overlays" / overlay))


@pytest.fixture
def composed(builder: Builder, tmp_path: Path) -> Callable[..., Build]:
    """`composed('otlp', 'network-policy')`: the embedded overlay, or another, with these components."""

    def compose(*components: str, overlay: str = "embedded") -> Build:
        relative = os.path.relpath(MANIFESTS, tmp_path.resolve())
        plan = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{relative}/overlays/{overlay}"],
            "components": [f"{relative}/components/{name}" for name in components],
        }
        (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(plan))
        return Build(builder(tmp_path.resolve()))

    return compose


@pytest.fixture
def builds() -> Callable[[str], Iterator[Build]]:
    """`builds('embedded')`: the same overlay by every builder."""
    return lambda overlay: (Build(builder(MANIFESTS / "overlays" / overlay)) for builder in BUILDERS.values())


@pytest.fixture
def manifests() -> Path:
    return MANIFESTS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `overlay` runs for each that installs the adapter, one for `any_overlay` for all."""
    if "overlay" in metafunc.fixturenames:
        metafunc.parametrize("overlay", [name for name in OVERLAYS if name not in WITHOUT_ADAPTER])
    if "any_overlay" in metafunc.fixturenames:
        metafunc.parametrize("any_overlay", OVERLAYS)
