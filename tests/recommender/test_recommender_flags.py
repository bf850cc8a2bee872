"""VPA's results for other flag values, made with its Go packages (loadtest/vpa_bench), on synthetic traces."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recommender.config import mode
from recommender.estimate.postprocess import round_up
from recommender.estimate.recommend import decide
from recommender.input.usage_file import read_usage
from recommender.model.containers import Model
from recommender.model.histogram import Histograms
from recommender.offline.replay import Replay
from recommender.settings import Settings, parse

GOLDEN = Path(__file__).parent.parent / "golden" / "recommender"
CASES = json.loads((GOLDEN / "vpa-flags.json").read_text())


def stamp(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def round_bound(of: tuple[NDArray[Any], NDArray[Any]], index: int, settings: Settings) -> dict[str, int]:
    return {
        "cpu_millicores": round_up(int(of[0][index]), settings.round_cpu),
        "memory_bytes": round_up(int(of[1][index]), settings.round_memory),
    }


def as_checkpoint(histograms: Histograms, row: int) -> dict[str, Any]:
    weights = histograms.checkpoint_weights(np.array([row]))[0]
    return {
        "referenceTimestamp": stamp(histograms.reference[row]),
        "bucketWeights": {str(bucket): weight for bucket, weight in weights.items()},
        "totalWeight": pytest.approx(float(histograms.total[row]), rel=1e-12),
    }


@pytest.mark.parametrize("name", CASES)
def test_flags_change_the_numbers_as_in_vpa(name: str) -> None:
    flags = [flag for flag in CASES[name]["flags"] if not flag.startswith("--containers-per-pod")]
    per_pod = 3 if len(flags) < len(CASES[name]["flags"]) else 1
    settings = parse([*flags, "--mode=vpa"]).settings
    chosen = mode(settings)
    usage = read_usage([GOLDEN / "flags-usage.csv"])
    replay = Replay(Model(chosen.aggregation), usage, by_time=False)
    replay.run()
    made = decide(replay.model, replay.rows, np.full(len(usage.names), per_pod), usage.time.max(), chosen)
    states = replay.model.states
    for index, wanted in enumerate(CASES[name]["results"]):
        assert wanted["container"] == usage.names[index]
        assert wanted["samples"] == states.samples[index]
        assert round_bound((made.cpu.target, made.memory.target), index, settings) == wanted["target"], wanted[
            "container"
        ]
        assert round_bound((made.cpu.lower, made.memory.lower), index, settings) == wanted["lowerBound"]
        assert round_bound((made.cpu.upper, made.memory.upper), index, settings) == wanted["upperBound"]
        assert as_checkpoint(states.cpu, index) == wanted["checkpoint"]["cpuHistogram"], wanted["container"]
        assert as_checkpoint(states.memory, index) == wanted["checkpoint"]["memoryHistogram"], wanted["container"]
        assert stamp(states.first_sample[index]) == wanted["checkpoint"]["firstSampleStart"]
        assert stamp(states.last_sample[index]) == wanted["checkpoint"]["lastSampleStart"]
