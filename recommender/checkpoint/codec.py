"""Checkpoints, format v3: VPA's own, read and written, so that one can move from VPA to us and back.

What VPA's format has no room for (the daily peaks) travels as an annotation, which VPA leaves alone.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Final, NamedTuple

import msgspec
import numpy as np

from adapter.kube.objects import unix
from recommender.model.buckets import Amounts, Rows
from recommender.model.containers import MAX_AMOUNT, MAX_EPOCH, PEAK_WEIGHT, Model, States
from recommender.model.histogram import NEVER, Histograms
from recommender.model.peaks import DAY, DAYS, MANY, amount
from recommender.objects import CheckpointStatus, Histogram

VERSION: Final = "v3"
ANNOTATION: Final = "recommender.streamgate.io/daily-peaks"
MAX_WEIGHT: Final = 2**32 - 1
"""Weights are uint32 in VPA."""
MAX_TOTAL: Final = 1e38
"""Far above what 100 half-lives and a million samples a day can reach (1e36); a total beyond it is damage."""
MAX_SAMPLES: Final = 2**53


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the text names the field, what was wrong and what would be right."""


class Extra(NamedTuple):
    """The annotation: what v3 has no room for."""

    first: float
    """Unix time, s, of the earliest sample"""
    day: int
    """the newest day: since 1970 where there are `readings`, else since `first`"""
    peaks: tuple[int, ...]
    """bytes, newest day first"""
    oom: int = 0
    oom_time: float = NEVER
    repeated: tuple[int, ...] | None = None
    """bytes, newest day first: what of each peak other readings support; older annotations have none: all of it"""
    readings: tuple[int, ...] | None = None
    """newest day first: how many, 15 is as many or more; older annotations have none: many"""


def encode(model: Model, rows: Rows, now: float) -> list[CheckpointStatus]:
    """The checkpoints of states `rows` (unique) at Unix time `now`, s.

    As in VPA the peak of each live instance's current window is left out, so that it is not counted twice when the
    window is seen again after a restart.
    """
    states = model.states
    memory = _without_current_peaks(model, rows, now)
    cpu_weights, memory_weights = states.cpu.checkpoint_weights(rows), memory.checkpoint_weights(np.arange(len(rows)))
    columns = (states.first_sample, states.last_sample, states.cpu.reference, states.cpu.total, states.samples)
    first, last, reference, total, samples = (column[rows].tolist() for column in columns)
    memory_reference, memory_total = memory.reference.tolist(), memory.total.tolist()
    updated = _time(now)
    return [
        CheckpointStatus(
            last_update_time=updated,
            version=VERSION,
            cpu_histogram=Histogram(
                reference_timestamp=_time(reference[at]), bucket_weights=cpu_weights[at], total_weight=total[at]
            ),
            memory_histogram=Histogram(
                reference_timestamp=_time(memory_reference[at]),
                bucket_weights=memory_weights[at],
                total_weight=memory_total[at],
            ),
            first_sample_start=_time(first[at]),
            last_sample_start=_time(last[at]),
            total_samples_count=samples[at],
        )
        for at in range(len(rows))
    ]


def restore(states: States, rows: Rows, saved: Sequence[CheckpointStatus]) -> None:
    """Fills empty states `rows` (unique) from checkpoints that `check` has passed."""
    for name in ("cpu_histogram", "memory_histogram"):
        parts: list[Histogram] = [getattr(status, name) for status in saved]
        histograms = states.cpu if name == "cpu_histogram" else states.memory
        totals = np.array([part.total_weight for part in parts], dtype=np.float64)
        references = np.array([_seconds(part.reference_timestamp) for part in parts], dtype=np.float64)
        histograms.load_many(rows, [part.bucket_weights for part in parts], totals, references)
    states.first_sample[rows] = [_seconds(status.first_sample_start) for status in saved]
    states.last_sample[rows] = [_seconds(status.last_sample_start) for status in saved]
    states.resumed[rows] = states.last_sample[rows]
    states.samples[rows] = [status.total_samples_count for status in saved]


def check(
    status: CheckpointStatus, latest: float = math.inf, latest_reference: float = math.inf, buckets: int = 176
) -> None:
    """Raises CheckpointError where a checkpoint is of another version or damaged.

    That is also one with samples after `latest`, Unix s, or a reference after `latest_reference`: beside it no sample
    of today would weigh anything, so that its numbers would stand for ever.
    """
    if status.version != VERSION:
        raise CheckpointError(f"version {status.version!r} is not supported; {VERSION!r} is wanted")
    if not 0 <= status.total_samples_count <= MAX_SAMPLES:
        raise CheckpointError(f"totalSamplesCount {status.total_samples_count} is not in 0 to {MAX_SAMPLES}")
    first, last = _seconds(status.first_sample_start), _seconds(status.last_sample_start)
    if not first <= last <= latest:
        raise CheckpointError(
            f"firstSampleStart {status.first_sample_start} and lastSampleStart {status.last_sample_start} "
            "are not in this order and before now"
        )
    for name, histogram in (("cpuHistogram", status.cpu_histogram), ("memoryHistogram", status.memory_histogram)):
        if _seconds(histogram.reference_timestamp) > latest_reference:
            raise CheckpointError(f"{name}.referenceTimestamp {histogram.reference_timestamp} is too far in the future")
        _check_histogram(name, histogram, buckets)


