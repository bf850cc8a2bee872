"""Times for people. Pure."""

from datetime import UTC, datetime


def ago(since: float | None, now: float) -> str:
    """'42 s', '7 min', '3 h', '2 d'; what lies ahead, by a clock that differs, is 0 s; '–' for None."""
    if since is None:
        return "–"
    seconds = max(now - since, 0.0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def clock(at: float | None) -> str:
    """'2026-11-26 18:05:31 UTC'; '–' for None."""
    if at is None:
        return "–"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
