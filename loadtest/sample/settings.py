"""What can be set: by flag or environment variable at the start, and in part while the service runs."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

KINDS = ("sleep", "busy")
LIVE = ("work_ms", "work_kind", "error_rate", "slots")  # may change at run time


@dataclass(frozen=True)
class Settings:
    """Times are in the unit of the name. Field work_ms is flag --work-ms and environment variable WORK_MS."""

    host: str = "0.0.0.0"
    port: int = 8080
    work_ms: float = 0.0  # per request
    work_kind: str = "sleep"  # 'sleep' waits, 'busy' burns that much CPU time
    error_rate: float = 0.0  # share of requests that are answered 500, 0 to 1
    slots: int = 0  # requests worked on at a time, the others queue; 0: no limit
    startup_s: float = 0.0  # not ready for so long
    drain_s: float = 0.5  # after SIGTERM still serves for so long, until endpoints follow
    ballast_mib: int = 0  # memory held for nothing
    otlp_target: str = ""  # http://HOST:4318/v1/metrics
    otlp_interval_s: float = 5.0
    pod_name: str = ""
    pod_namespace: str = ""
    pod_version: str = ""  # told in every answer, so that clients know which revision answered

    def __post_init__(self) -> None:
        if self.work_kind not in KINDS:
            raise ValueError(f"work_kind: {self.work_kind!r} is none of {', '.join(KINDS)}")
        if not 0 <= self.error_rate <= 1:
            raise ValueError(f"error_rate: {self.error_rate} is not within 0 to 1")
        if not 0 <= self.work_ms <= 600_000:
            raise ValueError(f"work_ms: {self.work_ms} is not within 0 to 600000")
        for name in ("slots", "startup_s", "drain_s", "ballast_mib"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: {getattr(self, name)} is negative")
        if not self.otlp_interval_s > 0:
            raise ValueError(f"otlp_interval_s: {self.otlp_interval_s} is not above 0")

    def with_values(self, values: Mapping[str, object], only: Sequence[str] = LIVE) -> "Settings":
        """A copy with some values replaced, given as text or numbers. ValueError names the wrong field."""
        unknown = sorted(set(values) - set(only))
        if unknown:
            raise ValueError(f"{unknown[0]}: can not be changed; what can is {', '.join(only)}")
        return replace(self, **{name: _convert(name, value) for name, value in values.items()})


def _convert(name: str, value: object) -> Any:
    kind = next(field.type for field in fields(Settings) if field.name == name)
    assert isinstance(kind, type)
    try:
        return kind(str(value))
    except ValueError:
        raise ValueError(f"{name}: {str(value)[:40]!r} is no {kind.__name__}") from None


def from_command_line(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Flags win over the environment, which wins over the defaults."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.sample", description="a sample service to scale")
    for field in fields(Settings):
        flag = f"--{field.name.replace('_', '-')}"
        parser.add_argument(flag, help=f"default {field.default!r}; environment: {field.name.upper()}")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    names = [field.name for field in fields(Settings)]
    values = {name: environment[name.upper()] for name in names if environment.get(name.upper())}
    try:
        return Settings().with_values({**values, **given}, only=names)
    except ValueError as error:
        parser.error(str(error))
