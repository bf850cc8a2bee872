"""`run`: the controller itself."""

from collections.abc import Sequence

from adapter.program import run as program
from adapter.rollout.settings import FLAGS


def run(given: Sequence[str]) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code."""
    from adapter.rollout.serve import start  # the network is loaded only where it is needed

    return program.main(FLAGS, start, given)
