"""`streamgate-rollout VERB`: a table of verbs, each in a file of its own."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Final

from adapter.rollout.cli.files import VerbError, complain

VERBS: Final[Mapping[str, str]] = {
    "calibrate": "how many identical releases a policy would have rolled back",
    "run": "the controller itself, in a cluster",
    "status": "what a policy does and waits for",
    "history": "the last releases and how they ended",
    "plan": "the writes that come next, none of them made",
    "wait": "until a release has ended: 0 promoted, 1 not promoted, 2 timed out",
    "promote": "end a manual pause; --full: wait for no soak and no gate",
    "pause": "hold a release where it is",
    "resume": "let a held release go on",
    "abort": "all traffic back to the stable pods",
    "retry": "release the template again that was rolled back",
    "undo": "put the stable template back, or the one before it",
    "restart": "release the present template with new pods",
    "lint": "check a RolloutPolicy without a cluster",
    "replay": "run a policy's gates over recorded windows",
}
"""Verb -> what it does; its module is adapter.rollout.cli.VERB, with `run(arguments) -> exit code`."""

COMMANDS: Final = frozenset({"promote", "pause", "resume", "abort", "retry", "undo", "restart"})
"""Verbs that one module has in common: its `run` gets the verb as well."""

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
        module = "command" if given[0] in COMMANDS else given[0]
        run: Callable[[Sequence[str]], int] = import_module(f"adapter.rollout.cli.{module}").run
        code = run(given if given[0] in COMMANDS else given[1:])
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
