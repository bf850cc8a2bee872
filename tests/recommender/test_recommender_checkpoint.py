"""Checkpoints v3: moving from VPA to us and back without losing history, and what damaged ones are refused for."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recommender.checkpoint import codec
from recommender.checkpoint.codec import CheckpointError
from recommender.config import mode
from recommender.estimate.recommend import decide
from recommender.input.usage_file import Usage, read_usage
from recommender.model.containers import Model
from recommender.model.histogram import NEVER
from recommender.model.peaks import amount
from recommender.objects import Checkpoint, CheckpointStatus, Histogram
from recommender.offline.replay import Replay
from recommender.settings import Settings

GOLDEN = Path(__file__).parent.parent / "golden" / "recommender"
MOVE = json.loads((GOLDEN / "vpa-checkpoints.json").read_text())
VPA = mode(Settings(mode="vpa"))
T0 = 1767243600.0


def part(begin: int, end: int) -> Usage:
    usage = read_usage([GOLDEN / "flags-usage.csv"])
    return usage.select(np.flatnonzero((usage.time >= begin) & (usage.time < end)))


def numbers(model: Model, rows: NDArray[Any], names: Sequence[str]) -> Iterator[Any]:
    made = decide(model, rows, np.ones(len(rows), dtype=np.int64), 0.0, VPA)
    for index, name in enumerate(names):
        yield {
            "container": name,
            "samples": int(model.states.samples[rows[index]]),
            **{
                shown: {
                    "cpu_millicores": int(getattr(made.cpu, bound)[index]),
                    "memory_bytes": int(getattr(made.memory, bound)[index]),
                }
                for shown, bound in (("target", "target"), ("lowerBound", "lower"), ("upperBound", "upper"))
            },
        }


def as_status(record: dict[str, Any]) -> CheckpointStatus:
    return msgspec.convert(record, CheckpointStatus, strict=False)


def day(number: int) -> datetime:
    return datetime.fromtimestamp(T0 + number * 86400, UTC)


def plain(status: CheckpointStatus) -> dict[str, Any]:
    """A status as plain JSON values, without its time of writing."""
    shown = json.loads(msgspec.json.encode(status))
    shown.pop("lastUpdateTime", None)
    return shown


def test_what_vpa_wrote_is_read_and_continued_to_vpas_numbers() -> None:
    """VPA's own checkpoints after 4.4 days, then 1.8 days of samples: in VPA, and in us from the same checkpoints."""
    usage = part(MOVE["cut"], MOVE["end"])
    model = Model(VPA.aggregation)
    replay = Replay(model, usage, by_time=False)
    codec.restore(model.states, replay.rows, [as_status(MOVE["theirs"][name]) for name in usage.names])
    replay.run()
    for ours, theirs in zip(numbers(model, replay.rows, usage.names), MOVE["theirs_continued"], strict=True):
        assert ours == {key: value for key, value in theirs.items() if key != "checkpoint"}


def test_what_we_write_vpa_reads_and_continues_to_the_same_numbers() -> None:
    """The Go program continued from our checkpoints (ours_continued) exactly as from VPA's own; ours are written anew
    here and are the same as VPA's, value by value."""
    assert MOVE["ours_continued"] == MOVE["theirs_continued"]
    usage = part(0, MOVE["cut"])
    replay = Replay(Model(VPA.aggregation), usage, by_time=False)
    replay.run()
    replay.model.stop(replay.model.live())
    for name, ours in zip(usage.names, codec.encode(replay.model, replay.rows, MOVE["cut"]), strict=True):
        theirs = MOVE["theirs"][name]
        shown = plain(ours)
        for histogram in ("cpuHistogram", "memoryHistogram"):
            total = theirs[histogram]["totalWeight"]
            assert shown[histogram].pop("totalWeight") == pytest.approx(total, rel=1e-12)
            assert shown[histogram] == {key: value for key, value in theirs[histogram].items() if key != "totalWeight"}
        assert {key: value for key, value in shown.items() if "Histogram" not in key} == {
            key: value for key, value in theirs.items() if "Histogram" not in key
        }


