"""Reports as pages and on the terminal."""

import argparse
import math
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from loadtest.page import PageError, rewrite
from loadtest.runs import command, page, plots, report, showcase_command, side_command
from loadtest.runs.arguments import check_out
from loadtest.runs.parts import Followed, Need, downs, ups
from loadtest.runs.publish import DOCS, figures, publish, publish_figures
from loadtest.runs.record import Kind, Remark, Run
from loadtest.runs.report import Report
from tests.loadtest.runs.conftest import Make, looks

TOUCHES = '#!/bin/sh\nfor one in "$@"; do case $one in --screenshot=*) touch "${one#*=}";; esac; done\n'
"""A browser whose pictures are empty."""
COUNTS = {kind: [(0.0, 2), (58.0, 4), (170.0, 2)] for kind in Kind}


class Reader(HTMLParser):
    """What a page refers to, its words, its pictures' words, and its tables' headers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.words: list[str] = []
        self.pictures: list[tuple[str | None, str]] = []
        """Role and label."""
        self.headers: list[list[str]] = []
        """Of each header cell its scope and its text."""
        self.rows: list[list[str]] = []
        """Of each row of a table its cells' tags, with the scope of a header: `th col`."""
        self.ids: list[str] = []
        self.references: set[str] = set()
        """To ids of the page."""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "svg":
            self.pictures.append((given.get("role"), given.get("aria-label") or ""))
        if tag == "th":
            self.headers.append([given.get("scope") or ""])
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append(f"{tag} {given.get('scope') or ''}".strip())
        for name, value in attrs:
            self.ids += [value or ""] if name == "id" else []
            self.references |= set(re.findall(r"^#(.+)$" if name.endswith("href") else r"url\(#([^)]+)\)", value or ""))
            if name in ("src", "href") or (name == "xlink:href"):
                self.outside += [] if (value or "").startswith("#") else [f"{tag} {value}"]

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if (self.get_starttag_text() or "").startswith("<th "):
            self.headers[-1].append(data)


def a_report(make: Make, scenario: str = "step") -> Report:
    return Report(make(scenario, counts=COUNTS, looks=looks((40, 30, 39), (50, 66, 49))))


def test_a_page_needs_nothing_from_outside_and_tells_each_target(make: Make) -> None:
    reader = Reader(page.report(a_report(make)))
    assert reader.outside == []
    text = " ".join(reader.words)
    for told in ("scale-up", "< 30 s", "availability", "load to the pods' counters", "arXiv:1604.03470", "θ_U"):
        assert told in text


def test_a_page_tells_those_who_cannot_see_it_what_its_pictures_show_and_what_heads_its_tables(make: Make) -> None:
    made = a_report(make)
    one, both = Reader(page.report(Report(made.run, made.run))), Reader(page.comparison(["a", "b"], made, made))
    published = Reader((DOCS / "loadtest-step.html").read_text())
    for reader, count in ((one, 3), (both, 2), (published, 2)):
        assert len(reader.pictures) == count
        assert all(role == "img" and len(label) > 40 for role, label in reader.pictures)
        assert reader.headers
        assert all(len(cell) == 2 and cell[1].strip() for cell in reader.headers)
        assert all(set(row) == {"th col"} or (row[0], *set(row[1:])) == ("th row", "td") for row in reader.rows)
    (whole, split, _) = one.pictures
    assert whole[1].startswith("Over the 240 s of the scenario step: the load, what was answered")
    assert split[1].endswith("split into 8 parts: 2 → 4 at 45 s")


def test_each_id_of_a_page_is_there_once_and_what_its_pictures_refer_to_is_there(make: Make) -> None:
    made = a_report(make)
    one, both = Reader(page.report(Report(made.run, made.run))), Reader(page.comparison(["a", "a"], made, made))
    for reader, names in ((one, {"run", "parts", "fixed"}), (both, {"first", "second"})):
        assert len(reader.ids) == len(set(reader.ids)) > 200
        assert len(reader.references) > 5
        assert reader.references <= set(reader.ids)
        assert {value.partition("-")[0] for value in reader.ids} == names


def test_the_words_of_a_picture_are_no_ids(make: Make) -> None:
    said = 'id="web" href="#web" url(#web)'
    text = page.report(Report(make(counts=COUNTS, remarks=[Remark(50.0, said)])))
    assert said in " ".join(Reader(text).words)


