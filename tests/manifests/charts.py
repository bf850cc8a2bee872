"""The chart as helm renders it, and both its objects and kustomize's in a form in which they can be compared.

helm comes as the test bed's programs do (tests/cluster/binaries.py): from PATH, from the cache outside the checkout, or
built once. Where none can be had these tests fail: nothing here is skipped.
"""

import copy
import json
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.chart import CHART, run_helm
from tests.manifests.conftest import MANIFESTS, Object

FIRST_BUILD_S = 1800
"""What a test of the chart may take: the first on a machine builds helm, in two to eight minutes."""
OF_HELM = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
    "checksum/config",
}
Values = Mapping[str, Any]


def template(values: Values, *, flags: Sequence[str] = (), namespace: str = "streamgate") -> str:
    """What `helm template` prints for these values and flags."""
    done = _template(values, flags, namespace)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(values: Values) -> str:
    """What helm says to values that are wrong."""
    done = _template(values, (), "streamgate")
    assert done.returncode != 0, done.stdout
    return done.stderr


def _template(values: Values, flags: Sequence[str], namespace: str) -> subprocess.CompletedProcess[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        return run_helm("template", "streamgate", str(CHART), "-n", namespace, "-f", file.name, *flags)


def render(values: Values, *, flags: Sequence[str] = (), namespace: str = "streamgate") -> list[Object]:
    text = template(values, flags=flags, namespace=namespace)
    return [item for item in yaml.load_all(text, yaml.CSafeLoader) if item]


def at(path: str, value: object) -> dict[str, Any]:
    """`at('tls.ca', 'x')` is {'tls': {'ca': 'x'}}."""
    for part in reversed(path.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def together(*values: Values) -> dict[str, Any]:
    """Values over values, as helm lays several files."""
    made: dict[str, Any] = {}
    for more in values:
        for key, value in more.items():
            both = isinstance(value, dict) and isinstance(made.get(key), dict)
            made[key] = together(made[key], value) if both else value
    return made


def paths(schema: Mapping[str, Any], node: Mapping[str, Any] | None = None, prefix: str = "") -> Iterable[str]:
    """Every value that the schema knows, such as `image.tag`."""
    for name, below in (schema if node is None else node)["properties"].items():
        if "properties" in below and below["type"] == "object":
            yield from paths(schema, below, f"{prefix}{name}.")
        else:
            yield prefix + name


def leaves(value: Any) -> Iterable[Any]:
    """What is neither a mapping nor a list in an object."""
    if isinstance(value, dict | list):
        for below in value.values() if isinstance(value, dict) else value:
            yield from leaves(below)
    else:
        yield value


def comparable(objects: Iterable[Object]) -> dict[tuple[str, str, str], Object]:
    """Objects by kind, namespace and name, without what only Helm needs and without what has no order.

    Namespaces are left out, as Helm makes them, and the labels of ConfigMaps, which kustomize generates without any.
    Of an argument that is given twice the last one holds.
    """
    by_key = {}
    for item in copy.deepcopy(list(objects)):
        if item["kind"] != "Namespace":
            key = (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"])
            assert key not in by_key, key
            by_key[key] = _plain(item)
            if item["kind"] == "ConfigMap":
                by_key[key]["metadata"].pop("labels", None)
    return by_key


def _plain(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        kept = {name: _plain(below, name) for name, below in value.items() if name not in OF_HELM}
        return {name: below for name, below in kept.items() if not (name == "annotations" and below == {})}
    if key == "args":
        return {re.sub("=.*", "", argument): argument for argument in value}
    if isinstance(value, list):
        plain = [_plain(item) for item in value]
        unordered = key in {"rules", "volumes", "volumeMounts", "ports"}
        return sorted(plain, key=json.dumps) if unordered else plain
    return yaml.safe_load(value) if key == "config.yaml" else value


def rules_of(overlay: str) -> dict[str, Any]:
    """The sections of an overlay's rules file."""
    loaded = yaml.safe_load((Path(MANIFESTS) / "overlays" / overlay / "rules.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded
