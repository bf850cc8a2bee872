"""Records of runs: written, read back, refused."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.runs import report
from loadtest.runs.reach import reach
from loadtest.runs.record import FORMAT, Event, Kind, Look, RecordError, Run, Slice, read
from loadtest.runs.report import Report
from loadtest.runs.scenarios import SCENARIOS
from tests.loadtest.runs.conftest import Make, looks

FLOATS = st.floats(-1e6, 1e6)
COUNTS = st.integers(0, 1000)
RUNS = st.builds(
    Run,
    scenario=st.sampled_from(list(SCENARIOS)), seconds=st.floats(1, 400), per_pod=st.floats(0.01, 1e6),
    low=st.integers(1, 3), high=st.integers(3, 50), began=st.text(max_size=5), conditions=st.just({}),
    slices=st.lists(
        st.builds(
            Slice, time=FLOATS, asked=FLOATS, failed=st.integers(0, 3), asked_to_fail=st.integers(0, 3),
            pods=st.sampled_from([{}, {"web-0": 1}]),
            latencies=st.dictionaries(st.floats(0, 1e6).map(str), COUNTS, max_size=3), problems=st.just({}),
            unanswered=st.integers(0, 3),
        ).filter(lambda part: part.unanswered <= part.failed <= part.counted), max_size=6,
    ),
    looks=st.lists(st.builds(Look, FLOATS, FLOATS, COUNTS, FLOATS), max_size=4),
    events=st.lists(st.builds(Event, FLOATS, st.sampled_from(list(Kind)), COUNTS), max_size=12),
    locust_cpu=st.just([]), remarks=st.just([]), before=st.just({}), fixed=st.booleans(), format=st.just(FORMAT),
    headroom=st.floats(0, 0.9),
    behavior=st.none() | st.just({}) | st.builds(
        lambda up, down: {"scaleUp": {"tolerance": up}, "scaleDown": {"stabilizationWindowSeconds": down}},
        st.sampled_from(["0", "50m", "2"]), st.integers(0, 3600),
    ),
)  # fmt: skip
"""Whatever a record may hold that is not refused."""


@given(RUNS)
@settings(max_examples=20, deadline=None)
def test_of_any_record_that_can_be_read_a_report_can_be_written_and_read_back(run: Run) -> None:
    with TemporaryDirectory() as folder:
        place = Path(folder) / "report.json"
        place.write_text(report.dump(report.document(Report(run, run))))
        assert read(place) == (run, run)


def write_report(make: Make, folder: Path, **changes: Any) -> Path:
    """A report's JSON, with some fields of its run changed."""
    made = report.document(Report(make(looks=looks((40, 30, 39)))))
    made["run"].update(changes)
    place = folder / "report.json"
    place.write_text(report.dump(made))
    return place


def test_what_is_written_is_read_back(make: Make, tmp_path: Path) -> None:
    run, fixed = read(write_report(make, tmp_path))
    assert run == make(looks=looks((40, 30, 39)))
    assert fixed is None


def test_a_run_on_a_fixed_fleet_comes_along(make: Make, tmp_path: Path) -> None:
    place = tmp_path / "report.json"
    place.write_text(report.dump(report.document(Report(make(), make(fixed=True)))))
    assert report.load(tmp_path).fixed == make(fixed=True)
    assert report.load(place).verdicts[4].met


def test_a_report_holds_what_is_computed_too(make: Make, tmp_path: Path) -> None:
    made = json.loads(write_report(make, tmp_path).read_text())
    assert [target["name"] for target in made["targets"]][:2] == ["scale-up", "scale-down"]
    assert made["scale_up"][0]["from"] == 2
    assert made["clients"]["failed"] == 0


def half_second(*, failed: int = 0, unanswered: int = 0) -> dict[str, Any]:
    """A slice with two answers."""
    counts = {"failed": failed, "asked_to_fail": 0, "unanswered": unanswered}
    return {"time": 1, "asked": 1, **counts, "latencies": {"9": 2}, "pods": {}}


