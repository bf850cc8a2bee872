"""Builders for the judge's tests: gates, windows, whole recordings."""

import json
from typing import Any

import numpy as np

from adapter.rollout.model.gates import Gates, parse
from adapter.rollout.model.window import Arm, Counts, Gauge, Health, Window

ERRORS = {"name": "errors", "metric": "errors", "total": "requests", "limit": 0.01, "margin": 0.5}
LIMIT = {"name": "errors", "metric": "errors", "total": "requests", "limit": 0.01}
MARGIN = {"name": "errors", "metric": "errors", "total": "requests", "margin": 0.5}
QUEUE = {"name": "queue", "metric": "queue", "kind": "gauge", "margin": 0.2}
START = 1_700_000_000.0
EVERY = 10.0


def gates(*raw: dict[Any, Any], strategy: str = "canary", **top: float) -> Gates:
    return parse({strategy: {}, "gates": list(raw), **top})


def counts(requests: int, bad: int) -> Counts:
    return Counts(requests - bad, bad)


def window(
    index: int,
    *,
    stable: tuple[int, int] | None = None,
    canary: tuple[int, int] | None = None,
    metric: str = "errors",
    health: dict[Any, Any] | None = None,
    step: int | None = None,
    **gauges: tuple[Any, ...],
) -> Window:
    """Window `index` of EVERY seconds. Arms are (requests, bad); gauges are NAME=(stable, canary)."""
    arms = {arm: counts(*pair) for arm, pair in ((Arm.STABLE, stable), (Arm.CANARY, canary)) if pair is not None}
    metrics: dict[str, dict[Arm, Any]] = {metric: arms}
    for name, pair in gauges.items():
        metrics[name] = {
            arm: Gauge(value) for arm, value in zip((Arm.STABLE, Arm.CANARY), pair, strict=True) if value is not None
        }
    ill = {arm: Health(pods=pods, **states) for arm, (pods, states) in (health or {}).items()}
    return Window(time=START + EVERY * index, metrics=metrics, health=ill, step=step)


def steady(
    count: int,
    *,
    stable: tuple[int, int] | None = (900, 1),
    canary: tuple[int, int] | None = (100, 0),
    first: int = 0,
    **more: Any,
) -> list[Window]:
    """`count` equal windows."""
    return [window(first + index, stable=stable, canary=canary, **more) for index in range(count)]


def draw_windows(
    count: int, *, stable: float, canary: float, seed: int, requests: tuple[int, int] = (900, 100)
) -> list[Window]:
    """Windows with independent bad requests at the two rates."""
    rng = np.random.default_rng(seed)
    return [
        window(
            index,
            stable=(requests[0], int(rng.binomial(requests[0], stable))),
            canary=(requests[1], int(rng.binomial(requests[1], canary))),
        )
        for index in range(count)
    ]


def line(window: Window) -> str:
    """A window as a recording has it."""

    def reading(value: Counts | Gauge) -> dict[Any, Any]:
        return {"value": value.value} if isinstance(value, Gauge) else {"good": value.good, "bad": value.bad}

    metrics = {
        name: {arm.value: reading(arms[arm]) if arm in arms else None for arm in Arm}
        for name, arms in window.metrics.items()
    }
    return json.dumps({"time": window.time, "metrics": metrics})
