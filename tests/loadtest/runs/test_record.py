"""Records of runs: written, read back, refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.runs import report
from loadtest.runs.record import RecordError, read
from loadtest.runs.report import Report
from tests.loadtest.runs.conftest import Make, looks


def written(make: Make, folder: Path, **changes: Any) -> Path:
    """A report's JSON, with some fields of its run changed."""
    made = report.document(Report(make(looks=looks((40, 30, 39)))))
    made["run"].update(changes)
    place = folder / "report.json"
    place.write_text(report.dumped(made))
    return place


def test_what_is_written_is_read_back(make: Make, tmp_path: Path) -> None:
    run, fixed = read(written(make, tmp_path))
    assert run == make(looks=looks((40, 30, 39)))
    assert fixed is None


def test_a_run_on_a_fixed_fleet_comes_along(make: Make, tmp_path: Path) -> None:
    place = tmp_path / "report.json"
    place.write_text(report.dumped(report.document(Report(make(), make(fixed=True)))))
    assert report.load(tmp_path).fixed == make(fixed=True)
    assert report.load(place).verdicts[4].met


def test_a_report_holds_what_is_computed_too(make: Make, tmp_path: Path) -> None:
    made = json.loads(written(make, tmp_path).read_text())
    assert [target["name"] for target in made["targets"]][:2] == ["scale-up", "scale-down"]
    assert made["scale_up"][0]["from"] == 2
    assert made["clients"]["failed"] == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scenario": "flood"}, "scenario 'flood' is none of step, "),
        ({"format": 2}, "its format is 2; this program reads 1"),
        ({"seconds": 0}, "out of their bounds"),
        ({"seconds": "long"}, "Expected `float`, got `str` - at `$.run.seconds`"),
        ({"low": 9}, "out of their bounds"),
        ({"per_pod": -1}, "out of their bounds"),
        ({"events": [{"time": 1, "kind": "gone", "count": 1}]}, "Invalid enum value 'gone'"),
        ({"slices": [{"time": 1, "asked": 1, "failed": 0, "asked_to_fail": 0, "latencies": {"fast": 1}, "pods": {}}]},
         "a latency of 'fast' ms at 1.0 s is no duration"),
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused_with_its_place(make: Make, tmp_path: Path, changes: Any, said: str) -> None:
    place = written(make, tmp_path, **changes)
    with pytest.raises(RecordError) as refused:
        read(place)
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"{place}: ")


def test_a_file_that_is_not_there_or_no_json_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "report.json"
    with pytest.raises(RecordError, match=r"No such file or directory; a report\.json of a run is wanted"):
        read(place)
    place.write_text("[" * 100_000)
    with pytest.raises(RecordError, match=r"a report\.json of a run is wanted"):
        read(place)
