"""What looks wrong in a usage file or a list of requests though each row is good by itself: in words."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from adapter.program import tables
from recommender.input.usage_file import Usage, UsageError
from recommender.model.containers import DAY, MISSING
from recommender.offline.entry import SILENT, Request

AHEAD: Final = DAY
"""s that a row may be ahead of our clock: another machine's may be wrong by hours."""
APART: Final = 90 * DAY
"""s between two groups of rows of which the smaller is taken for wrong dates …"""
FEW: Final = 0.05
"""… if it is no more than this share of all rows (one row is always few, beside ten)."""
NAMED: Final = 5
CORES: Final = 16
"""A file without any amount above this speaks of cores, not of millicores; nothing real idles at so little all over."""
HUGE: Final = 1_000_000
"""millicores: no machine has a thousand cores to itself; such amounts are nanocores, or microcores."""
TINY: Final = 2**20
"""bytes: no container runs in less than 1 MiB; such amounts are MiB, or KiB."""
IDLE: Final = 200
"""A container that never used more than this part of its request is worth a look: somebody thought that it needs more.
Cores taken for millicores are a thousandth of it."""


def strays(usage: Usage, now: float) -> tuple[NDArray[np.bool_], list[str]]:
    """(which rows to keep, a sentence for each of those that are not): dates that cannot be, or stand years apart.

    "Now" of a report is its newest row, so one wrong date, of any container, would make all others' history too old.
    `now`: Unix s by our clock.
    """
    kept = usage.time <= now + AHEAD
    while (apart := _apart(usage.time, kept)).any():
        kept &= ~apart
    places = np.flatnonzero(~kept)
    said = [
        f"{usage.names[usage.container[place]]} at {_date(usage.time[place])}: "
        + ("that is in the future" if usage.time[place] > now + AHEAD else "that is far from all other rows")
        + "; left out"
        for place in places[:NAMED]
    ]
    more = len(places) - len(said)
    return kept, said + ([f"{more} more rows with such dates were left out"] if more else [])


def without_strays(usage: Usage, now: float) -> Usage:
    """The usage without the rows that `strays` finds, each of which is said. Raises UsageError where none is left."""
    kept, said = strays(usage, now)
    if not kept.any():
        raise UsageError("every row is in the future; epoch_s is Unix seconds")
    for line in said:
        tables.say(line)
    if kept.all():
        return usage
    left = usage.select(np.flatnonzero(kept))
    present = np.unique(left.container)
    return replace(left, names=[usage.names[at] for at in present], container=np.searchsorted(present, left.container))


def order(usage: Usage) -> list[str]:
    """What is said of rows that are there twice, and of those that come after a later one of their container."""
    grouped = usage.group_by_container(by_time=False)
    same = np.diff(grouped.container) == 0
    back = int(np.count_nonzero(same & (np.diff(grouped.time) < 0)))
    by_time = usage.group_by_container(by_time=True)
    twice = int(np.count_nonzero((np.diff(by_time.container) == 0) & (np.diff(by_time.time) == 0)))
    said = []
    if twice:
        said.append(
            f"{twice} rows have the time of another row of their container: the one with the most memory counts"
        )
    if back:
        said.append(f"{back} rows come after a later one of their container: they were put in order of time")
    return said


def of_age(usage: Usage, now: float) -> list[str]:
    """Whether "now", which is the newest row, was long before Unix time `now`, s: all of it may be gone by then."""
    newest = float(usage.time.max())
    if now - newest < SILENT * DAY:
        return []
    return [f"the newest row is of {_date(newest)}, {(now - newest) / DAY:.0f} days ago: the report is of that time"]


def of_usage(usage: Usage) -> list[str]:
    """Whether amounts look like other units than the columns say."""
    cpu, memory = _most(usage, usage.cpu), _most(usage, usage.memory)
    return [*_of_cpu(usage, cpu), *_of_memory(usage.names, memory)]


def largest(usage: Usage) -> dict[str, Request]:
    """Container -> the most that it used of each resource; MISSING of what it has no sample of."""
    cpu, memory = _most(usage, usage.cpu).tolist(), _most(usage, usage.memory).tolist()
    return {name: Request(*amounts) for name, *amounts in zip(usage.names, cpu, memory, strict=True)}


