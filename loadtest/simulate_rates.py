"""Simulate the change-point rate against fixed windows: how fast after a step, how noisy, how many phantom scale-ups.

    python -m loadtest.simulate_rates            # rewrites the tables of docs/rates.md and the pictures beside it
    python -m loadtest.simulate_rates --hours 5  # a quick look at the tables, printed only

Requests per scrape are Poisson (dispersion 1) or negative binomial (variance = dispersion x mean), every pod on its
own. Each rate is a function of the last five minutes of counts, exactly as the embedded store calls it. Seeded: the
same numbers come out every time. Takes about a minute on one core.
"""

import argparse
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from adapter.metrics.store.rate import THRESHOLD, adaptive_rate
from loadtest.page import rewrite

Floats: TypeAlias = npt.NDArray[np.float64]
Estimator: TypeAlias = Callable[[Floats, float], Floats]
"""Counts (rows x intervals, the newest last) and the scrape interval, s -> rates, 1/s."""

DOCUMENT = Path(__file__).parent.parent / "docs" / "rates.md"
PICTURES = DOCUMENT.parent / "img"
MEMORY_S = 300.0
WINDOW_S = 60.0
SYNC_S = 15.0
"""The HPA controller looks every 15 s."""
TOLERANCE = 0.1
MOST_PODS = 10
STEP_ROWS = 2000
STEP = 3.0
AFTER = 36
"""Scrapes that are followed after a step."""


class Load(NamedTuple):
    """A steady load of one pod."""

    rate: float
    dispersion: float
    scrape_s: float

    def counts(self, rng: np.random.Generator, rate: float | Floats, shape: tuple[int, ...]) -> Floats:
        mean = np.broadcast_to(np.asarray(rate) * self.scrape_s, shape)
        if self.dispersion == 1:
            return rng.poisson(mean).astype(float)
        return rng.negative_binomial(mean / (self.dispersion - 1), 1 / self.dispersion).astype(float)


LOADS = [Load(*cell) for cell in product((3.0, 10.0, 50.0), (1.0, 3.0), (2.0, 5.0))]


def fixed_window(window_s: float) -> Estimator:
    """The rate over a fixed window, as `rate(x[30s])`."""

    def estimate(counts: Floats, scrape_s: float) -> Floats:
        intervals = max(1, round(window_s / scrape_s))
        return np.asarray(counts[:, -intervals:].sum(axis=1) / (intervals * scrape_s))

    return estimate


def change_point(threshold: float = THRESHOLD) -> Estimator:
    """The change-point rate over at most 60 s."""

    def estimate(counts: Floats, scrape_s: float) -> Floats:
        return adaptive_rate(counts, np.full(counts.shape, scrape_s), WINDOW_S, threshold)[0]

    return estimate


def steady(estimate: Estimator, load: Load, hours: float, seed: int) -> Floats:
    """What the HPA sees of each pod every 15 s at a steady load, over its true rate: MOST_PODS x looks."""
    rng = np.random.default_rng(seed)
    memory = round(MEMORY_S / load.scrape_s)
    scrapes = int(hours * 3600 / load.scrape_s) + memory
    looks = (np.arange(int(hours * 3600 / SYNC_S)) * SYNC_S / load.scrape_s).astype(int)
    seen = []
    for counts in load.counts(rng, load.rate, (MOST_PODS, scrapes)):
        histories = np.lib.stride_tricks.sliding_window_view(counts, memory)
        parts = [histories[looks[at : at + 2048]] for at in range(0, len(looks), 2048)]
        seen.append(np.concatenate([estimate(part, load.scrape_s) for part in parts]))
    return np.array(seen) / load.rate


