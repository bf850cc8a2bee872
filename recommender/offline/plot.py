"""Pictures, with matplotlib (the extra `reports`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from recommender.offline.calibration import Bucket
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


def calibration(path: Path, series: Mapping[str, Sequence[Bucket]]) -> None:
    """Realised share of days against printed risk, with 95 % intervals; on the diagonal the risk is true."""
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0.002, 1], [0.002, 1], color="0.5", lw=1, label="as printed")
    axes.fill_between([0.002, 1], [0.0014, 0.7], [0.0028, 1.4], color="0.9", label="0.7 to 1.4 of that")
    for name, buckets in series.items():
        known = [one for one in buckets if one.days and one.realised]
        printed = [one.expected / one.days for one in known]
        realised = [one.realised / one.days for one in known]
        below = [max(share - one.interval[0] * x, 0) for share, one, x in zip(realised, known, printed, strict=True)]
        over = [max(one.interval[1] * x - share, 0) for share, one, x in zip(realised, known, printed, strict=True)]
        axes.errorbar(printed, realised, yerr=(below, over), fmt="o-", capsize=3, lw=1, label=name or "realised")
    axes.set(xscale="log", yscale="log", xlim=(0.002, 1), ylim=(0.002, 1))
    axes.set_xlabel("printed chance of a day above the amount")
    axes.set_ylabel("share of such days that were above it")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
