"""The chart installs what the overlays do, and every value of it is written down, checked and has an effect."""

import copy
import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter import __version__
from adapter.rules import builtin
from tests.cluster.chart import CHART, package, run_helm
from tests.manifests.charts import (
    FIRST_BUILD_S,
    at,
    comparable,
    paths,
    refusal,
    render,
    rules_of,
    template,
    together,
)
from tests.manifests.conftest import MANIFESTS, accumulate, by_hand
from tests.manifests.effects import EFFECTS, WITHOUT

pytestmark = pytest.mark.timeout(FIRST_BUILD_S)
TOP = MANIFESTS.parent
PAGE = (TOP / "docs/chart.md").read_text()
COMPLETE, PROMETHEUS = rules_of("complete"), rules_of("prometheus")
# The values that no flag can give: the page names them, here they are.
RULES: dict[str, dict[str, Any]] = {
    "prometheus": {"rules": {"custom": PROMETHEUS["rules"]}},
    "complete": {"rules": {"external": COMPLETE["externalRules"], "resource": COMPLETE["resourceRules"]}},
    "external-metrics": {"rules": {"external": COMPLETE["externalRules"]}},
}
# Components that only mean something beside others stand over the overlay that they are made for.
BESIDE = {"recommender": "recommender", "rollout": "rollout"}
APART = "not in the chart"
ALONE = {"console"}
"""Components that mean something without an overlay."""
ROWS = dict(re.findall(r"^\| `([\w-]+)` \| (.+) \|$", PAGE, re.MULTILINE))


def flags_of(row: str) -> list[str]:
    """['--set', 'a=b,c=d'] of a row of the page's table."""
    return row.split("`")[1].split() if row.startswith("`--set") else []


def objects_of(name: str) -> list[Any]:
    """What kustomize makes of an overlay, or of a component over the overlay that it is made for."""
    if (MANIFESTS / "overlays" / name).is_dir():
        return by_hand(MANIFESTS / "overlays" / name)
    if name in ALONE:
        alone: list[Any] = []
        accumulate(MANIFESTS / "components" / name, alone)
        return alone
    overlay = next((word for word in BESIDE if name.startswith(word)), "embedded")
    folder = MANIFESTS / "overlays" / overlay
    objects = copy.deepcopy(by_hand(folder))
    accumulate(MANIFESTS / "components" / name, objects)
    return objects


def test_the_page_has_values_for_every_overlay_and_component() -> None:
    folders = {path.name for kind in ("overlays", "components") for path in (MANIFESTS / kind).iterdir()}
    assert {name for name in ROWS if name in folders} == folders


@pytest.mark.parametrize("name", [name for name in ROWS if (MANIFESTS / "overlays" / name).is_dir()])
def test_it_installs_what_the_overlay_installs(name: str) -> None:
    same(name)


@pytest.mark.parametrize(
    "name", [name for name in ROWS if (MANIFESTS / "components" / name).is_dir() and ROWS[name] != APART]
)
def test_it_adds_what_the_component_adds(name: str) -> None:
    same(name)


def same(name: str) -> None:
    wanted = comparable(objects_of(name))
    (namespace, *_) = {where for _, where, _ in wanted if where.startswith("streamgate")} or {"streamgate"}
    from_chart = comparable(render(RULES.get(name, {}), flags=flags_of(ROWS[name]), namespace=namespace))
    if name == "external-metrics":  # by itself it wants a rules file, which the component leaves to its user
        assert from_chart.keys() - wanted.keys() == {("ConfigMap", "streamgate", "streamgate-adapter-rules")}
        from_chart = {key: item for key, item in from_chart.items() if key in wanted and key[0] != "Deployment"}
        wanted = {key: item for key, item in wanted.items() if key[0] != "Deployment"}
    assert from_chart.keys() == wanted.keys()
    for key, item in wanted.items():
        assert from_chart[key] == item, key


# ---- values


SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())


def value_at(values: Any, path: str) -> Any:
    for part in path.split("."):
        values = values[part]
    return values


def test_every_value_has_its_default_and_a_test_of_its_effect() -> None:
    known = set(paths(SCHEMA))
    assert known == EFFECTS.keys() | WITHOUT
    for path in known - {"global"}:
        value_at(DEFAULTS, path)  # raises KeyError for what values.yaml does not name
    for path, (under, value) in EFFECTS.items():
        assert value != value_at(together(DEFAULTS, under), path), path


@pytest.mark.parametrize("path", EFFECTS)
def test_every_value_has_an_effect(path: str) -> None:
    under, value = EFFECTS[path]
    assert template(together(under, at(path, value))) != under_alone(json.dumps(under))


@cache
def under_alone(values: str) -> str:
    return template(json.loads(values))


def test_a_value_of_another_kind_is_refused_by_its_name() -> None:
    """Text where a list, a mapping, a number or a choice is wanted, and the other way round: all of them are named."""
    wrong = {path: {"no": "such"} if isinstance(value, str) else "?" for path, (_, value) in EFFECTS.items()}
    said = refusal(together(*(at(path, value) for path, value in wrong.items())))
    assert {path for path in wrong if f"- at '/{path.replace('.', '/')}': " in said} == wrong.keys()


