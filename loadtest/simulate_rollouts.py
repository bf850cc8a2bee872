"""Simulate releases before the judge: false rollbacks of healthy ones, and how soon bad ones are found.

    python -m loadtest.simulate_rollouts            # rewrites the tables of docs/rollouts.md and the picture beside it
    python -m loadtest.simulate_rollouts --quick    # a tenth of the releases, printed only
    python -m loadtest.simulate_rollouts --only power --only sample  # rewrites these tables alone

The code is the judge's own (adapter.rollout.evidence), run on thousands of releases at once. Bad requests come in
bursts: a Poisson number of them per window and arm, each with a geometric number of bad requests; all of a burst falls
into one arm. Seeded: the same numbers come out every time. Takes some minutes on one core. Exit code 1 if a bound is
missed.
"""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from adapter.rollout.evidence import breaker, events, gauges
from adapter.rollout.evidence.chance import upper
from adapter.rollout.evidence.events import Bar, Interval
from loadtest.page import rewrite

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Windows: TypeAlias = npt.NDArray[np.int64]

DOCUMENT = Path(__file__).parent.parent / "docs" / "rollouts.md"
PICTURE = DOCUMENT.parent / "img" / "rollouts-power.png"
ALPHA = 0.05
RELEASES = 10_000
WINDOWS = 200
BATCH = 2000
BURSTS = (1.0, 2.0, 5.0, 10.0, 20.0)
BOUND = 0.06
"""The upper 95 % bound of false rollbacks, with bursts up to mean BOUND_TO."""
BOUND_TO = 5.0
NEVER = 1 << 30

MARGIN_0 = Bar(limit=None, margin=0.0, concurrent=True)
SAMPLE = Bar(limit=0.01, margin=0.5, concurrent=True)
ALONE = Bar(limit=0.01, margin=None, concurrent=False)


class Service(NamedTuple):
    """Requests per window of both arms together, the canary's share, stable's bad rate, mean size of a burst."""

    requests: float
    share: float
    rate: float
    burst: float = 1.0
    spell: int = 1
    """Windows over which a burst goes on."""


class Ends(NamedTuple):
    """The window (from 0) at which each release was rolled back and first promoted; NEVER if it was not."""

    rolled_back: Windows
    promoted: Windows


def bursts(rng: np.random.Generator, mean: float, size: float, shape: tuple[int, ...]) -> Floats:
    """Bad requests: a Poisson number of bursts, `mean` requests in all; each burst geometric with mean `size`."""
    count = rng.poisson(mean / size, shape)
    if size == 1:
        return count.astype(float)
    more = rng.negative_binomial(np.maximum(count, 1), 1 / size)
    return np.asarray(count + np.where(count > 0, more, 0), dtype=float)


def bad(rng: np.random.Generator, service: Service, requests: float, rate: float, shape: tuple[int, int]) -> Floats:
    """Bad requests per release and window; a burst is spread evenly over its spell."""
    whole = bursts(rng, requests * rate, service.burst, shape)
    if service.spell > 1:
        parts = rng.multinomial(whole.astype(int), np.full(service.spell, 1 / service.spell))
        whole = np.asarray(sum(np.roll(parts[..., later], later, axis=1) for later in range(service.spell)), float)
    return np.minimum(whole, requests)


