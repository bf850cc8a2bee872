"""`backtest`: what policies would have cost, and risked, on past usage."""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter.program import tables
from adapter.program.flags import SettingsError
from recommender.input.usage_file import Usage, read_usage
from recommender.model.containers import DAY
from recommender.offline.backtest import POLICIES, Walk, sample_step, walk, with_risk_ceiling, with_safety_margin
from recommender.offline.calibration import Calibrations
from recommender.offline.contenders import Contender, Fixed
from recommender.offline.doubts import largest, of_usage, without_strays
from recommender.offline.report_command import requests_of
from recommender.offline.score import Prices, Summary, Tally, bootstrap, interval, summary
from recommender.offline.tuning import MEDIAN, OVERRUNS, Course, Margins, Split, splits

CEILINGS = (0.01, 0.02, 0.035, 0.05, 0.1, 0.2)
"""Points of our curve."""
MARGINS = (0.0, 0.15, 0.4, 0.8, 1.5)
"""Points of VPA's curve."""
LEAST_TO_TUNE = 4
MOST_DECISIONS = 100_000
NOTHING = "nothing to score: no sample of memory, or the usage ends within the warm-up of {days} days"


def run(arguments: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    given = parser().parse_args(arguments)
    names = [name.strip() for name in given.policies.split(",")]
    unknown = [name for name in names if name not in POLICIES]
    if unknown:
        raise SettingsError(f"--policies: {', '.join(unknown)} is none of {', '.join(POLICIES)}")
    usage = read_usage(given.usage)
    tables.complain(usage.problems)
    usage = without_strays(usage, time.time())
    for line in of_usage(usage):
        tables.say(line)
    how = Walk(given.interval_hours * 3600, given.warmup_days * DAY, (given.kills or "on") == "on")
    span = float(np.ptp(usage.time))
    if span / how.interval > MOST_DECISIONS:
        raise SettingsError(
            f"--interval-hours: that is, over {span / DAY:.0f} days, more than {MOST_DECISIONS} decisions"
        )
    if given.tune:
        return _tune(usage, given, how)
    contenders = _contenders(names, usage, how, given.requests)
    risks = {name: Calibrations(len(usage.names)) for name in contenders}
    with tables.progress("walking", len(contenders)) as told:
        tallies = {name: _note_progress(walk(usage, made, how, risks[name]), told) for name, made in contenders.items()}
    if not any(tally.days.sum() for tally in tallies.values()):
        raise SettingsError(NOTHING.format(days=given.warmup_days))
    members = np.arange(len(usage.names))
    prices = Prices(given.price_core, given.price_gib) if given.price_core or given.price_gib else None
    records = rows(
        tallies, members, step=sample_step(usage), rounds=given.bootstrap, prices=prices, baseline=given.baseline
    )
    tables.write(records, given.output, f"{len(members)} containers, {how.interval / 3600:g} h ahead")
    _show_risks(risks, given)
    if given.plot:
        _plot(usage, tallies, members, how, given.plot)
    return 0


def _show_risks(risks: Mapping[str, Calibrations], given: argparse.Namespace) -> None:
    """Whether the printed risks are true: beside a table, into a file, as a picture, as is asked for."""
    for made in (made for made in risks.values() if made.has_any):
        records, title = made.records(given.bootstrap), "Is the printed risk true? Realised over printed, by bucket"
        if given.output in ("table", "markdown"):
            tables.write(records, given.output, title)
        if given.calibration_to:
            with given.calibration_to.open("w", newline="") as file:
                tables.write(records, "csv", title, file)
        if given.calibration_plot:
            from recommender.offline.plot import calibration

            calibration(given.calibration_plot, {"": made.around.buckets(given.bootstrap)})


def _contenders(names: Sequence[str], usage: Usage, how: Walk, requests: Path | None) -> dict[str, Contender]:
    contenders = {name: POLICIES[name](usage, how) for name in names}
    if requests:
        contenders["requests"] = Fixed(usage, requests_of(requests, usage.names, largest(usage)))
    return contenders


def _tune(usage: Usage, given: argparse.Namespace, how: Walk) -> int:
    """`--tune`: every knob chosen on one half of the containers, reported on the other, over many splits."""
    if given.kills == "on":
        raise SettingsError("--tune scores many settings on one record of what was used: --kills off is wanted")
    if len(usage.names) < LEAST_TO_TUNE:
        raise SettingsError(
            f"--tune splits containers in halves: {len(usage.names)} are too few, {LEAST_TO_TUNE} needed"
        )
    how = replace(how, kills=False)
    baseline = walk(usage, POLICIES[given.baseline](usage, how), how)
    if not baseline.days.sum():
        raise SettingsError(NOTHING.format(days=given.warmup_days))
    with tables.progress("trying settings", given.candidates + given.tune) as told:
        course = Course.record(usage, how)
        seeds = range(given.seed, given.seed + given.tune)
        outcomes = list(splits(course, baseline, seeds, given.candidates, told))
    title = f"on the half not chosen on, against {given.baseline}: {given.tune} splits of {len(usage.names)} containers"
    tables.write(tuning_rows(outcomes), given.output, title)
    if given.splits_to:
        with given.splits_to.open("w", newline="") as file:
            tables.write([_split(split) for split in outcomes], "csv", title, file)
    return 0


def tuning_rows(outcomes: Sequence[Split]) -> list[tables.Record]:
    """What became of the splits: means, the middle 95 % of them, and in which share of the halves each goal was met."""
    certain = float(np.mean([split.gain[1] < 1 for split in outcomes]))
    return [
        {"policy": "tuned on the other half", **_goals([split.tuned for split in outcomes]), "gain_certain": certain},
        {"policy": "default, one setting", **_goals([split.default for split in outcomes])},
        {"policy": "constants, in hindsight", **_goals([split.hindsight for split in outcomes])},
    ]


def _goals(margins: Sequence[Margins]) -> dict[str, Any]:
    every = Margins(*(np.concatenate(column) for column in zip(*margins, strict=True)))
    met = {"overruns": every.overruns <= OVERRUNS, "slack": every.slack <= 0, "median": every.median <= MEDIAN}
    record: dict[str, Any] = {}
    for name, values in every._asdict().items():
        record |= {name: float(values.mean()), f"{name}_95": _range(values.tolist())}
        record[f"{name}_met"] = float(met[name].mean())
    return record | {"all_met": float(every.met.mean())}


def _split(split: Split) -> tables.Record:
    shown = {"tuned": split.tuned, "default": split.default, "hindsight": split.hindsight}
    margins = {name: {key: float(value[0]) for key, value in one._asdict().items()} for name, one in shown.items()}
    return {
        "seed": split.seed,
        "knobs": split.knobs,
        **margins,
        "gain_95": f"{split.gain[0]:.3f} to {split.gain[1]:.3f}",
    }


def _note_progress(tally: Tally, told: Callable[[int], None]) -> Tally:
    told(1)
    return tally


def parser() -> argparse.ArgumentParser:
    """The verb's arguments."""
    made = argparse.ArgumentParser("streamgate-recommender backtest", description=__doc__, allow_abbrev=False)
    made.add_argument(
        "usage", type=Path, nargs="+", help="csv or csv.gz: container,epoch_s,cpu_millicores,memory_bytes"
    )
    made.add_argument("--policies", default=",".join(POLICIES), help=f"of {', '.join(POLICIES)}")
    made.add_argument(
        "--baseline", default="vpa-fixed", choices=tuple(POLICIES), help="the policy that others are compared with"
    )
    made.add_argument("--interval-hours", type=_positive, default=24.0, help="between decisions")
    made.add_argument("--warmup-days", type=_positive, default=7.0, help="of history before the first decision")
    made.add_argument(
        "--kills",
        choices=("on", "off"),
        help="tell policies of OOM kills (memory is cut to the target); on but for --tune",
    )
    made.add_argument(
        "--requests", type=Path, help="csv: container,cpu_millicores,memory_bytes; what is asked for today, as a policy"
    )
    made.add_argument(
        "--tune",
        type=_count,
        default=0,
        metavar="SPLITS",
        help="choose every knob on a random half of the containers and report the other half, so many times",
    )
    made.add_argument("--candidates", type=_count, default=500, help="settings to choose from with --tune")
    made.add_argument("--splits-to", type=Path, help="csv with --tune: each split, what was chosen and how it did")
    made.add_argument("--price-core", type=tables.price, default=0.0, help="money per core and hour")
    made.add_argument("--price-gib", type=tables.price, default=0.0, help="money per GiB and hour")
    made.add_argument("--bootstrap", type=_number, default=1000, help="rounds, over containers")
    made.add_argument("--seed", type=_number, default=0, help="of the splits of --tune")
    made.add_argument("--plot", type=_picture, help="file.png or .svg for the cost-against-risk curve")
    made.add_argument("--calibration-to", type=Path, help="csv: printed risks and what became of them")
    made.add_argument("--calibration-plot", type=_picture, help="file.png or .svg of the same")
    made.add_argument("--output", choices=(*tables.FORMATS, "markdown"), default="table")
    return made


def rows(
    tallies: Mapping[str, Tally],
    members: NDArray[np.int64],
    *,
    step: float,
    rounds: int,
    prices: Prices | None,
    baseline: str,
) -> list[tables.Record]:
    """One record per policy, with 95 % intervals of a bootstrap over containers, paired with the baseline's."""
    drawn = bootstrap(list(tallies.values()), members, step, rounds=rounds, seed=1) if rounds else []
    made = {name: summary(tally, members, step, prices) for name, tally in tallies.items()}
    records: list[tables.Record] = []
    for index, name in enumerate(tallies):
        record = _record(name, made[name], [one[index] for one in drawn], prices is not None)
        if baseline in made:
            at = list(tallies).index(baseline)
            record |= _against(made[baseline], made[name], [(one[at], one[index]) for one in drawn])
        records.append(record)
    return records


def _record(name: str, made: Summary, drawn: Sequence[Summary], with_cost: bool) -> dict[str, Any]:
    record: dict[str, Any] = {
        "policy": name,
        "memory_slack": made.memory_slack,
        "median_slack": made.median_slack,
        "cpu_slack": made.cpu_slack,
        "overrun_days": made.overruns,
        "days": made.days,
        "overrun_rate": made.overrun_rate,
        "throttled": made.throttled,
        "changes_per_day": made.changes,
    }
    if with_cost:
        record["cost"] = made.cost
    if drawn:
        record["memory_slack_95"] = _range([one.memory_slack for one in drawn])
        record["overrun_rate_95"] = _range([one.overrun_rate for one in drawn])
    return record


def _against(base: Summary, made: Summary, drawn: Sequence[tuple[Summary, Summary]]) -> dict[str, Any]:
    """Compared with the baseline: overrun days as a multiple of its, slack as a difference; each with its interval."""
    record: dict[str, Any] = {
        "overruns_vs_baseline": made.overruns / max(base.overruns, 1),
        "slack_vs_baseline": made.memory_slack - base.memory_slack,
    }
    if drawn:
        record["overruns_vs_baseline_95"] = _range([own.overruns / max(other.overruns, 1) for other, own in drawn])
        record["slack_vs_baseline_95"] = _range([own.memory_slack - other.memory_slack for other, own in drawn])
    return record


def _range(values: list[float]) -> str:
    low, high = interval(values)
    return f"{low:.3f} to {high:.3f}"


def _plot(usage: Usage, tallies: Mapping[str, Tally], members: NDArray[np.int64], how: Walk, path: Path) -> None:
    from recommender.offline.plot import curve

    step = sample_step(usage)
    ours = [summary(walk(usage, with_risk_ceiling(risk)(usage), how), members, step) for risk in CEILINGS]
    theirs = [summary(walk(usage, with_safety_margin(margin)(usage), how), members, step) for margin in MARGINS]
    points = {name: summary(tally, members, step) for name, tally in tallies.items()}
    lines = {"default, by --max-daily-risk": ours, "vpa-fixed, by margin": theirs}
    curve(path, points, lines)


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 10000")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 10_000:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _number(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1000000")
    return value


def _picture(text: str) -> Path:
    if not text.endswith((".png", ".svg")):
        raise argparse.ArgumentTypeError(f"{text} ends neither with .png nor with .svg")
    return Path(text)
