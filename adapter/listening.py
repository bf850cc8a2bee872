"""The adapter's flags for what may come in by its ports: how much, how many, for how long (docs/limits.md)."""

from dataclasses import dataclass

from adapter.inbound.places import Bounds
from adapter.program.flags import Common, setting
from adapter.program.kinds import Seconds

_BOUNDS = Bounds()


@dataclass(frozen=True)
class Listening(Common):
    """Of the API's port and of OTLP's; a field's metadata holds its flag and its meaning."""

    max_connections: int = setting(
        "max-connections", _BOUNDS.connections, "most connections of each HTTP port, known or not", least=1
    )
    max_connections_per_address: int = setting(
        "max-connections-per-address",
        _BOUNDS.strangers,
        "most connections of one address that have shown no credentials; more where proxies hide clients",
        least=1,
    )
    max_handshakes: int = setting(
        "max-handshakes", _BOUNDS.handshakes, "most TLS handshakes under way; a flood costs CPU by them", least=1
    )
    max_header_bytes: int = setting(
        "max-header-bytes", _BOUNDS.head_bytes, "most bytes of one request's line and headers", least=4096
    )
    max_unfinished_header_bytes: int = setting(
        "max-unfinished-header-bytes", _BOUNDS.heads_bytes, "most bytes of all heads that have not ended", least=4096
    )
    max_unsent_response_bytes: int = setting(
        "max-unsent-response-bytes",
        _BOUNDS.untaken_bytes,
        "most bytes of answers that clients have not taken",
        least=1,
    )
    read_header_timeout: Seconds = setting(
        "read-header-timeout", Seconds(_BOUNDS.head_s), "for a connection's first head, and for each head", above=0
    )
    stranger_idle_timeout: Seconds = setting(
        "stranger-idle-timeout",
        Seconds(_BOUNDS.idle_s),
        "between two requests of who shows no credentials",
        above=0,
    )
    idle_timeout: Seconds = setting(
        "idle-timeout",
        Seconds(_BOUNDS.keep_alive_s),
        "between two requests of who is known; longer than the aggregator's 90 s",
        above=0,
    )
    write_timeout: Seconds = setting(
        "write-timeout", Seconds(_BOUNDS.answer_s), "for a client to take an answer", above=0
    )
    otlp_max_bytes: int = setting(
        "otlp-max-bytes", 4 << 20, "most bytes of one OTLP request, unpacked; gRPC's own default", least=1
    )
    otlp_max_requests: int = setting("otlp-max-requests", 32, "most OTLP requests in hand, over both doors", least=1)
    otlp_max_pending_bytes: int = setting(
        "otlp-max-pending-bytes", 16 << 20, "most bytes of OTLP requests over HTTP in hand", least=1
    )
    otlp_timeout: Seconds = setting("otlp-timeout", Seconds(10), "for an OTLP request to arrive", above=0)

    @property
    def bounds(self) -> Bounds:
        """Of each HTTP port."""
        return Bounds(
            connections=self.max_connections,
            strangers=self.max_connections_per_address,
            handshakes=self.max_handshakes,
            head_bytes=self.max_header_bytes,
            heads_bytes=self.max_unfinished_header_bytes,
            untaken_bytes=self.max_unsent_response_bytes,
            first_s=self.read_header_timeout,
            head_s=self.read_header_timeout,
            idle_s=self.stranger_idle_timeout,
            keep_alive_s=self.idle_timeout,
            answer_s=self.write_timeout,
        )