def test_what_comes_from_outside_is_shown_as_text(make: Make) -> None:
    run = make(counts=COUNTS, conditions={"world": "<script>alert(1)</script>"})
    assert "<script>" not in page.report(Report(run))
    remarks = [Remark(3.0, "$x_{$ <b>"), Remark(60.0, r"$\frac$")]
    text = page.report(Report(make(counts=COUNTS, remarks=remarks)))
    assert "$x_{$ &lt;b&gt;" in text
    assert r"$\frac$" in text


def test_a_page_is_made_of_every_scenario_and_of_a_run_in_which_nothing_happened(make: Make) -> None:
    for scenario in ("leak", "errors", "connections"):
        assert "<svg" in page.report(a_report(make, scenario))
    empty = make("errors", slices=[])
    text = page.report(Report(empty, empty))
    assert "there was no scale-up to be made" in text
    assert "nan" not in " ".join(Reader(text).words)
    refused = [
        msgspec.structs.replace(one, failed=9, unanswered=9, latencies={}, pods={}) for one in make("errors").slices
    ]
    assert "<td class='n'>–</td>" in page.report(Report(make("errors", slices=refused)))
    unwatched = Report(make("errors", events=[], slices=[]))
    assert "θ_U" not in page.report(unwatched) + figures(unwatched)
    assert report.document(unwatched)["elasticity"] is report.document(unwatched)["cost_against_peak"] is None


def test_a_change_that_was_not_followed_says_what_ended_it(make: Make) -> None:
    """Two pods all the time, or four. `step` needs 4 from 45 to 125 s and 2 to its end; `spike` more for 20 s."""
    few, many = make(), make(counts={kind: [(0.0, 4)] for kind in Kind})
    assert [page.took(one, few) for one in ups(few)] == ["not within 30 s"]
    assert [page.took(one, many) for one in downs(many)] == ["not in the run"]
    spike = make("spike", seconds=210.0)
    assert [page.took(one, spike) for one in ups(spike)] == ["need changed first"]
    stuck = make("connections", seconds=180.0)  # 4 are needed to the end
    text = page.report(Report(stuck))
    assert "<th scope='row' >all</th><td class='n'>not in the run</td>" in text
    assert "need changed first" not in text
    assert "| all | not in the run |" in figures(Report(stuck))
    unwatched = make(events=[], slices=[])
    assert [page.took(one, unwatched) for one in ups(unwatched)] == ["not known"]


@pytest.mark.parametrize(("kind", "lasted", "said"), [
    ("up", 29.9, "need changed first"), ("up", 30.2, "not within 30 s"),
    ("down", 299.9, "need changed first"), ("down", 300.2, "not within 300 s"),
])  # fmt: skip
def test_a_need_that_lasted_longer_than_the_target_was_not_followed_within_it(
    make: Make, kind: str, lasted: float, said: str
) -> None:
    replicas = (2, 3) if kind == "up" else (3, 2)
    change = Followed(Need(10.0, 10.0 + lasted, *replicas), None)
    assert page.took(change, make(seconds=1000.0)) == said
    assert page.took(change, make(seconds=10.2 + lasted)) == said
    assert page.took(change, make(seconds=10.05 + lasted)) == "not in the run"


def test_failures_without_an_answer_are_seen_where_no_latency_is(make: Make) -> None:
    """From 10 to 20 s each half second has 9 requests, and none is answered."""
    refused = [
        msgspec.structs.replace(one, failed=9, unanswered=9, latencies={}) if 10 < one.time <= 20 else one
        for one in make().slices
    ]
    _, _, latency, failed = plots.timeline(make(slices=refused)).axes
    bars = {bar.get_x() + 1: bar.get_height() for bar in failed.patches if isinstance(bar, Rectangle)}
    assert {time for time, rate in bars.items() if rate} == {12, 14, 16, 18, 20}  # by two seconds, at their end
    assert bars[14] == 18  # requests/s
    line = np.asarray(latency.get_lines()[0].get_xydata())
    assert [time for time, value in line.tolist() if math.isnan(value)] == [12, 14, 16, 18, 20]