def test_the_running_windows_peak_is_left_out_so_that_it_is_not_counted_twice() -> None:
    """One day of 1 GB, then 5 GB in a window that still runs: only the first day's peak is in the checkpoint."""
    model = Model(VPA.aggregation)
    rows = model.states.take(1)
    instance = model.start(rows)
    for time, size in ((T0, 10**9), (T0 + 86400, 5 * 10**9)):
        model.observe_memory(instance, np.array([size]), np.array([time]))
    running, ended = (codec.encode(model, rows, T0 + days * 86400)[0] for days in (1.5, 2.5))
    assert len(running.memory_histogram.bucket_weights) == 1
    assert len(ended.memory_histogram.bucket_weights) == 2
    assert model.states.memory.checkpoint_weights(rows)[0] == ended.memory_histogram.bucket_weights


def test_daily_peaks_survive_a_restart_in_an_annotation() -> None:
    chosen = mode(Settings())
    usage = part(0, MOVE["end"])
    before = Replay(Model(chosen.aggregation), usage, by_time=True)
    before.run()
    texts = codec.encode_extra(before.model.states, before.rows)
    after = Model(chosen.aggregation)
    rows = after.states.take(len(usage.names))
    for row, text in zip(rows, texts, strict=True):
        codec.restore_extra(after.states, int(row), text)
    old, new = before.model.states.peaks, after.states.peaks
    assert new.recent(rows, 28).tolist() == old.recent(before.rows, 28).tolist()
    assert new.oom[rows].tolist() == old.oom[before.rows].tolist()
    known, were = (peaks.days(each, MOVE["end"]) for peaks, each in ((new, rows), (old, before.rows)))
    assert [column.tolist() for column in known] == [column.tolist() for column in were]
    assert all(len(text) < 1000 for text in texts)


def test_an_annotation_of_the_largest_amounts_is_read_back() -> None:
    """A reading and a kill at 1e14 bytes: what the kill needed is above what is read."""
    model = Model(mode(Settings()).aggregation)
    instances = model.start(model.states.take(1))
    time, largest = np.array([T0]), np.array([10**14])
    model.observe_memory(instances, largest, time)
    model.observe_oom(instances, largest, time)
    (text,) = codec.encode_extra(model.states, np.array([0]))
    again = Model(mode(Settings()).aggregation)
    again.states.take(1)
    codec.restore_extra(again.states, 0, text)
    assert again.states.peaks.oom[0] == 10**14


