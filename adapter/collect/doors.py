"""Which doors for OTLP are to be open."""

import ssl
from typing import NamedTuple

from adapter.inbound.places import Bounds
from adapter.metrics.otlp.limits import ReceiveLimits


class OtlpDoors(NamedTuple):
    """Where OTLP is taken in; a port of 0 keeps that door shut."""

    address: str = "127.0.0.1"
    grpc_port: int = 0
    http_port: int = 0
    grpc_tls: ssl.SSLContext | None = None
    """That speaks h2; None: without TLS."""
    http_tls: ssl.SSLContext | None = None
    bounds: Bounds = Bounds()
    """Of the connections of each."""
    limits: ReceiveLimits = ReceiveLimits()
    """Of both together."""
