"""Rates of counters: over a fixed window, and over one that shrinks to what came after a change.

All functions work on rows at once. Rows are right-aligned: the newest sample is in the last column, and NaN (for
times and values) or 0 (for counts and durations) fills up the left.
"""

import numpy as np
import numpy.typing as npt

from adapter.metrics.store.ring import Floats, Ints


def increments(values: Floats) -> Floats:
    """What a counter grew by from one sample to the next: rows x (columns - 1).

    After a reset (the value fell) it grew by at least the new value, Prometheus' rule. NaN where there is no sample
    before: a new series' first value says nothing about when it was counted.
    """
    before, after = values[:, :-1], values[:, 1:]
    return np.where(after >= before, after - before, np.where(np.isnan(before), np.nan, after))


def fixed_rate(times: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Rate (1/s) and the time (s) that it was taken over: the increase from the first to the last sample between them.

    Nothing is extrapolated to the window's ends. NaN and 0 with less than two samples.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        span = np.nan_to_num(np.nanmax(times, axis=1, initial=-np.inf) - np.nanmin(times, axis=1, initial=np.inf))
        rate = increase(times, values) / span
    return np.where(span > 0, rate, np.nan), np.maximum(span, 0.0)


def increase(times: Floats, values: Floats) -> Floats:
    """What the counters grew by between the first and the last sample; NaN with less than two samples."""
    grown = increments(values)
    pairs = ~np.isnan(times[:, :-1])
    return np.where(pairs.any(axis=1), np.where(pairs, grown, 0.0).sum(axis=1), np.nan)


def instant_rate(times: Floats, values: Floats) -> tuple[Floats, Floats]:
    """irate: rate (1/s) and time (s) between the last two samples; NaN and 0 with less than two samples."""
    return fixed_rate(times[:, -2:], values[:, -2:])


def sum_increments(times: Floats, values: Floats, starts: Ints) -> tuple[Floats, Floats, Floats]:
    """Add up the counters of each target: counts and durations (s) of its intervals, and its newest sample's time.

    The rows of one target lie together and begin at `starts`. They are scraped together, so mostly their times are
    equal, but for those that began later; a row that ended or missed a scrape is laid over the others' times, its
    increments spread evenly over what it missed, and counts nothing after its end.
    Returns targets x (columns - 1) twice, 0 where there is no interval, and one time per target (NaN without samples).
    """
    sizes = np.diff(starts, append=len(times))
    group = np.repeat(np.arange(len(starts)), sizes)
    filled = ~np.isnan(times)
    newest = np.where(filled[:, -1], times[:, -1], -np.inf)
    leaders = times[np.lexsort((filled.sum(axis=1), newest, group))[starts + sizes - 1]]
    with np.errstate(invalid="ignore"):
        aligned = (~filled | (times == leaders[group])).all(axis=1)
        counts = np.add.reduceat(np.nan_to_num(increments(values), posinf=0.0), starts, axis=0)
        durations = np.nan_to_num(np.diff(leaders, axis=1))
    for target in np.flatnonzero(~np.logical_and.reduceat(aligned, starts)).tolist():
        rows = slice(starts[target], starts[target] + sizes[target])
        counts[target], durations[target] = _overlay(times[rows], values[rows])
    return counts, durations, leaders[:, -1]


def _overlay(times: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Counts and durations of one target whose rows' times differ: right-aligned, one row of columns - 1 each."""
    columns = times.shape[1] - 1
    grid = np.unique(times[~np.isnan(times)])[-columns - 1 :]
    total = np.zeros(len(grid))
    for row_times, row_values in zip(times, values, strict=True):
        own = ~np.isnan(row_times)
        if own.any():
            grown = np.nan_to_num(increments(row_values[own][None, :])[0], posinf=0.0)
            total += np.interp(grid, row_times[own], np.concatenate([[0.0], np.cumsum(grown)]))
    fill = (columns - len(grid) + 1, 0)
    return np.pad(np.diff(total), fill), np.pad(np.diff(grid), fill)


THRESHOLD = 4.5
"""Standard errors by which the sides of a split must differ."""

MIN_NEW = 2
"""A change needs two intervals that speak for it: the one that it fell in, which is a mix, and the first after it."""

CONTEXT = 2
"""Windows of intervals that the test looks at: what came before a change is remembered until the window is full."""

SLACK = 1.05
"""How much longer than asked for a window may be: scrapes come a little late."""

OUTLIER = 16.0
"""Dispersion of one pair of intervals, over the median pair's, beyond which it is held for a change (4 sigma)."""

CAUTION = 4.0
"""Pairs of intervals that count as much as our doubt about a dispersion that was seen in few."""

ROUNDING = 1e-3
"""s by which sums of intervals may miss the time between their ends."""

MEDIAN_OF_CHI2 = 0.455
"""The median of chi-square with one degree of freedom."""


@np.errstate(all="ignore")
def adaptive_rate(
    counts: Floats,
    durations: Floats,
    max_window_s: float,
    threshold: float = THRESHOLD,
    *,
    reach_s: Floats | None = None,
) -> tuple[Floats, Floats]:
    """The change-point rate (1/s) and the window (s) that it was taken over; NaN and 0 without an interval in it.

    `reach_s` says per row how far back from its newest sample an interval may begin, for a change that is known.

    While some split of the newest intervals, twice `max_window_s` of them, into an old and a new part is significant
    they are cut to what came after the most significant one (adaptive windowing as in ADWIN, Bifet and Gavalda 2007,
    with a likelihood ratio of Poisson counts for the test). The interval in which the change fell goes too, being a
    mix. The rate is that of the newest `max_window_s` of what is left. All that is older in `counts` serves to tell the
    dispersion, with whose root the threshold grows.
    """
    counted = np.cumsum(counts[:, ::-1], axis=1)
    lasted = np.cumsum(durations[:, ::-1], axis=1)
    present = durations[:, ::-1] > 0
    size = _fitting(lasted, present, CONTEXT * max_window_s)
    if reach_s is not None:
        size = np.minimum(size, (present & (lasted <= reach_s[:, None] + ROUNDING)).sum(axis=1))
    widest = int(size.max(initial=0))
    if not widest:
        return np.full(len(counts), np.nan), np.zeros(len(counts))
    counted, lasted, present = counted[:, :widest], lasted[:, :widest], present[:, :widest]
    _cut(counted=counted, lasted=lasted, size=size, spread=dispersion(counts, durations), threshold=threshold)
    size = np.minimum(size, _fitting(lasted, present, max_window_s))
    newest = np.maximum(size - 1, 0)[:, None]
    window = np.where(size > 0, np.take_along_axis(lasted, newest, axis=1)[:, 0], 0.0)
    return np.where(size > 0, np.take_along_axis(counted, newest, axis=1)[:, 0] / window, np.nan), window


def _fitting(lasted: Floats, present: npt.NDArray[np.bool_], seconds: float) -> Ints:
    """How many of each row's newest intervals fit into `seconds`."""
    fits = np.logical_and.accumulate(present & (lasted <= SLACK * seconds), axis=1)
    return np.asarray(fits.sum(axis=1), dtype=np.int64)


def _cut(*, counted: Floats, lasted: Floats, size: Ints, spread: Floats, threshold: float) -> None:
    """Shrink `size`, the number of newest intervals of each row, until none of its splits has the evidence needed."""
    rows = np.flatnonzero(size > MIN_NEW)
    while len(rows):
        split, evidence = _best_split(counted[rows], lasted[rows], size[rows])
        cut = evidence > threshold**2 * spread[rows]
        rows, split = rows[cut], split[cut]
        size[rows] = split - _is_mixed(
            counted=counted[rows], lasted=lasted[rows], size=size[rows], split=split, spread=spread[rows]
        )
        rows = rows[size[rows] > MIN_NEW]


def _is_mixed(*, counted: Floats, lasted: Floats, size: Ints, split: Ints, spread: Floats) -> npt.NDArray[np.bool_]:
    """Whether the first interval after each row's split is a standard error off the old rate already.

    If it is not, the last interval stands alone: it may be the first after a change, or a freak.
    """
    at = [np.arange(len(size)), split - 1], [np.arange(len(size)), split - 2], [np.arange(len(size)), size - 1]
    (first_counted, after_counted, all_counted), (first_lasted, after_lasted, all_lasted) = (
        [array[tuple(index)] for index in at] for array in (counted, lasted)
    )
    rate = (all_counted - first_counted) / (all_lasted - first_lasted)
    expected = rate * (first_lasted - after_lasted)
    beyond = (first_counted - after_counted - expected) * np.sign(first_counted - rate * first_lasted)
    return np.asarray(beyond > np.sqrt(spread * expected), dtype=np.bool_)


def _best_split(counted: Floats, lasted: Floats, size: Ints) -> tuple[Ints, Floats]:
    """The most significant split of each row's newest `size` intervals: how many are new, and the evidence for it.

    The evidence is twice the logarithm of the likelihood ratio of two Poisson rates against one: about the square of
    their distance in standard errors, but right for small counts and for zero too.
    """
    last = (size - 1)[:, None]
    all_counted, all_lasted = (np.take_along_axis(array, last, axis=1) for array in (counted, lasted))
    new_counted, new_lasted = counted[:, MIN_NEW - 1 : -1], lasted[:, MIN_NEW - 1 : -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = all_counted / all_lasted
        evidence = _excess(new_counted, new_lasted * rate)
        evidence += _excess(all_counted - new_counted, (all_lasted - new_lasted) * rate)
    evidence[np.arange(MIN_NEW, counted.shape[1]) >= size[:, None]] = 0.0
    best = np.argmax(evidence, axis=1)
    return best + MIN_NEW, np.max(evidence, axis=1)


def _excess(observed: Floats, expected: Floats) -> Floats:
    return np.where(observed > 0, 2.0 * observed * np.log(observed / expected), 0.0)


def dispersion(counts: Floats, durations: Floats) -> Floats:
    """Variance over mean of each row's counts, at least 1 (Poisson), from the differences of neighbouring intervals.

    Neighbours share slow changes of the rate, so these hardly count; a jump shows in two pairs, and a pair far beyond
    the median one is left out: were it only cut down, one change would hide the next. Two empty intervals say nothing,
    and count as Poisson. The less pairs there are the more is put on what exceeds Poisson.
    """
    one, other = counts[:, :-1], counts[:, 1:]
    long, longer = durations[:, :-1], durations[:, 1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = (one + other) / (long + longer)
        terms = (other / longer - one / long) ** 2 / (rate * (1 / long + 1 / longer))
    terms[rate == 0] = 1.0
    known = (long > 0) & (longer > 0)
    terms[~known] = np.nan
    number = known.sum(axis=1)
    usual = np.nan_to_num(_median(terms, number)) / MEDIAN_OF_CHI2
    known &= ~(terms > OUTLIER * np.maximum(usual, 1.0)[:, None])
    pairs = np.maximum(known.sum(axis=1), 1)
    excess = np.where(known, terms - 1.0, 0.0).sum(axis=1) / pairs
    return np.asarray(1.0 + np.maximum(excess, 0.0) * (1.0 + CAUTION / pairs))


def _median(terms: Floats, number: Ints) -> Floats:
    """The middle of each row's `number` terms; the rest are NaN, which sort last."""
    if not terms.shape[1]:
        return np.full(len(terms), np.nan)
    middle = np.maximum(number - 1, 0)[:, None] // 2
    return np.asarray(np.take_along_axis(np.sort(terms, axis=1), middle, axis=1)[:, 0], dtype=np.float64)
