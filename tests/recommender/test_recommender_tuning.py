"""Knobs chosen on one half of the containers and judged on the other: nothing leaks, and the arithmetic is right."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recommender.__main__ import main
from recommender.estimate.policy import RiskPolicy
from recommender.input.usage_file import Usage, read_usage
from recommender.model.containers import DAY
from recommender.offline.backtest import POLICIES, Walk, walk
from recommender.offline.score import Tally, summary
from recommender.offline.tuning import (
    KNOBS,
    Course,
    Margins,
    Scores,
    candidates,
    choose,
    halves,
    middle,
    policy,
    splits,
)

HOW = Walk(warmup=7 * DAY, kills=False)
HEADER = "container,epoch_s,cpu_millicores,memory_bytes\n"
MIB = 1024**2


def write_usage(path: Path, containers: int = 8, days: int = 16, seed: int = 3) -> Path:
    """Two-hourly usage of containers whose daily peaks scatter, each around a level of its own."""
    random = np.random.default_rng(seed)
    rows = [HEADER]
    for container in range(containers):
        for step in range(days * 12):
            amount = 500 * MIB * (1 + container / 2) * random.lognormal(0, 0.35)
            rows.append(f"c{container},{1767225600 + 7200 * step},100,{int(amount)}\n")
    path.write_text("".join(rows))
    return path


@pytest.fixture(scope="module")
def usage(tmp_path_factory: pytest.TempPathFactory) -> Usage:
    return read_usage([write_usage(tmp_path_factory.mktemp("tuning") / "usage.csv")])


@pytest.fixture(scope="module")
def course(usage: Usage) -> Course:
    return Course.record(usage, HOW)


@pytest.fixture(scope="module")
def baseline(usage: Usage) -> Tally:
    return walk(usage, POLICIES["vpa-fixed"](usage, HOW), HOW)


def knobs(**changed: bool | float) -> dict[str, Any]:
    return {name: values[0] for name, values in KNOBS.items()} | changed


def tally(asked: list[int], idle: list[int], overruns: list[int]) -> Tally:
    made = Tally.empty(len(asked))
    made.memory_asked[:], made.memory_idle[:], made.overruns[:] = asked, idle, overruns
    return made


def test_a_policy_scored_on_the_record_has_the_tally_of_a_walk_of_its_own(usage: Usage, course: Course) -> None:
    walked = walk(usage, POLICIES["default"](usage, HOW), HOW)
    recorded = course.tally(RiskPolicy())
    for column in ("memory_asked", "memory_idle", "days", "overruns"):
        assert getattr(recorded, column).tolist() == getattr(walked, column).tolist(), column
    assert walked.days.sum() == 8 * 9


def test_margins_are_against_the_baseline_on_the_members_alone() -> None:
    """Members 0 and 1: idle 30 of 100 against 20 of 100, so +0.1; own shares (0.2, 0.4) against (0.1, 0.3): +0.1."""
    ours = Scores.of([tally([50, 50, 900], [10, 20, 0], [1, 2, 50])])
    base = tally([50, 50, 900], [5, 15, 800], [2, 4, 0])
    margins = ours.against(base, np.array([0, 1]))
    assert margins.overruns[0] == pytest.approx(3 / 6)
    assert margins.slack[0] == pytest.approx(0.1)
    assert margins.median[0] == pytest.approx(0.1)


def test_margins_are_the_differences_of_the_summaries_that_backtest_shows(course: Course, baseline: Tally) -> None:
    members, ours = np.array([1, 2, 2, 5, 7]), course.tally(RiskPolicy())
    one, two = summary(baseline, members, 7200.0), summary(ours, members, 7200.0)
    margins = Scores.of([ours]).against(baseline, members)
    assert margins.overruns[0] == pytest.approx(two.overruns / max(one.overruns, 1))
    assert margins.slack[0] == pytest.approx(two.memory_slack - one.memory_slack)
    assert margins.median[0] == pytest.approx(two.median_slack - one.median_slack)


def test_containers_without_a_score_do_not_count_in_the_median() -> None:
    ours = Scores.of([tally([0, 100], [0, 50], [0, 0])])
    margins = ours.against(tally([0, 100], [0, 40], [0, 0]), np.array([0, 1]))
    assert margins.median[0] == pytest.approx(0.1)
    assert ours.against(tally([0, 0], [0, 0], [0, 0]), np.array([0])).median[0] == 0


def test_goals_are_met_at_their_bounds_and_not_beyond() -> None:
    overruns, slack, median = (0.6, 0.61, 0.6, 0.6), (0.0, 0.0, 0.001, 0.0), (0.02, 0.02, 0.02, 0.021)
    assert Margins(*map(np.array, (overruns, slack, median))).met.tolist() == [True, False, False, False]


def test_the_least_margin_is_that_of_the_goal_nearest_to_being_missed() -> None:
    """0.5 is aimed at: (0.5 - 0.4) / 0.1 = 1; 0.03 / 0.015 = 2; (0.02 - 0.015) / 0.01 = 0.5, the least."""
    margins = Margins(np.array([0.4]), np.array([-0.03]), np.array([0.015]))
    assert margins.least[0] == pytest.approx(0.5)


def test_the_middle_is_geometric_for_ratios_and_the_median_of_days() -> None:
    made = middle([knobs(ceiling=0.01, young=0.25, days=7)] * 2 + [knobs(ceiling=0.08, young=1.0, days=10)])
    assert made["ceiling"] == pytest.approx(0.02)  # (0.01 × 0.01 × 0.08) ** (1/3)
    assert made["young"] == pytest.approx(0.5)  # (0.25 + 0.25 + 1) / 3
    assert made["days"] == 7


def test_the_middle_of_the_best_tenth_is_chosen() -> None:
    """20 settings, two of them well within the goals."""
    settings = [knobs(ceiling=0.5)] * 18 + [knobs(ceiling=0.016), knobs(ceiling=0.025)]
    good = np.array([0.9] * 18 + [0.3, 0.3])
    made = choose(settings, Margins(good, np.full(20, -0.1), np.full(20, -0.1)))
    assert made["ceiling"] == pytest.approx(0.02)


def test_candidates_vary_every_knob_and_are_the_same_each_time() -> None:
    drawn = candidates(200, seed=0)
    assert drawn == candidates(200, seed=0)
    assert {name: {one[name] for one in drawn} for name in KNOBS} == {name: set(KNOBS[name]) for name in KNOBS}
    assert set(KNOBS) == {name for name in vars(RiskPolicy()) if not name.startswith(("_", "cut"))}
    assert policy(drawn[0]).days == drawn[0]["days"]


def test_halves_part_the_containers() -> None:
    tune, held_out = halves(9, seed=4)
    assert (len(tune), len(held_out)) == (4, 5)
    assert sorted([*tune, *held_out]) == list(range(9))
    assert halves(9, seed=5)[0].tolist() != tune.tolist()


def test_what_is_chosen_does_not_depend_on_the_half_it_is_judged_on(
    usage: Usage, course: Course, baseline: Tally
) -> None:
    """The held-out containers' usage is multiplied by seven: the same knobs are chosen, other figures are reported."""
    held_out = halves(8, seed=0)[1]
    factor = np.where(np.isin(usage.container, held_out) & (usage.time % 86400 < 7200), 7, 1)
    other = replace(usage, memory=usage.memory * factor)
    base = walk(other, POLICIES["vpa-fixed"](other, HOW), HOW)
    (one,) = splits(course, baseline, [0], 40, lambda _: None)
    (two,) = splits(Course.record(other, HOW), base, [0], 40, lambda _: None)
    assert one.knobs == two.knobs
    assert one.tuned.slack[0] != two.tuned.slack[0]


