"""The user's own cluster in the bed's place: whatever KUBECONFIG leads to (kind, minikube, …), used as it is.

Tests get namespaces of their own there. What would change the cluster itself (restarts, certificates) is skipped, or
fails with STREAMGATE_CLUSTER_REQUIRED=1: whoever requires the cluster chose tests that any can run (marker `anywhere`).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.cluster import packages
from tests.cluster.bed import BedError
from tests.cluster.kubectl import Kubectl
from tests.cluster.processes import run

ASKED = "STREAMGATE_USE_KUBECONFIG"
REQUIRED = "STREAMGATE_CLUSTER_REQUIRED"


class ForeignBed(Kubectl):
    """The part of Bed that a cluster which is not ours can offer; the rest skips the test that asks for it."""

    def __init__(self) -> None:
        kubectl = packages.locate("kubectl")
        if kubectl is None:
            raise BedError("kubectl is not on PATH; it is needed with --use-kubeconfig")
        path = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        if not Path(path).is_file():
            raise BedError(f"KUBECONFIG {path} is no file; with --use-kubeconfig it leads to the cluster to use")
        super().__init__(kubectl, Path(path))

    def import_image(self, tar: Path) -> None:
        """By the cluster's own tool, which the context's name tells."""
        context = self.kubectl("config", "current-context").strip()
        if context.startswith("kind-"):
            run(["kind", "load", "image-archive", tar, "--name", context.removeprefix("kind-")], seconds=300)
        elif context == "minikube":
            run(["minikube", "image", "load", tar], seconds=300)
        else:
            _skip(f"there is no known way to give an image to the cluster of context {context}")

    def __getattr__(self, name: str) -> Any:
        """Everything else that Bed has."""
        if name.startswith("_"):
            raise AttributeError(name)
        return _skip(f"Bed.{name} needs the test bed; this is a cluster of the user's own")


def _skip(why: str) -> NoReturn:
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


def is_requested(flags: Sequence[bool]) -> bool:
    return any(flags) or os.environ.get(ASKED) == "1"
