"""`python -m tests.cluster.chart`: the Helm chart, checked and packaged into build/, by the helm of the test bed."""

# ruff: noqa: T201 - this is a command-line program

import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.cluster.binaries import MissingError, find
from tests.cluster.images import CHECKOUT

CHART = CHECKOUT / "manifests" / "chart"


@cache
def helm() -> str:
    """The path of helm, which may be built first. Raises MissingError."""
    return str(find(["helm"])["helm"])


def run_helm(*arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm(), *arguments], capture_output=True, text=True, check=False, timeout=seconds)


def package(target: Path) -> int:
    """Lints the chart strictly, then writes streamgate-VERSION.tgz; helm's exit code."""
    target.mkdir(parents=True, exist_ok=True)
    for command in (("lint", "--strict", str(CHART)), ("package", str(CHART), "--destination", str(target))):
        done = run_helm(*command)
        print(done.stdout, end="")
        print(done.stderr, end="", file=sys.stderr)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    try:
        sys.exit(package(CHECKOUT / "build"))
    except MissingError as error:
        sys.exit(str(error))
