"""Ask the HPA controller of Kubernetes itself: random scenarios through oracle/, answers into a golden file.

    python tests/hpa/golden/generate.py [--count 220] [--seed 1] [--out tests/golden/hpa-replicas.json]

Needs Go and the modules of tests/cluster/tools/kubernetes (whose version is the version that answers); a first build
takes minutes. `--oracle FILE` takes a program built before (go test -c).
"""

import argparse
import json
import os
import random
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MODULES = HERE.parents[1] / "cluster/tools/kubernetes/go.mod"
RATIOS = (0, 0.3, 0.5, 0.79, 0.8, 0.89, 0.9, 0.91, 0.95, 1, 1, 1.05, 1.09, 1.1, 1.11, 1.2, 1.5, 2, 3, 10)


def metric(rng: random.Random, index: int, taken: set[str]) -> dict:
    source = rng.choice(["Resource", "Resource", "ContainerResource", "Pods", "Pods", "Object", "External"])
    free = [name for name in ("cpu", "memory") if name not in taken]
    if source in ("Resource", "ContainerResource") and not free:
        source = "Pods"
    if source in ("Resource", "ContainerResource"):
        name, kind = rng.choice(free), rng.choice(["Utilization", "Utilization", "AverageValue"])
        taken.add(name)
    else:
        name = f"m{index}"
        kind = "AverageValue" if source == "Pods" else rng.choice(["Value", "AverageValue"])
    value = rng.choice([30, 50, 80, 100, 150]) if kind == "Utilization" else rng.choice([1, 333, 1000, 10_000, 24_100])
    container = "app" if source == "ContainerResource" else ""
    return {"source": source, "name": name, "type": kind, "value": value, "container": container}


def rules(rng: random.Random) -> dict | None:
    if rng.random() < 0.2:
        return None
    out: dict = {}
    if rng.random() < 0.6:
        out["window"] = rng.choice([0, 15, 30, 60, 300])
    if rng.random() < 0.6:
        out["select"] = rng.choice(["Max", "Min", "Min", "Disabled"])
    if rng.random() < 0.7:
        out["policies"] = [
            [rng.choice(["Pods", "Percent"]), rng.choice([1, 2, 4, 10, 50, 100, 200]), rng.choice([15, 30, 60, 300])]
            for _ in range(rng.randint(1, 3))
        ]
        if rng.random() < 0.03:
            out["policies"].append(["Pods", 2**31 - 1, 60])
    if rng.random() < 0.4:
        out["tolerance"] = rng.choice([0, 10, 50, 200, 500])
    return out


def pod(rng: random.Random, index: int) -> dict:
    start = rng.choice([None, -3, -20, -45, -120, -299, -300, -301, -900, -900, -900, -900])
    requests = {"app": {"cpu": rng.choice([100, 250, 333]), "memory": 256_000_000_000}}
    if rng.random() < 0.4:
        requests["side"] = {"cpu": 50, "memory": 64_000_000_000}
    if rng.random() < 0.02:
        del requests["app"][rng.choice(["cpu", "memory"])]
    out = {
        "name": f"p{index}",
        "phase": rng.choices(["Running", "Pending", "Failed", "Succeeded"], [85, 8, 5, 2])[0],
        "deleted": rng.random() < 0.06,
        "start": start,
        "ready": rng.choices(["True", "False", "Unknown", ""], [80, 14, 3, 3])[0],
        "since": (start or -100) + rng.choice([0, 5, 29, 30, 31, 60]),
        "requests": requests,
    }
    if rng.random() < 0.04:
        out["whole"] = {"cpu": 500, "memory": 512_000_000_000}
    return out


def choose_value(rng: random.Random, spec: dict, pods: list[dict]) -> float:
    """A per-pod value that gives an interesting ratio to the target."""
    level = rng.choice(RATIOS)
    if rng.random() < 0.02:
        level *= rng.choice([10_000, 10_000_000_000, -1])
    goal = spec["value"]
    if spec["type"] == "Utilization":
        asked = [c.get(spec["name"], 0) for p in pods for c in p["requests"].values()] or [100]
        goal = goal * sum(asked) / max(1, len(pods)) / 100
    return level * goal


def milli(value: float) -> int:
    """A whole number that JSON's float64 carries exactly: the oracle reads pod values as such."""
    return max(-(2**52), min(2**52, int(value)))


