"""`make mutants`: a sample of small faults in the pure modules, each tried by the tests that should notice it.

A copy of the tree takes the faults, so that nothing here is touched. What survives is listed: a line that no test
holds, or a change that makes no difference.
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from adapter.program import tables
from tests.mutants.mutate import Mutant, mutants

ROOT: Final = Path(__file__).resolve().parents[2]
COPIED: Final = ("adapter", "recommender", "loadtest", "tests", "manifests", "docs", "pyproject.toml")
JUDGE: Final = ("evidence", "judge", "judge_properties", "gates", "replay", "ahead")
DECIDE: Final = (
    *("checklist", "crashes", "floor", "interference", "lost", "others", "people", "refusals", "releases", "rolling"),
    *("soaks", "traffic", "windows"),
)
AREAS: Final[dict[str, tuple[Sequence[str], Sequence[str]]]] = {
    "hpa": (["adapter/hpa"], ["tests/hpa"]),
    "judge": (
        ["adapter/rollout/judge.py", "adapter/rollout/evidence"],
        [f"tests/rollout/test_rollout_{name}.py" for name in JUDGE],
    ),
    "units": (["adapter/units"], ["tests/units", "tests/test_yaml_files.py"]),
    "histograms": (
        ["recommender/model/histogram.py", "recommender/model/buckets.py", "recommender/model/peaks.py"],
        [f"tests/recommender/test_recommender_{name}.py" for name in ("histogram", "policy")],
    ),
    "import": (["adapter/rollout/foreign"], ["tests/rollout/test_rollout_import.py"]),
    "decide": (
        ["adapter/rollout/decide", "adapter/rollout/floor.py", "adapter/rollout/windows.py"],
        [f"tests/rollout/test_rollout_{name}.py" for name in DECIDE],
    ),
    "rules": (["adapter/rules"], ["tests/rules"]),
    "rates": (
        ["adapter/metrics/store/rate.py", "adapter/metrics/store/ring.py", "adapter/metrics/store/evaluate.py"],
        [f"tests/metrics/test_{name}.py" for name in ("rate", "store", "evaluate", "columns")],
    ),
    "plan": (
        ["adapter/collect/plan.py", "adapter/collect/planned.py", "adapter/collect/shorter.py"],
        [f"tests/collect/test_{name}.py" for name in ("plan", "plan_anew", "shorter", "collector")],
    ),
    "estimate": (
        ["recommender/estimate", "recommender/updater/decide.py", "recommender/updater/limits.py"],
        [f"tests/recommender/test_recommender_{name}.py" for name in ("policy", "guard", "finish", "decide", "limits")],
    ),
    "doctor": (["adapter/doctor/checks"], ["tests/doctor"]),
}
"""Where faults are made, and the tests that have to see them."""
SLOWEST: Final = 240.0
"""s that a test run may take: a fault that makes a loop endless is seen by that."""


class Tried(NamedTuple):
    """A fault and what became of it."""

    path: str
    mutant: Mutant
    survived: bool

    def __str__(self) -> str:
        """As a line of the report."""
        where = f"{self.path}:{self.mutant.line}:{self.mutant.column + 1}"
        return f"{where}: {self.mutant.was[:100]!r} became {self.mutant.now[:100]!r}"


def main(count: int, seed: int, minutes: float, only: str) -> int:
    """Tries `count` faults, as many of each area as the others; the exit code: 1 where the tests fail without one."""
    areas = {name: area for name, area in AREAS.items() if only in ("", name)}
    ends = time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder)
        _copy(copy)
        for name, (_, tests) in areas.items():
            if said := _failure(copy, tests):
                tables.say(f"{name}: its tests fail without a fault, so that there is nothing to learn: {said}")
                return 1
        tried: list[Tried] = []
        for number in range(-(-count // len(areas))):
            for name, (sources, tests) in areas.items():
                if len(tried) < count and time.monotonic() < ends:
                    tried.append(_one(copy, name, sources, tests, seed + number))
                    tables.say(f"{len(tried)}/{count} {'SURVIVED' if tried[-1].survived else 'seen'} {tried[-1]}")
    survivors = [each for each in tried if each.survived]
    tables.lines(str(each) for each in survivors)
    left = f"; the time was over before {count - len(tried)} more" if len(tried) < count else ""
    tables.lines([f"{len(tried) - len(survivors)} of {len(tried)} faults were seen (seed {seed}){left}"])
    return 0


def _copy(folder: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)


def _one(copy: Path, name: str, sources: Sequence[str], tests: Sequence[str], seed: int) -> Tried:
    """One fault of an area, chosen by the seed."""
    paths = sorted(
        path for each in sources for path in ([ROOT / each] if each.endswith(".py") else (ROOT / each).rglob("*.py"))
    )
    chance = random.Random(f"{name} {seed}")
    faults = [(path, mutant) for path in paths for mutant in mutants(path.read_text())]
    path, mutant = chance.choice(faults)
    relative = path.relative_to(ROOT)
    target = copy / relative
    target.write_text(mutant.source)
    try:
        return Tried(str(relative), mutant, not _failure(copy, tests))
    finally:
        shutil.copy(path, target)


def _failure(copy: Path, tests: Sequence[str]) -> str:
    """What the tests say last where they fail; '' where they pass."""
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False, timeout=SLOWEST)
    except subprocess.TimeoutExpired:
        return f"they take more than {SLOWEST:g} s"
    return (done.stdout.strip().splitlines() or ["nothing"])[-1] if done.returncode else ""


if __name__ == "__main__":
    given = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    sys.exit(
        main(
            int(given.get("--count") or 100),
            int(given.get("--seed") or 1),
            float(given.get("--minutes") or 30),
            given.get("--only", ""),
        )
    )
