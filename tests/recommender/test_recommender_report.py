"""What a report says of its input, which containers count, and what the page leads with."""

import io
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from adapter.program import tables
from recommender.__main__ import main
from recommender.input.usage_file import read_usage
from recommender.offline import doubts
from recommender.offline.entry import FACTORS, Request

HEADER = "container,epoch_s,cpu_millicores,memory_bytes\n"
T0 = 1767225600
HOUR, DAY, MI = 3600, 86400, 2**20
Row = tuple[str, float, int, int]
Run = Callable[..., tuple[int, list[dict[str, Any]], str]]


def hourly(name: str, days: int = 10, cpu: int = 100, memory: int = 1024 * MI, begin: int = T0) -> list[Row]:
    return [(name, begin + hour * HOUR, cpu, memory) for hour in range(24 * days + 1)]


@pytest.fixture
def usage(tmp_path: Path) -> Callable[[Iterable[Row]], Path]:
    def write(rows: Iterable[Row]) -> Path:
        path = tmp_path / "usage.csv"
        path.write_text(HEADER + "".join(f"{','.join(map(str, row))}\n" for row in rows))
        return path

    return write


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, list[dict[str, Any]], str]:
        code = main(["report", *map(str, arguments), "--output=json"])
        out, err = capsys.readouterr()
        return code, json.loads(out), err

    return call


@pytest.mark.parametrize("stray", [T0 + 5 * 365 * DAY, T0 - 5 * 365 * DAY, T0 + 400 * DAY, 0])
@pytest.mark.parametrize("of", ["app", "other"])
def test_a_row_years_away_is_named_and_changes_nothing(
    run: Run, usage: Callable[..., Path], stray: int, of: str
) -> None:
    """With it, "now" would be years later, and all that is known too old to count."""
    plain = run(usage(hourly("app")))[1]
    _, entries, err = run(usage([*hourly("app"), (of, stray, 100, 1024 * MI)]))
    assert entries == plain
    assert re.search(rf"^{of} at \d{{4}}-\d\d-\d\dT.*; left out$", err, re.MULTILINE)


@pytest.mark.parametrize("verb", ["replay", "explain"])
def test_the_other_verbs_leave_such_a_row_out_too(
    capsys: pytest.CaptureFixture[str], usage: Callable[..., Path], verb: str
) -> None:
    said = []
    for rows in (hourly("app"), [*hourly("app"), ("other", T0 + 5 * 365 * DAY, 100, 1024 * MI)]):
        assert main([verb, *(["app"] if verb == "explain" else []), str(usage(rows))]) == 0
        said.append(capsys.readouterr())
    assert said[0].out == said[1].out
    assert re.search(r"^other at 20\d\d-\S+: .*; left out$", said[1].err, re.MULTILINE)


def test_two_true_spans_of_time_are_both_kept(usage: Callable[..., Path]) -> None:
    """A container that ended half a year before the other began is old, not wrong."""
    kept, said = doubts.strays(
        read_usage([usage([*hourly("old"), *hourly("new", begin=T0 + 180 * DAY)])]), T0 + 365 * DAY
    )
    assert kept.all()
    assert said == []


def test_a_container_that_is_silent_for_a_month_is_said_and_counts_nowhere(
    run: Run, usage: Callable[..., Path], tmp_path: Path
) -> None:
    names = "shop/Deployment/gone/app", "shop/Deployment/web/app"
    path = usage([*hourly(names[0]), *hourly(names[1], days=40)])
    requests = tmp_path / "requests.csv"
    lines = "".join(f"{name},4000,17179869184\n" for name in names)
    requests.write_text(f"container,cpu_millicores,memory_bytes\n{lines}")
    _, entries, err = run(path, "--requests", requests, "--patches", tmp_path / "out", "--fail-on", "over:1")
    assert [row["verdict"] for row in entries] == ["silent for 30 days", "too much cpu and memory"]
    assert f"no patch for {names[0]}: silent for 30 days" in err
    assert "1 patches" in err
    assert f"{names[0]}: memory request" not in err


