"""`streamgate-recommender`: without a verb the recommender's loop, else an offline verb."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from adapter import __version__
from recommender.input.usage_file import UsageError
from recommender.logs import log_to_stderr
from recommender.offline import backtest_command, explain_command, replay_command, report_command
from recommender.settings import SettingsError, parse, usage

VERBS: Final[Mapping[str, Callable[[Sequence[str]], int]]] = {
    "replay": replay_command.run,
    "backtest": backtest_command.run,
    "report": report_command.run,
    "explain": explain_command.run,
}
HELP: Final = """streamgate-recommender [FLAGS]        run in a cluster, as the VPA recommender does
streamgate-recommender VERB --help    offline: {verbs}

Flags, with their defaults:
{flags}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb or the loop; returns the exit code: 0 good, 1 failed, 2 wrong arguments."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given and given[0] in VERBS:
            log_to_stderr("0")
            return VERBS[given[0]](given[1:])
        if "--version" in given:
            print(f"streamgate-recommender {__version__}")  # noqa: T201 - it is what was asked for
            return 0
        if given and not given[0].startswith("-"):
            raise SettingsError(f"{given[0]!r} is no verb; one of {', '.join(VERBS)} is wanted, or flags for the loop")
        if "--help" in given or "-h" in given:
            print(HELP.format(verbs=", ".join(VERBS), flags=usage()))  # noqa: T201 - it is what was asked for
            return 0
        return _serve(given)
    except SettingsError as error:
        return _fail(str(error), 2)
    except UsageError as error:
        return _fail(str(error), 1)
    except BrokenPipeError:
        return 0
    except OSError as error:  # reading has errors of its own
        return _fail(f"cannot be written: {error}", 1)


def _serve(arguments: Sequence[str]) -> int:
    from recommender.serve import run  # the network is loaded only where it is needed

    return run(parse(arguments))


def _fail(text: str, code: int) -> int:
    print(f"streamgate-recommender: {text}", file=sys.stderr)  # noqa: T201 - a command line speaks on stderr
    return code


if __name__ == "__main__":
    sys.exit(main())
