"""Simulate days of different lengths: how exactly an HPA can follow one, on the true load, on our rates, on slow ones.

    python -m loadtest.simulate_days               # rewrites the tables of docs/loadtest.md
    python -m loadtest.simulate_days --behaviors   # all but the first: what behavior and target change, a minute
    python -m loadtest.simulate_days --print       # prints them only

The scenario `day` of the load runs, stretched: the HPA's own formula every 15 s, Poisson requests on each pod, scraped
counters, the embedded store's rates (`adapter.metrics.store.rate`), pods that are ready READY_S after they are wanted.
Not played is what the adapter does for pods that come and go, and whatever else a real cluster adds. Seeded: the same
numbers come out every time. Takes some minutes on one core.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from adapter.hpa.decide import decide
from adapter.hpa.model import History, HpaSpec, Invalid, Observed, PodState, PodValue, PodValues, Scale
from adapter.hpa.read import read_spec
from adapter.metrics.store.rate import adaptive_rate
from loadtest.latency import markdown
from loadtest.page import rewrite
from loadtest.runs.local import DOWN_S, HIGH, LOW, TARGET, WORK_MS
from loadtest.runs.measures import STEP_S, Moment, elasticity
from loadtest.runs.reach import EPOCH, PERIOD_S, over_phases, phases, simulate_hpa
from loadtest.runs.scenarios import SCENARIOS, replicas_needed
from tests.cluster.adapter import hpa, pods_metric

Floats: TypeAlias = npt.NDArray[np.float64]
Estimator: TypeAlias = Callable[[Floats, Floats], Floats]
"""Counts and durations, s, of pods x intervals, the newest last -> a rate for each pod, NaN where there is none yet."""

DOCUMENT = Path(__file__).parent.parent / "docs" / "loadtest.md"
SCRIPT, PART, BEHAVIORS, HEADROOM = "python -m loadtest.simulate_days", "days", "behaviors", "headroom"
DAY = SCENARIOS["day"]
MEMORY_S, WINDOW_S = 300.0, 60.0
"""Of the embedded store, and of the built-in rule's rate."""
READY_S = 1.1
"""From the HPA's decision to a pod in endpoints, as measured on the test bed."""
ASKED_S = 0.5
"""From a scrape to the look that --reflex asked for."""
USUAL_WINDOW_S = 120.0


class Setting(NamedTuple):
    """Where an HPA's values come from."""

    name: str
    scrape_s: float
    rate: Estimator


def ours(counts: Floats, durations: Floats) -> Floats:
    """The change-point rate of the embedded store."""
    return adaptive_rate(counts, durations, WINDOW_S)[0]


def over_two_minutes(counts: Floats, durations: Floats) -> Floats:
    """About what `rate(x[2m])` gives: what was counted in that time by 2 minutes, also where a pod is younger."""
    within = durations[:, ::-1].cumsum(axis=1)[:, ::-1] <= USUAL_WINDOW_S
    known = (durations > 0).any(axis=1)
    return np.where(known, np.where(within, counts, 0.0).sum(axis=1) / USUAL_WINDOW_S, np.nan)


SETTINGS = (
    Setting("ours, 2 s", 2.0, ours),
    Setting("ours, 5 s", 5.0, ours),
    Setting("rate over 2m, 15 s", 15.0, over_two_minutes),
)
LENGTHS = {"10 minutes": (600.0, 15), "an hour": (3600.0, 15), "6 hours": (21_600.0, 5), "24 hours": (86_400.0, 3)}
"""s, and at how many phases of the HPA's period it is simulated."""


class Counters:
    """Requests of each pod, counted at each scrape; the oldest pod is the first row."""

    def __init__(self, scrape_s: float, seed: int) -> None:
        self._draw = np.random.default_rng(seed)
        shape = HIGH, round(MEMORY_S / scrape_s)
        self.counts, self.durations = np.zeros(shape), np.zeros(shape)
        self._since = np.zeros(HIGH)
        self._scraped = np.zeros(HIGH, dtype=np.bool_)
        self._scrape_s = scrape_s

    def serve(self, load: float, pods: int) -> None:
        """Requests of STEP_S among so many pods, by chance."""
        self._since[:pods] += self._draw.poisson(load * STEP_S / pods, pods)

    def scrape(self, pods: int) -> None:
        """A pod's first scrape begins its first interval; one that is gone is forgotten."""
        for kept in (self.counts, self.durations):
            kept[:, :-1] = kept[:, 1:]
            kept[:, -1] = 0.0
        seen = self._scraped[:pods]
        self.counts[:pods, -1] = np.where(seen, self._since[:pods], 0.0)
        self.durations[:pods, -1] = np.where(seen, self._scrape_s, 0.0)
        self.counts[pods:], self.durations[pods:] = 0.0, 0.0
        self._since[:] = 0.0
        self._scraped[:pods], self._scraped[pods:] = True, False