@pytest.mark.parametrize("path", ["replica", "prometheus.host", "recommender.image", "rules.customs", "tls.enabled"])
def test_a_value_that_is_not_known_is_refused_by_its_name(path: str) -> None:
    first = path.split(".")[1] if "." in path else path
    assert f"additional properties '{first}' not allowed" in refusal(at(path, "x"))


# ---- the chart itself


def test_its_default_rules_are_the_built_in_ones() -> None:
    own = yaml.safe_load((CHART / "files/default-rules.yaml").read_text())
    assert own == yaml.safe_load(builtin.text())


def test_it_is_of_the_projects_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


@pytest.mark.parametrize("version", ["1.30.0", "1.37.0", "1.37.2-gke.100"])
def test_it_renders_for_every_kubernetes_that_we_support(version: str) -> None:
    assert template({}, flags=["--kube-version", version])


def test_it_refuses_an_older_kubernetes() -> None:
    done = run_helm("template", "streamgate", str(CHART), "--kube-version", "1.29.9")
    assert "chart requires kubeVersion: >=1.30.0-0 which is incompatible with Kubernetes v1.29.9" in done.stderr


def test_a_version_with_build_metadata_is_a_label_and_a_tag(tmp_path: Path) -> None:
    """Of a chart that is packaged so; labels and tags of images know no "+"."""
    version = "0.1.0+git1"
    made = run_helm(
        "package", str(CHART), "--version", version, "--app-version", version, "--destination", str(tmp_path)
    )
    assert made.returncode == 0, made.stderr
    text = run_helm("template", "streamgate", str(tmp_path / f"streamgate-{version}.tgz")).stdout
    (deployment,) = (item for item in yaml.safe_load_all(text) if item and item["kind"] == "Deployment")
    labels = deployment["metadata"]["labels"]
    assert labels["helm.sh/chart"] == "streamgate-0.1.0_git1"
    assert labels["app.kubernetes.io/version"] == "0.1.0_git1"
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "streamgate/adapter:0.1.0_git1"


def notes(folder: Path, *settings: str) -> str:
    """helm prints them only to who installs into a cluster: a copy of the chart has them in a template."""
    shutil.copytree(CHART, folder / "chart")
    (folder / "chart/NOTES.txt").write_text((CHART / "templates/NOTES.txt").read_text())
    (folder / "chart/templates/told.yaml").write_text('told: {{ tpl (.Files.Get "NOTES.txt") . | toJson }}')
    flags = ["--show-only", "templates/told.yaml", "--set", ",".join(settings)]
    done = run_helm("template", "gate", str(folder / "chart"), "-n", "metrics", *flags)
    return str(yaml.safe_load(done.stdout)["told"])


def test_the_notes_say_what_to_type_next(tmp_path: Path) -> None:
    enabled = ("recommender", "rollout", "console", "dropIn")
    said = notes(tmp_path, *(f"{name}.enabled=true" for name in enabled), "apis.resource=true")
    assert "The adapter serves custom.metrics.k8s.io, metrics.k8s.io, from annotated pods" in said
    for line in (
        "kubectl -n metrics rollout status deployment gate-streamgate-adapter",
        "kubectl -n metrics rollout status deployment gate-streamgate-recommender",
        "kubectl -n metrics rollout status deployment gate-streamgate-rollout",
        "kubectl -n metrics create secret generic gate-streamgate-console --from-literal=token=$(openssl rand -hex 32)",
        "kubectl -n metrics port-forward service/gate-streamgate-console 8950:80",
        "kubectl -n monitoring set image deployment prometheus-adapter prometheus-adapter=streamgate/adapter:0.1.0",
        "kubectl label namespace metrics pod-security.kubernetes.io/enforce=restricted",
    ):
        assert f"  {line}\n" in said


def test_the_notes_ask_no_restricted_namespace_for_pods_in_the_nodes_network(tmp_path: Path) -> None:
    said = notes(tmp_path, "hostNetwork.enabled=true")
    assert "enforce=restricted" not in said
    assert "  kubectl label namespace metrics pod-security.kubernetes.io/enforce=privileged --overwrite\n" in said


def test_the_notes_of_another_program_know_no_network_of_the_adapters(tmp_path: Path) -> None:
    said = notes(tmp_path, "hostNetwork.enabled=true", "adapter.enabled=false", "rollout.enabled=true")
    assert "pod-security.kubernetes.io/enforce=restricted\n" in said
    assert "privileged" not in said


def test_make_chart_packages_it(tmp_path: Path) -> None:
    assert package(tmp_path) == 0
    (made,) = tmp_path.iterdir()
    assert made.name == f"streamgate-{__version__}.tgz"
    assert run_helm("template", "streamgate", str(made)).stdout == run_helm("template", "streamgate", str(CHART)).stdout


# ---- the page


@pytest.mark.parametrize("command", re.findall(r"^    (helm (?:install|upgrade) .*)$", PAGE, re.MULTILINE))
def test_every_command_of_the_page_renders(command: str) -> None:
    _, _, release, _, *flags = command.split()
    made = [flag for flag in flags if flag not in {"--create-namespace", "--reset-then-reuse-values"}]
    assert run_helm("template", release, str(CHART), *made).returncode == 0
