"""A run's report, and two of them side by side, each as one HTML page that needs nothing else. Pure but for drawing."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from loadtest.runs import plots
from loadtest.runs.intervals import FAILED, Interval, difference, figures
from loadtest.runs.measures import answers, elasticity, jitter, moments
from loadtest.runs.parts import GRID_S, NAMES, Followed, downs, ups
from loadtest.runs.record import Run
from loadtest.runs.report import Report
from loadtest.runs.verdicts import DOWN_S, UNWATCHED, UP_S, Verdict

HTML: Final = "report.html"
STYLE: Final = """
:root { color-scheme: light dark; --fg:#1b1f24; --dim:#5b6470; --line:#d8dde3; --bad:#c0392b; --good:#23774a; }
@media (prefers-color-scheme: dark) {
  :root { --fg:#e6e9ee; --dim:#9aa3ad; --line:#3a414b; --bad:#ff7b6b; --good:#6fce97; }
  body { background:#16191d; }
}
body { font: 14px/1.45 system-ui, sans-serif; color: var(--fg); margin: 1.5rem auto; padding: 0 1rem;
  max-width: 1560px; }
h1 { font-size: 1.4rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 1.6rem; }
.dim { color: var(--dim); } .good { color: var(--good); } .bad { color: var(--bad); }
figure { margin: 0; background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: .4rem;
  overflow-x: auto; }
figure svg { display: block; width: 100%; min-width: 40rem; height: auto; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 1rem 2rem; }
table { border-collapse: collapse; min-width: min(100%, 46rem); }
.beside table { min-width: 100%; } .wrap { overflow-x: auto; }
th, td { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody th { font-weight: normal; }
td.one { white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { color: var(--dim); } dd { margin: 0; }
"""
SOURCE: Final = (
    "Elasticity as the SPEC Research Group defines it (Herbst et al., “Ready for Rain? A View from SPEC Research on the"
    " Future of Cloud Metrics”, 2016, arXiv:1604.03470). Demand is ceil(load / target), supply the pods in endpoints."
    " Brackets hold 95 % intervals from blocks of 30 s drawn anew; shares of failures have Wilson’s at least."
)
MARKS: Final = {True: "<span class='good'>met</span>", False: "<span class='bad'>not met</span>", None: "–"}


def report(run_report: Report) -> str:
    """The page of one run."""
    run = run_report.run
    title = f"Load run: {run.scenario}"
    body = f"""<h1>{escape(title)}</h1>
<p class="dim">{escape(run.plan.asks[0].upper() + run.plan.asks[1:])} {escape(run.began)}, {run.seconds:g} s,
target {run.target:g} requests/s per pod{_headroom(run)}, {run.low} to {run.high} replicas.</p>
<h2>What the brief asks for</h2>{verdict_table(run_report.verdicts)}
<h2>The run</h2>{_timeline(run, "run")}
{_parts(run)}
<div class="beside"><section><h2>Scale-down</h2>{_downs(run)}</section>
<section><h2>Elasticity</h2>{_elasticity(run)}</section>
<section><h2>What clients saw</h2>{_clients(run)}</section>
<section><h2>Conditions</h2>{_conditions(run)}</section></div>
{_fixed_fleet(run_report)}<p class="dim">{escape(SOURCE)}</p>"""
    return _page(title, body)


def comparison(names: Sequence[str], before: Report, after: Report) -> str:
    """Two runs side by side."""
    title = f"Load runs: {names[0]} and {names[1]}"
    sides = "".join(
        f"<section><h2>{escape(name)}: {escape(one.run.scenario)}</h2><p class='dim'>{escape(one.run.began)};"
        f" {escape(one.run.conditions.get('world', ''))}</p>{_timeline(one.run, side)}"
        f"{verdict_table(one.verdicts)}</section>"
        for name, side, one in zip(names, ("first", "second"), (before, after), strict=True)
    )
    heads = ["figure", *names, "second less first"]
    warn = f"<p class='bad'>{escape(said)}</p>" if (said := unlike(before.run, after.run)) else ""
    table = _table(heads, comparison_rows(before.run, after.run), numbers=range(1, 4))
    note = "A difference is marked where 0 is outside of its interval."
    body = f"<h1>{escape(title)}</h1>{warn}{table}<p class='dim'>{note}</p><div class='beside'>{sides}</div>"
    return _page(title, body + f"<p class='dim'>{escape(SOURCE)}</p>")


def unlike(before: Run, after: Run) -> str:
    """Why a difference of two runs tells little, a sentence; '' where they had the same load and room for replicas."""
    if before.scenario != after.scenario:
        return (
            f"These are different scenarios, {before.scenario} and {after.scenario}: what differs, marked or not, may"
            " be their loads’ doing."
        )
    both = before, after
    figures: dict[str, list[float]] = {
        "{:g} and {:g} s": [run.seconds for run in both],
        "{:g} and {:g} requests/s that a pod bears": [run.per_pod for run in both],
        "an HPA’s target {:.0%} and {:.0%} below what a pod bears": [run.headroom for run in both],
        "{} and {} replicas at least": [run.low for run in both],
        "{} and {} replicas at most": [run.high for run in both],
    }
    told = [text.format(*pair) for text, pair in figures.items() if not math.isclose(*pair, rel_tol=1e-6, abs_tol=1e-6)]
    if before.fixed != after.fixed:
        told.append("{} and {}".format(*("a fixed fleet" if run.fixed else "an HPA" for run in both)))
    if not told:
        return ""
    return f"These runs were not alike, {'; '.join(told)}: what differs, marked or not, may be the doing of that."


def comparison_rows(before: Run, after: Run) -> list[list[str]]:
    """A row per figure: both runs, and the second less the first, marked where its bounds exclude 0."""
    old, new, rows = figures(before), figures(after), []
    for name, one in old.items():
        apart, digits = difference(one, new[name]), 3 if name == FAILED else 1
        cells = [interval(each, digits) for each in (one.interval, new[name].interval, apart)]
        rows.append([name, *cells[:2], cells[2] + sure(apart)])
    return rows


def interval(figure: Interval, digits: int = 1) -> str:
    """A figure with its bounds."""
    if math.isnan(figure.value):
        return "–"
    value, *bounds = (f"{one:.{digits}f}" for one in figure)
    return f"{value} [{', '.join(bounds)}]" if figure.known else value


def sure(apart: Interval) -> str:
    """A mark where 0 is not within the interval."""
    return " *" if apart.known and (apart.low > 0 or apart.high < 0) else ""


def verdict_table(verdicts: Iterable[Verdict]) -> str:
    """The brief's targets and what was measured."""
    rows = [
        f"<tr><th scope='row'>{escape(one.name)}</th><td class='one'>{escape(one.target)}</td>"
        f"<td>{escape(one.measured)}</td><td class='one'>{MARKS[one.met]}</td></tr>"
        for one in verdicts
    ]
    heads = "".join(f"<th scope='col'>{text}</th>" for text in ("target", "asked for", "measured", "verdict"))
    return f"<div class='wrap'><table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"


def _page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head><body>
{body}
</body></html>
"""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()) -> str:
    right = set(numbers)
    kind = ["class='n'" if place in right else "" for place in range(len(heads))]
    top = "".join(f"<th scope='col' {one}>{escape(text)}</th>" for one, text in zip(kind, heads, strict=True))
    lines = ""
    for first, *rest in rows:
        cells = "".join(f"<td {one}>{escape(text)}</td>" for one, text in zip(kind[1:], rest, strict=True))
        lines += f"<tr><th scope='row' {kind[0]}>{escape(first)}</th>{cells}</tr>"
    return f"<div class='wrap'><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"


def _parts(run: Run) -> str:
    scale_ups = ups(run)
    if not scale_ups:
        return "<h2>Scale-up</h2><p class='dim'>The need never rose.</p>"
    heads = ["part", *(f"{_change(one)} at {one.need.time:.0f} s" for one in scale_ups)]
    splits = [[f"{part:.1f} s" for part in one.parts] if one.parts else ["–"] * len(NAMES) for one in scale_ups]
    rows = [
        *([name, *cells] for name, cells in zip(NAMES, zip(*splits, strict=True), strict=True)),
        ["all", *(took(one, run) for one in scale_ups)],
        ["replicas desired beyond the need", *(str(one.overshoot) for one in scale_ups)],
    ]
    figure = plots.parts(scale_ups)
    picture = f"<figure>{plots.svg(figure, plots.parts_in_words(scale_ups), 'parts')}</figure>" if figure else ""
    return f"<h2>Scale-up, and where its time went</h2>{picture}{_table(heads, rows, numbers=range(1, len(heads)))}"


def _downs(run: Run) -> str:
    rows = [[_change(one), f"{one.need.time:.0f} s", took(one, run)] for one in downs(run)]
    return _table(["need", "at", "took"], rows, numbers=(1, 2)) if rows else "<p class='dim'>The need never fell.</p>"


def _change(one: Followed) -> str:
    return f"{one.need.before} → {one.need.replicas}"


def took(one: Followed, run: Run) -> str:
    """The time of one of the run's changes, or why there is none."""
    need, limit = one.need, UP_S if one.need.replicas > one.need.before else DOWN_S
    if one.seconds is not None:
        return f"{one.seconds:.1f} s"
    if one.offered is not None:
        return f"in endpoints {one.offered:.1f} s, never fit"
    if not (run.watched or run.answering):
        return "not known"
    if run.seconds - need.until <= GRID_S:
        return "not in the run"
    return f"not within {limit:.0f} s" if need.until - need.time > limit else "need changed first"


def _elasticity(run: Run) -> str:
    if not run.watched:
        return f"<p class='dim'>{escape(UNWATCHED)}.</p>"
    scores = elasticity(moments(run), jitter=jitter(run))
    names = {
        "scaling accuracy, 1 - mean(|ready - needed| / needed)": scores.accuracy,
        "provisioning accuracy, too little (θ_U)": scores.under,
        "provisioning accuracy, too much (θ_O)": scores.over,
        "time with too little (τ_U)": scores.under_time,
        "time with too much (τ_O)": scores.over_time,
    }
    rows = [[name, f"{100 * value:.1f} %"] for name, value in names.items()]
    return _table(["measure", "value"], [*rows, ["jitter, changes a minute", f"{scores.jitter:+.2f}"]], numbers=(1,))


def _clients(run: Run) -> str:
    seen = answers(run)
    problems: dict[str, int] = {}
    for part in run.slices:
        for text, count in part.problems.items():
            problems[text] = problems.get(text, 0) + count
    most = sorted(problems.items(), key=lambda item: -item[1])[:10]
    rows = [
        ["requests answered", str(seen.answered)],
        ["failed", str(seen.failed)],
        *([["of them without an answer", str(seen.unanswered)]] if seen.failed else []),
        *([["errors that were asked for", str(seen.asked_to_fail)]] if seen.asked_to_fail else []),
        *([["Locust itself stood still", f"{seen.stalled:.1f} s"]] if seen.stalled else []),
        [
            "latency of the answers, p50, p95, p99",
            f"{seen.p50:.0f}, {seen.p95:.0f}, {seen.p99:.0f} ms" if seen.answered else "–",
        ],
        *([text, str(count)] for text, count in most),
    ]
    return _table(["of the requests", "measured"], rows, numbers=(1,))


def _conditions(run: Run) -> str:
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in run.conditions.items()) + "</dl>"


def _headroom(run: Run) -> str:
    return f", {run.headroom:.0%} below the {run.per_pod:g} that it bears" if run.headroom else ""


def _fixed_fleet(run_report: Report) -> str:
    if run_report.fixed is None:
        return ""
    return f"<h2>The same load on a fleet fixed at the peak</h2>{_timeline(run_report.fixed, 'fixed')}"


def _timeline(run: Run, name: str) -> str:
    return f"<figure>{plots.svg(plots.timeline(run), plots.timeline_in_words(run), name)}</figure>"
