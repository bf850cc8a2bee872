"""A run as pictures: SVG texts for pages, or a figure to be saved. Needs matplotlib."""

import io
import math
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from loadtest.runs.measures import milliseconds, quantile
from loadtest.runs.parts import NAMES, Followed, needs
from loadtest.runs.record import Event, Kind, Run, Slice, levels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMOOTH_S = 2.0
"""Over which clients' rates and latencies are taken."""
COLOURS = ("#5b8def", "#2f4b7c", "#7a5195", "#bc5090", "#ef5675", "#ff764a", "#ffa600", "#b5b5b5")
"""Of the parts, in their order."""
_TAG = re.compile(r"<[^>]*>")
_ID = re.compile(r'\bid="|href="#|url\(#')
"""Where an id of an SVG is set, and where it is referred to."""
LEGEND: dict[str, Any] = {"fontsize": 8, "loc": "upper right", "ncols": 4, "frameon": False}


def timeline(run: Run) -> "Figure":
    """Load, replicas, latency and errors over the same time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.2), layout="constrained")
    rates, replicas, latency = figure.subplots(3, 1, sharex=True, height_ratios=(1.1, 1, 1))
    _rates(rates, run)
    _replicas(replicas, run)
    _latency(latency, run)
    latency.set_xlim(0, run.seconds)
    latency.set_xlabel("s since the load began", fontsize=9)
    for time, text in _remarks(run):
        rates.text(
            time, 0.02, text, fontsize=7, rotation=90, ha="right", transform=rates.get_xaxis_transform(),
            parse_math=False,  # a "$" of a release is a "$"
        )  # fmt: skip
    for axes in (rates, replicas, latency):
        for remark in run.remarks:
            axes.axvline(remark.time, color="#7a5195", linewidth=0.8, linestyle=":")
        axes.grid(alpha=0.25)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _remarks(run: Run) -> list[tuple[float, str]]:
    """What was done and when, s; what is too near for a line of text of its own is joined to what came before."""
    joined: list[tuple[float, str]] = []
    for remark in sorted(run.remarks, key=lambda remark: remark.time):
        if joined and remark.time - joined[-1][0] < run.seconds / 80:
            joined[-1] = (joined[-1][0], f"{joined[-1][1]}, {remark.text}")
        else:
            joined.append((remark.time, remark.text))
    return joined


def _rates(axes: "Axes", run: Run) -> None:
    places = [place * run.seconds / 600 for place in range(600)]
    load = [run.plan.load(place, per_pod=run.per_pod, seconds=run.seconds) for place in places]
    axes.plot(places, load, color="black", linewidth=1.2, label="load")
    spans = _spans(run.slices)
    axes.plot(
        [span[-1].time for span in spans], [sum(part.answered for part in span) / SMOOTH_S for span in spans],
        color="#7aa6e8", linewidth=1, label="answered",
    )  # fmt: skip
    looks = [look for look in run.looks if 0 <= look.time <= run.seconds]
    axes.plot([look.time for look in looks], [look.total for look in looks], color="#d9480f", linewidth=1.3,
              label="served by the metrics API")  # fmt: skip
    axes.set_ylabel("requests/s, all pods", fontsize=9)
    axes.set_ylim(0, 1.35 * max(load))
    axes.legend(**LEGEND)


def _replicas(axes: "Axes", run: Run) -> None:
    changes = needs(run)
    wanted = [run.needs(0.0), *(need.replicas for need in changes)]
    edges = [0.0, *(need.time for need in changes), run.seconds]
    axes.stairs(wanted, edges, fill=True, color="#e3e7ee", label="needed: ceil(load / target)")
    most = max(wanted)
    for kind, colour, style in (
        (Kind.READY, "#2e8b57", "-"), (Kind.CREATED, "#999999", ":"), (Kind.DESIRED, "#2f4b7c", "--"),
    ):  # fmt: skip
        pieces = levels(run.counts(kind), run.seconds)
        _steps(axes, run.counts(kind), run.seconds, color=colour, linestyle=style, label=kind.value)
        most = max([most, *(one.replicas for one in pieces)])
    axes.set_ylabel("replicas", fontsize=9)
    axes.set_ylim(0, most * 1.35)
    axes.legend(**LEGEND)


def _steps(axes: "Axes", changes: Sequence[Event], seconds: float, **how: Any) -> None:
    pieces = levels(changes, seconds)
    axes.step(
        [*(one.start for one in pieces), seconds], [*(one.replicas for one in pieces), pieces[-1].replicas],
        where="post", linewidth=1.5, **how,
    )  # fmt: skip


def _latency(axes: "Axes", run: Run) -> None:
    from matplotlib.ticker import LogLocator

    spans = [span for span in _spans(run.slices) if any(part.requests for part in span)]
    times = [span[-1].time for span in spans]
    for share, colour in ((0.5, "#7aa6e8"), (0.95, "#d9480f")):
        axes.plot(times, [quantile(milliseconds(span), share) for span in spans], color=colour, linewidth=1.2,
                  label=f"p{100 * share:.0f}, ms")  # fmt: skip
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.set_ylabel("latency, ms", fontsize=9)
    failed = [(span[-1].time, sum(part.failed + part.asked_to_fail for part in span) / SMOOTH_S) for span in spans]
    twin = axes.twinx()
    twin.bar([time for time, _ in failed], [rate for _, rate in failed], SMOOTH_S, color="#c0392b", alpha=0.5,
             label="failed, requests/s")  # fmt: skip
    twin.set_ylim(0, max([1.0, *(1.3 * rate for _, rate in failed)]))
    twin.set_ylabel("failed/s", fontsize=9)
    twin.tick_params(labelsize=8)
    twin.spines[["top", "right"]].set_visible(False)
    lines = [axes.get_legend_handles_labels(), twin.get_legend_handles_labels()]
    axes.legend(*([*one, *other] for one, other in zip(*lines, strict=True)), **LEGEND)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.3)  # room for the legend


def _spans(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Slices by SMOOTH_S; an unfinished one at the end is left out."""
    spans: dict[int, list[Slice]] = {}
    for part in slices:
        spans.setdefault(math.ceil(part.time / SMOOTH_S), []).append(part)
    return list(spans.values())[:-1]


