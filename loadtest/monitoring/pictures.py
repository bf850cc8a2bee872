"""Dashboards as pictures, without Grafana: each panel's own queries, asked of a Prometheus over two hours.

python -m loadtest.monitoring.pictures --prometheus-url=http://localhost:9090 [--into build]
"""

import argparse
import json
import re
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from loadtest.monitoring.__main__ import COMPONENTS

SPAN: Final = 7200.0
"""s that are drawn."""
STEP: Final = 60.0
COLUMNS: Final = 24
"""Of Grafana's grid."""
ROW: Final = 0.36
"""Inches of a row of it."""
WIDTH: Final = 16.0
MOST_LINES: Final = 12


class Series(NamedTuple):
    """One line of an answer."""

    labels: Mapping[str, str]
    times: Sequence[float]
    values: Sequence[float]


Ask: TypeAlias = Callable[[str], Sequence[Series]]
"""A query over the span."""


def draw(board: Mapping[str, Any], ask: Ask) -> Figure:
    """A dashboard as Grafana lays it out: each panel at its place, with its title, unit and lines."""
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    figure = plt.figure(figsize=(WIDTH, 0.6 + ROW * height))
    figure.suptitle(board["title"], x=0.01, ha="left", fontsize=14, fontweight="bold")
    top = 1 - 0.5 / figure.get_figheight()
    for panel in board["panels"]:
        place = panel["gridPos"]
        below = top * (1 - (place["y"] + place["h"]) / height)
        if panel["type"] == "row":
            figure.text(0.01, below + 0.005, panel["title"], fontsize=11, color="dimgrey")
            continue
        left, wide, high = place["x"] / COLUMNS, place["w"] / COLUMNS, top * place["h"] / height
        axes = figure.add_axes((left + 0.2 * wide, below + 0.22 * high, 0.74 * wide, 0.58 * high))
        unit = panel["fieldConfig"]["defaults"].get("unit", "")
        axes.set_title(panel["title"] + (f" [{unit}]" if unit not in ("", "short") else ""), fontsize=8, loc="left")
        axes.set_gid(panel["title"])
        _number(axes, panel, ask) if panel["type"] == "stat" else _lines(axes, panel, ask)
    return figure


def _lines(axes: Any, panel: Mapping[str, Any], ask: Ask) -> None:
    for name, series in _answers(panel, ask):
        if len(axes.lines) < MOST_LINES:
            minutes = [(at - series.times[-1]) / 60 for at in series.times]
            axes.plot(minutes, series.values, linewidth=1, label=name[:40])
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.3)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    if axes.lines and any(not line.get_label().startswith("_") for line in axes.lines):
        axes.legend(fontsize=5, loc="upper left", framealpha=0.6)


def _number(axes: Any, panel: Mapping[str, Any], ask: Ask) -> None:
    found = [f"{series.values[-1]:.4g}" for _, series in _answers(panel, ask)][:3]
    axes.axis("off")
    axes.text(0.5, 0.5, " ".join(found), ha="center", va="center", fontsize=16, color="seagreen")


def _answers(panel: Mapping[str, Any], ask: Ask) -> Iterator[tuple[str, Series]]:
    """The series of all targets of a panel, each by what its legend makes of its labels."""
    for target in panel["targets"]:
        for series in ask(asked(target["expr"])):
            yield _legend(target.get("legendFormat") or "", series.labels) or panel["title"], series


def _legend(template: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), template)


def asked(query: str) -> str:
    """A query as Prometheus gets it, with everything chosen."""
    return re.sub(r"\$\w+", lambda found: "5m" if found[0] == "$__rate_interval" else ".*", query)


def asking(url: str, ends: float) -> Ask:
    """Asks a Prometheus over HTTP."""

    def ask(query: str) -> Sequence[Series]:
        span = {"query": query, "start": ends - SPAN, "end": ends, "step": STEP}
        with urllib.request.urlopen(f"{url}/api/v1/query_range?{urllib.parse.urlencode(span)}", timeout=30) as answer:
            found = json.load(answer)["data"]["result"]
        return [_series(each) for each in found]

    return ask


def _series(found: Mapping[str, Any]) -> Series:
    times, values = zip(*found["values"], strict=True)
    return Series(found["metric"], [float(at) for at in times], [float(value) for value in values])


def boards() -> Mapping[str, Mapping[str, Any]]:
    """The dashboards that are installed, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((COMPONENTS / "dashboards").glob("*.json"))}


def write(into: Path, ask: Ask) -> None:
    """A picture of each dashboard."""
    into.mkdir(parents=True, exist_ok=True)
    for name, board in boards().items():
        figure = draw(board, ask)
        figure.savefig(into / f"dashboard-{name}.png", dpi=80, metadata={"Software": None})
        plt.close(figure)


def main() -> int:
    """Writes the pictures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus-url", required=True, help="whose metrics are drawn")
    parser.add_argument("--into", type=Path, default=Path("build"), help="the folder")
    given = parser.parse_args()
    write(given.into, asking(given.prometheus_url.rstrip("/"), time.time()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
