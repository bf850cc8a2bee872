"""Identical releases made of a recording: how many of them would a policy roll back? Pure; chance comes as a generator.

A release is made of blocks of the recording, drawn with replacement, in which the stable pods are split: some play the
canary, and stay with it for the whole release. Pods are kept whole and blocks have at least BLOCK windows, so that
bursts, slow pods and whatever hangs together in time are as they were recorded. Rules of time (`onUndecided`,
`noEvidence`) are left out: only evidence and the circuit breaker end a release.
"""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from adapter.rollout.evidence import breaker, events, gauges
from adapter.rollout.evidence.events import Bar, Interval
from adapter.rollout.evidence.likelihood import Floats
from adapter.rollout.judge import bar_of
from adapter.rollout.model.gates import Gate, Gates, Kind, Worse
from adapter.rollout.model.verdict import Stage
from adapter.rollout.model.window import Arm, Counts, Gauge, Window

BLOCK: Final = 10
"""Windows of a block, at least."""
LONGEST: Final = 500
"""Windows of a release, at most."""
MOST_CELLS: Final = 20_000_000
"""Pods times windows times gates that are kept."""
LEAST_PODS: Final = 2
NEVER: Final = 1 << 30
LARGEST: Final = sys.float_info.max

Bools: TypeAlias = npt.NDArray[np.bool_]


class CalibrationError(ValueError):
    """The recording does not serve; the text says why and what would."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Per gate: requests and bad ones, or values, (windows, pods); NaN where nothing was recorded."""

    requests: Mapping[str, Floats]
    bad: Mapping[str, Floats]
    values: Mapping[str, Floats]
    windows: int
    pods: int
    whole: bool
    """Whether pods were recorded; if not, the only column is the stable arm's sum."""


class Outcomes(NamedTuple):
    """Per release the window of its rollback and of its promotion, NEVER where there was none."""

    rolled_back: npt.NDArray[np.int64]
    promoted: npt.NDArray[np.int64]


def record(gates: Sequence[Gate], windows: Iterable[Window]) -> Recorded:
    """The readings that `gates` need of a recording, as arrays. Raises CalibrationError."""
    rows: list[dict[str, dict[str, Counts | Gauge]]] = []
    names: dict[str, int] = {}
    for window in windows:
        pods = window.pods.get(Arm.STABLE, {})
        row = {gate.metric: _row(gate, pods, window) for gate in gates}
        for readings in row.values():
            for pod in readings:
                names.setdefault(pod, len(names))
        rows.append(row)
        if len(rows) * max(len(names), 1) * len(gates) > MOST_CELLS:
            raise CalibrationError(f"more than {MOST_CELLS} windows x pods x gates; right would be a shorter recording")
    if len(rows) < BLOCK:
        raise CalibrationError(f"{len(rows)} windows could be read; right would be {BLOCK} or more, better hundreds")
    whole = any(name for name in names)
    if whole:
        rows = [{name: {pod: each for pod, each in row[name].items() if pod} for name in row} for row in rows]
        names = {pod: index for index, pod in enumerate(pod for pod in names if pod)}
        if len(names) < LEAST_PODS:
            raise CalibrationError(f"only {len(names)} stable pod was recorded; right would be {LEAST_PODS} or more")
    return _arrays(gates, rows, names or {"": 0}, whole=whole)


def _row(gate: Gate, pods: Mapping[str, Mapping[str, Counts | Gauge]], window: Window) -> dict[str, Counts | Gauge]:
    """The gate's reading of each pod in this window; where no pod is recorded, the arm's sum under ''."""
    kind = Counts if gate.kind is Kind.EVENTS else Gauge
    by_pod = {pod: each[gate.metric] for pod, each in pods.items() if isinstance(each.get(gate.metric), kind)}
    whole = window.metrics.get(gate.metric, {}).get(Arm.STABLE)
    return by_pod or ({"": whole} if isinstance(whole, kind) else {})


def _arrays(
    gates: Sequence[Gate],
    rows: Sequence[Mapping[str, Mapping[str, Counts | Gauge]]],
    names: Mapping[str, int],
    *,
    whole: bool,
) -> Recorded:
    shape = (len(rows), len(names))
    requests, bad, values = ({gate.metric: np.full(shape, np.nan) for gate in gates} for _ in range(3))
    for index, row in enumerate(rows):
        for metric, readings in row.items():
            for pod, each in readings.items():
                at = index, names[pod]
                if isinstance(each, Counts):
                    requests[metric][at], bad[metric][at] = each.all, each.bad
                else:
                    values[metric][at] = each.value
    return Recorded(requests=requests, bad=bad, values=values, windows=len(rows), pods=len(names), whole=whole)


