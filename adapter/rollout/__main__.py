"""`streamgate-rollout VERB`: a table of verbs, each in a file of its own."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from keyword import iskeyword
from typing import Final

from adapter.program import verbs
from adapter.program.flags import HelpWanted
from adapter.rollout.cli.files import VerbError
from adapter.rollout.cli.settings import PROGRAM
from adapter.rollout.cli.verbs import COMMANDS, UNTOLD, VERBS

HELP: Final = "streamgate-rollout VERB [ARGUMENTS]    VERB --help says more\n\n{verbs}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb; returns the exit code: 0 good, 1 failed, 2 wrong arguments; those of `wait` are answers."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    untold = UNTOLD.get(given[0]) if given else None
    return verbs.run(PROGRAM, lambda: _run(given), failures=(VerbError,), untold=untold)


def _run(given: Sequence[str]) -> int:
    if given and given[0] in ("-h", "--help", "help"):
        raise HelpWanted(HELP.format(verbs="\n".join(f"  {verb:10} {about}" for verb, about in VERBS.items())))
    if not given or given[0] not in VERBS:
        raise verbs.unknown_verb_error(given[0] if given else "", VERBS)
    if given[0] in COMMANDS:
        return _module("command")(given)
    return _module(given[0])(given[1:])


def _module(name: str) -> Callable[[Sequence[str]], int]:
    """What runs a verb; loaded only where it is wanted. One that is a word of Python has an underscore behind it."""
    module = f"{name}_" if iskeyword(name) else name
    run: Callable[[Sequence[str]], int] = import_module(f"adapter.rollout.cli.{module}").run
    return run


if __name__ == "__main__":
    sys.exit(main())
