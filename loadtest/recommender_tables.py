"""Backtests of the recommender's memory policy: rewrites the tables of docs/recommender.md and the picture beside it.

    python -m loadtest.recommender_tables                        # July's machines and the synthetic families
    python -m loadtest.recommender_tables --check OTHER.csv.gz   # and machines that nothing was chosen on

Kills on and off stand side by side: with kills, memory above the target is cut to it and told as an OOM kill, which is
how life is; without, every policy sees what was needed. `vpa-fixed` is VPA's algorithm without its zero-peak bug.
Seeded: the same numbers come out every time. Takes about four minutes on one core.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from adapter.metrics.problems import Problems
from loadtest.page import rewrite
from recommender.config import mode
from recommender.estimate.policy import RiskPolicy
from recommender.input.usage_file import Usage, read_usage
from recommender.model.containers import MISSING
from recommender.model.peaks import Days
from recommender.offline.backtest import POLICIES, Walk, halves, walk
from recommender.offline.calibration import Bucket, Calibrations
from recommender.offline.contenders import Modelled
from recommender.offline.plot import calibration
from recommender.offline.score import Tally, summary
from recommender.settings import Settings

Floats: TypeAlias = NDArray[np.float64]
ROOT: Final = Path(__file__).parent.parent
DOCUMENT: Final = ROOT / "docs" / "recommender.md"
PICTURE: Final = DOCUMENT.parent / "img" / "recommender-calibration.png"
JULY: Final = ROOT / "tests" / "golden" / "recommender" / "bitbrains-rnd-2013-07.csv.gz"
T0: Final = 1767225600.0
HOURS, DAYS, EACH = 24, 35, 12
"""Of a synthetic family: hours a day, days, containers."""
SPLITS: Final = 200
HALF_LIVES: Final = (1.5, 1.8, 2.0, 2.25)
CEILINGS: Final = (0.04, 0.05, 0.06, 0.1)
MIB: Final = 1024.0**2


class Outcome(NamedTuple):
    """Of one walk over one set of containers, our policy and VPA's."""

    ours: Tally
    vpa: Tally
    calibrations: Calibrations

    @property
    def overruns(self) -> float:
        """Overrun days as a multiple of VPA's."""
        return float(self.ours.overruns.sum() / max(self.vpa.overruns.sum(), 1))

    @property
    def memory(self) -> float:
        """Memory asked for as a multiple of VPA's."""
        return float(self.ours.memory_asked.sum() / self.vpa.memory_asked.sum())

    def means_over_halves(self) -> tuple[float, float]:
        """Overruns and memory as multiples of VPA's, each the mean over random halves of the containers."""
        ratios = []
        for seed in range(SPLITS):
            half = halves(len(self.ours.days), seed)[1]
            overruns = self.ours.overruns[half].sum() / max(self.vpa.overruns[half].sum(), 1)
            ratios.append((overruns, self.ours.memory_asked[half].sum() / self.vpa.memory_asked[half].sum()))
        means = np.mean(ratios, axis=0)
        return float(means[0]), float(means[1])


def outcome(usage: Usage, kills: bool) -> Outcome:
    """One walk: a decision a day after a week, the next day scored."""
    how, calibrations = Walk(kills=kills), Calibrations(len(usage.names))
    ours = walk(usage, POLICIES["default"](usage, how), how, calibrations)
    return Outcome(ours, walk(usage, POLICIES["vpa-fixed"](usage, how), how), calibrations)


class Case(NamedTuple):
    """Containers, and how it goes with them by default."""

    usage: Usage
    kills: bool
    default: Outcome

    def with_policy(self, policy: RiskPolicy) -> Outcome:
        """The outcome with another policy of ours; calibrations stay those of the default policy."""
        if policy == RiskPolicy():
            return self.default
        made = Modelled(self.usage, replace(mode(Settings()), policy=policy))
        return self.default._replace(ours=walk(self.usage, made, Walk(kills=self.kills)))


def _noisy(levels: Floats, rng: np.random.Generator, spread: float = 0.05) -> Floats:
    return levels * np.exp(rng.normal(0, spread, levels.shape))


def _shifts(rng: np.random.Generator) -> Floats:
    """A level that moves to another between a quarter and four times as high, every week or two."""
    levels = np.exp(rng.uniform(-1.4, 1.4, DAYS))[np.cumsum(rng.random(DAYS) < 0.1)]
    return _noisy(np.repeat(levels, HOURS), rng)


