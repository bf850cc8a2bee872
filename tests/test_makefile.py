"""The Makefile's recipes for a cluster of one's own, before a kubectl that writes down what it is asked."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DEFINITIONS = "manifests/crds/vpa.yaml"
GET = f"get -f {DEFINITIONS}"
CREATE = f"create -f {DEFINITIONS}"
WAIT = f"wait --for=condition=Established --timeout=60s -f {DEFINITIONS}"


def run_make(target: str, folder: Path, *failing: str) -> tuple[list[str], int]:
    """What `make target` asks of a kubectl whose verbs `failing` fail, and how make ends."""
    kubectl, told = folder / "kubectl", folder / "told"
    verbs = "|".join(failing) or "none"
    kubectl.write_text(f'#!/bin/sh\necho "$*" >> {told}\ncase "$1" in {verbs}) exit 1;; esac\n')
    kubectl.chmod(0o755)
    # Flags of the make that may run these tests, such as -n or -j, are not this one's.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    path = f"{folder}:{os.environ['PATH']}"
    done = subprocess.run(
        ["make", "--silent", target], cwd=ROOT, env={**own, "PATH": path}, capture_output=True, check=False, timeout=30
    )
    return told.read_text().splitlines(), done.returncode


def test_setup_hpa_applies_the_sample_and_its_hpa(tmp_path: Path) -> None:
    applied = "apply -f manifests/samples/app.yaml -f manifests/samples/hpa-config.yaml"
    assert run_make("setup-hpa", tmp_path) == ([applied], 0)


def test_setup_vpa_creates_the_definitions_and_waits_for_them_before_a_vpa(tmp_path: Path) -> None:
    """An API server knows the kind only once its definition is established."""
    commands, code = run_make("setup-vpa", tmp_path, "get")
    assert (commands, code) == ([GET, CREATE, WAIT, "apply -f manifests/samples/vpa-config.yaml"], 0)


def test_setup_vpa_leaves_the_definitions_of_an_installed_vpa_as_they_are(tmp_path: Path) -> None:
    commands, code = run_make("setup-vpa", tmp_path)
    assert (commands, code) == ([GET, WAIT, "apply -f manifests/samples/vpa-config.yaml"], 0)


@pytest.mark.parametrize(
    ("failing", "last"), [(("get", "create"), CREATE), (("wait",), WAIT)], ids=["not created", "not established"]
)
def test_setup_vpa_applies_no_vpa_without_the_definitions(failing: tuple[str, ...], last: str, tmp_path: Path) -> None:
    commands, code = run_make("setup-vpa", tmp_path, *failing)
    assert commands[-1] == last
    assert code != 0