@pytest.mark.parametrize(
    ("unanswered", "left"),
    [
        (0, {"400": 2, "1": 20, "20.5": 18}),
        (19, {"400": 2, "1": 1, "20.5": 18}),
        (20, {"400": 2, "20.5": 18}),
        (21, {"400": 2, "20.5": 17}),
        (40, {}),
    ],
)
def test_of_an_older_record_the_shortest_of_a_slice_are_those_that_got_no_answer(
    make: Make, tmp_path: Path, unanswered: int, left: dict[str, int]
) -> None:
    """It has the durations of all 40 requests: which of them got no answer it does not tell."""
    told = {**half_second(failed=40, unanswered=unanswered), "latencies": {"400": 2, "1": 20, "20.5": 18}}
    run, _ = read(write_report(make, tmp_path, format=1, slices=[told]))
    (part,) = run.slices
    assert (part.latencies, part.unanswered, part.requests, run.format) == (left, unanswered, 40, FORMAT)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scenario": "flood"}, "scenario 'flood' is none of step, "),
        ({"format": 3}, "its format is 3; this program reads 1 and 2"),
        ({"seconds": 0}, "out of their bounds"),
        ({"seconds": "long"}, "Expected `float`, got `str` - at `$.run.seconds`"),
        ({"low": 9}, "out of their bounds"),
        ({"per_pod": -1}, "out of their bounds"),
        ({"headroom": 1}, "out of their bounds"),
        ({"events": [{"time": 1, "kind": "gone", "count": 1}]}, "Invalid enum value 'gone'"),
        ({"events": [{"time": 1, "kind": "ready", "count": -1}]}, "'ready' counts -1 pods at 1.0 s; 0 or more"),
        ({"before": {"endpoints": -2}}, "'endpoints' counts -2 pods at 0.0 s; 0 or more"),
        ({"looks": [{"time": 3, "total": 1, "pods": -4, "sampled": 2}]}, "'served' counts -4 pods at 3.0 s; 0 or more"),
        ({"slices": [{"time": 1, "asked": 1, "failed": 0, "asked_to_fail": 0, "latencies": {"fast": 1}, "pods": {}}]},
         "1 answers in 'fast' ms at 1.0 s: neither may be negative"),
        ({"slices": [{"time": 1, "asked": 1, "failed": 2, "asked_to_fail": 0, "latencies": {"9": 1}, "pods": {}}]},
         "more of the 1 requests at 1.0 s failed than there were"),
        ({"slices": [half_second(failed=1, unanswered=2)]}, "more requests at 1.0 s had no answer than failed"),
        ({"slices": [half_second(unanswered=-1)]}, "-1 requests without an answer at 1.0 s; 0 or more"),
        ({"slices": [half_second(failed=10**9, unanswered=10**9)]}, "1000000000 requests without an answer at 1.0 s"),
        ({"format": 1, "slices": [half_second(failed=3, unanswered=3)]}, "more of the 2 requests"),
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused_with_its_place(make: Make, tmp_path: Path, changes: Any, said: str) -> None:
    place = write_report(make, tmp_path, **changes)
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
    place.write_bytes(b'{"run": {"scenario": "\xff"}}')
    with pytest.raises(RecordError, match=r"can't decode byte 0xff .*; a report\.json of a run is wanted"):
        read(place)


@pytest.mark.parametrize(
    ("behavior", "said"),
    [
        (
            {"scaleDown": {"stabilizationWindowSeconds": 4000}},
            "spec.behavior.scaleDown.stabilizationWindowSeconds must",
        ),
        ({"scaleUp": 3}, "spec.behavior.scaleUp must"),
    ],
)
def test_a_behaviour_that_no_hpa_can_have_is_refused_with_its_place(
    make: Make, tmp_path: Path, behavior: dict[str, Any], said: str
) -> None:
    with pytest.raises(RecordError, match=f"report.json: {re.escape(said)}"):
        read(write_report(make, tmp_path, behavior=behavior))


def test_a_record_with_as_many_pods_as_are_allowed_is_no_more_work_to_read(make: Make, tmp_path: Path) -> None:
    """The formula is asked at each look, for the largest fleet that a record may tell of."""
    fields = {"behavior": {}, "low": 100_000, "high": 100_000, "seconds": 1800.0}
    run, _ = read(write_report(make, tmp_path, **fields))
    assert reach(run) == (1.0, 1.0, 1.0)
