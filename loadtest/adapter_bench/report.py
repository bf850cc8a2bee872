"""Tables, ratios, JSON, the plot and the document. Pure but for `draw`'s caller."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from loadtest.adapter_bench.contenders import CONTENDERS
from loadtest.adapter_bench.direct import Level
from loadtest.adapter_bench.driven import Driven
from loadtest.latency import markdown

OURS = CONTENDERS[-1].name
PEERS = tuple(contender.name for contender in CONTENDERS[:-1])
SAME = 0.05
"""Differences below this share are not called any: each figure is measured once."""


class Results(NamedTuple):
    """Of one run, by contender; `first` is the pass over selectors that the contender has not seen."""

    first: dict[str, Level]
    levels: dict[str, list[Level]]
    driven: dict[str, Driven]


class Row(NamedTuple):
    """One figure in a table: its field, what it is called, its unit, and whether less of it is better."""

    field: str
    title: str
    less: bool | None = True


DIRECT_ROWS = (
    Row("per_second", "requests/s", less=False),
    Row("p50_ms", "latency p50, ms"),
    Row("p99_ms", "latency p99, ms"),
    Row("max_ms", "latency, longest, ms"),
    Row("adapter_cpu_ms", "adapter CPU per request, ms"),
    Row("apiserver_cpu_ms", "kube-apiserver CPU per request, ms"),
    Row("prometheus_cpu_ms", "Prometheus CPU per request, ms"),
    Row("queries", "Prometheus queries per request"),
    Row("lists", "pod LISTs per request"),
    Row("rss_mib", "adapter RSS, MiB"),
    Row("requests", "requests measured", less=None),
    Row("failed", "failed", less=None),
    Row("wrong", "not of every pod", less=None),
    Row("client_share", "load client, processors", less=None),
    Row("busy", "processors busy", less=None),
)
DRIVEN_ROWS = (
    Row("answered15", "metric requests answered per 15 s", less=False),
    Row("failed", "failed", less=None),
    Row("looked_at", "HPAs looked at in the window", less=False),
    Row("interval_p50_s", "interval between syncs of one HPA, p50, s"),
    Row("interval_p99_s", "interval between syncs of one HPA, p99, s"),
    Row("request_p50_ms", "metric request as the API server sees it, p50, ms"),
    Row("request_p99_ms", "metric request as the API server sees it, p99, ms"),
    Row("computation_ms", "HPA metric computation, mean, ms"),
    Row("depth", "HPA work queue at the end", less=None),
    Row("queries15", "Prometheus queries per 15 s"),
    Row("series15", "Prometheus series look-ups per 15 s"),
    Row("lists15", "pod LISTs by the adapter per 15 s"),
    Row("adapter_cpu", "adapter CPU, s per minute"),
    Row("adapter_cpu_ms", "adapter CPU per answer, ms"),
    Row("apiserver_cpu", "kube-apiserver CPU, s per minute"),
    Row("prometheus_cpu", "Prometheus CPU, s per minute"),
    Row("controllers_cpu", "kube-controller-manager CPU, s per minute"),
    Row("etcd_cpu", "etcd CPU, s per minute"),
    Row("rss_mib", "adapter RSS at the end, MiB"),
    Row("rss_most_mib", "adapter RSS, most, MiB"),
    Row("busy", "processors busy", less=None),
)


def number(value: float) -> str:
    """Three digits that count, or all of a bigger one."""
    if not math.isfinite(value):
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 4)}f}"


def ratio(ours: float, peer: float, less: bool | None) -> str:
    """In words: who is how many times better; nothing where it is no contest, or one of them has none."""
    if less is None or not math.isfinite(ours) or not math.isfinite(peer):
        return ""
    good, bad = (ours, peer) if less else (peer, ours)
    if good == bad:
        return "same"
    if abs(good - bad) < SAME * max(good, bad):
        return "alike"
    if good <= 0 or bad <= 0:
        return "ours: none" if ours == 0 else "peer: none"
    return f"{number(bad / good)}× better" if bad > good else f"{number(good / bad)}× WORSE"


def rows(titles: Sequence[Row], runs: Sequence[Mapping[str, Level | Driven]]) -> list[list[str]]:
    """Title, a figure per contender, a ratio per peer; of several runs one beside the other."""
    return [
        [row.title, *(" / ".join(cells).strip(" /") for cells in zip(*(_cells(row, run) for run in runs), strict=True))]
        for row in titles
    ]


def _cells(row: Row, by_contender: Mapping[str, Level | Driven]) -> list[str]:
    values = {name: float(getattr(figures, row.field)) for name, figures in by_contender.items()}
    ratios = [ratio(values[OURS], values[peer], row.less) for peer in PEERS]
    return [*(number(values[name]) for name in (*PEERS, OURS)), *ratios]


HEADINGS = ("", *PEERS, OURS, *(f"ours against {peer}" for peer in PEERS))


def tables(runs: Sequence[Results]) -> list[tuple[str, list[list[str]]]]:
    """Every table: its title and rows under HEADINGS. All runs have the same levels."""
    first = runs[0].first[OURS].concurrency
    sections = [
        (
            f"Direct, first pass over the selectors, concurrency {first}",
            rows(DIRECT_ROWS, [run.first for run in runs]),
        )
    ]
    for position, level in enumerate(runs[0].levels[OURS]):
        of_all = [{name: levels[position] for name, levels in run.levels.items()} for run in runs]
        sections.append((f"Direct, concurrency {level.concurrency}", rows(DIRECT_ROWS, of_all)))
    return [*sections, ("Driven by HPAs", rows(DRIVEN_ROWS, [run.driven for run in runs]))]


def document(results: Results, conditions: Mapping[str, str]) -> dict[str, Any]:
    """All of it for JSON."""
    return {
        "conditions": dict(conditions),
        "first": {name: one._asdict() for name, one in results.first.items()},
        "levels": {name: [one._asdict() for one in levels] for name, levels in results.levels.items()},
        "driven": {name: one._asdict() for name, one in results.driven.items()},
    }


def parse(saved: Mapping[str, Any]) -> tuple[Results, dict[str, str]]:
    """The results and conditions in the JSON object that `document` made."""
    return (
        Results(
            {name: Level(**one) for name, one in saved["first"].items()},
            {name: [Level(**one) for one in levels] for name, levels in saved["levels"].items()},
            {name: Driven(**one) for name, one in saved["driven"].items()},
        ),
        saved["conditions"],
    )


def condition_lines(conditions: Sequence[Mapping[str, str]]) -> list[str]:
    """A line per condition; what differs from run to run, run by run. The last says what was repeated."""
    lines = []
    for name in conditions[0]:
        texts = list(dict.fromkeys(one[name] for one in conditions))
        lines.append(f"{name}: {' / '.join(texts)}")
    count = len(conditions)
    once = "none: each figure was measured once"
    return [*lines, f"repeats: {once if count == 1 else f'{count} runs, their figures in order of time as a / b'}"]


def figures(runs: Sequence[Results], conditions: Sequence[Mapping[str, str]]) -> str:
    """The tables and conditions as Markdown."""
    blocks = [f"### {title}\n\n{markdown(HEADINGS, lines)}" for title, lines in tables(runs)]
    lines = "\n".join(f"- {line}" for line in condition_lines(conditions))
    return "\n\n".join([f"### Conditions\n\n{lines}", *blocks])


LINES = (
    ("per_second", "requests/s"),
    ("p50_ms", "latency p50, ms"),
    ("p99_ms", "latency p99, ms"),
    ("adapter_cpu_ms", "adapter CPU, ms/request"),
)
BARS = (
    ("interval_p99_s", "interval between syncs p99, s"),
    ("request_p50_ms", "metric request p50, ms"),
    ("queries15", "Prometheus queries per 15 s"),
    ("rss_mib", "adapter RSS, MiB"),
)
COLOURS = ("#b0b0b0", "#707070", "#1f6fb4")


def draw(results: Results, save: Callable[[Any], None]) -> None:
    """Direct requests by concurrency above; below what HPAs get and what it costs; `save` gets the figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 6), layout="constrained")
    grid = figure.subplots(2, 4)
    for axes, (field, title) in zip(grid[0], LINES, strict=True):
        for name, colour in zip((*PEERS, OURS), COLOURS, strict=True):
            levels = results.levels[name]
            axes.plot([one.concurrency for one in levels], [getattr(one, field) for one in levels], "o-", color=colour)
        axes.set_yscale("log")
        axes.set_title(f"direct: {title}", fontsize=9)
        axes.set_xlabel("concurrency", fontsize=8)
    for axes, (field, title) in zip(grid[1], BARS, strict=True):
        names = (*PEERS, OURS)
        axes.bar(names, [getattr(results.driven[name], field) for name in names], color=COLOURS)
        axes.set_title(f"HPAs: {title}", fontsize=9)
        axes.tick_params(axis="x", labelsize=8)
        for container in axes.containers:
            axes.bar_label(container, fmt="%.3g", fontsize=8)
    grid[0][0].legend((*PEERS, OURS), fontsize=8)
    save(figure)
