"""The report as one HTML page that needs nothing else: no script, no font, no picture from outside."""

from collections.abc import Sequence
from html import escape
from typing import Any, Final

from adapter.program.tables import cores, size
from recommender.offline.report import Entry

WIDTH: Final = 220
HEIGHT: Final = 44
SHOWN: Final = 2000
"""Rows on the page, those with the most to gain or lose first."""

STYLE: Final = """
:root { color-scheme: light dark; --fg:#1b1f24; --dim:#667; --line:#d8dde3; --bar:#4a7dbd; --bad:#c0392b;
  --good:#2e8b57; }
@media (prefers-color-scheme: dark) {
  :root { --fg:#e6e9ee; --dim:#99a; --line:#3a414b; --bar:#7fb0ee; --bad:#ff7b6b; --good:#6fce97; }
  body { background:#16191d; }
}
body { font: 14px/1.45 system-ui, sans-serif; color: var(--fg); margin: 2rem auto; max-width: 1300px; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; } .dim { color: var(--dim); } svg { display: block; }
.cards { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1rem 0; }
.card { border: 1px solid var(--line); border-radius: 6px; padding: .6rem 1rem; }
.card b { display: block; font-size: 1.25rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .5rem; border-bottom: 1px solid var(--line); vertical-align: middle; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bad { color: var(--bad); } .good { color: var(--good); } .wrap { overflow-x: auto; }
td:last-child { min-width: 8.5em; }
"""


def page(found: Sequence[Entry], sums: dict[str, Any], title: str, currency: str) -> str:
    """The whole page."""
    ranked = sorted(found, key=_weight, reverse=True)
    rows = "\n".join(_row(entry, currency) for entry in ranked[:SHOWN])
    more = (
        f"<p class='dim'>{len(ranked) - SHOWN} more containers are in the JSON and CSV output.</p>"
        if len(ranked) > SHOWN
        else ""
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{escape(title)}</h1>
{_cards(sums, currency)}
{_savings(ranked, currency)}
<p class="dim">Daily memory peaks, oldest to the left: <span style="color:var(--bar)">■</span> the day's peak,
<span class="good">―</span> target, <span class="bad">- -</span> request now (where it is not above the picture).
Risk is the chance that tomorrow's peak is above the amount.</p>
<div class="wrap"><table><thead><tr><th>Container</th><th class="n">CPU now</th><th class="n">CPU target</th>
<th class="n">Memory now</th><th class="n">Memory target</th><th>Daily peaks</th><th class="n">Risk now</th>
<th class="n">Risk at target</th><th class="n">Saves a month</th><th>Verdict</th></tr></thead><tbody>
{rows}
</tbody></table></div>{more}
</body></html>
"""


def _weight(entry: Entry) -> tuple[float, float]:
    """What matters most comes first: money, else memory."""
    if entry.request is None:
        return 0.0, float(entry.target.memory or 0)
    return abs(entry.saving or 0.0), abs(entry.request.memory - (entry.target.memory or entry.request.memory))


def _cards(sums: dict[str, Any], currency: str) -> str:
    cards = [
        ("containers", str(sums["containers"])),
        ("CPU asked for", f"{cores(sums['request']['cpu'])} → {cores(sums['target']['cpu'])}"),
        ("memory asked for", f"{size(sums['request']['memory'])} → {size(sums['target']['memory'])}"),
        ("passed their request in the time seen", str(sums["at_risk"])),
    ]
    if sums["saving"] != "":
        cards.append(("saved a month", money(sums["saving"], currency)))
    return "<div class='cards'>" + "".join(f"<div class='card'><b>{b}</b>{a}</div>" for a, b in cards) + "</div>"


def _savings(ranked: Sequence[Entry], currency: str) -> str:
    """Bars of the ten largest savings, if prices are known."""
    best = sorted((e for e in ranked if (e.saving or 0) > 0), key=lambda e: -(e.saving or 0))[:10]
    if not best:
        return ""
    largest = best[0].saving or 1.0
    bars = []
    for at, entry in enumerate(best):
        y, long = at * 22, 480 * (entry.saving or 0) / largest
        bars.append(
            f"<rect x='330' y='{y + 3}' width='{long:.1f}' height='15' fill='var(--bar)'/>"
            f"{_text(322, y + 15, escape(_short(entry.container)), 'end')}"
            f"{_text(336 + long, y + 15, money(entry.saving or 0, currency), 'start')}"
        )
    tall = 22 * len(best)
    return (
        f"<h2>Largest savings a month</h2><svg role='img' aria-label='largest savings' width='920' height='{tall}' "
        f"viewBox='0 0 920 {tall}'>{''.join(bars)}</svg>"
    )


def _row(entry: Entry, currency: str) -> str:
    now = entry.request
    kind = "good" if entry.verdict == "good" else "bad" if entry.too_little else "dim"
    cells = [
        f"<td>{escape(entry.container)}</td>",
        _number(cores(now.cpu) if now else "–"),
        _number("–" if entry.target.cpu is None else cores(entry.target.cpu)),
        _number(size(now.memory) if now else "–"),
        _number("–" if entry.target.memory is None else size(entry.target.memory)),
        f"<td>{_spark(entry)}</td>",
        _number(_percent(entry.risk_now)),
        _number(_percent(entry.risk)),
        _number("–" if entry.saving is None else money(entry.saving, currency)),
        f"<td class='{kind}'>{escape(entry.verdict)}</td>",
    ]
    return "<tr>" + "".join(cells) + "</tr>"


def _spark(entry: Entry) -> str:
    """Bars of the daily peaks with lines at target and request."""
    if not entry.peaks or entry.target.memory is None:
        return "<span class='dim'>no daily peaks</span>"
    top = max(*entry.peaks, entry.target.memory, 1) * 1.1
    step = WIDTH / max(len(entry.peaks), 7)
    bars = "".join(
        f"<rect x='{at * step:.1f}' y='{HEIGHT * (1 - peak / top):.1f}' width='{step * 0.8:.1f}' "
        f"height='{HEIGHT * peak / top:.1f}' fill='var(--bar)'/>"
        for at, peak in enumerate(entry.peaks)
    )
    lines = _line(entry.target.memory / top, "var(--good)", "")
    if entry.request and entry.request.memory <= top:
        lines += _line(entry.request.memory / top, "var(--bad)", "stroke-dasharray='4 3'")
    label = f"{len(entry.peaks)} daily peaks up to {size(max(entry.peaks))}"
    return f"<svg role='img' aria-label='{label}' width='{WIDTH}' height='{HEIGHT}'>{bars}{lines}</svg>"


def _line(share: float, colour: str, style: str) -> str:
    y = HEIGHT * (1 - share)
    return f"<line x1='0' x2='{WIDTH}' y1='{y:.1f}' y2='{y:.1f}' stroke='{colour}' stroke-width='1.5' {style}/>"


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f"<text x='{x:.1f}' y='{y}' text-anchor='{anchor}' fill='currentColor' font-size='12'>{words}</text>"


def _number(text: str) -> str:
    return f"<td class='n'>{text}</td>"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _short(name: str) -> str:
    return name if len(name) <= 48 else "…" + name[-47:]


def money(amount: float, currency: str) -> str:
    """An amount of money, whole above a hundred."""
    return f"{escape(currency)}{amount:,.0f}" if abs(amount) >= 100 else f"{escape(currency)}{amount:.2f}"