def test_a_constant_chosen_in_hindsight_costs_no_more_than_one_chosen_for_another_price(course: Course) -> None:
    """The cost at 10 GiB-days an overrun; a day is 12 samples, so GiB × samples / 12 are GiB-days."""

    def cost(scored: Tally) -> NDArray[Any]:
        return scored.memory_asked / 1024**3 / 12 + 10 * scored.overruns

    known = cost(course.hindsight(10.0))
    for price in (0.001, 1.0, 100.0, 1000.0):
        assert (known <= cost(course.hindsight(price)) + 1e-6).all()
    assert (course.hindsight(1000.0).overruns == 0).all()


def test_the_command_shows_means_ranges_and_how_often_the_goals_were_met(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = write_usage(tmp_path / "usage.csv")
    details = tmp_path / "splits.csv"
    code = main(
        ["backtest", str(path), "--tune", "3", "--candidates", "20", "--output", "json", "--splits-to", str(details)]
    )
    rows = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [row["policy"] for row in rows] == [
        "tuned on the other half",
        "default, one setting",
        "constants, in hindsight",
    ]
    assert rows[2]["overruns"] < rows[1]["overruns"]
    assert all(0 <= row[share] <= 1 for row in rows for share in ("overruns_met", "slack_met", "median_met", "all_met"))
    lines = details.read_text().splitlines()
    assert len(lines) == 1 + 3
    assert lines[0].startswith("seed,knobs.ceiling,")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--tune", "2", "--kills", "on"), "--kills off is wanted"),
        (("--tune", "2", "--warmup-days", "90"), "ends within the warm-up of 90"),
    ],
)
def test_what_cannot_be_tuned_is_said_in_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, str, str, str], why: str
) -> None:
    assert main(["backtest", str(write_usage(tmp_path / "usage.csv")), *arguments]) == 2
    assert why in capsys.readouterr().err


def test_too_few_containers_cannot_be_split(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["backtest", str(write_usage(tmp_path / "usage.csv", containers=3)), "--tune", "2"]) == 2
    assert "3 are too few, 4 needed" in capsys.readouterr().err
