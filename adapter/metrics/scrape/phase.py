"""When a target is scraped: at its own phase of its interval, and evenly between where that is wanted."""

import hashlib
import math

from adapter.metrics.scrape.target import Target


def until_next(target: Target, now: float, least: float = 0.0) -> float:
    """Seconds from `now` (any clock's) to the target's next turn, `least` or more: its phase is a hash of its id."""
    digest = hashlib.blake2b(target.id.encode(), digest_size=8).digest()
    phase = int.from_bytes(digest) / 2**64 * target.interval_s
    wait = target.interval_s - (now - phase) % target.interval_s
    # A timer may fire a moment early: that moment is no turn of its own.
    return wait if wait > max(target.interval_s / 100, least) else wait + target.interval_s


def until_between(left: float, often: float) -> float:
    """Seconds until the next of those scrapes that are `often` s apart and end with the turn, `left` s from now.

    One that would be due within half of `often` is left out; with inf there is none before the turn.
    """
    between = math.floor(left / often - 0.5)
    return left - between * often if between > 0 else left
