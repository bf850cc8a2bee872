"""Decaying histograms of many containers at once, equal to VPA's to the last bit.

One object holds the histograms of one resource for all containers, one row each; every operation is a whole-array one.
The rules are those of VPA's util/histogram.go and util/decaying_histogram.go; where a rule looks odd, it is theirs.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.model.arena import Arena
from recommender.model.buckets import Amounts, Buckets, Floats, Indices, Rows

NEVER: Final = -62135596800.0
"""Unix time, s, of the year 1: what Go's zero time, 'not yet', is."""
EPSILON: Final = 1e-4
"""An absolute weight, 0.001 of the least sample's: a lighter bucket is empty to the minimum and maximum."""
MAX_DECAY_EXPONENT: Final = 100
"""Half-lives after which the weights are scaled down and the reference time moves."""
MAX_CHECKPOINT_WEIGHT: Final = 10000
COARSE: Final = 0.1
"""A bucket wider than this share of where it starts is looked into, if that is asked for."""


class Histograms:
    """Rows of decaying histograms over the same buckets with the same half-life.

    A sample's weight is multiplied by 2^((its time − the row's reference time) / half-life); the reference is the
    multiple of the half-life nearest to the first sample and moves only when exponents pass 100.
    """

    def __init__(self, buckets: Buckets, half_life: float) -> None:
        """`half_life` in seconds."""
        self.buckets, self.half_life = buckets, half_life
        self.arena = Arena(buckets.count)
        self.total: Floats = np.zeros(0)
        """The row's whole weight: a running sum of its own, not the sum of its buckets."""
        self.reference: Floats = np.zeros(0)
        """Unix time, s, at which a sample weighs its plain weight."""
        self.minimum: Indices = np.zeros(0, dtype=np.int16)
        self.maximum: Indices = np.zeros(0, dtype=np.int16)

    def __len__(self) -> int:
        return len(self.total)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        own = (self.total, self.reference, self.minimum, self.maximum)
        return self.arena.nbytes + sum(array.nbytes for array in own)

    def extend(self, rows: int) -> None:
        """Adds `rows` empty histograms at the end."""
        self.arena.extend(rows)
        self.total = np.append(self.total, np.zeros(rows))
        self.reference = np.append(self.reference, np.full(rows, NEVER))
        self.minimum = np.append(self.minimum, np.full(rows, self.buckets.count - 1, dtype=np.int16))
        self.maximum = np.append(self.maximum, np.zeros(rows, dtype=np.int16))

    def clear(self, rows: Rows) -> None:
        """Makes `rows` (unique) empty."""
        self.arena.clear(rows)
        self.total[rows], self.reference[rows] = 0.0, NEVER
        self.minimum[rows], self.maximum[rows] = self.buckets.count - 1, 0

    def begin(self, rows: Rows, times: Floats) -> None:
        """Fixes the reference time of those of the rows that are empty, as if their first sample were the earliest."""
        empty = self.reference[rows] == NEVER
        earliest = np.full(len(self), np.inf)
        np.minimum.at(earliest, rows[empty], times[empty])
        fresh = np.unique(rows[empty])
        self._decay(fresh, earliest[fresh])

    def add(self, rows: Rows, amounts: Amounts, weight: float, times: Floats) -> None:
        """Adds one sample per entry, in order; a row may occur more than once."""
        weights = weight * self._decay(rows, times)
        buckets = self.buckets.find(amounts)
        self.arena.cover(rows, buckets)
        position = self.arena.position(rows, buckets)
        flat = self.arena.flat
        np.add.at(flat, position, weights)
        np.add.at(self.total, rows, weights)
        heavy = flat[position] >= EPSILON
        np.minimum.at(self.minimum, rows[heavy], buckets[heavy])
        np.maximum.at(self.maximum, rows[heavy], buckets[heavy])

    def subtract(self, rows: Rows, amounts: Amounts, weight: float, times: Floats) -> None:
        """Takes back samples that were added with the same amount, weight and time."""
        weights = weight * self._decay(rows, times)
        buckets = self.buckets.find(amounts)
        self.arena.cover(rows, buckets)
        position = self.arena.position(rows, buckets)
        flat = self.arena.flat
        np.subtract.at(flat, position, weights)
        np.subtract.at(self.total, rows, weights)
        flat[position] = _without_dust(flat[position])
        self.total[rows] = _without_dust(self.total[rows])
        self._narrow(np.unique(rows))

    def percentiles(self, fractions: Sequence[float], rows: Rows | None = None, inside: bool = False) -> Floats:
        """The END of the bucket in which each fraction of the weight is reached: (len(fractions), n); 0 where empty.

        With `inside`, the place inside that bucket where buckets are coarse (wider than a tenth of where they start:
        below 0.2 cores, 200 MB), its samples taken as spread evenly over it.
        """
        rows = np.arange(len(self)) if rows is None else rows
        values = np.zeros((len(fractions), len(rows)))
        for part, low, weights in self.arena.groups(rows):
            minimum, maximum = self.minimum[rows[part]], self.maximum[rows[part]]
            width = np.arange(weights.shape[1])
            weights[width < (minimum - low)[:, None]] = 0.0
            at_minimum = weights[np.arange(len(part)), np.clip(minimum - low, 0, len(width) - 1)]
            reached = np.cumsum(weights, axis=1)
            for index, fraction in enumerate(fractions):
                threshold = fraction * self.total[rows[part]]
                bucket = low + np.count_nonzero(reached < threshold[:, None], axis=1)
                bucket = np.maximum(np.minimum(bucket, maximum), minimum)
                value = self.buckets.ends[bucket]
                if inside:
                    value = value - self._unused(bucket, bucket - low, threshold, weights, reached)
                values[index, part] = np.where(at_minimum < EPSILON, 0.0, value)
        return values

    def _unused(
        self, bucket: NDArray[np.int64], column: NDArray[np.int64], threshold: Floats, weights: Floats, reached: Floats
    ) -> Floats:
        """How much of each bucket lies above the place where `threshold` is reached, units."""
        row = np.arange(len(bucket))
        column = np.clip(column, 0, weights.shape[1] - 1)
        over = (reached[row, column] - threshold) / np.maximum(weights[row, column], EPSILON)
        start, end = self.buckets.starts[bucket], self.buckets.ends[bucket]
        return np.where(end - start > COARSE * start, np.clip(over, 0.0, 1.0) * (end - start), 0.0)

    def copy(self, rows: Rows) -> "Histograms":
        """The histograms of `rows` (unique) as ones of their own, in that order."""
        other = Histograms(self.buckets, self.half_life)
        other.extend(len(rows))
        for part, low, weights in self.arena.groups(rows):
            highest = low + weights.shape[1] - 1
            other.arena.cover(np.repeat(part, 2), np.stack((low, highest), axis=1).ravel().astype(np.int16))
            other.arena.write(part, weights)
        other.total, other.reference = self.total[rows], self.reference[rows]
        other.minimum, other.maximum = self.minimum[rows], self.maximum[rows]
        return other

    def merge(self, into: int, other: int) -> None:
        """Adds histogram `other` to `into`; both references become the younger one, as in VPA."""
        younger = max(self.reference[into], self.reference[other])
        pair = np.array([into, other])
        self._shift(pair[self.reference[pair] < younger], np.array([younger]))
        weights = self.weights(other)
        buckets = np.arange(self.minimum[other], self.maximum[other] + 1, dtype=np.int16)
        rows = np.full(len(buckets), into)
        self.arena.cover(rows, buckets)
        self.arena.flat[self.arena.position(rows, buckets)] += weights[buckets]
        self.total[into] += self.total[other]
        self.minimum[into] = min(self.minimum[into], self.minimum[other])
        self.maximum[into] = max(self.maximum[into], self.maximum[other])

    def weights(self, row: int) -> Floats:
        """The weights of one row over all buckets."""
        full = np.zeros(self.buckets.count)
        for _, low, weights in self.arena.groups(np.array([row])):
            full[low[0] : low[0] + weights.shape[1]] = weights[0][: self.buckets.count - low[0]]
        return full

    def saved(self, rows: Rows) -> list[dict[int, int]]:
        """Each row as a checkpoint holds it: bucket -> weight, the heaviest 10,000, those that round to 0 left out."""
        found: list[dict[int, int]] = [{} for _ in rows]
        for part, low, weights in self.arena.groups(rows):
            heaviest = weights.max(axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                scaled = np.floor(weights * (MAX_CHECKPOINT_WEIGHT / heaviest)[:, None] + 0.5)
            bucket = low[:, None] + np.arange(weights.shape[1])
            inside = (bucket >= self.minimum[rows[part]][:, None]) & (bucket <= self.maximum[rows[part]][:, None])
            # An all-zero row divides by zero; nothing of it is inside minimum and maximum, or it is not above zero.
            keep = inside & (scaled > 0)
            row_of = np.nonzero(keep)[0]
            for at, key, value in zip(
                part[row_of].tolist(), bucket[keep].tolist(), scaled[keep].astype(np.int64).tolist(), strict=True
            ):
                found[at][key] = value
        return found

    def load(self, row: int, weights: Mapping[int, int], total: float, reference: float) -> None:
        """Adds a checkpoint's histogram to the row and takes over its reference time; the caller has checked it."""
        self.load_many(np.array([row]), [weights], np.array([total]), np.array([reference]))

    def load_many(self, rows: Rows, saved: Sequence[Mapping[int, int]], totals: Floats, references: Floats) -> None:
        """`load` for many rows (unique)."""
        counts = np.array([len(weights) for weights in saved])
        buckets = np.array([bucket for weights in saved for bucket in weights], dtype=np.int16)
        values = np.array([value for weights in saved for value in weights.values()], dtype=np.float64)
        owner = np.repeat(np.arange(len(rows)), counts)
        sums = np.bincount(owner, values, minlength=len(rows))
        filled = sums > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            added = values * (totals / sums)[owner]
        added, buckets, owner = added[filled[owner]], buckets[filled[owner]], owner[filled[owner]]
        self.arena.cover(rows[owner], buckets)
        self.arena.flat[self.arena.position(rows[owner], buckets)] += added
        np.minimum.at(self.minimum, rows[owner], buckets)
        np.maximum.at(self.maximum, rows[owner], buckets)
        self.total[rows[filled]] += totals[filled]
        self._narrow(rows[filled])
        self.reference[rows] = references

    def _decay(self, rows: Rows, times: Floats) -> Floats:
        """2^(age in half-lives) of each sample; moves the reference of rows where that would pass 2^100."""
        late = times > self.reference[rows] + self.half_life * MAX_DECAY_EXPONENT
        if late.any():
            latest = np.full(len(self), NEVER)
            np.maximum.at(latest, rows[late], times[late])
            moved = np.unique(rows[late])
            self._shift(moved, latest[moved])
        decay: Floats = np.exp2((times - self.reference[rows]) / self.half_life)
        return decay

    def _shift(self, rows: Rows, times: Floats) -> None:
        """Moves the reference of rows (unique) to the multiple of the half-life nearest to `times`, half rounded up."""
        since = times - NEVER
        over = np.fmod(since, self.half_life)
        reference = times - over + np.where(over + over >= self.half_life, self.half_life, 0.0)
        exponent = np.floor((self.reference[rows] - reference) / self.half_life + 0.5)
        self._scale(rows, np.ldexp(1.0, np.maximum(exponent, -100000).astype(np.int32)))
        self.reference[rows] = reference

    def _scale(self, rows: Rows, factors: Floats) -> None:
        """Multiplies weights between minimum and maximum (only those: dust outside is left, as in VPA) and totals."""
        for part, low, weights in self.arena.groups(rows):
            bucket = low[:, None] + np.arange(weights.shape[1])
            members = rows[part]
            inside = (bucket >= self.minimum[members][:, None]) & (bucket <= self.maximum[members][:, None])
            self.arena.write(members, np.where(inside, weights * factors[part][:, None], weights))
        self.total[rows] *= factors
        self._narrow(rows)

    def _narrow(self, rows: Rows) -> None:
        """Moves minimum and maximum of rows (unique) inward past buckets that are lighter than EPSILON."""
        for part, low, weights in self.arena.groups(rows):
            members = rows[part]
            bucket = low[:, None] + np.arange(weights.shape[1])
            heavy = weights >= EPSILON
            above = heavy & (bucket >= self.minimum[members][:, None])
            below = heavy & (bucket <= self.maximum[members][:, None])
            first = low + above.argmax(axis=1)
            last = low + weights.shape[1] - 1 - below[:, ::-1].argmax(axis=1)
            self.minimum[members] = np.where(above.any(axis=1), first, self.buckets.count - 1)
            self.maximum[members] = np.where(below.any(axis=1), last, 0)


def _without_dust(weights: Floats) -> Floats:
    """Weights with those under EPSILON taken as zero (VPA's safe subtraction)."""
    cleaned: NDArray[np.float64] = np.where(weights < EPSILON, 0.0, weights)
    return cleaned