def test_an_hour_of_samples_is_no_month(run: Run, usage: Callable[..., Path], tmp_path: Path) -> None:
    """16 GiB are requested at a price, and no saving is said."""
    name, requests = "shop/Deployment/web/app", tmp_path / "requests.csv"
    requests.write_text(f"container,cpu_millicores,memory_bytes\n{name},4000,17179869184\n")
    more = ("--requests", requests, "--price-gib", "1", "--patches", tmp_path / "out")
    _, (row,), err = run(usage(hourly(name)[:2]), *more)
    assert row["history_days"] == 0.0
    assert row["saving"] == ""
    assert f"no patch for {name}: 1.0 h of history, a day is wanted" in err


def test_rows_that_are_there_twice_or_go_back_are_counted(run: Run, usage: Callable[..., Path]) -> None:
    rows = hourly("app", days=2)
    _, entries, err = run(usage([*rows, rows[3], rows[7], rows[5]]))
    assert entries == run(usage(rows))[1]
    assert "3 rows have the time of another row of their container" in err
    assert "2 rows come after a later one of their container" in err  # the first of the three, and the last


def test_the_least_memory_of_a_pod_is_shared_by_its_containers(run: Run, usage: Callable[..., Path]) -> None:
    """250 MiB / 4 = 62.5 MiB = 65,536,000 bytes, and 25 / 4 = 6 millicores, as in the live loop."""
    four = [f"shop/Deployment/web/{name}" for name in "abcd"]
    rows = [row for name in four for row in hourly(name, cpu=1, memory=10 * MI)]
    _, entries, _ = run(usage([*rows, *hourly("shop/Deployment/other/app", cpu=1, memory=10 * MI)]))
    targets = {row["container"]: row["target"] for row in entries}
    assert [targets[name]["memory"] for name in four] == [65_536_000] * 4
    assert targets["shop/Deployment/other/app"] == {"cpu": 25, "memory": 250 * MI}