def simulate(
    setting: Setting, spec: HpaSpec, seconds: float, phase: float, seed: int, *, hastened: bool = False
) -> list[Moment]:
    """Need and fleet in the middle of each STEP_S; `hastened`: with looks as --reflex asks for them."""
    counters, history, moments = Counters(setting.scrape_s, seed), History(), []
    have = wanted = need_of(0.0, seconds)
    due, ready_at, scrape_at = phase, 0.0, 0.0
    for place in range(int(seconds / STEP_S)):
        elapsed = (place + 0.5) * STEP_S
        if elapsed >= ready_at:
            have = wanted
        looks, scraped = elapsed >= due, elapsed >= scrape_at
        if scraped:
            counters.scrape(have)
            scrape_at += setting.scrape_s
        if looks or (hastened and scraped and have == wanted):
            pods = [PodState(f"pod-{number}", ready=str(number < have)) for number in range(wanted)]
            observed = _observe(setting.rate(counters.counts[:have], counters.durations[:have]), pods)
            decision = decide(spec, Scale(wanted, wanted), [observed], pods, history, EPOCH + elapsed)
            if not looks and decision.desired <= wanted:
                decision = replace(decision, desired=wanted, history=history)
            history, due = decision.history, due + (PERIOD_S if looks else 0.0)
            have = min(have, decision.desired)
            if decision.desired != wanted:
                wanted, ready_at = decision.desired, elapsed + READY_S + (0.0 if looks else ASKED_S)
        counters.serve(load_of(elapsed, seconds), have)
        moments.append(Moment(need_of(elapsed, seconds), have))
    return moments


def _observe(rates: Floats, pods: Sequence[PodState]) -> Observed:
    """What the metrics API would serve: of pods that have a rate."""
    known = [(pod.name, rate) for pod, rate in zip(pods, rates.tolist(), strict=False) if not math.isnan(rate)]
    values = {name: PodValue(round(1000 * rate)) for name, rate in known}
    return PodValues(values) if values else Invalid("no value yet")


def load_of(elapsed: float, seconds: float) -> float:
    """requests/s."""
    return DAY.load(elapsed, per_pod=TARGET, seconds=seconds)


def need_of(elapsed: float, seconds: float) -> int:
    """Replicas."""
    return replicas_needed(load_of(elapsed, seconds), TARGET, low=LOW, high=HIGH)


# -- what clients wait -------------------------------------------------------------------------------------------------

GRID = np.arange(0, 10, 0.01)
"""Waiting times, in works of a request."""


def wait_distribution(busy: float) -> Floats:
    """By wait in GRID, the share of requests that wait no longer; a pod serves one at a time, each as long.

    M/D/1 (Erlang 1909): Poisson arrivals that keep it busy for this share of the time, below 1.
    """
    total = np.zeros_like(GRID)
    for number in range(int(GRID[-1]) + 1):
        ahead = busy * np.maximum(GRID - number, 0.0)
        total += np.where(number <= GRID, (-ahead) ** number / math.factorial(number) * np.exp(ahead), 0.0)
    return np.clip((1 - busy) * total, 0.0, 1.0)


def latency_ms(moments: Sequence[Moment], seconds: float, share: float = 0.95) -> float:
    """The `share` quantile, ms, of all requests' durations, computed for the fleet of `moments`."""
    weights: dict[float, float] = defaultdict(float)
    for place, moment in enumerate(moments):
        load = load_of((place + 0.5) * STEP_S, seconds)
        weights[round(min(0.95, load / moment.have * WORK_MS / 1000), 2)] += load
    mixed = sum(weight * wait_distribution(busy) for busy, weight in weights.items()) / sum(weights.values())
    return float(WORK_MS * (1 + GRID[np.searchsorted(mixed, share)]))


# -- the table ---------------------------------------------------------------------------------------------------------

HEADINGS = (
    *("a day of", "the formula on the true load", "of which too little, too much"),
    *(setting.name for setting in SETTINGS),
    *("p95, the formula on the true load", "p95, fixed at the peak"),
)


