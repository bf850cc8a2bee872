"""/healthz, /livez and /readyz in the words of Kubernetes' API servers.

/healthz and /livez say that the process answers; only /readyz asks what it still waits for. The chart of the peer uses
/healthz for both probes, and a source that is away must not restart us.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from adapter.serve.requestinfo import RequestInfo
from adapter.serve.status import not_found
from adapter.serve.wire import StatusDetails

ENDPOINTS = ("healthz", "livez", "readyz")


class Check(NamedTuple):
    """One thing that must be there before requests may come."""

    name: str
    waiting: Callable[[], str]
    """What is waited for, one sentence; '' where it passes."""


class Readiness:
    """The checks of /readyz, in their order."""

    def __init__(self, *checks: Check | None, notes: Callable[[], Sequence[str]] = tuple) -> None:
        """None for what is not waited for. `notes`: sentences about what is wrong and yet waited for by nobody."""
        self._checks = tuple(check for check in checks if check is not None)
        self.notes = notes
        self._begun = False
        """Whether all checks have passed at once: what they wait for is a beginning, which nobody may bring back."""

    def waiting(self) -> dict[str, str]:
        """Each check by name: '' where it passes, else one sentence saying what it waits for."""
        reasons = {check.name: "" if self._begun else check.waiting() for check in self._checks}
        self._begun = not any(reasons.values())
        return reasons


def health(info: RequestInfo, checks: Mapping[str, str], notes: Sequence[str] = ()) -> tuple[int, str]:
    """HTTP status and text for `/<endpoint>` or `/<endpoint>/<check>`.

    `checks`: each check by name, '' where it passes, else one sentence. `notes` are shown to whoever wants it
    verbose, and fail nothing. Raises StatusError (404).
    """
    endpoint, *rest = info.segments
    if rest:
        return _single("/".join(rest), checks)
    excluded = [name for value in info.query.get("exclude", ()) for name in value.split(",") if name]
    failed = [name for name, problem in checks.items() if problem and name not in excluded]
    if not failed and "verbose" not in info.query:
        return 200, "ok"
    lines = [_line(name, problem, excluded) for name, problem in checks.items()]
    lines += [f"warn: {note}" for note in notes]
    lines += [f'warn: no check is called "{name}", so it cannot be excluded' for name in excluded if name not in checks]
    lines.append(f"{endpoint} check {'failed' if failed else 'passed'}")
    return 500 if failed else 200, "\n".join(lines) + "\n"


def _single(name: str, checks: Mapping[str, str]) -> tuple[int, str]:
    problem = checks.get(name)
    if problem is None:
        raise not_found(f'there is no check called "{name}"', StatusDetails())
    return (500, f"{problem}\n") if problem else (200, "ok")


def _line(name: str, problem: str, excluded: Sequence[str]) -> str:
    if name in excluded:
        return f"[+]{name} excluded: ok"
    return f"[-]{name} failed: {problem}" if problem else f"[+]{name} ok"
