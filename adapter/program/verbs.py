"""Verbs of a command line: which there are, and what becomes of one that ends with an error."""

import os
import sys
from collections.abc import Callable, Iterable

from adapter.program import tables
from adapter.program.flags import HelpWanted, SettingsError
from adapter.program.run import Exit, fail

INTERRUPTED = 128 + 2
"""As shells say of a command that SIGINT ended."""


def run(
    program: str, verb: Callable[[], int], *, failures: tuple[type[Exception], ...], untold: int | None = None
) -> int:
    """The exit code of `verb`; an error in `failures`, a wrong flag or a full disk is one sentence on stderr.

    `untold`: the code of each of them, and of an answer that nobody reads, for a verb whose own 0, 1 and 2 are answers.
    """
    try:
        code = _ran(verb)
        sys.stdout.flush()
        return code
    except SettingsError as error:
        return fail(program, error, _or(untold, Exit.WRONG_ARGUMENTS))
    except failures as error:
        return fail(program, error, _or(untold, Exit.FAILED))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _hush()
        return _or(untold, Exit.GOOD)
    except OSError as error:  # reading has errors of its own
        return fail(program, f"cannot be written: {error}", _or(untold, Exit.FAILED))


def _or(untold: int | None, code: Exit) -> int:
    return code if untold is None else untold


def _ran(verb: Callable[[], int]) -> int:
    try:
        return verb()
    except HelpWanted as wanted:
        tables.lines([str(wanted)])
        return Exit.GOOD


def unknown_verb_error(given: str, verbs: Iterable[str], *, or_else: str = "") -> SettingsError:
    """The error for a word that is no verb, or for none."""
    said = f"{given[:60]!r} is no verb" if given else "a verb is missing"
    return SettingsError(f"{said}; one of {', '.join(verbs)} is wanted{or_else}")


def _hush() -> None:
    """Whoever read our output is gone; so that the end of Python is silent as well."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
