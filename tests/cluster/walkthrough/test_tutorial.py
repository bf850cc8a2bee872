"""docs/tutorial.md, command by command, on the bed that it starts: whoever types what stands there gets there."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster.adapter import ROOT
from tests.cluster.bed import Bed, BedError
from tests.cluster.page import TUTORIAL, fenced_scripts, run_script

EXPORT = re.compile(r"^export KUBECONFIG=(?P<path>\S+)$", re.MULTILINE)


@pytest.fixture
def shell(own_folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a shell that has our programs; no bed is up. One that is up afterwards goes."""
    yield {**os.environ, "PATH": os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]])}
    with suppress(BedError):  # it did not come up
        Bed.attach().down()


@pytest.mark.timeout(1200, func_only=True)
def test_every_command_of_the_tutorial_does_what_the_page_says(shell: dict[str, str]) -> None:
    start, *others = fenced_scripts(TUTORIAL)
    assert len(others) >= 8
    told = EXPORT.search(run_script(start, shell))
    assert told
    bed = Bed.attach()
    shell |= {"KUBECONFIG": told["path"], "PATH": os.pathsep.join([str(bed.program.parent), shell["PATH"]])}
    before = bed.kubectl("get", "namespaces,crds,apiservices", "-o", "name")
    for script in others:
        run_script(script, shell)
    assert bed.kubectl("get", "namespaces,crds,apiservices", "-o", "name") == before
    assert "sample" not in bed.kubectl("get", "deployments,hpa,services,pods", "-n", "default", "-o", "name")
