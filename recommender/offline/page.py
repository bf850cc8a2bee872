"""The report as one HTML page that needs nothing else: no font, no picture and no script from outside."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, Final, NamedTuple

from adapter.program.tables import cores, size
from recommender.model.containers import DAY
from recommender.offline.entry import DAYS_A_MONTH, FACTORS, Entry

WIDTH: Final = 180
HEIGHT: Final = 40
SHOWN: Final = 2000
"""Rows on the page, those that matter most first."""

STYLE: Final = """
:root { color-scheme: light dark; --fg:#1b1f24; --dim:#667; --line:#d8dde3; --bar:#4a7dbd; --bad:#c0392b;
  --good:#2e8b57; }
@media (prefers-color-scheme: dark) {
  :root { --fg:#e6e9ee; --dim:#99a; --line:#3a414b; --bar:#7fb0ee; --bad:#ff7b6b; --good:#6fce97; }
  body { background:#16191d; }
}
body { font: 14px/1.4 system-ui, sans-serif; color: var(--fg); margin: 1.5rem auto; padding: 0 1rem;
  max-width: 1560px; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; } .dim { color: var(--dim); } svg { display: block; max-width: 100%; }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }
.card { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .8rem; }
.card b { display: block; font-size: 1.2rem; } .card.lead b { font-size: 1.6rem; }
.beside { display: flex; flex-wrap: wrap; gap: 1rem 3rem; align-items: flex-start; }
table { border-collapse: collapse; } .all { width: 100%; }
th, td { text-align: left; padding: .3rem .45rem; border-bottom: 1px solid var(--line); vertical-align: middle; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } td.n { white-space: nowrap; }
th:nth-child(10) { text-align: left !important; } .spark { width: 180px; height: 40px; }
.all td:first-child { overflow-wrap: anywhere; min-width: 11em; } .all td:nth-child(2) { min-width: 7em; }
.all th { cursor: pointer; user-select: none; } th[aria-sort=descending]::after { content: " ▾"; }
th[aria-sort=ascending]::after { content: " ▴"; }
.bad { color: var(--bad); } .good { color: var(--good); } .wrap { overflow-x: auto; } small { color: var(--dim); }
.date { white-space: nowrap; }
@media (max-width: 1200px) { body { font-size: 12px; padding: 0 .4rem; } th, td { padding: .25rem .3rem; }
  .spark { width: 120px; } .all td:first-child { min-width: 8em; } .all td:nth-child(2) { min-width: 6em; } }
"""
SCRIPT: Final = """
for (const table of document.querySelectorAll("table.all")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const value = (row, at) => row.cells[at].dataset.v ?? row.cells[at].textContent;
  heads.forEach((head, at) => {
    head.tabIndex = 0;
    const sort = () => {
      const down = head.getAttribute("aria-sort") !== "descending", rows = [...body.rows];
      rows.sort((a, b) => {
        const [x, y] = [value(a, at), value(b, at)];
        if (x === "" || y === "") return (x === "") - (y === "");  // what is not known comes last, either way
        const order = head.classList.contains("n") ? x - y : x.localeCompare(y);
        return down ? -order : order;
      });
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...rows);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
  });
}
"""
HEADS: Final = (
    ("Container", ""),
    ("Verdict", ""),
    ("Risk now", "n"),
    ("Risk at target", "n"),
    ("Saves a month", "n"),
    ("CPU now", "n"),
    ("CPU target", "n"),
    ("Memory now", "n"),
    ("Memory target", "n"),
    ("Daily peaks", "n"),
    ("Days seen", "n"),
)
"""Columns; those of class n are sorted by number."""


class Basis(NamedTuple):
    """What a report stands on."""

    ceiling: float | None
    """The largest chance a day that a target may have of being passed; None: memory is VPA's percentile"""
    now: float
    """Unix s"""


def page(entries: Sequence[Entry], sums: dict[str, Any], basis: Basis, *, title: str, currency: str) -> str:
    """The whole page."""
    ranked = sorted(entries, key=_weight, reverse=True)
    rows = "\n".join(_row(entry, basis, currency) for entry in ranked[:SHOWN])
    heads = "".join(f"<th class='{kind}'>{name}</th>" for name, kind in HEADS)
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
{_basis(entries, sums, basis)}
<div class="beside">{_savings(ranked, currency)}{_what_if(entries)}</div>
<p class="dim">Daily memory peaks, oldest to the left: <span style="color:var(--bar)">■</span> the day's peak,
<span class="good">―</span> target, <span class="bad">- -</span> request now (where it is not above the picture).
Risk is the chance that the next day's memory peak is above the amount. A click on a column's name sorts by it.</p>
<div class="wrap"><table class="all"><thead><tr>{heads}</tr></thead><tbody>
{rows}
</tbody></table></div>{more}
<script>{SCRIPT}</script>
</body></html>
"""


def _weight(entry: Entry) -> tuple[bool, float, float, float]:
    """What matters most comes first: too small requests by their risk, then money, else memory."""
    alive = bool(entry.too_little) and not entry.is_silent
    asked = entry.request.memory if entry.request else 0
    moved = abs(asked - (entry.target.memory or asked)) if entry.request else 0
    return alive, (entry.risk_now or 0.0) if alive else 0.0, abs(entry.saving or 0.0), moved


def _cards(sums: dict[str, Any], currency: str) -> str:
    """Money and risk side by side, then amounts; what is not known has no card."""
    cards = []
    if sums["saving"] != "":
        cards.append(("lead", "saved a month", money(sums["saving"], currency)))
    if sums["overrun_days_now"] != "":
        days = f"{sums['overrun_days_now']:g} → {sums['overrun_days_target']:g}"
        cards.append(("lead", "days with a memory overrun expected a month, now → at target", days))
    if sums["counted"]:
        cards += [
            ("", "CPU asked for", f"{cores(sums['request']['cpu'])} → {cores(sums['target']['cpu'])}"),
            ("", "memory asked for", f"{size(sums['request']['memory'])} → {size(sums['target']['memory'])}"),
            ("", "passed their request in the time seen", str(sums["at_risk"])),
        ]
    cards.append(("", "containers", str(sums["containers"])))
    return "<div class='cards'>" + "".join(f"<div class='card {c}'><b>{b}</b>{a}</div>" for c, a, b in cards) + "</div>"


def _basis(entries: Sequence[Entry], sums: dict[str, Any], basis: Basis) -> str:
    """How much history there is, which rule made the targets, and who is in no sum."""
    first = [entry.first for entry in entries if entry.first is not None]
    days = sorted(entry.history for entry in entries)
    said = []
    if first:
        said.append(
            f"History from {_date(min(first))} to {_date(basis.now)}, {days[len(days) // 2]:.1f} days of the middle "
            f"container and {days[0]:.1f} of the youngest."
        )
    said.append(
        "Memory targets are VPA's percentile."
        if basis.ceiling is None
        else f"Memory targets: a day passes one with a chance of at most {100 * basis.ceiling:g} %."
    )
    out = [
        (sum(1 for entry in entries if not any(entry.request or ())), "whose request is not known"),
        (sum(1 for entry in entries if any(entry.request or ()) and entry.is_silent), "silent for eight days or more"),
        (
            sum(1 for entry in entries if any(entry.request or ()) and entry.is_short and not entry.is_silent),
            "with less than a day of history",
        ),
    ]
    left = [f"{count} {what}" for count, what in out if count]
    said.append(f"Sums are of {sums['counted']} containers" + (f"; without {', '.join(left)}." if left else "."))
    return f"<p>{' '.join(said)}</p>"


def _what_if(entries: Sequence[Entry]) -> str:
    """Price against risk: all memory targets times a factor."""
    known = [entry for entry in entries if entry.counts and len(entry.risks) == len(FACTORS)]
    if not known:
        return ""
    rows = []
    for at, factor in enumerate(FACTORS):
        asked = sum(round(factor * (entry.target.memory or 0)) for entry in known)
        days = sum(entry.risks[at] for entry in known) * DAYS_A_MONTH
        mark = " class='good'" if factor == 1 else ""
        rows.append(f"<tr{mark}><td class='n'>{factor:g}</td>{_number(size(asked))}{_number(f'{days:.1f}')}</tr>")
    return (
        "<div><h2>What if all memory targets were larger or smaller</h2><table><thead><tr><th class='n'>times</th>"
        "<th class='n'>memory asked for</th><th class='n'>overrun days a month</th></tr></thead><tbody>"
        f"{''.join(rows)}</tbody></table></div>"
    )


def _savings(ranked: Sequence[Entry], currency: str) -> str:
    """Bars of the ten largest savings, if prices are known."""
    best = sorted((e for e in ranked if e.counts and (e.saving or 0) > 0), key=lambda e: -(e.saving or 0))[:10]
    if not best:
        return ""
    largest, bars = best[0].saving or 1.0, []
    names = 10 + 8 * max(len(_short(entry.container)) for entry in best)
    for at, entry in enumerate(best):
        y, long = at * 22, 290 * (entry.saving or 0) / largest
        bars.append(
            f"<rect x='{names + 8}' y='{y + 3}' width='{long:.1f}' height='15' fill='var(--bar)'/>"
            f"{_text(names, y + 15, escape(_short(entry.container)), 'end')}"
            f"{_text(names + 14 + long, y + 15, money(entry.saving or 0, currency), 'start')}"
        )
    tall, wide = 22 * len(best), names + 390
    return (
        "<div><h2>Largest savings a month</h2>"
        f"<svg role='img' aria-label='largest savings' width='{wide}' height='{tall}' "
        f"viewBox='0 0 {wide} {tall}'>{''.join(bars)}</svg></div>"
    )


def _row(entry: Entry, basis: Basis, currency: str) -> str:
    now = entry.request
    kind = "good" if entry.verdict == "good" else "bad" if entry.too_little else "dim"
    note = f"<br><small>{escape(entry.note)}</small>" if entry.note else ""
    cells = [
        f"<td>{escape(entry.container)}{note}</td>",
        f"<td class='{kind}'>{escape(entry.verdict)}</td>",
        _risk(entry.risk_now, basis),
        _risk(entry.risk, basis),
        _number("–" if entry.saving is None else money(entry.saving, currency), entry.saving),
        _number(cores(now.cpu) if now else "–", now and now.cpu),
        _number("–" if entry.target.cpu is None else cores(entry.target.cpu), entry.target.cpu),
        _number(size(now.memory) if now else "–", now and now.memory),
        _number("–" if entry.target.memory is None else size(entry.target.memory), entry.target.memory),
        f"<td data-v='{max(entry.peaks, default=0) or ''}'>{_spark(entry)}</td>",
        _number(f"{entry.history:.1f}", entry.history),
    ]
    return "<tr>" + "".join(cells) + "</tr>"


def _risk(share: float | None, basis: Basis) -> str:
    """Red above the ceiling, whatever the money."""
    kind = "" if share is None or basis.ceiling is None or share <= 1.01 * basis.ceiling else " bad"
    return _number("–" if share is None else f"{100 * share:.1f} %", share, kind)


def _spark(entry: Entry) -> str:
    """Bars of the daily peaks with lines at target and request, and the dates of the first and the last."""
    if not entry.peaks or entry.target.memory is None:
        return "<span class='dim'>no daily peaks</span>"
    top = max(*entry.peaks, entry.target.memory, 1) * 1.1
    step = WIDTH / max(len(entry.peaks), 7)
    dates = _dates(entry)
    bars = "".join(
        f"<rect x='{at * step:.1f}' y='{HEIGHT * (1 - peak / top):.1f}' width='{step * 0.8:.1f}' "
        f"height='{HEIGHT * peak / top:.1f}' fill='var(--bar)'><title>{date} {size(peak)}</title></rect>"
        for at, (peak, date) in enumerate(zip(entry.peaks, dates, strict=True))
    )
    lines = _line(entry.target.memory / top, "var(--good)", "")
    if entry.request and entry.request.memory <= top:
        lines += _line(entry.request.memory / top, "var(--bad)", "stroke-dasharray='4 3'")
    label = f"{len(entry.peaks)} daily peaks up to {size(max(entry.peaks))}"
    span = f'<small>{dates[0][5:]} to <span class="date">{dates[-1]}</span></small>' if dates[-1] else ""
    return (
        f"<svg class='spark' role='img' aria-label='{label}' viewBox='0 0 {WIDTH} {HEIGHT}' "
        f"preserveAspectRatio='none'>{bars}{lines}</svg>{span}"
    )


def _dates(entry: Entry) -> list[str]:
    """The day of each peak; '' where that is not known."""
    if entry.last is None:
        return [""] * len(entry.peaks)
    newest = len(entry.peaks) - 1
    return [_date(entry.last - (newest - at) * DAY) for at in range(len(entry.peaks))]


def _date(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d")


def _line(share: float, colour: str, style: str) -> str:
    y = HEIGHT * (1 - share)
    return f"<line x1='0' x2='{WIDTH}' y1='{y:.1f}' y2='{y:.1f}' stroke='{colour}' stroke-width='1.5' {style}/>"


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f"<text x='{x:.1f}' y='{y}' text-anchor='{anchor}' fill='currentColor' font-size='12'>{words}</text>"


def _number(text: str, value: float | None = None, kind: str = "") -> str:
    """A cell with what it is sorted by; '' is not known."""
    return f"<td class='n{kind}' data-v='{'' if value is None else f'{value:.10g}'}'>{text}</td>"


def _short(name: str) -> str:
    return name if len(name) <= 48 else "…" + name[-47:]


def money(amount: float, currency: str) -> str:
    """An amount of money, whole above a hundred."""
    sign, size_ = "-" if amount < 0 else "", abs(amount)
    return f"{sign}{escape(currency)}{size_:,.0f}" if size_ >= 100 else f"{sign}{escape(currency)}{size_:.2f}"
