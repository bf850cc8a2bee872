"""How fast and how large the recommender is: one loop over 100,000 containers, against VPA's own Go packages.

    python loadtest/bench_recommender.py [--containers N] [--go PATH] [--output json]

Measured on one core: taking in one minute of samples, recommending for all, finding out which statuses change; bytes of
state per container; the process's peak; the same loop written plainly, one container at a time; and, with --go (a built
loadtest/vpa_bench), VPA's packages on the same load in the same run.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from recommender.engine import decide, mode
from recommender.model import Model
from recommender.settings import Settings

START = 1767243600.0
WARM_HOURS = 48
LOOPS = 5


class Load:
    """Synthetic usage: lognormal over containers (median 100m, 300 MB), lognormal in time."""

    def __init__(self, containers: int) -> None:
        self.random = np.random.default_rng(1)
        self.cpu = np.exp(self.random.normal(math.log(100), 1.2, containers))
        self.memory = np.exp(self.random.normal(math.log(3e8), 1.2, containers))

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """One sample of each container: millicores, bytes."""
        cpu = self.cpu * np.exp(self.random.normal(0, 0.4, len(self.cpu)))
        memory = self.memory * np.exp(self.random.normal(0, 0.1, len(self.cpu)))
        return cpu.astype(np.int64), memory.astype(np.int64)


def measure(containers: int, name: str) -> dict:
    """Seconds per loop and bytes per container of one mode."""
    chosen = mode(Settings(mode=name))
    model, load = Model(chosen.aggregation), Load(containers)
    rows = model.states.take(containers)
    instances = model.start(rows)
    alone = np.ones(containers, dtype=np.int64)
    now = START
    for _ in range(WARM_HOURS):
        now += 3600
        observe(model, instances, load.sample(), now)
    before = decide(model, rows, alone, now, chosen)
    loops, parts = [], []
    for _ in range(LOOPS):
        now += 60
        samples = load.sample()
        started = time.perf_counter()
        observe(model, instances, samples, now)
        observed = time.perf_counter()
        after = decide(model, rows, alone, now, chosen)
        decided = time.perf_counter()
        changed = int(np.count_nonzero(differ(before, after)))
        loops.append(time.perf_counter() - started)
        parts.append((observed - started, decided - observed))
        before = after
    best = int(np.argmin(loops))
    return {
        "mode": name,
        "loop_seconds": [round(loop, 4) for loop in loops],
        "ingest_seconds": round(parts[best][0], 4),
        "recommend_seconds": round(parts[best][1], 4),
        "changed": changed,
        "bytes_per_container": round(model.nbytes / containers),
    }


def observe(model: Model, instances: np.ndarray, samples: tuple[np.ndarray, np.ndarray], now: float) -> None:
    """One minute of samples."""
    times = np.full(len(instances), now)
    model.observe_cpu(instances, samples[0], times)
    model.observe_memory(instances, samples[1], times)


def differ(before, after) -> np.ndarray:
    """Which containers' numbers changed."""
    changed = np.zeros(len(before.cpu.target), dtype=bool)
    for resource_name in ("cpu", "memory"):
        for bound in ("target", "lower", "upper"):
            old, new = (getattr(getattr(made, resource_name), bound) for made in (before, after))
            changed |= old != new
    return changed


def plain(containers: int) -> float:
    """Seconds of one loop of a plain implementation, one container and one bucket at a time."""
    ratio, first = 1.05, (0.01, 1e7)
    histograms = [[[0.0] * 176, [0.0] * 176] for _ in range(containers)]
    load = Load(containers)
    samples = load.sample()
    started = time.perf_counter()
    for index, pair in enumerate(histograms):
        for kind, value in enumerate((samples[0][index] / 1000, float(samples[1][index]))):
            bucket = 0 if value < first[kind] else int(math.log(value * (ratio - 1) / first[kind] + 1) / math.log(ratio))
            pair[kind][min(bucket, 175)] += 0.1
            total = sum(pair[kind])
            for share in (0.5, 0.9, 0.95):
                reached, at = 0.0, 0
                while at < 175 and reached < share * total:
                    reached += pair[kind][at]
                    at += 1
    return time.perf_counter() - started


def go(binary: Path, containers: int) -> dict:
    """What VPA's packages need for the same load."""
    done = subprocess.run(
        [binary, "bench", f"--containers={containers}", f"--minutes={LOOPS}"], capture_output=True, check=True, text=True
    )
    return json.loads(done.stdout)


def main() -> int:
    """Prints the measurements as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--containers", type=int, default=100_000)
    parser.add_argument("--go", type=Path, help="a built loadtest/vpa_bench")
    parser.add_argument("--modes", default="vpa,default")
    given = parser.parse_args()
    found: dict = {"containers": given.containers, "python": sys.version.split()[0]}
    found["modes"] = [measure(given.containers, name) for name in given.modes.split(",")]
    found["peak_rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    few = min(given.containers, 2000)
    found["plain_loop_seconds_extrapolated"] = round(plain(few) * given.containers / few, 2)
    if given.go:
        found["go"] = go(given.go, given.containers)
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
