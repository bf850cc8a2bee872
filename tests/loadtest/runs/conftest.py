"""Records of runs, built by hand."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from loadtest.runs.record import Event, Kind, Look, Run, Slice

Counts = dict[Kind, Sequence[tuple[float, int]]]
Make = Callable[..., Run]


def slices(seconds: float, rate: Callable[[float], float], pods: Callable[[float], int]) -> list[Slice]:
    """Half seconds in which every request took 20 ms; so many pods answered."""
    half_seconds = []
    for place in range(1, int(seconds * 2) + 1):
        end = place / 2
        count = round(rate(end - 0.25) / 2)
        names = {f"web-{number}": 1 for number in range(pods(end - 0.25))}
        half_seconds.append(
            Slice(
                end, rate(end - 0.25), failed=0, asked_to_fail=0, latencies={"20": count} if count else {}, pods=names
            )
        )
    return half_seconds


@pytest.fixture
def make() -> Make:
    """A run of `step` in 240 s at 20 requests/s per pod: 30 requests/s, from 45 to 125 s 70, which are 2 and 4 pods."""

    def build(scenario: str = "step", *, counts: Counts | None = None, **fields: Any) -> Run:
        moved = counts or {}
        held = {kind: moved.get(kind, [(0.0, 2)]) for kind in Kind}
        first = Run(
            scenario=scenario, seconds=240.0, per_pod=20.0, low=2, high=8, began="2026-11-26T12:00:00+00:00",
            conditions={"world": "one"}, slices=[], looks=[], locust_cpu=[],
            events=[Event(time, kind, count) for kind, changes in held.items() for time, count in changes],
        )  # fmt: skip
        load = first.plan.load

        def ready(elapsed: float) -> int:
            return [count for time, count in held[Kind.ENDPOINTS] if time <= elapsed][-1]

        seen = slices(240.0, lambda elapsed: load(elapsed, per_pod=20.0, seconds=240.0), ready)
        given = {"slices": seen, **fields}
        return msgspec.structs.replace(first, **given)

    return build


def looks(*told: tuple[float, float, float]) -> list[Look]:
    """(when, total, the sample's time) of two pods."""
    return [Look(time, total, 2, sampled) for time, total, sampled in told]