def _seasons(rng: np.random.Generator) -> Floats:
    """A day's wave on a week's: half as much at weekends."""
    hours = np.arange(DAYS * HOURS)
    week = np.where(hours // HOURS % 7 >= 5, 0.5, 1.0)
    return _noisy(week * (1 + 0.4 * np.sin(2 * np.pi * (hours + rng.integers(HOURS)) / HOURS)), rng)


def _batch(rng: np.random.Generator) -> Floats:
    """An hour at 2 to 6 times as much, every day or every week."""
    hours = np.arange(DAYS * HOURS) + rng.integers(7 * HOURS)
    every = HOURS * int(rng.choice([1, 7]))
    return _noisy(np.where(hours % every == 0, rng.uniform(2, 6), 1.0), rng)


def _leaks(rng: np.random.Generator) -> Floats:
    """Grows by 3 to 10 % of its start a day, and starts anew every 5 to 20 days."""
    age = (np.arange(DAYS * HOURS) + rng.integers(HOURS * 20)) % (HOURS * rng.integers(5, 20))
    return _noisy(1 + rng.uniform(0.03, 0.1) * age / HOURS, rng, 0.02)


def _heaps(rng: np.random.Generator) -> Floats:
    """A JVM: fills its heap in 1 to 5 days and stays; restarts every 2 to 4 weeks."""
    age = (np.arange(DAYS * HOURS) + rng.integers(HOURS * 28)) % (HOURS * rng.integers(14, 28))
    return _noisy(np.minimum(0.3 + 0.7 * age / (HOURS * rng.integers(1, 5)), 1.0), rng, 0.01)


def _starts(rng: np.random.Generator) -> Floats:
    """Two hours at 2 to 3 times as much after a start, every 3 to 10 days."""
    starts = np.cumsum(rng.integers(3 * HOURS, 10 * HOURS, DAYS))
    near = (np.arange(DAYS * HOURS)[:, None] - starts[None, :] + 0).astype(float)
    return _noisy(np.where(((near >= 0) & (near < 2)).any(axis=1), rng.uniform(2, 3), 1.0), rng)


FAMILIES: Final[dict[str, Callable[[np.random.Generator], Floats]]] = {
    "level shifts": _shifts,
    "seasons": _seasons,
    "batch": _batch,
    "leaks": _leaks,
    "JVM plateaus": _heaps,
    "start-up spikes": _starts,
}


def family(made: Callable[[np.random.Generator], Floats], seed: int) -> Usage:
    """A dozen containers of one family, hourly, at 1 to 8 GiB."""
    rng = np.random.default_rng(seed)
    rows = [made(rng) * 1024 * MIB * np.exp(rng.uniform(0, 2)) for _ in range(EACH)]
    memory = np.concatenate(rows).astype(np.int64)
    times = np.tile(T0 + 3600.0 * np.arange(DAYS * HOURS), EACH)
    container = np.repeat(np.arange(EACH), DAYS * HOURS)
    none = np.full(len(memory), MISSING)
    return Usage(
        names=[f"c{k:02d}" for k in range(EACH)],
        container=container, time=times, cpu=none, memory=memory, oom=none, problems=Problems(),
    )  # fmt: skip


def room() -> str:
    """The target of a container whose every day is the same, by days seen, the last of them over or just begun."""
    seen = (1, 2, 3, 4, 7, 8, 11, 14, 21, 28)
    peaks = np.array([[1e9] * count + [0.0] * (28 - count) for count in seen])
    lines = ["| days of UTC seen | " + " | ".join(map(str, seen)) + " |", "|---|" + "---|" * len(seen)]
    for when, elapsed in (("at the end of the last one", 1.0), ("at its beginning", 0.0)):
        ratios = RiskPolicy().targets(Days.of(peaks, elapsed)) / 1e9
        lines.append(f"| {when} | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |")
    return "\n".join(lines)


def comparison_table(outcomes: Sequence[tuple[str, Outcome, Outcome]]) -> str:
    """A Markdown table of overruns and memory as multiples of VPA's, with OOM kills off and on."""
    lines = [
        "| | days | overruns, of vpa-fixed's: kills off | kills on | memory asked for: kills off | kills on |",
        "|---|---|---|---|---|---|",
    ]
    for name, off, on in outcomes:
        pairs = (
            (off.means_over_halves(), on.means_over_halves())
            if "half" in name
            else tuple((o.overruns, o.memory) for o in (off, on))
        )
        (less, memory), (less_on, memory_on) = pairs
        days = f"{off.ours.days.sum():,.0f}"
        lines.append(f"| {name} | {days} | {less:.2f} | {less_on:.2f} | {memory:.2f} | {memory_on:.2f} |")
    return "\n".join(lines)


def knobs(cases: dict[str, tuple[Case, Case]]) -> dict[str, str]:
    """What other half-lives and ceilings would do, kills off and on; of July's machines, and of families above 0.6."""
    july, batch, starts = (cases[name] for name in ("July, 40 machines", "batch", "start-up spikes"))
    half_lives = [
        "| half-life | July: overruns off, on | July: memory off, on | batch, kills on | start-up spikes off, on |",
        "|---|---|---|---|---|",
    ]
    for days in HALF_LIVES:
        policy = RiskPolicy(half_life=days)
        risks, memory = _pairs(july, policy)
        weekly, spikes = batch[1].with_policy(policy).overruns, _pairs(starts, policy)[0]
        half_lives.append(f"| {days:g} days | {risks} | {memory} | {weekly:.2f} | {spikes} |")
    ceilings = ["| ceiling | July: overruns off, on | July: memory off, on |", "|---|---|---|"]
    for ceiling in CEILINGS:
        risks, memory = _pairs(july, RiskPolicy(ceiling=ceiling))
        ceilings.append(f"| {ceiling:.0%} | {risks} | {memory} |")
    return {"half-lives": "\n".join(half_lives), "ceilings": "\n".join(ceilings)}


def _pairs(cases: tuple[Case, Case], policy: RiskPolicy) -> tuple[str, str]:
    off, on = (case.with_policy(policy) for case in cases)
    return f"{off.overruns:.2f}, {on.overruns:.2f}", f"{off.memory:.2f}, {on.memory:.2f}"


def policies(usage: Usage) -> str:
    """Every policy on one set of machines, kills off and on."""
    members = np.arange(len(usage.names))
    lines = [
        "| policy | memory slack: kills off | kills on | overrun days: kills off | kills on | "
        "changes of memory a day: kills off | kills on |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, made in POLICIES.items():
        walks = (Walk(kills=False), Walk(kills=True))
        off, on = (summary(walk(usage, made(usage, how), how), members, step=300.0) for how in walks)
        slack = f"{off.memory_slack:.3f} | {on.memory_slack:.3f}"
        days = f"{off.overruns} ({off.overrun_rate:.1%}) | {on.overruns} ({on.overrun_rate:.1%})"
        lines.append(f"| {name} | {slack} | {days} | {off.changes:.2f} | {on.changes:.2f} |")
    return "\n".join(lines)


def calibration_table(outcomes: Sequence[tuple[str, Outcome, Outcome]], rounds: int) -> str:
    """A Markdown table of realised over printed risk by bucket, with OOM kills off and on."""
    lines = [
        "| machines | kills | amounts | printed | days | printed risk | realised | realised / printed (95 %) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, *pair in outcomes:
        for kills, made in zip(("off", "on"), pair, strict=True):
            for what, kind in (("targets", made.calibrations.at_target), ("0.6 to 1.6 ×", made.calibrations.around)):
                lines += [f"| {name} | {kills} | {what} | {cells} |" for cells in _cells(kind.buckets(rounds))]
    return "\n".join(lines)


def _cells(buckets: Sequence[Bucket]) -> Iterator[str]:
    for one in buckets:
        printed, realised = one.expected / max(one.days, 1), one.realised / max(one.days, 1)
        between = f"{one.ratio:.2f} ({one.interval[0]:.2f} to {one.interval[1]:.2f})"
        yield f"{one.low:.1%} to {one.high:.1%} | {one.days:,} | {printed:.1%} | {realised:.1%} | {between}"


def main() -> None:
    """Walks, prints, rewrites the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", type=Path, action="append", default=[], help="usage that nothing was chosen on")
    parser.add_argument("--rounds", type=int, default=1000, help="of the bootstraps")
    given = parser.parse_args()
    july = read_usage([JULY])
    real = [("July, 40 machines", july), *((_name(path), read_usage([path])) for path in given.check)]
    walked = [(name, outcome(usage, kills=False), outcome(usage, kills=True)) for name, usage in real]
    made = [(name, family(rows, 1)) for name, rows in FAMILIES.items()]
    synthetic = [(name, outcome(usage, kills=False), outcome(usage, kills=True)) for name, usage in made]
    cases = {
        name: (Case(usage, False, off), Case(usage, True, on))
        for (name, usage), (_, off, on) in zip([*real, *made], [*walked, *synthetic], strict=True)
    }
    halved = ("July, means over halves", *walked[0][1:])
    tables = {
        "room": room(),
        "policies": policies(july),
        "backtests": comparison_table([walked[0], halved, *walked[1:], *synthetic]),
        "calibration": calibration_table(walked, given.rounds),
        **knobs(cases),
    }
    print("\n\n".join(tables.values()))
    rewrite(DOCUMENT, tables, "loadtest/recommender_tables.py")
    pairs = [(name, kills, one) for name, *both in walked for kills, one in zip(("off", "on"), both, strict=True)]
    series = {f"{name}, kills {kills}": one.calibrations.around.buckets(given.rounds) for name, kills, one in pairs}
    calibration(PICTURE, series)


def _name(path: Path) -> str:
    return path.name.removesuffix(".csv.gz").removeprefix("bitbrains-rnd-")


if __name__ == "__main__":
    main()