def releases(
    service: Service, bar: Bar, *, ratio: float = 1.0, seed: int, count: int = RELEASES, gates: int = 1
) -> Ends:
    """What becomes of `count` releases whose bad rate is `ratio` times stable's, with one of `gates` gates."""
    parts = []
    for first in range(0, count, BATCH):
        rng = np.random.default_rng((seed, first))
        parts.append(_batch(rng, service, bar, ratio=ratio, count=min(BATCH, count - first), gates=gates))
    return Ends(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _batch(rng: np.random.Generator, service: Service, bar: Bar, *, ratio: float, count: int, gates: int) -> Ends:
    canary = round(service.requests * service.share)
    stable = round(service.requests) - canary
    shape = (count, WINDOWS)
    ill = bad(rng, service, canary, service.rate * ratio, shape)
    ill_stable = bad(rng, service, stable, service.rate, shape) if stable else np.zeros(shape)
    ends = Ends(np.full(count, NEVER), np.full(count, NEVER))
    known = events.begin((count,))
    failing = np.zeros(count)
    here, beside = np.full(count, float(canary)), np.full(count, float(stable))
    bars = math.log(gates / ALPHA), -math.log(ALPHA)
    for window in range(WINDOWS):
        now = Interval(here, ill[:, window], beside, ill_stable[:, window])
        known = events.hear(known, bar, now)
        against = events.against(known)
        before, failing = failing, np.where(breaker.plain(*now, bar.limit or 0.0), failing + now.bad, 0.0)
        tripped = breaker.acts(before, failing, now.stable)
        first(ends.rolled_back, (against >= bars[0]) | tripped, window)
        passed = (events.in_favour(known, bar) >= bars[1]) & (against < bars[0] / 2)
        first(ends.promoted, passed & (ends.rolled_back > window), window)
    return ends


def first(ends: Windows, happened: Bools, window: int) -> None:
    """Note `window` where it happened for the first time."""
    ends[happened & (ends == NEVER)] = window


SIZES = (20, 200, 2000, 20_000)
AA = [Service(requests, share=share, rate=0.005) for requests, share in product(SIZES, (0.1, 0.5))]
AT_LIMIT = [Service(requests, share=1.0, rate=0.01) for requests in SIZES]


def false_rollbacks(services: Sequence[Service], bar: Bar, count: int) -> tuple[str, bool]:
    """Healthy releases, per service and size of bursts; and whether every bound is kept."""
    lines = [
        "| requests/window | canary's share | " + " | ".join(f"bursts of {burst:g}" for burst in BURSTS) + " |",
        "|---" * (2 + len(BURSTS)) + "|",
    ]
    kept = True
    for service in services:
        cells = []
        for burst in BURSTS:
            ends = releases(service._replace(burst=burst), bar, seed=1, count=count)
            hits = int((ends.rolled_back < NEVER).sum())
            most = upper(hits, count)
            cells.append(f"{hits / count:.1%} (≤ {most:.1%})")
            kept &= burst > BOUND_TO or most <= BOUND
        lines.append(f"| {service.requests:,.0f} | {service.share:.0%} | {' | '.join(cells)} |")
    return "\n".join(lines), kept


def edges(count: int) -> str:
    """Healthy releases under other conditions: at the very limit, in spells, by gauges; false promotions."""
    lines = ["| case | " + " | ".join(f"bursts of {burst:g}" for burst in BURSTS) + " |", "|---" * 6 + "|"]
    cases: dict[str, tuple[Service, Bar, Callable[[Ends], Windows]]] = {
        "rolled back: limit alone, bad rate exactly the limit, each burst spread over 3 windows, 200 requests/window": (
            Service(200, share=1.0, rate=0.01, spell=3),
            ALONE,
            lambda ends: ends.rolled_back,
        ),
        "rolled back: each burst spread over 3 windows, 2,000 requests/window, share 10 %": (
            Service(2000, share=0.1, rate=0.005, spell=3),
            MARGIN_0,
            lambda ends: ends.rolled_back,
        ),
        "promoted falsely: bad rate exactly the limit of 1 %, 200 requests/window": (
            Service(200, share=1.0, rate=0.01),
            ALONE,
            lambda ends: ends.promoted,
        ),
    }
    for seed, (name, (service, bar, counted)) in enumerate(cases.items(), 2):
        ends = [releases(service._replace(burst=burst), bar, seed=seed, count=count) for burst in BURSTS]
        lines.append(f"| {name} | {' | '.join(f'{(counted(each) < NEVER).mean():.1%}' for each in ends)} |")
    return "\n".join(lines)


def gauge_rollbacks(count: int) -> str:
    """Healthy releases judged by a gauge: noise of 50 %, independent or alike from window to window."""
    lines = ["| correlation of neighbouring windows | 0 | 0.3 | 0.6 | 0.9 |", "|---" * 5 + "|"]
    for margin in (0.0, 0.5):
        cells = [f"{_gauge(margin, alike, count):.1%}" for alike in (0.0, 0.3, 0.6, 0.9)]
        lines.append(f"| rolled back, margin {margin:.0%} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _gauge(margin: float, alike: float, count: int) -> float:
    rng = np.random.default_rng(5)
    bar = Bar(limit=None, margin=margin, concurrent=True)
    known, hit, noise = gauges.begin((count,)), np.zeros(count, bool), rng.normal(size=(2, count))
    for _ in range(WINDOWS):
        noise = alike * noise + math.sqrt(1 - alike**2) * rng.normal(size=(2, count))
        values = np.exp(0.5 * noise)
        known = gauges.hear(known, bar, values[0], values[1], lower_is_worse=False)
        hit |= gauges.against(known) >= -math.log(ALPHA)
    return float(hit.mean())


RATIOS = (2.0, 3.0, 6.0, 20.0, 50.0)
POWER = [
    Service(requests, share=share, rate=rate, burst=burst)
    for (requests, rate), share, burst in product(
        ((200, 0.005), (2000, 0.001), (20_000, 0.001)), (0.1, 0.5), (1.0, 5.0)
    )
]


def power(count: int) -> str:
    """Bad releases: how many are found within WINDOWS windows, after how many windows and canary requests."""
    lines = [
        "| requests/window | stable's bad rate | share | bursts of | "
        + " | ".join(f"{ratio:g} times as bad" for ratio in RATIOS)
        + " |",
        "|---" * (4 + len(RATIOS)) + "|",
    ]
    for service in POWER:
        cells = [_power_cell(service, ratio, count) for ratio in RATIOS]
        where = f"{service.requests:,.0f} | {service.rate:.1%} | {service.share:.0%} | {service.burst:g}"
        lines.append(f"| {where} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _power_cell(service: Service, ratio: float, count: int) -> str:
    ends = releases(service, MARGIN_0, ratio=ratio, seed=6, count=count).rolled_back
    caught = ends[ends < NEVER] + 1
    if not len(caught):
        return "0 %"
    windows = float(np.median(caught))
    return f"{len(caught) / count:.0%}, {windows:g} windows, {windows * service.requests * service.share:,.0f} requests"


def sample(count: int) -> str:
    """The gates of the sample canary: two, a limit of 1 % and a margin of 50 %; 200 requests/s, windows of 5 s."""
    lines = ["| canary's bad rate (stable 0.1 %) | rolled back | promoted | median s to either |", "|---|---|---|---|"]
    service = Service(1000, share=0.1, rate=0.001)
    for ratio in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 500.0):
        ends = releases(service, SAMPLE, ratio=ratio, seed=7, count=count, gates=2)
        back, on = ends.rolled_back < NEVER, (ends.promoted < NEVER) & (ends.promoted < ends.rolled_back)
        when = np.minimum(ends.rolled_back, ends.promoted) + 1
        seconds = f"{5 * np.median(when[when < NEVER]):.0f}" if (when < NEVER).any() else ""
        lines.append(f"| {ratio * service.rate:.1%} | {back.mean():.1%} | {on.mean():.1%} | {seconds} |")
    return "\n".join(lines)


def draw(path: Path, count: int) -> None:
    """Canary requests until the rollback, over how many times as bad it is."""
    from matplotlib.figure import Figure

    ratios = np.array([1.5, 2, 3, 4, 6, 10, 20, 50, 100])
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for burst, share in product((1.0, 5.0), (0.1, 0.5)):
        service = Service(2000, share=share, rate=0.002, burst=burst)
        medians = []
        for ratio in ratios:
            windows = releases(service, MARGIN_0, ratio=ratio, seed=8, count=count).rolled_back + 1
            median = float(np.median(windows))
            medians.append(median * service.requests * share if median <= WINDOWS else math.nan)
        axes.loglog(ratios, medians, "o-", label=f"share {share:.0%}, bursts of {burst:g}")
    axes.set_xlabel("bad rate over stable's (0.2 %)")
    axes.set_ylabel("canary requests until rolled back (median)")
    axes.set_xticks(ratios, [f"{ratio:g}" for ratio in ratios])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110, metadata={"Software": None})


Table: TypeAlias = Callable[[int], tuple[str, bool]]
"""Makes one table of so many releases, and says whether its bound is kept."""
TABLES: Final[Mapping[str, Table]] = {
    "false rollbacks": lambda count: false_rollbacks(AA, MARGIN_0, count),
    "false rollbacks by a limit": lambda count: false_rollbacks(AT_LIMIT, ALONE, count),
    "edges": lambda count: (edges(count), True),
    "gauges": lambda count: (gauge_rollbacks(count), True),
    "power": lambda count: (power(count // 10), True),
    "sample": lambda count: (sample(count // 10), True),
}
PICTURED: Final = "picture"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Simulate releases before the judge.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the releases, printed only")
    parser.add_argument("--only", action="append", choices=(*TABLES, PICTURED), help="this table alone; repeatable")
    told = parser.parse_args(arguments)
    count, wanted = RELEASES // (10 if told.quick else 1), told.only or [*TABLES, PICTURED]
    parts, kept = {}, True
    for name in (each for each in TABLES if each in wanted):
        parts[name], within = TABLES[name](count)
        kept &= within
        print(f"{name}\n{parts[name]}\n", flush=True)
    print(f"upper 95 % bound at most {BOUND:.0%} with bursts up to {BOUND_TO:g}: {'kept' if kept else 'MISSED'}")
    if not told.quick:
        rewrite(DOCUMENT, parts, "loadtest/simulate_rollouts.py")
    if not told.quick and PICTURED in wanted:
        PICTURE.parent.mkdir(exist_ok=True)
        draw(PICTURE, count // 20)
    return int(not kept)


if __name__ == "__main__":
    raise SystemExit(main())
