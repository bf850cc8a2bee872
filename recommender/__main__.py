"""`streamgate-recommender`: without a verb the recommender's loop, else an offline verb."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from adapter.program import logs, verbs
from adapter.program.flags import HelpWanted
from recommender.input.usage_file import UsageError
from recommender.offline import backtest_command, explain_command, replay_command, report_command
from recommender.settings import FLAGS

VERBS: Final[Mapping[str, Callable[[Sequence[str]], int]]] = {
    "replay": replay_command.run,
    "backtest": backtest_command.run,
    "report": report_command.run,
    "explain": explain_command.run,
}
HELP: Final = """streamgate-recommender [FLAGS]        run in a cluster, as the VPA recommender does
streamgate-recommender VERB --help    offline: {verbs}

{flags}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb or the loop; returns the exit code: 0 good, 1 failed, 2 wrong arguments."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return verbs.run(FLAGS.program, lambda: _run(given), failures=(UsageError,))


def _run(given: Sequence[str]) -> int:
    if given and given[0] in VERBS:
        logs.set_up()
        return VERBS[given[0]](given[1:])
    if given and not given[0].startswith("-"):
        raise verbs.unknown_verb_error(given[0], VERBS, or_else=", or flags for the loop")
    return _serve(given)


def _serve(arguments: Sequence[str]) -> int:
    if "--help" in arguments or "-h" in arguments:
        raise HelpWanted(HELP.format(verbs=", ".join(VERBS), flags=FLAGS.usage()))
    from recommender.serve import run  # the network is loaded only where it is needed

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