def test_roundings_and_maxima_hold_in_a_report(run: Run, usage: Callable[..., Path]) -> None:
    path = usage(hourly("app", cpu=730))
    (plain,) = run(path)[1]
    _, (round_,), _ = run(path, "--round-cpu-millicores=100", f"--round-memory-bytes={64 * MI}")
    assert round_["target"]["cpu"] == -(-plain["target"]["cpu"] // 100) * 100
    assert round_["target"]["memory"] == -(-plain["target"]["memory"] // (64 * MI)) * 64 * MI
    most = "--container-recommendation-max-allowed-cpu=500m", "--container-recommendation-max-allowed-memory=512Mi"
    (held,) = run(path, *most)[1]
    assert held["target"] == {"cpu": 500, "memory": 512 * MI}


def test_amounts_in_other_units_are_doubted_in_words(run: Run, usage: Callable[..., Path]) -> None:
    (age,) = run(usage(hourly("app")))[2].splitlines()
    assert age.startswith("the newest row is of 20"), "years ago by now, and nothing else is doubtful"
    assert age.endswith(" days ago: the report is of that time")
    err = run(usage(hourly("app", cpu=2, memory=512)))[2]
    assert "no cpu_millicores is above 2: are these cores? 1 core is 1000" in err
    assert "no memory_bytes is above 512: are these MiB? 1 MiB is 1048576" in err


def test_a_list_of_requests_that_fits_nothing_or_is_in_other_units_is_doubted() -> None:
    said = doubts.of_requests({"web/app": Request(2, 4096)}, {"shop/Deployment/web/app"})
    assert said == [
        "none of the 1 containers with requests is in the source: they are named like web/app, "
        "those of the source like shop/Deployment/web/app",
        "cpu_millicores of 1 requests are 16 or less (web/app): are these cores?",
        "memory_bytes of 1 requests are below 1 MiB (web/app): are these MiB?",
    ]
    assert doubts.of_requests({"a": Request(500, 2**30)}, {"a", "b"}) == []


@pytest.fixture
def page(run: Run, usage: Callable[..., Path], tmp_path: Path) -> str:
    """ "big" asks for far too much, "tight" for half of what it uses, of "unknown" no request is known."""
    requests = tmp_path / "requests.csv"
    requests.write_text(f"container,cpu_millicores,memory_bytes\nbig,4000,{64 * 2**30}\ntight,200,{512 * MI}\n")
    path = usage([row for name in ("big", "tight", "unknown") for row in hourly(name)])
    html = tmp_path / "page.html"
    run(path, "--requests", requests, "--price-core=0.03", "--price-gib=0.004", "--html", html)
    return html.read_text()


def test_the_page_leads_with_money_and_with_risk(page: str) -> None:
    lead = re.findall(r"<div class='card lead'><b>([^<]*)</b>([^<]*)</div>", page)
    assert [what.partition(",")[0] for _, what in lead] == [
        "saved a month",
        "days with a memory overrun expected a month",
    ]
    now, target = map(float, lead[1][0].split(" → "))
    assert now > 25, "tight passes its request every day"
    assert target <= 2 * 0.05 * 31
    assert page.index("card lead") < page.index("<table")


def test_the_page_says_what_larger_or_smaller_targets_would_cost_and_risk(page: str) -> None:
    """Of three containers; at their targets, which are what the factor 1 stands for, each has 5 % a day at most."""
    table = page[page.index("What if all memory targets were larger or smaller") :]
    rows = re.findall(
        r"<tr[^>]*><td class='n'>([\d.]+)</td><td[^>]*>([\d.]+) GiB</td><td[^>]*>([\d.]+)</td></tr>", table
    )
    factors, asked, days = ([float(row[at]) for row in rows] for at in range(3))
    assert len(rows) == len(FACTORS)
    assert factors == sorted(factors)
    at = factors.index(1)
    assert [amount / asked[at] for amount in asked] == pytest.approx(factors, rel=0.04), "to a tenth of a GiB"
    assert days == sorted(days, reverse=True)
    assert days[at] <= 3 * 0.05 * 31 < days[0]


def test_rows_that_are_too_small_come_first_and_their_risk_is_red(page: str) -> None:
    rows = re.findall(r"<tr><td>(big|tight|unknown)</td><td class='(\w+)'>.*?</td><td class='([^']*)'", page)
    assert rows == [("tight", "bad", "n bad"), ("big", "dim", "n"), ("unknown", "dim", "n")]


def test_the_page_says_its_dates_its_history_and_its_rule(page: str) -> None:
    assert "History from 2026-01-01 to 2026-01-11, 10.0 days of the middle container" in page
    assert "a chance of at most 5 %" in page
    assert "Sums are of 2 containers; without 1 whose request is not known." in page
    assert re.search(r"<title>2026-01-11 [\d.]+ [GM]iB</title>", page)
    assert '01-01 to <span class="date">2026-01-11</span>' in page


def test_a_loss_has_its_sign_before_the_currency(page: str) -> None:
    assert "-$" in page
    assert "$-" not in page


def test_every_column_can_be_sorted_by_what_its_cells_hold(page: str) -> None:
    heads = re.findall(r"<th class='(n?)'>([^<]*)</th>", page.partition("table class=")[2])
    first = re.search(r"<tr><td>tight.*?</tr>", page, re.DOTALL)
    assert first is not None
    values = re.findall(r"data-v='([^']*)'", first[0])
    assert len(values) == sum(kind == "n" for kind, _ in heads)
    assert all(float(value) is not None for value in values)


def test_without_requests_no_amount_is_invented(run: Run, usage: Callable[..., Path], tmp_path: Path) -> None:
    run(usage(hourly("app")), "--html", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "asked for</div>" not in text
    assert "Sums are of 0 containers; without 1 whose request is not known." in text


def test_a_heading_never_breaks_inside_a_word() -> None:
    out = io.StringIO()
    columns = [f"policy{number:02}.overruns_per_container" for number in range(20)]
    tables.table([dict.fromkeys(columns, 1.5)], "wide", out)
    for word in ("overruns", "container"):
        assert out.getvalue().count(word) == len(columns)


def test_the_version_is_said_and_a_wrong_verb_names_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"streamgate-recommender \d+\.\d+\.\d+\n", capsys.readouterr().out)
    assert main(["raport"]) == 2
    assert "'raport' is no verb; one of replay, backtest, report, explain is wanted" in capsys.readouterr().err
