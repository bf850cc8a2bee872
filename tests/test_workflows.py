"""The pipelines: actionlint finds nothing, actions are pinned, and no job may do more than it says."""

import ast
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.binaries import find
from tests.manifests.charts import FIRST_BUILD_S

ROOT = Path(__file__).resolve().parent.parent
OURS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.yml"))
EXAMPLE = ROOT / "docs" / "examples" / "deploy.yml"
STRATEGIES = ROOT / "docs" / "DEPLOYMENT_STRATEGIES.md"
PINNED = re.compile(r"[\w.-]+/[\w./-]+@(v\d+(\.\d+){0,2}|[0-9a-f]{40})\Z")
BY_PERMISSION = {"packages": {"images", "chart", "sign", "image"}, "id-token": {"sign"}, "contents": {"notes"}}
"""What may be written, and by which jobs."""
TRUSTED = ("actions/", "docker/", "sigstore/")
"""Whose actions run in jobs that may write."""


def read(path: Path) -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text())
    return workflow


def actions(path: Path) -> list[str]:
    jobs = read(path)["jobs"].values()
    return [step["uses"] for job in jobs for step in job.get("steps", ()) if "uses" in step]


def test_there_are_pipelines() -> None:
    assert {path.name for path in OURS} == {"checks.yml", "release.yml"}
    assert EXAMPLES