def test_reports_are_written_and_compared(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("old", "new"):
        command.write(a_report(make), tmp_path / name)
    both = tmp_path / "both.html"
    assert command.main(["compare", str(tmp_path / "old"), str(tmp_path / "new"), "--out", str(both)]) == 0
    told, text = capsys.readouterr().out, both.read_text()
    for name in ("scaling accuracy, %", "slowest scale-up, s", "slowest scale-down, s", "requests failed, %"):
        assert name in told
        assert name in text
    assert "0.000 [0.000, 0.037]" in told  # of 10,400 requests: z² / (n + z²)
    assert "0.000 [-0.037, 0.037]" in told
    assert "different scenarios" not in told + text
    assert text.count("<svg") == 2
    assert not re.search(r" \*<", text)  # the same run twice: no difference is marked


def test_of_a_service_that_does_not_say_who_answered_a_report_is_written(make: Make, tmp_path: Path) -> None:
    made = a_report(make).run
    slices = [msgspec.structs.replace(one, pods={}) for one in made.slices]
    silent = Report(msgspec.structs.replace(made, slices=slices))
    text = command.write(silent, tmp_path).read_text()
    assert "<th scope='row' >in endpoints to the load fits</th><td class='n'>0.0 s</td>" in text
    assert "<th scope='row' >all</th><td class='n'>13.0 s</td>" in text  # in endpoints at 58 s, needed from 45 s on
    assert "| all | 13.0 s |" in figures(silent)
    assert report.load(tmp_path) == silent


@pytest.mark.parametrize("broken", ["document", "page"])
def test_a_report_that_cannot_be_computed_or_drawn_leaves_what_was_seen(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(_: Report) -> None:
        raise ZeroDivisionError

    made = a_report(make)
    monkeypatch.setattr(*{"document": (report, "document"), "page": (page, "report")}[broken], fail)
    with pytest.raises(ZeroDivisionError):
        command.write(made, tmp_path)
    assert report.load(tmp_path) == made


def test_a_report_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["compare", str(tmp_path), str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"{tmp_path / report.JSON}: No such file or directory")


def test_two_scenarios_are_compared_with_a_warning_on_the_terminal_and_on_the_page(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("step", "ramp"):
        command.write(a_report(make, name), tmp_path / name)
    both = tmp_path / "both.html"
    assert command.main(["compare", str(tmp_path / "step"), str(tmp_path / "ramp"), "--out", str(both)]) == 0
    for told in (capsys.readouterr().out, both.read_text()):
        assert "These are different scenarios, step and ramp: what differs" in told


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"seconds": 60.0}, "240 and 60 s"),
        ({"per_pod": 10.0}, "20 and 10 requests/s that a pod bears"),
        (
            {"headroom": 0.4, "high": 14},
            "an HPA’s target 0% and 40% below what a pod bears; 8 and 14 replicas at most",
        ),
        ({"low": 4}, "2 and 4 replicas at least"),
        ({"fixed": True}, "an HPA and a fixed fleet"),
    ],
)
def test_runs_of_one_scenario_that_were_not_alike_are_compared_with_what_they_differ_in(
    other: dict[str, Any], said: str, make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.write(Report(make(counts=COUNTS)), tmp_path / "one")
    command.write(Report(make(counts=COUNTS, **other)), tmp_path / "other")
    both = tmp_path / "both.html"
    assert command.main(["compare", str(tmp_path / "one"), str(tmp_path / "other"), "--out", str(both)]) == 0
    for told in (" ".join(capsys.readouterr().out.split()), both.read_text()):
        assert f"These runs were not alike, {said}: what differs, marked or not, may be the doing of that." in told


def test_runs_whose_loads_differ_in_the_last_digits_alone_were_alike(make: Make) -> None:
    """A target of 12 at a headroom of 0.4 is 20 requests/s that a pod bears, but for rounding."""
    assert page.unlike(make(per_pod=0.3), make(per_pod=0.1 + 0.2)) == ""


@pytest.mark.parametrize("reports", [(".", "../[b]old"), ("report.json", "../[b]old/report.json")])
def test_compared_reports_are_called_as_their_folders(
    reports: Sequence[str], make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in ("new", "[b]old"):
        command.write(a_report(make), tmp_path / name)
    monkeypatch.chdir(tmp_path / "new")
    assert command.main(["compare", *reports, "--out", "both.html"]) == 0
    assert re.search(r"figure\s+┃ new\s+┃ \[b\]old\s+┃", capsys.readouterr().out)
    assert "<h1>Load runs: new and [b]old</h1>" in Path("both.html").read_text()


@pytest.mark.parametrize(
    ("program", "arguments"),
    [(command.main, ["run", "step"]), (showcase_command.main, []), (side_command.main, [])],
)
@pytest.mark.parametrize(
    ("place", "said"), [("file", "File exists"), ("file/below", "Not a directory"), ("/proc/none", "No such file")]
)
def test_a_place_that_can_take_no_report_is_refused_before_the_load(
    program: Callable[[Sequence[str]], int],
    arguments: list[str],
    place: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(SystemExit):
        program([*arguments, "--out", place])
    told = capsys.readouterr().err.splitlines()[-1]
    assert f"--out: {place}: {said}" in told
    assert told.endswith("; a folder that can be made or written to would be right")


def test_a_place_that_can_take_a_report_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for name in ("old", "new/one"):
        check_out(argparse.ArgumentParser(), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert not list((tmp_path / "old").iterdir())


def test_a_comparison_that_cannot_be_written_is_a_sentence(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.write(a_report(make), tmp_path)
    page = tmp_path / "none" / "both.html"
    assert command.main(["compare", str(tmp_path), str(tmp_path), "--out", str(page)]) == 1
    assert capsys.readouterr().err == (
        f"{page}: No such file or directory; a path that can be read and written would be right\n"
    )


def test_a_time_that_no_scenario_can_take_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["run", "step", "--seconds", "nan"])
    assert "--seconds: nan is not within 30 to 86400" in capsys.readouterr().err


def test_the_scenarios_are_listed_with_their_questions(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["scenarios"]) == 0
    assert "how exactly does it follow a day" in capsys.readouterr().out


def pages_and_browser(folder: Path) -> tuple[Path, Path]:
    """A docs/ with a place for the figures of a step, and a browser."""
    docs, browser = folder / "docs", folder / "browser"
    (docs / "img").mkdir(parents=True)
    marks = "<!-- step: written by python -m loadtest publish -->\nold\n<!-- end of step -->"
    (docs / "loadtest.md").write_text(f"before\n{marks}\nafter\n")
    browser.write_text(TOUCHES)
    browser.chmod(0o755)
    return docs, browser


@pytest.mark.parametrize("named", ["run", "run/report.json"])
def test_a_published_report_stands_in_the_docs_with_its_figures(named: str, make: Make, tmp_path: Path) -> None:
    docs, browser = pages_and_browser(tmp_path)
    command.write(a_report(make), tmp_path / "run")
    made = report.load(tmp_path / named)
    assert all(path.exists() for path in publish(made, tmp_path / named, str(browser), docs))
    text = (docs / "loadtest.md").read_text()
    assert "old" not in text
    assert "| scale-down | < 5 min | 45.0 s | met |" in text  # 170 - 125
    assert "| all | 13.5 s |" in text  # four pods have answered in the second that ends at 58.5 s
    assert text.startswith("before\n")
    assert text.endswith("after\n")


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("run", "run/report.html: there is no such file; the folder of a report would be right"),
        (
            "run/old.json",
            "run/old.json: that is no report with its page; a folder, or report.json in it, would be right",
        ),
    ],
)
def test_of_what_is_no_whole_report_nothing_is_published(named: str, said: str, make: Make, tmp_path: Path) -> None:
    docs, browser = pages_and_browser(tmp_path)
    made, folder, before = a_report(make), tmp_path / "run", (docs / "loadtest.md").read_bytes()
    command.write(made, folder)
    (folder / "report.html").rename(folder / "old.html")
    (folder / "report.json").rename(folder / "old.json")
    with pytest.raises(PageError) as told:
        publish(made, tmp_path / named, str(browser), docs)
    assert str(told.value) == f"{tmp_path}/{said}"
    assert (docs / "loadtest.md").read_bytes() == before
    assert [path.name for path in docs.rglob("*") if path.is_file()] == ["loadtest.md"]


def test_figures_alone_go_into_the_page_alone(make: Make, tmp_path: Path) -> None:
    marks = "<!-- step: written by python -m loadtest publish -->\nold\n<!-- end of step -->"
    (tmp_path / "loadtest.md").write_text(marks)
    made = a_report(make)
    assert publish_figures(made, tmp_path) == list(tmp_path.iterdir())
    assert (tmp_path / "loadtest.md").read_text() == marks.replace("old", figures(made))


def test_figures_go_into_the_part_that_is_named(make: Make, tmp_path: Path) -> None:
    """A second run of a scenario leaves the first one's figures alone."""
    marks = "".join(
        f"<!-- {name}: written by python -m loadtest publish -->\nold\n<!-- end of {name} -->\n"
        for name in ("step", "step-again")
    )
    (tmp_path / "loadtest.md").write_text(marks)
    made = a_report(make)
    publish_figures(made, tmp_path, "step-again")
    before, _, after = marks.rpartition("old")
    assert (tmp_path / "loadtest.md").read_text() == f"{before}{figures(made)}{after}"


def test_a_report_that_has_no_part_in_the_page_is_a_sentence_and_nothing_is_written(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.write(a_report(make, "leak"), tmp_path)
    before = (DOCS / "loadtest.md").read_bytes()
    for more, part in (([], "leak"), (["--as", "nowhere"], "nowhere")):
        assert command.main(["publish", str(tmp_path), "--figures", *more]) == 1
        told = capsys.readouterr().err
        assert told.startswith(f"{DOCS / 'loadtest.md'}: <!-- {part}: written by python -m loadtest publish --> and")
        assert re.search(r"; one of (\w[\w-]+, )+day would be right\n$", told)
    assert (DOCS / "loadtest.md").read_bytes() == before


@pytest.mark.parametrize("text", ["", "BEGIN\n", "BEGIN END BEGIN END", "END BEGIN"])
def test_a_page_whose_part_is_not_there_once_is_refused(text: str, tmp_path: Path) -> None:
    begin, end = "<!-- step: written by a script -->", "<!-- end of step -->"
    document = tmp_path / "page.md"
    document.write_text(content := text.replace("BEGIN", begin).replace("END", end))
    with pytest.raises(PageError, match=r"are not there once, so that the figures have no place; (one of|these two)"):
        rewrite(document, {"step": "new"}, "a script")
    assert document.read_text() == content


def test_pictures_are_of_a_report_that_is_there_and_are_there_after_it(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    browser, folder = tmp_path / "browser", tmp_path / "run"
    monkeypatch.setattr(command, "find_browser", lambda: str(browser))
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)
    assert command.main(["picture", str(folder)]) == 1
    assert capsys.readouterr().err == (
        f"{folder}/report.html: there is no such file; the folder of a report would be right\n"
    )
    command.write(a_report(make), folder)
    assert command.main(["picture", str(folder)]) == 1
    assert capsys.readouterr().err.startswith(f"{folder}/report-1000.png: {browser} has written no picture")
    browser.write_text(TOUCHES)
    assert command.main(["picture", str(folder)]) == 0
    assert all(Path(line).is_file() for line in capsys.readouterr().out.splitlines())


def test_the_docs_say_what_the_published_record_says() -> None:
    assert figures(report.load(DOCS / "loadtest-step.json")) in (DOCS / "loadtest.md").read_text()


def test_a_run_whose_record_may_be_too_large_says_so_once_and_runs(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def watch_nothing(*_: object, **__: object) -> Run:
        return make(counts=COUNTS)

    monkeypatch.setattr(command, "watch_with_progress", watch_nothing)
    for more, count in (["--seconds", "45000"], 0), (["--seconds", "45000", "--fixed"], 1):
        assert command.main(["run", "day", *more, "--out", str(tmp_path / "out")]) == 0
        assert capsys.readouterr().out.count("45000 s of this load leave a record of some ") == count


def test_a_run_in_which_locust_was_too_busy_leaves_no_report(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def busy(*_: object, **__: object) -> Run:
        return make(locust_cpu=[0.2] * 10 + [0.95] * 5)

    monkeypatch.setattr(command, "watch_with_progress", busy)
    assert command.main(["run", "step", "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("the run is discarded: Locust was busy for 95% of a core over 5 s")
    assert not (tmp_path / "out").exists()