def observe(rng: random.Random, spec: dict, pods: list[dict], replicas: int) -> dict:
    if rng.random() < 0.07:
        return {"invalid": "the source is away"}
    value = choose_value(rng, spec, pods)
    if spec["source"] == "Object":
        return {"object": milli(value * (replicas if spec["type"] == "AverageValue" else 1))}
    if spec["source"] == "External":
        total = milli(value * (replicas if spec["type"] == "AverageValue" else 1))
        parts = [total // 3, total - total // 3] if rng.random() < 0.4 else [total]
        if rng.random() < 0.02:
            parts += [2**63 - 1, rng.choice([5, -5])]
        return {"external": [] if rng.random() < 0.03 else parts}
    spread = rng.choice([0, 0, 0.1, 0.5])
    lost = rng.choice([0, 0, 0.15, 0.4])
    values = {
        p["name"]: [
            milli(value * (1 + rng.uniform(-spread, spread))),
            -rng.choice([0, 15, 40]),
            rng.choice([10, 30, 60]),
        ]
        for p in pods
        if rng.random() >= lost
    }
    if rng.random() < 0.04:
        values["stranger"] = [milli(value), 0, 30]
    return {"pods": values}


def step(rng: random.Random, spec: dict, first: bool) -> dict:
    replicas = rng.choices([0, 1, 2, 3, 4, 5, 8, 13, 30], [6, 9, 14, 22, 15, 15, 8, 3, 1])[0]
    out: dict = {"after": 0 if first else rng.choice([1, 15, 15, 15, 30, 60, 240, 299, 300, 301])}
    if first or rng.random() < 0.2:
        out["scale"] = [replicas, max(0, replicas + rng.choice([0, 0, 0, 0, -1, 1]))]
    number = max(0, replicas + rng.choice([0, 0, 0, 0, -1, 1, 2]))
    pods = [pod(rng, i) for i in range(number)]
    if rng.random() < 0.5:
        for calm in pods:
            calm.update(phase="Running", deleted=False, start=-900, ready="True", since=-890)
    if all(m["type"] != "Utilization" for m in spec["metrics"]):
        for unasked in pods:
            unasked.pop("requests")
            unasked.pop("whole", None)
    out["pods"] = pods
    out["observed"] = [observe(rng, m, pods, replicas) for m in spec["metrics"]]
    if not first and rng.random() < 0.03:
        out["min"] = rng.randint(1, spec["max"])
    return out


def scenario(rng: random.Random) -> dict:
    taken: set[str] = set()
    spec: dict = {"metrics": [metric(rng, i, taken) for i in range(rng.choice([1, 1, 1, 1, 2, 3]))]}
    zero = any(m["source"] in ("Object", "External") for m in spec["metrics"])
    low = rng.choice([None, 1, 1, 2, 3] + [0, 0, 0] * zero)
    spec |= {"min": low, "max": max(low or 1, rng.choice([1, 4, 6, 10, 10, 20, 50, 100]))}
    if rng.random() < 0.55:
        spec["behavior"] = {"up": rules(rng), "down": rules(rng)}
    length = rng.choice([1, 2, 3, 4, 5])
    return {"spec": spec, "steps": [step(rng, spec, first=i == 0) for i in range(length)]}


def ask(scenarios: list[dict], oracle: Path | None) -> list[list[dict]]:
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "scenarios"), Path(folder, "answers")
        asked.write_text("".join(json.dumps(one) + "\n" for one in scenarios))
        from_source: list[Any] = ["go", "test", "-modfile", MODULES.resolve(), "-count", "1", "."]
        command = [oracle.resolve()] if oracle else from_source
        environment = os.environ | {"SCENARIOS": str(asked), "ANSWERS": str(answered)}
        done = subprocess.run(command, cwd=HERE / "oracle", env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"the oracle failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        return [json.loads(line) for line in answered.read_text().splitlines()]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--count", type=int, default=220)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--out", type=Path, default=HERE.parents[1] / "golden/hpa-replicas.json")
    arguments.add_argument("--oracle", type=Path)
    options = arguments.parse_args()
    rng = random.Random(options.seed)
    scenarios = [scenario(rng) for _ in range(options.count)]
    version = re.search(r"k8s\.io/kubernetes (v\S+)", MODULES.read_text())
    cases = [
        json.dumps({"scenario": one, "answers": answers}, separators=(",", ":"))
        for one, answers in zip(scenarios, ask(scenarios, options.oracle), strict=True)
    ]
    head = json.dumps({"kubernetes": version[1] if version else "unknown", "seed": options.seed})
    options.out.write_text(head[:-1] + ', "cases": [\n' + ",\n".join(cases) + "\n]}\n")


if __name__ == "__main__":
    main()
