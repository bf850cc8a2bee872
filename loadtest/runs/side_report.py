"""Runs of the same scenario side by side: one picture, one table, one sentence. Pure but for drawing."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from loadtest.latency import markdown
from loadtest.runs.generator import OVER, busiest
from loadtest.runs.measures import answers, elasticity, moments
from loadtest.runs.parts import NAMES, downs, needs, ups
from loadtest.runs.record import Kind, Run, levels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#2e8b57", "#2f6fd0", "#d9480f", "#7a5195", "#8d6e63", "#555555")
HEADINGS = (
    "the HPA follows",
    "new load served after",
    "HPA wants enough pods after",
    "enough pods answer after",
    "too few pods for",
    "load gone: back after",
    "accuracy",
    "pods at a time",
    "p95 latency",
    "failed",
)
SERVED, DECIDED = NAMES.index("scrape to served") + 1, NAMES.index("served to the HPA's decision") + 1


def rows(runs: Mapping[str, Run]) -> list[list[str]]:
    """Cells under HEADINGS, a row for each run, of the first rise and the first fall of its load."""
    return [[name, *_cells(run)] for name, run in runs.items()]


def _cells(run: Run) -> list[str]:
    (up, *_), (down, *_), fleet_moments, seen = ups(run), downs(run), moments(run), answers(run)
    fleet = elasticity(fleet_moments)
    parts = up.parts or ()
    return [
        _seconds(sum(parts[:SERVED]) if parts else None),
        _seconds(sum(parts[:DECIDED]) if parts else None),
        _seconds(up.seconds),
        _seconds(fleet.under_time * run.seconds),
        _seconds(down.seconds),
        f"{100 * fleet.accuracy:.1f} %",
        f"{sum(one.have for one in fleet_moments) / len(fleet_moments):.2f}",
        f"{seen.p95:.0f} ms" if seen.answered else "–",
        f"{seen.failed} of {seen.counted}",
    ]


def _seconds(value: float | None) -> str:
    return "not in the run" if value is None else f"{value:.0f} s"


def sentence(runs: Mapping[str, Run]) -> str:
    """What the picture shows: how long until enough pods answered."""
    first = next(iter(runs.values()))
    (need, *_) = needs(first)
    low, high = (first.plan.load(at, per_pod=first.per_pod, seconds=first.seconds) for at in (0.0, need.time + 0.1))
    took = [f"{_seconds(up.seconds)} ({name})" for name, run in runs.items() for up in ups(run)[:1]]
    return (
        f"From {low:g} to {high:g} requests/s, at a target of {first.target:g} per pod. Enough pods answered after:"
        f" {', '.join(took)}."
    )


def tables(runs: Mapping[str, Run], world: str) -> str:
    """Table and conditions as Markdown; `world` is what they share."""
    first = next(iter(runs.values()))
    told = {"date": first.began, **first.conditions, "world": world}
    told["Locust"] = f"the busiest of {len(runs)} took at most {busiest_of_all(runs):.0%} of a core over {OVER} s"
    return "\n\n".join([markdown(HEADINGS, rows(runs)), "\n".join(f"- {name}: {said}" for name, said in told.items())])


def busiest_of_all(runs: Mapping[str, Run]) -> float:
    """Share of a core."""
    return max(busiest(run.locust_cpu) for run in runs.values())


def figure(runs: Mapping[str, Run]) -> "Figure":
    """Load and served metric above, needed and ready replicas below, on one time axis."""
    from matplotlib.figure import Figure

    first = next(iter(runs.values()))
    made = Figure(figsize=(9, 4.6), layout="constrained")
    rates, replicas = made.subplots(2, 1, sharex=True)
    _load(rates, first)
    wanted, edges = _needed_replicas(first)
    replicas.stairs(wanted, edges, fill=True, color="#e3e7ee", label="needed: ceil(load / target)")
    for colour, (name, run) in zip(COLOURS, runs.items(), strict=False):
        looks = [look for look in run.looks if 0 <= look.time <= run.seconds]
        rates.plot(
            [look.time for look in looks], [look.total for look in looks], color=colour, linewidth=1.4, label=name
        )
        _ready(replicas, run, colour, name)
    rates.set_ylabel("requests/s, all pods:\nload, and what the HPA is told", fontsize=8)
    replicas.set_ylabel("replicas ready", fontsize=8)
    replicas.set_xlabel("s since the load began", fontsize=8)
    replicas.set_xlim(0, first.seconds)
    for axes in (rates, replicas):
        axes.set_ylim(0)
        axes.grid(alpha=0.25)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=7, loc="upper right", frameon=False)
    return made


def _load(axes: "Axes", run: Run) -> None:
    places: Sequence[float] = [place * run.seconds / 1000 for place in range(1000)]
    load = [run.plan.load(place, per_pod=run.per_pod, seconds=run.seconds) for place in places]
    axes.plot(places, load, color="black", linewidth=1.2, label="load")


def _needed_replicas(run: Run) -> tuple[list[int], list[float]]:
    changes = needs(run)
    return [run.needs(0.0), *(one.replicas for one in changes)], [0.0, *(one.time for one in changes), run.seconds]


def _ready(axes: "Axes", run: Run, colour: str, name: str) -> None:
    pieces = levels(run.counts(Kind.READY), run.seconds)
    times = [*(one.start for one in pieces), run.seconds]
    counts = [*(one.replicas for one in pieces), pieces[-1].replicas]
    axes.step(times, counts, where="post", color=colour, linewidth=1.6, label=name)
