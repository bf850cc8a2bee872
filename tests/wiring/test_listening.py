"""Flags for what may come in are the bounds of the ports, and by default what the ports have anyway."""

from adapter.inbound.places import Bounds
from adapter.metrics.otlp.limits import ReceiveLimits
from adapter.settings import Settings, parse
from adapter.wiring.source import _otlp_limits


def test_by_default_the_bounds_are_those_of_the_ports() -> None:
    assert Settings().bounds == Bounds()
    assert _otlp_limits(Settings()) == ReceiveLimits()


def test_each_flag_is_a_bound() -> None:
    flags = {
        "max-connections": ("7", "connections", 7),
        "max-connections-per-address": ("6", "strangers", 6),
        "max-handshakes": ("5", "handshakes", 5),
        "max-header-bytes": ("5000", "head_bytes", 5000),
        "max-unfinished-header-bytes": ("50000", "heads_bytes", 50_000),
        "max-unsent-response-bytes": ("4", "untaken_bytes", 4),
        "read-header-timeout": ("3s", "head_s", 3.0),
        "stranger-idle-timeout": ("2s", "idle_s", 2.0),
        "idle-timeout": ("2m", "keep_alive_s", 120.0),
        "write-timeout": ("1s", "answer_s", 1.0),
    }
    for flag, (text, field, value) in flags.items():
        bounds = parse([f"--{flag}={text}"]).settings.bounds
        assert getattr(bounds, field) == value, flag
    assert parse(["--read-header-timeout=3s"]).settings.bounds.first_s == 3.0
    settings = parse(
        ["--otlp-max-bytes=9", "--otlp-max-requests=8", "--otlp-max-pending-bytes=7", "--otlp-timeout=6s"]
    ).settings
    assert _otlp_limits(settings) == ReceiveLimits(body_bytes=9, concurrent=8, pending_bytes=7, read_s=6.0)
