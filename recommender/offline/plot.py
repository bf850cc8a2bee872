"""Pictures, with matplotlib (the extra `reports`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from recommender.offline.score import Summary


def curve(path: Path, points: Mapping[str, Summary], lines: Mapping[str, Sequence[Summary]]) -> None:
    """Cost against risk: memory that idles against container-days with an overrun; PNG or SVG by suffix."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name, along in lines.items():
        axes.plot([at.memory_slack for at in along], [100 * at.overrun_rate for at in along], marker=".", label=name)
    for name, at in points.items():
        axes.scatter([at.memory_slack], [100 * at.overrun_rate], s=60, zorder=3)
        axes.annotate(name, (at.memory_slack, 100 * at.overrun_rate), xytext=(6, 6), textcoords="offset points")
    axes.set_xlabel("memory slack: share of what is asked for that is idle")
    axes.set_ylabel("container-days with a memory overrun, %")
    axes.set_title("Cost against risk: lower left is better")
    axes.set_ylim(bottom=0)
    axes.margins(x=0.12)  # room for the names
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
