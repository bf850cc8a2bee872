"""Pods that nobody need wait for: what their last scrapes say. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from adapter.metrics.matching import Matching, Operator
from adapter.metrics.promql.read import parse
from adapter.metrics.promql.walk import selectors
from adapter.metrics.slices import Slices
from adapter.metrics.source import Pod, Query, Since
from adapter.metrics.store.family import Family
from adapter.metrics.store.ring import Floats, Ints
from adapter.metrics.store.selection import Reader
from adapter.metrics.store.strings import Strings
from adapter.metrics.store.supported import matchings
from adapter.metrics.store.vector import NAME

UP = Matching(NAME, Operator.EQUAL, "up")
Codes: TypeAlias = tuple[int, int]


def silent(reader: Reader, query: Query, at: float, pods: Since) -> Slices[frozenset[Pod]]:
    """See `Source.silent`. Raises UnsupportedQuery."""
    wanted = _pods_by_codes(reader.strings, pods)
    heard: dict[Pod, float] = {}
    for selector in selectors(parse(query.promql)):
        for newest in _newest(reader, (yield from matchings(selector)), wanted, at):
            if newest is None:
                yield
                continue
            pod, time, _ = newest
            heard[pod] = max(time, heard.get(pod, time))
        yield
    ups = filter(None, _newest(reader, [UP], wanted, at))
    scrapes = {pod: (time, value) for pod, time, value in ups if time >= pods[pod]}
    stale = reader.lookback_s / 4

    def speaks(pod: Pod, since: float) -> bool:
        scraped, works = scrapes.get(pod, (since, 1.0))
        return works > 0 and heard.get(pod, -np.inf) >= max(since, scraped - stale)

    return frozenset(pod for pod, since in pods.items() if not speaks(pod, since))


def _pods_by_codes(strings: Strings, pods: Since) -> dict[Codes, Pod]:
    """`pods` by the codes of their namespace and name; those whose names no series has are left out."""
    codes = ((strings.find(namespace), strings.find(name), (namespace, name)) for namespace, name in pods)
    return {(space, name): pod for space, name, pod in codes if space is not None and name is not None}


def _newest(
    reader: Reader, wanted: Sequence[Matching], pods: Mapping[Codes, Pod], at: float
) -> Iterator[tuple[Pod, float, float] | None]:
    """For each matching series of `pods`: the pod, and time and value of its newest sample that is a number.

    None where others may run.
    """
    names = np.array(sorted({name for _, name in pods}), dtype=np.int64)
    for selected in reader.select(wanted):
        if selected is None:
            yield None
            continue
        family, candidates = selected
        if "pod" not in family.columns or "namespace" not in family.columns:
            continue
        rows = candidates[np.isin(family.columns.codes("pod", candidates), names)]
        codes = zip(*(family.columns.codes(label, rows).tolist() for label in ("namespace", "pod")), strict=True)
        owners = [pods.get(pair) for pair in codes]
        for owner, (time, value) in zip(owners, _last(family, rows, at, reader.lookback_s), strict=True):
            if owner is not None and np.isfinite(time):
                yield owner, time, value


def _last(family: Family, rows: Ints, at: float, lookback: float) -> Iterator[tuple[float, float]]:
    """Per row the newest sample that is a number, time -inf where there is none."""
    if not len(rows):
        return
    times, values = family.tail(rows, at - lookback, at)
    number: Floats = np.where(np.isfinite(values), times, -np.inf)
    newest = number.argmax(axis=1)
    every = np.arange(len(rows))
    yield from zip(number[every, newest].tolist(), values[every, newest].tolist(), strict=True)