def calibrate(
    policy: Gates,
    stage: Stage,
    recorded: Recorded,
    *,
    releases: int,
    share: float,
    worse: float,
    rng: np.random.Generator,
) -> Outcomes:
    """What becomes of releases whose canary is `worse` times as bad as recorded; 1: identical ones."""
    length = min(recorded.windows, LONGEST)
    asked = [gate for gate in policy.of(stage) if _serves(gate, recorded)]
    known = {gate.name: events.begin((releases,)) for gate in asked if gate.kind is Kind.EVENTS}
    signs = {gate.name: gauges.begin((releases,)) for gate in asked if gate.kind is Kind.GAUGE}
    failing = {gate.name: np.zeros(releases) for gate in asked}
    ends = Outcomes(np.full(releases, NEVER), np.full(releases, NEVER))
    share = share if stage is Stage.CANARY else 1.0  # new pods without stable ones beside them have all requests
    for window, (at, canary) in enumerate(_course(recorded, rng, releases=releases, length=length, share=share)):
        back, passed = np.zeros(releases, bool), np.full(releases, bool(asked))
        for gate in asked:
            bar = bar_of(gate, stage)
            if gate.kind is Kind.EVENTS:
                now = _counts(gate, recorded, at, canary, share=share, worse=worse, rng=rng)
                heard = known[gate.name] = events.hear(known[gate.name], bar, now)
                before, plain = failing[gate.name], breaker.plain(*now, gate.limit or 0.0)
                failing[gate.name] = np.where(plain, before + now.bad, 0.0)
                back |= breaker.acts(before, failing[gate.name], now.stable)
                against, favour = events.against(heard), events.in_favour(heard, bar)
            else:
                told = signs[gate.name] = _signs(
                    gate, bar, signs[gate.name], recorded=recorded, at=at, canary=canary, worse=worse
                )
                against, favour = gauges.against(told), gauges.in_favour(told)
            edge = math.log(policy.bar(gate))
            back |= against >= edge
            passed &= (favour >= -math.log(policy.alpha)) & (against < edge / 2)
        ends.rolled_back[back & (ends.rolled_back == NEVER)] = window
        ends.promoted[passed & (ends.promoted == NEVER) & (ends.rolled_back > window)] = window
    return ends


def _serves(gate: Gate, recorded: Recorded) -> bool:
    """Whether the recording can be split for this gate: a gauge needs pods."""
    if gate.kind is Kind.GAUGE:
        return recorded.whole and bool(np.isfinite(recorded.values[gate.metric]).any())
    return bool(np.nansum(recorded.requests[gate.metric]) > 0)


def gates_without_values(policy: Gates, stage: Stage, recorded: Recorded) -> list[str]:
    """Names of the gates that the recording says nothing about."""
    return [gate.name for gate in policy.of(stage) if not _serves(gate, recorded)]


def _course(
    recorded: Recorded, rng: np.random.Generator, *, releases: int, length: int, share: float
) -> Iterator[tuple[npt.NDArray[np.int64], Bools]]:
    """Window by window: which one of the recording each release is in, and which pods play the canary."""
    scores = rng.random((releases, recorded.pods))
    there = np.zeros((recorded.windows, recorded.pods), bool)
    for readings in (*recorded.requests.values(), *recorded.values.values()):
        there |= np.isfinite(readings)
    for first in range(0, length, BLOCK):
        starts = rng.integers(0, recorded.windows - BLOCK + 1, releases)
        present = np.stack([there[starts + index] for index in range(BLOCK)]).any(axis=0)
        ranks = np.where(present, scores, 2.0).argsort(axis=1).argsort(axis=1)
        count = present.sum(axis=1)
        wanted = np.clip(np.round(share * count), 1, np.maximum(count - (share < 1), 1))
        canary = present & (ranks < wanted[:, None])
        for index in range(min(BLOCK, length - first)):
            yield starts + index, canary


def _counts(
    gate: Gate,
    recorded: Recorded,
    at: npt.NDArray[np.int64],
    canary: Bools,
    *,
    share: float,
    worse: float,
    rng: np.random.Generator,
) -> Interval:
    requests, bad = recorded.requests[gate.metric], recorded.bad[gate.metric]
    all_now, bad_now = np.nan_to_num(requests[at]), np.nan_to_num(bad[at])
    if recorded.whole or share >= 1:
        mine, my_bad = (all_now * canary).sum(axis=1), (bad_now * canary).sum(axis=1)
    else:  # nobody knows whose they were: every request for itself
        mine = np.round(share * all_now.sum(axis=1))
        my_bad = np.minimum(rng.binomial(np.round(bad_now.sum(axis=1)).astype(np.int64), share), mine).astype(float)
    others, others_bad = all_now.sum(axis=1) - mine, np.maximum(bad_now.sum(axis=1) - my_bad, 0)
    if worse > 1:
        my_bad = np.minimum(my_bad + rng.poisson((worse - 1) * rate_of(gate, recorded) * mine), mine)
    return Interval(mine, my_bad, others, np.minimum(others_bad, others))


def rate_of(gate: Gate, recorded: Recorded) -> float:
    """The recorded bad rate; where it is 0, the gate's limit stands for it."""
    rate = float(np.nansum(recorded.bad[gate.metric]) / max(np.nansum(recorded.requests[gate.metric]), 1.0))
    return rate or gate.limit or 0.0


def _signs(
    gate: Gate,
    bar: Bar,
    known: gauges.Gauges,
    *,
    recorded: Recorded,
    at: npt.NDArray[np.int64],
    canary: Bools,
    worse: float,
) -> gauges.Gauges:
    values = recorded.values[gate.metric][at]
    seen = np.isfinite(values)
    mine, others = (_mean(values, seen & part) for part in (canary, ~canary))
    lower = gate.worse is Worse.LOWER
    mine = mine / worse if lower else _times(mine, np.asarray(worse))
    told = gauges.hear(known, bar, np.nan_to_num(mine), np.nan_to_num(others), lower_is_worse=lower)
    heard = np.isfinite(mine) & (np.isfinite(others) | (not bar.concurrent))
    return gauges.only(told, known, heard)


def _mean(values: Floats, which: Bools) -> Floats:
    """The mean over the chosen pods, NaN where there are none. Large values are scaled: no sum is infinite."""
    count, masked = which.sum(axis=1), np.where(which, values, 0.0)
    part = np.where(np.abs(masked).max(axis=1) > gauges.LARGE, 1 / gauges.LARGE, 1.0)
    total = (masked * part[:, None]).sum(axis=1)
    return np.where(count > 0, _times(total / np.maximum(count, 1), 1 / part), np.nan)


def _times(values: Floats, factor: Floats) -> Floats:
    """The product, at most the largest float there is."""
    with np.errstate(over="ignore"):
        return np.clip(values * factor, -LARGEST, LARGEST)
