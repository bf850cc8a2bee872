"""Equality with VPA's Go recommender: both reference traces and the 14 vectors, every value."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recommender.estimate.estimators import Estimation, recommend
from recommender.input.usage_file import read_usage
from recommender.model.buckets import CPU, MEMORY
from recommender.model.containers import Aggregation, Model
from recommender.offline.replay import Replay

VPA = Aggregation(first_zero_peak=True)
HOUR = 3600
VECTORS = ("zero_first", "normal", "prom1h", "live1m", "idle", "oom", *(f"weekly_lag{lag}" for lag in range(8)))


def describe(model: Model, rows: NDArray[Any]) -> Iterator[Any]:
    """What the reference says of each row, from our model."""
    states = model.states
    made = recommend(states, rows, np.ones(len(rows), dtype=np.int64), Estimation())
    cpu, memory = states.cpu.checkpoint_weights(rows), states.memory.checkpoint_weights(rows)
    for index, row in enumerate(rows):
        yield {
            "count": int(states.samples[row]),
            "cpuW": {str(bucket): weight for bucket, weight in cpu[index].items()},
            "memW": {str(bucket): weight for bucket, weight in memory[index].items()},
            "target": {"cpu": int(made.cpu.target[index]), "memory": int(made.memory.target[index])},
            "lower": {"cpu": int(made.cpu.lower[index]), "memory": int(made.memory.lower[index])},
            "upper": {"cpu": int(made.cpu.upper[index]), "memory": int(made.memory.upper[index])},
            "ref": stamp(states.cpu.reference[row]),
            "cpuTotal": pytest.approx(float(states.cpu.total[row]), rel=1e-12),
            "memTotal": pytest.approx(float(states.memory.total[row]), rel=1e-12),
        }


def stamp(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("trace", ["bitbrains-rnd-2013-07", "kubernetes-pods"])
def test_a_real_trace_gives_vpas_numbers_weights_and_times_exactly(
    golden: Path, reference: dict[str, Any], trace: str
) -> None:
    usage = read_usage([golden / f"{trace}.csv.gz"])
    replay = Replay(Model(VPA), usage, by_time=False)
    replay.run()
    assert usage.names == sorted(reference[trace])
    for name, ours in zip(usage.names, describe(replay.model, replay.rows), strict=True):
        assert ours == reference[trace][name], name


def test_bucket_starts_and_the_least_amount_of_each_bucket_are_vpas(golden: Path) -> None:
    theirs = json.loads((golden / "vpa-buckets.json").read_text())
    for name, buckets in (("cpu", CPU), ("memory", MEMORY)):
        assert buckets.starts.tolist() == theirs[name]["starts"]
        assert buckets.least.tolist() == theirs[name]["least"]


def samples(name: str, t0: int) -> list[Any]:
    """(time, millicores, bytes) of a vector, from its rule."""
    if name in ("zero_first", "normal"):
        return [(t0 + 60 * k, 100, 0 if name == "zero_first" and k == 0 else 3 * 10**9) for k in range(1440)]
    if name == "prom1h":
        return [(t0 + HOUR * k, 100, 3 * 10**9) for k in range(192)]
    if name == "live1m":
        return [(t0 + 60 * k, 100, 3 * 10**9) for k in range(11520)]
    if name == "idle":
        return [(t0 + 60 * k, 1, 2 * 10**7) for k in range(1440)]
    if name == "oom":
        return [(t0 + 60 * k, 100, 943718400) for k in range(60)]
    days = 21 + int(name.removeprefix("weekly_lag"))
    peak = [day % 7 == 6 and day < 21 and hour == 3 for day in range(days) for hour in range(24)]
    return [(t0 + HOUR * k, 100, 10**10 if high else 10**9) for k, high in enumerate(peak)]


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_gives_vpas_numbers(golden: Path, name: str) -> None:
    vectors = json.loads((golden / "vpa-vectors.json").read_text())
    wanted = next(case for case in vectors["cases"] if case["name"] == name)
    model = Model(VPA)
    rows = model.states.take(1)
    instance = model.start(rows)
    for time, millicores, size in samples(name, vectors["t0"]):
        model.observe_cpu(instance, np.array([millicores]), np.array([float(time)]))
        model.observe_memory(instance, np.array([size]), np.array([float(time)]))
    if name == "oom":
        for late in (3600, 3700):
            model.observe_oom(instance, np.array([1048576000]), np.array([float(vectors["t0"] + late)]))
    ours = next(describe(model, rows))
    assert ours["count"] == wanted["totalSamplesCount"]
    for bound, key in (("target", "target"), ("lower", "lowerBound"), ("upper", "upperBound")):
        assert ours[bound] == wanted[key]
    assert ours["cpuW"] == wanted["checkpoint"]["cpu"]["bucketWeights"]
    assert ours["memW"] == wanted["checkpoint"]["memory"]["bucketWeights"]
    assert ours["cpuTotal"] == wanted["checkpoint"]["cpu"]["totalWeight"]
    assert ours["memTotal"] == wanted["checkpoint"]["memory"]["totalWeight"]
    assert ours["ref"] == wanted["checkpoint"]["cpuReferenceTimestamp"]


def test_without_vpas_bug_a_zero_at_first_does_not_hide_the_day() -> None:
    """VPA recommends its minimum of 250 MiB for a steady 3 GB that once read 0; the fixed model sees the 3 GB."""
    model = Model(Aggregation())
    rows = model.states.take(1)
    instance = model.start(rows)
    for time, _, size in samples("zero_first", 1767243600):
        model.observe_memory(instance, np.array([size]), np.array([float(time)]))
    made = recommend(model.states, rows, np.array([1]), Estimation())
    assert made.memory.target.tolist() == [3481230109]
