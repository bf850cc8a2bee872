"""How fast and how large the recommender is: one loop over 100,000 containers, against VPA's own Go packages.

    python loadtest/bench_recommender.py [--containers N] [--go PATH] [--output json]

Measured on one core: taking in one minute of samples, recommending for all, finding out which statuses change; bytes of
state per container; the process's peak; the same loop written plainly, one container at a time; with --go (a built
loadtest/vpa_bench), VPA's packages on the same load in the same run; and a report on a file of a million rows.
"""

import argparse
import hashlib
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import msgspec
import numpy as np

from recommender.checkpoint import codec
from recommender.config import mode
from recommender.estimate.recommend import decide
from recommender.model.containers import Model
from recommender.objects import CheckpointStatus
from recommender.settings import Settings

START = 1767243600.0
WARM_HOURS = 48
LOOPS = 5
encode_json = msgspec.json.encode
decode_json = msgspec.json.Decoder(CheckpointStatus).decode


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


def measure(containers: int, name: str) -> dict[str, Any]:
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


def differ(before: Any, after: Any) -> np.ndarray:
    """Which containers' numbers changed."""
    changed = np.zeros(len(before.cpu.target), dtype=bool)
    for resource_name in ("cpu", "memory"):
        for bound in ("target", "lower", "upper"):
            old, new = (getattr(getattr(made, resource_name), bound) for made in (before, after))
            changed |= old != new
    return changed


def checkpoints(containers: int) -> dict[str, Any]:
    """Seconds to encode and to decode the checkpoints of all containers, as JSON, without any API."""
    chosen = mode(Settings())
    model, load = Model(chosen.aggregation), Load(containers)
    rows = model.states.take(containers)
    instances = model.start(rows)
    for hour in range(WARM_HOURS):
        observe(model, instances, load.sample(), START + 3600 * hour)
    started = time.perf_counter()
    texts = [encode_json(status) for status in codec.encode(model, rows, START + 3600 * WARM_HOURS)]
    extra = codec.encode_extra(model.states, rows)
    encoded = time.perf_counter()
    fresh = Model(chosen.aggregation)
    rows = fresh.states.take(containers)
    statuses = [decode_json(text) for text in texts]
    for status in statuses:
        codec.check(status)
    codec.restore(fresh.states, rows, statuses)
    codec.restore_extras(fresh.states, rows, extra)
    decoded = time.perf_counter()
    return {"encode_seconds": round(encoded - started, 2), "decode_seconds": round(decoded - encoded, 2)}


def churn(workloads: int, days: int) -> dict[str, Any]:
    """Bytes held over `days` of rollouts: every hour each workload's pods are all new."""
    chosen = mode(Settings())
    model, load = Model(chosen.aggregation), Load(workloads)
    rows = model.states.take(workloads)
    held = []
    for hour in range(24 * days):
        instances = model.start(rows)
        observe(model, instances, load.sample(), START + 3600 * hour)
        model.stop(instances)
        if hour % 24 == 23:
            held.append(model.nbytes)
    return {"days": days, "bytes_after_1_day": held[0], "bytes_after_a_week": held[6], "bytes_at_the_end": held[-1]}


def plain(containers: int) -> float:
    """Seconds of one loop of a plain implementation, one container and one bucket at a time."""
    ratio, first = 1.05, (0.01, 1e7)
    histograms = [[[0.0] * 176, [0.0] * 176] for _ in range(containers)]
    load = Load(containers)
    samples = load.sample()
    started = time.perf_counter()
    for index, pair in enumerate(histograms):
        for kind, value in enumerate((samples[0][index] / 1000, float(samples[1][index]))):
            bucket = 0 if value < first[kind] else int(math.log(value * (ratio - 1) / first[kind] + 1, ratio))
            pair[kind][min(bucket, 175)] += 0.1
            total = sum(pair[kind])
            for share in (0.5, 0.9, 0.95):
                reached, at = 0.0, 0
                while at < 175 and reached < share * total:
                    reached += pair[kind][at]
                    at += 1
    return time.perf_counter() - started


def build_go_bench() -> Path | None:
    """Build loadtest/vpa_bench, or take it from the cache, keyed by its source; None where Go is missing."""
    source = Path(__file__).parent / "vpa_bench"
    if shutil.which("go") is None:
        return None
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(source.iterdir()))).hexdigest()[:12]
    binary = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamgate" / f"vpa_bench-{digest}"
    if not binary.exists():
        print("building loadtest/vpa_bench, a few minutes the first time", file=sys.stderr)
        subprocess.run(["go", "build", "-o", binary, "."], cwd=source, check=True)
    return binary


def go(binary: Path, containers: int) -> dict[str, Any]:
    """What VPA's packages need for the same load."""
    done = subprocess.run(
        [binary, "bench", f"--containers={containers}", f"--minutes={LOOPS}"],
        capture_output=True,
        check=True,
        text=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def million_rows() -> dict[str, Any]:
    """What `report` needs for 10^6 rows of 10 containers, a program of its own: s of CPU, and its peak in MB."""
    with tempfile.TemporaryDirectory() as folder:
        usage = Path(folder) / "usage.csv"
        with usage.open("w") as file:
            file.write("container,epoch_s,cpu_millicores,memory_bytes\n")
            for turn in range(100_000):
                time_s, memory = int(START) + 30 * turn, 500_000_000 + 7919 * turn % 100_000_000
                file.writelines(f"c{one},{time_s},{100 + (7 * turn + one) % 300},{memory + one}\n" for one in range(10))
        argv = [sys.executable, "-m", "recommender", "report", str(usage), "--output=json"]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[1])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # the first child of this process
    return {"rows": 10**6, "cpu_seconds": round(used.ru_utime + used.ru_stime, 1), "peak_mb": used.ru_maxrss // 1024}


def peak_rss() -> int:
    """The largest memory of this process so far, MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> int:
    """Prints the measurements as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--containers", type=int, default=100_000)
    parser.add_argument("--go", type=Path, help="a built loadtest/vpa_bench; none: built where Go is present")
    parser.add_argument("--no-go", action="store_true", help="leave VPA's packages out")
    parser.add_argument("--modes", default="vpa,default")
    given = parser.parse_args()
    figures: dict[str, Any] = {"containers": given.containers, "python": sys.version.split()[0]}
    figures["report"] = million_rows()
    figures["modes"] = [measure(given.containers, name) for name in given.modes.split(",")]
    figures["loop_peak_rss_mb"] = peak_rss()
    figures["checkpoints"] = checkpoints(given.containers) | {"peak_rss_mb": peak_rss()}
    figures["churn"] = churn(min(given.containers, 5000), 30)
    few = min(given.containers, 2000)
    figures["plain_loop_seconds_extrapolated"] = round(plain(few) * given.containers / few, 2)
    binary = None if given.no_go else given.go or build_go_bench()
    if binary:
        figures["go"] = go(binary, given.containers)
    print(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