def phantoms(seen: Floats, pods: int, hours: float) -> float:
    """Looks per hour at which the HPA of `pods` pods, exactly at its target, would scale up."""
    groups = seen[: len(seen) // pods * pods].reshape(-1, pods, seen.shape[1]).mean(axis=1)
    return float((groups > 1 + TOLERANCE).sum() / (hours * len(groups)))


def after_step(estimate: Estimator, load: Load, factor: float, seed: int) -> Floats:
    """The rate over the new true one at each of AFTER scrapes after a step: scrapes x rows.

    The step falls anywhere inside a scrape interval, so the first of these scrapes sees a mix.
    """
    rng = np.random.default_rng(seed)
    memory = round(MEMORY_S / load.scrape_s)
    old, new = load.rate, load.rate * factor
    share = rng.random((STEP_ROWS, 1))
    counts = np.concatenate(
        [
            load.counts(rng, old, (STEP_ROWS, memory)),
            load.counts(rng, old * (1 - share) + new * share, (STEP_ROWS, 1)),
            load.counts(rng, new, (STEP_ROWS, AFTER - 1)),
        ],
        axis=1,
    )
    ends = range(memory + 1, memory + AFTER + 1)
    return np.array([estimate(counts[:, end - memory : end], load.scrape_s) for end in ends]) / new


def delay(response: Floats) -> int:
    """The scrape after the step from which on the mean rate stays within 10 % of the new one."""
    off = np.flatnonzero(np.abs(response.mean(axis=1) - 1) > TOLERANCE)
    return int(off[-1]) + 2 if len(off) else 1


class Cell(NamedTuple):
    """What was found for one load and one way to take the rate."""

    phantoms: Sequence[float]
    noise: float
    up: int
    down: int


def measure(estimate: Estimator, load: Load, hours: float) -> Cell:
    seen = steady(estimate, load, hours, seed=1)
    return Cell(
        [phantoms(seen, pods, hours) for pods in (1, 3, 10)],
        float(seen.std()),
        delay(after_step(estimate, load, STEP, seed=2)),
        delay(after_step(estimate, load, 1 / STEP, seed=3)),
    )


def holds(load: Load, ours: Cell, theirs: Cell) -> bool:
    """Whether the goals are met: delay, noise, phantoms."""
    in_time = ours.up <= (2 if load.dispersion == 1 else 3)
    calm = all(one <= max(1.0, other) for one, other in zip(ours.phantoms, theirs.phantoms, strict=True))
    return in_time and calm and ours.noise <= theirs.noise


def table(hours: float) -> str:
    """All cells as Markdown: change-point rate / rate over 30 s."""
    lines = [
        "| requests/s | dispersion | scrape | phantoms/h, 1 pod | 3 pods | 10 pods | noise, 1 pod"
        " | scrapes to 10 %, x 3 | x 1/3 | goals |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for load in LOADS:
        ours, theirs = (measure(estimate, load, hours) for estimate in (change_point(), fixed_window(30)))
        numbers = [f"{one:.2f} / {other:.2f}" for one, other in zip(ours.phantoms, theirs.phantoms, strict=True)]
        numbers += [
            f"{ours.noise:.3f} / {theirs.noise:.3f}",
            f"{ours.up} / {theirs.up}",
            f"{ours.down} / {theirs.down}",
        ]
        verdict = "none" if load.rate < 10 else "met" if holds(load, ours, theirs) else "MISSED"
        cells = [f"{load.rate:g}", f"{load.dispersion:g}", f"{load.scrape_s:g} s", *numbers, verdict]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def hard_cases() -> str:
    """Mean rate at the first scrapes of what is no clean step, at 10 requests/s per pod and a scrape of 5 s."""
    scrapes = (1, 2, 3, 4, 6, 9, 12)
    flat, after = np.full(60, 10.0), np.arange(1, 13)
    cases = {
        "from idle to 1/s": (np.zeros(60), np.array([0.5, *np.ones(11)])),
        "from 1/s to idle": (np.ones(60), np.zeros(12)),
        "10/s, one scrape of 100/s": (flat, np.where(after == 1, 100.0, 10.0)),
        "10/s, one scrape of nothing": (flat, np.where(after == 1, 0.0, 10.0)),
        "10/s, a scrape of nothing, then its backlog": (flat, np.array([0.0, 20.0, *np.full(10, 10.0)])),
        "from 10/s up by 0.1/s each second": (flat, 10 + 0.5 * after - 0.25),
    }
    lines = [f"| case | {' | '.join(f'scrape {scrape}' for scrape in scrapes)} |", "|---" * (1 + len(scrapes)) + "|"]
    for name, (before, then) in cases.items():
        load = Load(10, 1, 5)
        counts = load.counts(np.random.default_rng(4), np.concatenate([before, then]), (STEP_ROWS, 72))
        means = [
            [
                float(estimate(counts[:, scrape : scrape + 60], 5).mean())
                for estimate in (change_point(), fixed_window(30))
            ]
            for scrape in scrapes
        ]
        lines.append(f"| {name} | {' | '.join(f'{ours:.1f} / {theirs:.1f}' for ours, theirs in means)} |")
    return "\n".join(lines)


def draw_curve(path: Path) -> None:
    """Delay against noise, fixed windows and thresholds, at 10 requests/s."""
    from matplotlib.figure import Figure

    windows, thresholds = (10, 15, 20, 30, 45, 60), (3.0, 3.5, 4.5, 6.0, 8.0)
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    for axes, load in zip(figure.subplots(2, 2).flat, [load for load in LOADS if load.rate == 10], strict=True):
        for name, knobs, make in (
            ("fixed window (s)", windows, fixed_window),
            ("change-point rate (threshold)", thresholds, change_point),
        ):
            noise = [float(steady(make(knob), load, 4, seed=5).std()) for knob in knobs]
            waits = [delay(after_step(make(knob), load, STEP, seed=2)) * load.scrape_s for knob in knobs]
            axes.plot(noise, waits, "o-", label=name)
            for knob, x, y in zip(knobs, noise, waits, strict=True):
                axes.annotate(f"{knob:g}", (x, y), textcoords="offset points", xytext=(4, 4), fontsize=7)
        axes.set_title(f"dispersion {load.dispersion:g}, scrape every {load.scrape_s:g} s", fontsize=9)
        axes.set_xlabel("noise at a steady rate (standard deviation / mean)", fontsize=8)
        axes.set_ylabel("s to 10 % after x 3", fontsize=8)
        axes.set_ylim(0)
        axes.legend(fontsize=7)
    figure.suptitle("One pod, 10 requests/s: left and low is better", fontsize=10)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def draw_step(path: Path) -> None:
    """The rate after a step from 10 to 30 requests/s: mean and the middle 80 %."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, load in zip(figure.subplots(1, 2), (Load(10, 1, 5), Load(10, 3, 5)), strict=True):
        seconds = np.arange(1, AFTER + 1) * load.scrape_s
        for name, estimate in (("change-point", change_point()), ("rate over 30 s", fixed_window(30))):
            rates = after_step(estimate, load, STEP, seed=2) * load.rate * STEP
            (line,) = axes.plot(seconds, rates.mean(axis=1), label=name)
            low, high = np.quantile(rates, (0.1, 0.9), axis=1)
            axes.fill_between(seconds, low, high, alpha=0.2, color=line.get_color())
        axes.axhline(load.rate * STEP, color="grey", linewidth=0.5)
        axes.set_xlim(0, 60)
        axes.set_ylim(0)
        axes.set_title(f"dispersion {load.dispersion:g}, scrape every {load.scrape_s:g} s", fontsize=9)
        axes.set_xlabel("s since the last scrape before the step", fontsize=8)
        axes.set_ylabel("requests/s of one pod", fontsize=8)
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulate the change-point rate against fixed windows.")
    parser.add_argument("--hours", type=float, default=0, help="print tables over so many hours, and write nothing")
    hours = parser.parse_args().hours
    parts = {"table": table(hours or 40), "hard cases": hard_cases()}
    print("\n\n".join(parts.values()))
    if not hours:
        PICTURES.mkdir(exist_ok=True)
        draw_curve(PICTURES / "rates.png")
        draw_step(PICTURES / "rates-step.png")
        rewrite(DOCUMENT, parts, "loadtest/simulate_rates.py")


if __name__ == "__main__":
    main()