@pytest.mark.timeout(FIRST_BUILD_S)
def test_actionlint_finds_nothing() -> None:
    """Without shellcheck and pyflakes, which are not on every machine."""
    command: list[str | Path] = [
        find(["actionlint"])["actionlint"],
        "-no-color",
        "-shellcheck=",
        "-pyflakes=",
        *OURS,
        *EXAMPLES,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.timeout(FIRST_BUILD_S)
def test_actionlint_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("on: push\njobs: {a: {runs-on: ubuntu-24.04, steps: [{run: 'echo ${{ nobody.knows }}'}]}}\n")
    command: list[str | Path] = [find(["actionlint"])["actionlint"], "-no-color", "-shellcheck=", "-pyflakes=", wrong]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "undefined variable" in done.stdout


@pytest.mark.parametrize("path", [*OURS, *EXAMPLES], ids=lambda path: path.name)
def test_every_action_is_pinned_by_a_version_or_a_commit(path: Path) -> None:
    assert [action for action in actions(path) if not PINNED.match(action)] == []


@pytest.mark.parametrize("path", [*OURS, *EXAMPLES], ids=lambda path: path.name)
def test_a_job_writes_only_what_it_has_to(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        for what, access in job.get("permissions", {}).items():
            assert access == "read" or name in BY_PERMISSION[what], f"{name}: {what}"
        assert "uses" in job or job["runs-on"] != "ubuntu-latest"


@pytest.mark.parametrize("path", [*OURS, *EXAMPLES], ids=lambda path: path.name)
def test_in_a_job_that_may_write_runs_no_action_of_a_stranger(path: Path) -> None:
    for name, job in read(path)["jobs"].items():
        used = [step["uses"] for step in job.get("steps", ()) if "uses" in step]
        if "write" in job.get("permissions", {}).values():
            assert [action for action in used if not action.startswith(TRUSTED)] == [], name
        if "id-token" in job.get("permissions", {}):  # who signs builds nothing, and has no checkout to build
            assert {action.partition("@")[0] for action in used} == {
                "actions/download-artifact", "sigstore/cosign-installer"
            }  # fmt: skip


def step_of(job: str, start: str) -> str:
    """The script of a step of the release, by what its name begins with."""
    (release_step,) = [step for step in read(OURS[1])["jobs"][job]["steps"] if step.get("name", "").startswith(start)]
    return str(release_step["run"])


def bash(script: str, folder: Path, **env: str) -> int:
    """The exit code of a step's script, run as the runner does."""
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", **env}
    return subprocess.run(["bash", "-e", "-c", script], env=environment, cwd=folder, check=False, timeout=30).returncode


CHANGES = "# Changelog\n\n## 1.2.10\n\n- ten\n\n## 1.2.1 (2026-11-27)\n\n- one\n\n## 1.2\n\n- old\n"


@pytest.mark.parametrize(
    ("version", "words"), [("1.2.10", "\n- ten\n\n"), ("1.2.1", "\n- one\n\n"), ("1.2", "\n- old\n"), ("1.2.100", None)]
)
def test_the_notes_are_the_changelogs_words_for_this_version_alone(
    version: str, words: str | None, tmp_path: Path
) -> None:
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    gh = tmp_path / "gh"
    gh.write_text("#!/bin/sh\n")
    gh.chmod(0o755)
    code = bash(step_of("notes", "A release"), tmp_path, VERSION=version, GITHUB_REF_NAME=f"v{version}")
    assert code == (1 if words is None else 0)
    assert (tmp_path / "notes.md").read_text() == (words or "")


@pytest.mark.parametrize(
    ("tag", "code"), [("v1.2.1", 0), ("v1.2.10", 1), ("v1.2", 1), ("v1x2x1", 1)]
)  # a dot is a dot, and the whole of a version is one
def test_a_tag_of_another_version_ends_the_release(tag: str, code: int, tmp_path: Path) -> None:
    for name, text in {
        "adapter/__init__.py": '__version__ = "1.2.1"\n',
        "manifests/chart/Chart.yaml": "version: 1.2.1\nappVersion: 1.2.1\n",
        "CHANGELOG.md": CHANGES,
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    env = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_REPOSITORY": "Owner/Streamgate", "GITHUB_REF_NAME": tag}
    assert bash(step_of("version", "The tag is"), tmp_path, **env) == code
    if code == 0:
        assert (tmp_path / "output").read_text() == "version=1.2.1\nrepository=owner/streamgate\n"


def anywhere() -> dict[str, dict[str, str]]:
    """The cluster tests that any cluster can run: their arguments and types."""
    tests = {}
    for path in sorted((ROOT / "tests" / "cluster").glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and "pytest.mark.anywhere" in map(ast.unparse, node.decorator_list):
                tests[node.name] = {each.arg: ast.unparse(each.annotation or each) for each in node.args.args}
    return tests


def test_the_job_on_kind_runs_what_any_cluster_can_and_skips_nothing_of_it() -> None:
    """A test that needs more than kubectl would not pass the type checker, as its bed is no Bed."""
    (step,) = [step for step in read(OURS[0])["jobs"]["kind"]["steps"] if "cluster-test" in step.get("run", "")]
    assert step["run"] == 'make cluster-test ONLY="-m anywhere tests/cluster"'
    assert step["env"] == {"STREAMGATE_USE_KUBECONFIG": "1", "STREAMGATE_CLUSTER_REQUIRED": "1"}
    tests = anywhere()
    assert len(tests) >= 3
    for name, arguments in tests.items():
        assert arguments.pop("bed") == "Kubectl", name
        assert arguments.keys() <= {"namespace", "sample", "tmp_path"}, name


def script_of_the_docs() -> str:
    (script,) = re.findall(
        r"^```bash\n(#!/usr/bin/env bash\n# release\.sh.*?)^```", STRATEGIES.read_text(), re.MULTILINE | re.DOTALL
    )
    return str(script)


def steps_of_the_example() -> dict[str, dict[str, Any]]:
    """Those of the release, from the verdict on."""
    steps = read(EXAMPLE)["jobs"]["release"]["steps"]
    at = next(index for index, step in enumerate(steps) if step.get("id") == "verdict")
    return dict(zip(("verdict", "told", "abort"), steps[at:], strict=True))


@pytest.fixture
def stubs(tmp_path: Path) -> Callable[[int, str], tuple[int, list[str], str]]:
    """Runs a script whose `streamgate-rollout wait` ends with a code: its own code, the verbs asked, its outputs."""

    def run(code: int, script: str) -> tuple[int, list[str], str]:
        log, output = tmp_path / "log", tmp_path / "output"
        for file in (log, output):
            file.write_text("")
        said = f'echo "$1" >>{log}; [ "$1" != wait ] || exit {code}'
        for name, body in (("streamgate-rollout", said), ("kubectl", "true")):
            stub = tmp_path / name
            stub.write_text(f"#!/bin/sh\n{body}\n")
            stub.chmod(0o755)
        env = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "GITHUB_OUTPUT": str(output),
            "POLICY": "web",
            "NAMESPACE": "shop",
        }
        command = ["bash", "-e", "-c", script, "release.sh", "web:2"]
        done = subprocess.run(command, env=env, check=False, capture_output=True, timeout=30, cwd=tmp_path)
        return done.returncode, log.read_text().split(), output.read_text().strip()

    return run


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_a_release_without_a_verdict_in_time_is_aborted_by_the_script_and_by_the_workflow(
    code: int, stubs: Callable[[int, str], tuple[int, list[str], str]]
) -> None:
    ended, asked, _ = stubs(code, script_of_the_docs())
    assert (ended, asked) == (code, ["lint", "wait", "status", *["abort"] * (code == 2)])
    steps = steps_of_the_example()
    ended, asked, output = stubs(code, steps["verdict"]["run"])
    assert (ended, asked, output) == (code, ["wait"], f"code={code}")
    assert steps["abort"]["if"] == "cancelled() || (failure() && steps.verdict.outputs.code == '2')"
    assert "abort" in steps["abort"]["run"]


def test_the_checks_are_those_of_the_one_script() -> None:
    """`.ci/run` and the pipeline call the same targets of make, but for what only one machine alone can measure."""
    script = set(re.findall(r"^\s*make ([a-z-]+)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE))
    pipeline = set(re.findall(r"make ([a-z -]+?)(?: [A-Z]+=|$)", (OURS[0]).read_text(), re.MULTILINE))
    called = {word for words in pipeline for word in words.split()}
    assert script - called == {"steady-short", "attack"}


def test_the_tests_run_on_every_python_from_the_oldest_that_is_promised_on() -> None:
    tested = read(OURS[0])["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert tested == ["3.11", "3.12", "3.13", "3.14"]
    assert f'requires-python = ">={tested[0]}"' in (ROOT / "pyproject.toml").read_text()
