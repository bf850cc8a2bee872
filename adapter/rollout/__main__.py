"""`streamgate-rollout VERB`: a table of verbs, each in a file of its own."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Final

from adapter.rollout.cli.files import VerbError, complain

VERBS: Final[Mapping[str, str]] = {
    "calibrate": "how many identical releases a policy would have rolled back",
    "lint": "check a RolloutPolicy without a cluster",
    "replay": "run a policy's gates over recorded windows",
}
"""Verb -> what it does; its module is adapter.rollout.cli.VERB, with `run(arguments) -> exit code`."""

HELP: Final = "streamgate-rollout VERB [ARGUMENTS]    VERB --help says more\n\n{verbs}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb; returns the exit code: 0 good, 1 failed, 2 wrong arguments."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if not given or given[0] not in VERBS:
        complain(f"{given[0][:60]!r} is no verb" if given else "a verb is missing")
        print(_help(), file=sys.stderr)
        return 2
    try:
        run: Callable[[Sequence[str]], int] = import_module(f"adapter.rollout.cli.{given[0]}").run
        code = run(given[1:])
        sys.stdout.flush()
        return code
    except VerbError as error:
        complain(str(error))
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the end of Python is silent as well
        return 0


def _help() -> str:
    return HELP.format(verbs="\n".join(f"  {verb:10} {about}" for verb, about in VERBS.items()))


if __name__ == "__main__":
    sys.exit(main())
