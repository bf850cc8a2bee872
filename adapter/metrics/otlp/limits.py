"""What pushes may take; apart from those who take them, which are loaded only where a door is open."""

from typing import NamedTuple


class ReceiveLimits(NamedTuple):
    """What one request, and all of them, may take."""

    body_bytes: int = 4 * 2**20
    """After inflating; gRPC's own default."""
    concurrent: int = 32
    """Requests in hand over both doors; one more is told to come back."""
    pending_bytes: int = 16 * 2**20
    """Of all bodies that are arriving over HTTP or wait to be decoded."""
    read_s: float = 10.0
    """For a body to arrive."""
