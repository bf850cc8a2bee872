"""Rates of counters: over a fixed window, and over one that shrinks to what came after a change.

All functions work on rows at once. Rows are right-aligned: the newest sample is in the last column, and NaN (for
times and values) or 0 (for counts and durations) fills up the left.
"""

import numpy as np

from adapter.metrics.ring import Floats, Ints


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


THRESHOLD = 5.0
"""Standard errors by which the sides of a split must differ."""

MIN_NEW = 2
"""A change needs two intervals that speak for it: the one that it fell in, which is a mix, and the first after it."""

SLACK = 1.05
"""How much longer than asked for a window may be: scrapes come a little late."""

OUTLIER = 16.0
"""Dispersion of one pair of intervals, over the median pair's, beyond which it is held for a change (4 sigma)."""

MEDIAN_OF_CHI2 = 0.455
"""The median of chi-square with one degree of freedom."""


def adaptive_rate(
    counts: Floats, durations: Floats, max_window_s: float, threshold: float = THRESHOLD
) -> tuple[Floats, Floats]:
    """The change-point rate (1/s) and the window (s) that it was taken over; NaN and 0 without an interval in it.

    The window holds the newest intervals up to `max_window_s`. While some split of it into an old and a new part
    is significant it is cut to what came after the most significant one (adaptive windowing as in ADWIN, Bifet and
    Gavalda 2007, with a likelihood ratio of Poisson counts for the test). The interval after the split goes too: the
    change fell inside it.
    """
    counted = np.cumsum(counts[:, ::-1], axis=1)
    lasted = np.cumsum(durations[:, ::-1], axis=1)
    fits = (durations[:, ::-1] > 0) & (lasted <= SLACK * max_window_s)
    size = np.logical_and.accumulate(fits, axis=1).sum(axis=1)
    needed = threshold**2 * dispersion(counts, durations)
    widest = int(size.max(initial=0))
    counted, lasted = counted[:, :widest], lasted[:, :widest]
    rows = np.flatnonzero(size > MIN_NEW)
    while len(rows):
        split, evidence = _best_split(counted[rows], lasted[rows], size[rows])
        cut = evidence > needed[rows]
        rows = rows[cut]
        size[rows] = split[cut] - 1
        rows = rows[size[rows] > MIN_NEW]
    newest = np.maximum(size - 1, 0)[:, None]
    if not widest:
        return np.full(len(counts), np.nan), np.zeros(len(counts))
    window = np.where(size > 0, np.take_along_axis(lasted, newest, axis=1)[:, 0], 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 0, np.take_along_axis(counted, newest, axis=1)[:, 0] / window, np.nan), window


def _best_split(counted: Floats, lasted: Floats, size: Ints) -> tuple[Ints, Floats]:
    """Of each row: the number of new intervals at the most significant split of its newest `size`, and twice the
    logarithm of the likelihood ratio of two rates against one, which is about the square of the standard errors."""
    last = (size - 1)[:, None]
    all_counted, all_lasted = (np.take_along_axis(array, last, axis=1) for array in (counted, lasted))
    new_counted, new_lasted = counted[:, MIN_NEW - 1 : -1], lasted[:, MIN_NEW - 1 : -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = all_counted / all_lasted
        evidence = _excess(new_counted, new_lasted * rate)
        evidence += _excess(all_counted - new_counted, (all_lasted - new_lasted) * rate)
    evidence[np.arange(MIN_NEW, counted.shape[1]) >= size[:, None]] = 0.0
    best = np.argmax(evidence, axis=1)
    return best + MIN_NEW, np.take_along_axis(evidence, best[:, None], axis=1)[:, 0]


def _excess(found: Floats, expected: Floats) -> Floats:
    return np.where(found > 0, 2 * found * np.log(found / expected), 0.0)


def dispersion(counts: Floats, durations: Floats) -> Floats:
    """Variance over mean of each row's counts, at least 1 (Poisson), from the differences of neighbouring intervals.

    Neighbours share slow changes of the rate, so these hardly count; a jump shows in two pairs, and a pair far beyond
    the median one is cut down.
    """
    one, other = counts[:, :-1], counts[:, 1:]
    long, longer = durations[:, :-1], durations[:, 1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = (one + other) / (long + longer)
        terms = (other / longer - one / long) ** 2 / (rate * (1 / long + 1 / longer))
    terms[~((long > 0) & (rate > 0))] = np.nan
    known = ~np.isnan(terms)
    number = known.sum(axis=1)
    middle = np.nan_to_num(_median(terms, number)) / MEDIAN_OF_CHI2
    capped = np.minimum(terms, OUTLIER * np.maximum(middle, 1.0)[:, None])
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, capped, 0.0).sum(axis=1) / number
    return np.maximum(np.nan_to_num(mean), 1.0)


def _median(terms: Floats, number: Ints) -> Floats:
    """The middle of each row's `number` terms; the rest are NaN, which sort last."""
    if not terms.shape[1]:
        return np.full(len(terms), np.nan)
    middle: Floats = np.take_along_axis(np.sort(terms, axis=1), np.maximum(number - 1, 0)[:, None] // 2, axis=1)
    return middle[:, 0]