def row(name: str, seconds: float, count: int, spec: HpaSpec) -> list[str]:
    """Cells under HEADINGS."""

    def load(elapsed: float) -> float:
        return load_of(elapsed, seconds)

    needs = [need_of((place + 0.5) * STEP_S, seconds) for place in range(int(seconds / STEP_S))]
    best = [simulate_hpa(load, needs, spec, phase) for phase in phases(count)]
    one = elasticity([moment for run in best for moment in run])
    cells = [_accuracy(best), f"{100 * one.under:.1f} %, {100 * one.over:.1f} %"]
    cells += [
        _accuracy([simulate(setting, spec, seconds, phase, seed) for seed, phase in enumerate(phases(count))])
        for setting in SETTINGS
    ]
    fixed = latency_ms([Moment(need, max(needs)) for need in needs], seconds)
    followed_ms = latency_ms(best[count // 2], seconds)
    return [name, *cells, f"{followed_ms:.0f} ms ({100 * (followed_ms / fixed - 1):+.0f} %)", f"{fixed:.0f} ms"]


def _accuracy(runs: Sequence[Sequence[Moment]]) -> str:
    reached = over_phases([elasticity(moments).accuracy for moments in runs])
    return f"{100 * reached.mean:.1f} % ({100 * reached.low:.1f} to {100 * reached.high:.1f})"


def table() -> str:
    """All lengths as Markdown; the last one again with Kubernetes' own scale-down window."""
    metric = pods_metric("load", f"{TARGET:g}")
    quick, usual = (read_spec(hpa("web", "default", metric, low=LOW, high=HIGH, down=down)) for down in (DOWN_S, 300))
    rows = [row(name, *length, quick) for name, length in LENGTHS.items()]
    name, length = list(LENGTHS.items())[-1]
    return markdown(HEADINGS, [*rows, row(f"{name}, window 300 s", *length, usual)])


# -- what an HPA's behavior changes ------------------------------------------------------------------------------------

TRIED = (
    ("window 30 s, as in the runs", DOWN_S, None, False),
    ("and scaleUp.tolerance: 0", DOWN_S, "0", False),
    ("window 15 s and scaleUp.tolerance: 0", DOWN_S // 2, "0", False),
    ("the same, with `--reflex`", DOWN_S // 2, "0", True),
)
"""Name, the scale-down window in s, scaleUp's tolerance (Kubernetes' own is 0.1), whether with --reflex."""
TARGETS = (TARGET, 0.75 * TARGET, 0.6 * TARGET, 0.5 * TARGET)
SHORTER = {"6.5 minutes": (390.0, 8), "an hour": (3600.0, 4), "6 hours": (21_600.0, 1)}
"""As LENGTHS."""


def with_behavior(down: int, tolerance: str | None, target: float = TARGET) -> HpaSpec:
    """The HPA of the runs with another behavior, or another target."""
    made = hpa("web", "default", pods_metric("load", f"{target:g}"), low=LOW, high=HIGH, down=down)
    if tolerance is not None:
        made["spec"]["behavior"]["scaleUp"] = {"tolerance": tolerance}
    return read_spec(made)


def behaviors() -> str:
    """Accuracy on our rates at the runs' scrape interval, by length of the day and behavior, as Markdown."""
    headings = ("a day of", "behavior", SETTINGS[0].name, "too little, too much", "changes of replicas")
    rows = []
    for length, (seconds, count) in SHORTER.items():
        for name, down, tolerance, hastened in TRIED:
            spec = with_behavior(down, tolerance)
            runs = [
                simulate(SETTINGS[0], spec, seconds, phase, seed, hastened=hastened)
                for seed, phase in enumerate(phases(count))
            ]
            one = elasticity([moment for run in runs for moment in run])
            moved = sum(before.have != after.have for run in runs for before, after in pairwise(run)) / count
            shares = f"{100 * one.under:.1f} %, {100 * one.over:.1f} %"
            rows.append([length, name, _accuracy(runs), shares, f"{moved:.0f}"])
    return markdown(headings, rows)


def headroom() -> str:
    """What clients wait and what pods cost beside the fleet that is fixed at the peak, by the HPA's target."""
    seconds, count = SHORTER["an hour"]
    places = [(place + 0.5) * STEP_S for place in range(int(seconds / STEP_S))]
    peak = max(need_of(elapsed, seconds) for elapsed in places)
    fixed = latency_ms([Moment(peak, peak)] * len(places), seconds)
    rows = []
    for target in TARGETS:
        spec = with_behavior(DOWN_S // 2, "0", target)
        runs = [simulate(SETTINGS[0], spec, seconds, phase, seed) for seed, phase in enumerate(phases(count))]
        waits = sum(latency_ms(run, seconds) for run in runs) / count
        pods = sum(moment.have for run in runs for moment in run) / count / len(places)
        rows.append([
            f"{target:g} requests/s", f"{waits:.0f} ms ({100 * (waits / fixed - 1):+.0f} %)",
            f"{pods:.1f} ({100 * (pods / peak - 1):+.0f} %)",
        ])  # fmt: skip
    rows.append([f"{peak} pods, fixed", f"{fixed:.0f} ms", f"{peak}"])
    return markdown(("the HPA's target", "p95 latency", "pods, on average"), rows)


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog=SCRIPT, description=__doc__)
    parser.add_argument("--print", action="store_true", help="print, and write nothing")
    parser.add_argument("--behaviors", action="store_true", help="only what an HPA's behavior changes")
    given = parser.parse_args()
    made = {BEHAVIORS: behaviors(), HEADROOM: headroom()} | ({} if given.behaviors else {PART: table()})
    print(*made.values(), sep="\n\n")
    if not given.print:
        rewrite(DOCUMENT, made, SCRIPT)


if __name__ == "__main__":
    main()
