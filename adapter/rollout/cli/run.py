"""`run`: the controller itself."""

from collections.abc import Sequence

from adapter.rollout.settings import parse


def run(given: Sequence[str]) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code."""
    settings = parse(given)
    from adapter.rollout.serve import run as serve  # the network is loaded only where it is needed

    return serve(settings)