def beside_requests(used: Mapping[str, Request], requests: Mapping[str, Request]) -> list[str]:
    """Whether a container used so little of its request that it is idle, or in larger units than the column says.

    `used` is what `largest` gives. An amount alone cannot tell half a core from half a millicore.
    """
    both = [(name, used[name], request) for name, request in requests.items() if name in used]
    cores = [name for name, most, request in both if 0 < most.cpu <= min(CORES, request.cpu / IDLE)]
    kib = [name for name, most, request in both if TINY < most.memory <= request.memory / IDLE]
    never = f"is never above a {IDLE}th of the request: idle, or"
    said = [f"cpu_millicores of {_some(cores)} {never} are these cores? 1 core is 1000"] if cores else []
    return [*said, f"memory_bytes of {_some(kib)} {never} are these KiB? 1 KiB is 1024"] if kib else said


def of_requests(requests: Mapping[str, Request], names: Collection[str]) -> list[str]:
    """Whether a list of requests is of other containers, or in other units."""
    if not requests:
        return []
    said = []
    known = [name for name in requests if name in names]
    if not known:
        said.append(
            f"none of the {len(requests)} containers with requests is in the source: they are named like "
            f"{_some(requests)}, those of the source like {_some(names)}"
        )
    cores = [name for name, request in requests.items() if 0 < request.cpu <= CORES]
    small = [name for name, request in requests.items() if 0 < request.memory < TINY]
    if cores:
        said.append(f"cpu_millicores of {len(cores)} requests are {CORES} or less ({_some(cores)}): are these cores?")
    if small:
        said.append(f"memory_bytes of {len(small)} requests are below 1 MiB ({_some(small)}): are these MiB?")
    return said


def _most(usage: Usage, amounts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest amount of each container; MISSING where it has none."""
    most = np.full(len(usage.names), MISSING, dtype=np.int64)
    np.maximum.at(most, usage.container, amounts)
    return most


def _of_cpu(usage: Usage, most: NDArray[np.int64]) -> list[str]:
    said, top, named = [], int(most.max(initial=0)), partial(_which, usage.names)
    if (most == 0).any():
        said.append(f"cpu_millicores of {named(most == 0)} is 0 in every row: was it measured?")
    if 0 < top <= CORES and len(usage.cpu) > 1:
        said.append(f"no cpu_millicores is above {top}: are these cores? 1 core is 1000")
    broken = np.array([name in usage.fractional for name in usage.names])
    cores = broken & (most > 0) & (most <= CORES)
    if cores.any() and (~broken & (most > CORES)).any():
        said.append(
            f"cpu_millicores of {named(cores)} has fractions and is never above {most[cores].max()}, that of others is "
            "whole: are these cores? 1 core is 1000"
        )
    if top > HUGE:
        of = named(most > HUGE)
        said.append(f"cpu_millicores of {of} goes up to {top}: are these nanocores? 1 core is 1000")
    return said


def _of_memory(names: Sequence[str], most: NDArray[np.int64]) -> list[str]:
    said, small = [], (most > 0) & (most <= TINY)
    if (most == 0).any():
        said.append(f"memory_bytes of {_which(names, most == 0)} is 0 in every row: was it measured?")
    if small.any():
        of = "" if small.all() else f" of {_which(names, small)}"
        said.append(f"no memory_bytes{of} is above {most[small].max()}: are these MiB? 1 MiB is {TINY}")
    return said


def _apart(times: NDArray[np.float64], kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each row is one of few before the first wide gap in time, or of few after the last."""
    moments = np.sort(times[kept])
    few = max(1 if len(moments) > 10 else 0, int(len(moments) * FEW))
    wide = np.flatnonzero(np.diff(moments) > APART)
    outliers = np.zeros(len(times), dtype=np.bool_)
    if not len(wide):
        return outliers
    if len(moments) - 1 - wide[-1] <= few:
        outliers = kept & (times > moments[wide[-1]])
    elif wide[0] + 1 <= few:
        outliers = kept & (times <= moments[wide[0]])
    return outliers


def _which(names: Sequence[str], those: NDArray[np.bool_]) -> str:
    return _some([name for name, one in zip(names, those.tolist(), strict=True) if one])


def _date(time: float) -> str:
    return datetime.fromtimestamp(float(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _some(names: Collection[str]) -> str:
    shown: Sequence[str] = sorted(names)[:3]
    return ", ".join(shown) + (" …" if len(names) > len(shown) else "")
