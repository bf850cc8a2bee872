"""What every part that is wired hands over besides its objects."""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple


class StartError(Exception):
    """The program cannot start; one sentence for the operator."""


class Job(NamedTuple):
    """Something that runs until the program ends."""

    name: str
    run: Callable[[], Coroutine[Any, Any, None]]
