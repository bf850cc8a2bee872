"""A real run's report into docs/: its files, a picture of its page, and the figures of docs/loadtest.md."""

import shutil
from pathlib import Path

from loadtest.browser import picture
from loadtest.latency import markdown
from loadtest.page import PageError, rewrite
from loadtest.runs.measures import elasticity, jitter, moments
from loadtest.runs.page import HTML, took
from loadtest.runs.parts import NAMES, ups
from loadtest.runs.record import Run
from loadtest.runs.report import JSON, Report

DOCS = Path(__file__).parents[2] / "docs"
SCRIPT = "python -m loadtest publish"
WIDTH, HEIGHT = 1000, 1450
MET = {True: "met", False: "not met", None: "–"}


SMALL = 256 * 1024
"""Bytes of a record that is published; a longer run's stays where it is."""


def publish(made: Report, place: Path, browser: str, docs: Path = DOCS) -> list[Path]:
    """What was written. `place` is the report's folder or its JSON, whose files are published where they are small.

    Raises PageError, where nothing is written.
    """
    folder = place if place.is_dir() else place.parent
    if not place.is_dir() and place.name != JSON:
        raise PageError(f"{place}: that is no report with its page; a folder, or {JSON} in it, would be right")
    if not (folder / HTML).is_file():
        raise PageError(f"{folder / HTML}: there is no such file; the folder of a report would be right")
    name = f"loadtest-{made.run.scenario}"
    page, record, image = docs / f"{name}.html", docs / f"{name}.json", docs / "img" / f"{name}.png"
    pages = publish_figures(made, docs)
    small = (folder / JSON).stat().st_size <= SMALL
    if small:
        shutil.copyfile(folder / HTML, page)
        shutil.copyfile(folder / JSON, record)
    picture(browser, (folder / HTML).absolute().as_uri(), image.absolute(), width=WIDTH, height=HEIGHT)
    return [*([page, record] if small else []), image, *pages]


def publish_figures(made: Report, docs: Path = DOCS, part: str = "") -> list[Path]:
    """Its figures alone, into the page's `part`, which is called as the scenario by default; what was written.

    Raises PageError.
    """
    rewrite(docs / "loadtest.md", {part or made.run.scenario: figures(made)}, SCRIPT)
    return [docs / "loadtest.md"]


def figures(made: Report) -> str:
    """Targets, parts and conditions as Markdown."""
    run, scale_ups = made.run, ups(made.run)
    targets = [(one.name, one.target, one.measured, MET[one.met]) for one in made.verdicts]
    splits = [[f"{part:.1f} s" for part in one.parts] if one.parts else ["–"] * len(NAMES) for one in scale_ups]
    parts = [[name, *cells] for name, cells in zip(NAMES, zip(*splits, strict=True), strict=True)] if scale_ups else []
    heads = [
        "a scale-up's time",
        *(f"{one.need.before} → {one.need.replicas} at {one.need.time:.0f} s" for one in scale_ups),
    ]
    lines = [
        markdown(("target", "asked for", "measured", ""), targets),
        markdown(heads, [*parts, ["all", *(took(one, run) for one in scale_ups)]]),
        *([_elasticity(run)] if run.watched else []),
        "\n".join(f"- {name}: {said}" for name, said in {"date": run.began, **run.conditions}.items()),
    ]
    return "\n\n".join(lines)


def _elasticity(run: Run) -> str:
    fleet = elasticity(moments(run), jitter=jitter(run))
    shares = (f"{100 * share:.1f} %" for share in (fleet.under, fleet.over, fleet.under_time, fleet.over_time))
    return "θ_U {}, θ_O {}, τ_U {}, τ_O {}, jitter {:+.2f} a minute.".format(*shares, fleet.jitter)
