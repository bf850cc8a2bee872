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
import numpy as np
from matplotlib.figure import Figure

from loadtest.monitoring.__main__ import COMPONENTS

SPAN: Final = 7200.0
"""s that are drawn."""
POINTS: Final = 120
"""Of a line."""
COLUMNS: Final = 24
"""Of Grafana's grid."""
ROW: Final = 0.36
"""Inches of a row of it."""
WIDTH: Final = 16.0
MOST_LINES: Final = 12
TWO_BESIDE: Final = 28
"""Characters of a legend's name below which two fit beside each other."""


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
        axes = figure.add_axes((left + 0.15 * wide, below + 0.2 * high, 0.8 * wide, 0.64 * high))
        unit = panel["fieldConfig"]["defaults"].get("unit", "")
        axes.set_title(panel["title"] + (f" [{unit}]" if unit not in ("", "short") else ""), fontsize=9, loc="left")
        axes.set_gid(panel["title"])
        _number(axes, panel, ask) if panel["type"] == "stat" else _lines(axes, panel, ask)
    _align(figure)
    return figure


def _align(figure: Figure) -> None:
    """One axis of time for all panels: minutes until the newest value of any."""
    drawn = [(axes, line, np.asarray(line.get_xdata(), dtype=float)) for axes in figure.axes for line in axes.lines]
    if not drawn:
        return
    first, last = min(times[0] for _, _, times in drawn), max(times[-1] for _, _, times in drawn)
    for axes, line, times in drawn:
        line.set_xdata((times - last) / 60)
        axes.set_xlim((first - last) / 60, 0)


def _lines(axes: Any, panel: Mapping[str, Any], ask: Ask) -> None:
    for name, series in _answers(panel, ask):
        if len(axes.lines) < MOST_LINES:
            axes.plot(series.times, series.values, linewidth=1, label=name[:40])
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    if not axes.lines:
        axes.set(xticks=[], yticks=[], xlabel="nothing in this span")
        return
    low, high = min(0.0, axes.get_ylim()[0]), axes.get_ylim()[1]
    axes.set_ylim(low, high + 0.25 * (high - low))  # room for the legend
    names = [name for name in map(str, (line.get_label() for line in axes.lines)) if not name.startswith("_")]
    if names:
        columns = 2 if max(map(len, names)) < TWO_BESIDE else 1
        axes.legend(fontsize=6, loc="upper left", ncols=columns, framealpha=0.6)


def _number(axes: Any, panel: Mapping[str, Any], ask: Ask) -> None:
    texts = [f"{series.values[-1]:.4g}" for _, series in _answers(panel, ask)][:3]
    axes.axis("off")
    axes.text(0.5, 0.5, " ".join(texts), ha="center", va="center", fontsize=16, color="seagreen")


def _answers(panel: Mapping[str, Any], ask: Ask) -> Iterator[tuple[str, Series]]:
    """The series of all targets of a panel, each by what its legend makes of its labels."""
    for target in panel["targets"]:
        for series in ask(fill_variables(target["expr"])):
            yield _legend(target.get("legendFormat") or "", series.labels) or panel["title"], series


def _legend(template: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), template)


def fill_variables(query: str) -> str:
    """A panel's query with Grafana's variables filled in so that it selects everything."""
    return re.sub(r"\$\w+", lambda match: "5m" if match[0] == "$__rate_interval" else ".*", query)


def asking(url: str, ends: float, span: float = SPAN) -> Ask:
    """Asks a Prometheus over HTTP for the `span` s before `ends`."""

    def ask(query: str) -> Sequence[Series]:
        asked = {"query": query, "start": ends - span, "end": ends, "step": span / POINTS}
        with urllib.request.urlopen(f"{url}/api/v1/query_range?{urllib.parse.urlencode(asked)}", timeout=30) as answer:
            matrix = json.load(answer)["data"]["result"]
        return [_series(each) for each in matrix]

    return ask


def _series(raw: Mapping[str, Any]) -> Series:
    times, values = zip(*raw["values"], strict=True)
    return Series(raw["metric"], [float(at) for at in times], [float(value) for value in values])


def boards() -> Mapping[str, Mapping[str, Any]]:
    """The dashboards that are installed, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((COMPONENTS / "dashboards").glob("*.json"))}


def write(into: Path, ask: Ask) -> None:
    """A picture of each dashboard."""
    into.mkdir(parents=True, exist_ok=True)
    for name, board in boards().items():
        save(into / f"dashboard-{name}.png", board, ask)


def save(file: Path, board: Mapping[str, Any], ask: Ask) -> None:
    """A picture of one dashboard."""
    figure = draw(board, ask)
    figure.savefig(file, dpi=80, metadata={"Software": None}, pil_kwargs={"optimize": True})
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
