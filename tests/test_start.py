"""What a start does not load: each of it takes time and memory, and nothing in a pod wants it by default."""

import subprocess
import sys

import pytest

PROGRAMS = ("adapter.__main__", "recommender.__main__", "recommender.serve", "adapter.rollout.serve")


@pytest.mark.parametrize("wanted_elsewhere", [("kubernetes", "requests", "pydantic"), ("grpc", "google.protobuf")])
def test_a_start_loads_neither_the_client_library_nor_what_only_pushes_want(wanted_elsewhere: tuple[str, ...]) -> None:
    """The first is for kubeconfigs, the second for OTLP's doors."""
    say = f"import sys, {', '.join(PROGRAMS)}; print(*[name for name in {wanted_elsewhere} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", say], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