def encode_extra(states: States, rows: Rows) -> list[str]:
    """The annotation's text for each of `rows`; empty where there is neither a daily peak nor a kill."""
    peaks = states.peaks
    known = peaks.days(rows, 0.0)
    # The largest level and a kill at the largest amount are beyond what is read back.
    newest, repeated = (np.minimum(amount(each), MAX_AMOUNT).tolist() for each in (known.highest, known.repeated))
    readings = known.readings.tolist()
    columns = (peaks.first, peaks.day, peaks.oom, peaks.oom_time)
    first, day, oom, oom_time = (column[rows].tolist() for column in columns)

    def extra(at: int) -> Extra:
        return Extra(
            first=first[at],
            day=day[at],
            peaks=_trim(newest[at]),
            oom=min(oom[at], MAX_AMOUNT),
            oom_time=oom_time[at],
            repeated=_trim(repeated[at]),
            readings=_trim(readings[at]),
        )

    return [_dump(extra(at)) if first[at] != NEVER or oom[at] else "" for at in range(len(rows))]


def restore_extras(states: States, rows: Rows, texts: Sequence[str]) -> dict[int, CheckpointError]:
    """Fills the daily peaks of states `rows` (unique) from their annotations; '' is none.

    Of those that cannot be used: place in `rows` -> why.
    """
    wrong: dict[int, CheckpointError] = {}
    good: list[tuple[int, Extra]] = []
    for place, text in enumerate(texts):
        try:
            good += [(place, _extra(text))] if text else []
        except CheckpointError as error:
            wrong[place] = error
    if good:
        _fill(states, rows[[place for place, _ in good]], [extra for _, extra in good])
    return wrong


def restore_extra(states: States, row: int, text: str) -> None:
    """Fills a state's daily peaks from the annotation. Raises CheckpointError."""
    _fill(states, np.array([row]), [_extra(text)])


def _fill(states: States, rows: Rows, extras: Sequence[Extra]) -> None:
    readings = [(MANY,) * len(each.peaks) if each.readings is None else each.readings for each in extras]
    repeated = [each.peaks if each.repeated is None else each.repeated for each in extras]
    newest = [each.peaks for each in extras]
    peaks = states.peaks
    peaks.load(rows, np.array([_day(each) for each in extras]), *map(_square, (newest, repeated, readings)))
    peaks.first[rows] = [each.first for each in extras]
    peaks.oom[rows] = [each.oom for each in extras]
    peaks.oom_time[rows] = [each.oom_time for each in extras]


def _extra(text: str) -> Extra:
    """The annotation, where it can be used. Raises CheckpointError."""
    try:
        extra = msgspec.json.decode(text, type=Extra)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CheckpointError(f"annotation {ANNOTATION}: {error}") from error
    more = (extra.repeated or (), extra.readings or ())
    numbers = (extra.oom, *extra.peaks, *more[0], *more[1])
    good = (
        len(extra.peaks) <= DAYS
        and max(map(len, more)) <= len(extra.peaks)
        and min(numbers) >= 0
        and max(numbers) <= MAX_AMOUNT
        and all(time == NEVER or 0 <= time < MAX_EPOCH for time in (extra.first, extra.oom_time))
        and 0 <= extra.day < 10**6
    )
    if not good:
        raise CheckpointError(
            f"annotation {ANNOTATION}: at most {DAYS} peaks from 0 to {MAX_AMOUNT} and times in Unix s are wanted"
        )
    return extra


def _day(extra: Extra) -> int:
    """The newest day, since 1970."""
    return extra.day if extra.readings is not None else extra.day + math.floor(max(extra.first, 0.0) / DAY)


def _without_current_peaks(model: Model, rows: Rows, now: float) -> Histograms:
    """A copy of the memory histograms of `rows` less what live instances' running windows have put in."""
    memory = model.states.memory.copy(rows)
    place = np.full(int(rows.max(initial=-1)) + 1, -1)
    place[rows] = np.arange(len(rows))
    live = model.live()
    state = model.instances.state[live]
    known = state < len(place)
    live, state = live[known], place[state[known]]
    running = (state >= 0) & (model.instances.window_end[live] > now)
    live, state = live[running], state[running]
    peak = np.maximum(model.instances.peak[live], model.instances.oom_peak[live])
    memory.subtract(state, peak, PEAK_WEIGHT, model.instances.window_end[live])
    return memory


def _check_histogram(name: str, histogram: Histogram, buckets: int) -> None:
    if not 0 <= histogram.total_weight <= MAX_TOTAL:
        raise CheckpointError(f"{name}.totalWeight {histogram.total_weight} is not in 0 to {MAX_TOTAL:g}")
    for bucket, weight in histogram.bucket_weights.items():
        if not 0 <= bucket < buckets:
            raise CheckpointError(f"{name}.bucketWeights: bucket {bucket} is not in 0 to {buckets - 1}")
        if not 0 <= weight <= MAX_WEIGHT:
            raise CheckpointError(f"{name}.bucketWeights: weight {weight} is not in 0 to {MAX_WEIGHT}")


def _trim(peaks: list[int]) -> tuple[int, ...]:
    """The peaks without the zeros at the old end, which is the last."""
    while peaks and not peaks[-1]:
        peaks.pop()
    return tuple(peaks)


def _square(columns: Sequence[Sequence[int]]) -> Amounts:
    """Columns of up to 28 numbers as an array (n, 28), with zeros behind."""
    square = np.zeros((len(columns), DAYS), dtype=np.int64)
    counts = np.array([len(column) for column in columns])
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    square[np.repeat(np.arange(len(columns)), counts), place] = np.fromiter(chain.from_iterable(columns), np.int64)
    return square


def _dump(extra: Extra) -> str:
    return msgspec.json.encode(extra).decode()


def _time(at: float) -> datetime | None:
    return None if at <= NEVER else datetime.fromtimestamp(at, UTC)


def _seconds(time: datetime | None) -> float:
    seconds = unix(time)
    return NEVER if seconds is None else seconds