def parts(scale_ups: Sequence[Followed]) -> "Figure | None":
    """Where the time of each scale-up went, a bar for each; None where none is known."""
    from matplotlib.figure import Figure

    known = [(one.need, one.parts) for one in scale_ups if one.parts is not None]
    if not known:
        return None
    figure = Figure(figsize=(11, 1.5 + 0.35 * len(known)), layout="constrained")
    axes = figure.subplots()
    labels = [f"{need.before} → {need.replicas} at {need.time:.0f} s" for need, _ in known]
    start = [0.0] * len(known)
    for place, (name, colour) in enumerate(zip(NAMES, COLOURS, strict=True)):
        widths = [split[place] for _, split in known]
        axes.barh(range(len(known)), widths, left=start, color=colour, label=name, height=0.6)
        start = [one + width for one, width in zip(start, widths, strict=True)]
    axes.set_yticks(range(len(known)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("s since the load needs more", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(fontsize=8, loc="outside upper center", ncols=4, frameon=False)
    return figure


def timeline_in_words(run: Run) -> str:
    """What `timeline` shows, for who cannot see it."""
    return (
        f"Over the {run.seconds:g} s of the scenario {run.scenario}: the load, what was answered and what the metrics"
        " API served, in requests/s; replicas needed, desired, created and ready; p50 and p95 latency, failed requests"
    )


def parts_in_words(scale_ups: Sequence[Followed]) -> str:
    """What `parts` shows, for who cannot see it; a table has the figures."""
    known = [one for one in scale_ups if one.parts is not None]
    bars = ", ".join(f"{one.need.before} → {one.need.replicas} at {one.need.time:.0f} s" for one in known)
    return f"Where the time of each scale-up went, a bar for each, split into {len(NAMES)} parts: {bars}"


def svg(figure: "Figure", words: str, name: str) -> str:
    """The picture as an element of a page, with what it shows in `words`; `name` is its own in the page.

    Its ids begin with `name`, since a page has each id once and matplotlib numbers those of each picture from 1.
    """
    from matplotlib import rc_context

    out = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "streamgate"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    inner = _TAG.sub(lambda tag: _ID.sub(rf"\g<0>{name}-", tag[0]), text[text.index("<svg") + len("<svg") :])
    return f'<svg role="img" aria-label="{escape(words)}"{inner}'