def test_an_annotation_of_before_there_were_two_numbers_a_day_is_read_with_every_peak_supported() -> None:
    """Two days, 3 GB and 1 GB; written by a release that knew of peaks only."""
    model = Model(mode(Settings()).aggregation)
    rows = model.states.take(1)
    codec.restore_extra(model.states, 0, f"[{T0},1,[3000000000,1000000000],0,-62135596800.0]")
    known = model.states.peaks.days(rows, T0 + 2 * 86400)
    assert known.repeated[0].tolist() == [one // 16 * 16 for one in known.highest[0].tolist()]
    assert known.readings[0, :3].tolist() == [15, 15, 0]
    assert amount(known.highest[0, :3]).tolist() == pytest.approx([3 * 10**9, 10**9, 0], rel=0.0005)


def test_a_lone_reading_is_still_one_after_a_restart() -> None:
    """100 MB all day but for one reading of 10 GB: 4 times is asked for before and after, not 100 times."""
    chosen = mode(Settings())
    before, after = Model(chosen.aggregation), Model(chosen.aggregation)
    rows, _ = before.states.take(1), after.states.take(1)
    instance = before.start(rows)
    for hour in range(240):
        size = 10**10 if hour == 230 else 10**8
        before.observe_memory(instance, np.array([size]), np.array([T0 + 3600.0 * hour]))
    codec.restore_extra(after.states, 0, codec.encode_extra(before.states, rows)[0])
    one = np.ones(1, dtype=np.int64)
    asked = [decide(model, rows, one, T0 + 10 * 86400, chosen).memory.target[0] for model in (before, after)]
    assert asked[0] == asked[1] < 6 * 10**8


def test_an_empty_state_is_written_with_null_times_and_read_back_empty() -> None:
    model = Model(VPA.aggregation)
    rows = model.states.take(1)
    status = codec.encode(model, rows, T0)[0]
    assert status.cpu_histogram.reference_timestamp is None
    again = Model(VPA.aggregation)
    codec.restore(again.states, again.states.take(1), [status])
    assert again.states.cpu.reference[0] == NEVER
    assert again.states.cpu.total[0] == 0


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (CheckpointStatus(version="v2"), "version 'v2' is not supported; 'v3' is wanted"),
        (
            CheckpointStatus(version="v3", cpu_histogram=Histogram(bucket_weights={176: 1})),
            "bucket 176 is not in 0 to 175",
        ),
        (
            CheckpointStatus(version="v3", memory_histogram=Histogram(bucket_weights={-1: 1})),
            "memoryHistogram.*bucket -1",
        ),
        (CheckpointStatus(version="v3", cpu_histogram=Histogram(bucket_weights={1: -5})), "weight -5"),
        (CheckpointStatus(version="v3", cpu_histogram=Histogram(total_weight=-1.0)), "cpuHistogram.totalWeight -1.0"),
        (CheckpointStatus(version="v3", cpu_histogram=Histogram(total_weight=float("nan"))), "totalWeight nan"),
        (CheckpointStatus(version="v3", total_samples_count=-1), "totalSamplesCount -1"),
        (
            CheckpointStatus(version="v3", first_sample_start=day(2), last_sample_start=day(1)),
            "firstSampleStart .* lastSampleStart .* not in this order",
        ),
        (CheckpointStatus(version="v3", first_sample_start=day(1), last_sample_start=day(9)), "not .* before now"),
        (
            CheckpointStatus(version="v3", memory_histogram=Histogram(reference_timestamp=day(9))),
            "memoryHistogram.referenceTimestamp .* too far in the future",
        ),
    ],
)
def test_a_damaged_checkpoint_is_refused_with_the_field_and_the_reason(status: CheckpointStatus, why: str) -> None:
    with pytest.raises(CheckpointError, match=why):
        codec.check(status, day(5).timestamp(), day(7).timestamp())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '[0,0,["x"]]',
        "[0,0,[-1]]",
        "[1e999,0,[1]]",
        "[1e300,0,[1]]",
        "[0,0,[1],5,1e300]",
        f"[0,0,{[1] * 29}]",
        "[0,0,[1],5,0,[1,2]]",
        "[0,0,[1],5,0,[-1]]",
    ],
)
def test_a_damaged_annotation_is_refused(text: str) -> None:
    model = Model(VPA.aggregation)
    model.states.take(1)
    with pytest.raises(CheckpointError, match="daily-peaks"):
        codec.restore_extra(model.states, 0, text)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.integers(0, 175), st.integers(1, 10000), max_size=20),
    st.floats(0.01, 1e12),
    st.integers(0, 10**6),
)
def test_loading_and_saving_again_keeps_the_shape(weights: dict[Any, Any], total: float, samples: int) -> None:
    """A checkpoint whose heaviest bucket is 10,000 comes back as it was."""
    if weights:
        heaviest = max(weights, key=weights.get)
        weights = {**weights, heaviest: 10000}
        total = max(total, sum(weights.values()) * 1e-3)
    status = CheckpointStatus(
        version="v3",
        cpu_histogram=Histogram(bucket_weights=weights, total_weight=total if weights else 0.0),
        total_samples_count=samples,
    )
    codec.check(status)
    model = Model(VPA.aggregation)
    rows = model.states.take(1)
    codec.restore(model.states, rows, [status])
    saved = codec.encode(model, rows, T0)[0]
    assert saved.cpu_histogram.bucket_weights == weights
    assert saved.cpu_histogram.total_weight == status.cpu_histogram.total_weight
    assert saved.total_samples_count == samples


def test_a_whole_checkpoint_object_is_read_as_kubectl_exports_it() -> None:
    text = json.dumps(
        {
            "apiVersion": "autoscaling.k8s.io/v1",
            "kind": "VerticalPodAutoscalerCheckpoint",
            "metadata": {"name": "web-app", "namespace": "shop", "managedFields": [{"manager": "x"}]},
            "spec": {"vpaObjectName": "web", "containerName": "app"},
            "status": MOVE["theirs"]["steady"],
        }
    )
    checkpoint = msgspec.json.decode(text, type=Checkpoint)
    assert (checkpoint.spec.vpa_object_name, checkpoint.spec.container_name) == ("web", "app")
    assert checkpoint.status.cpu_histogram.bucket_weights[8] > 0


@pytest.mark.parametrize(("weight", "is_taken"), [(0, True), (2**32 - 1, True), (2**32, False), (-1, False)])
def test_a_weight_is_what_vpas_uint32_holds(weight: int, is_taken: bool) -> None:
    status = CheckpointStatus(version="v3", cpu_histogram=Histogram(bucket_weights={3: weight}, total_weight=1.0))
    if is_taken:
        codec.check(status)
    else:
        with pytest.raises(CheckpointError, match=rf"cpuHistogram.bucketWeights: weight {weight} is not in 0 to "):
            codec.check(status)
