"""Decaying histograms of many containers at once, equal to VPA's to the last bit.

One object holds the histograms of one resource for all containers, one row each; every operation is a whole-array one.
The rules are those of VPA's util/histogram.go and util/decaying_histogram.go; where a rule looks odd, it is theirs.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.model.arena import Arena
from recommender.model.buckets import Amounts, Buckets, Floats, Indices, Rows, distinct
from recommender.model.gomath import exp2

NEVER: Final = -62135596800.0
"""Unix time, s, of the year 1: what Go's zero time, 'not yet', is."""
EPSILON: Final = 1e-4
"""An absolute weight, 0.001 of the least sample's: a lighter bucket is empty to the minimum and maximum."""
MAX_DECAY_EXPONENT: Final = 100
"""Half-lives after which the weights are scaled down and the reference time moves."""
MAX_CHECKPOINT_WEIGHT: Final = 10000
ROUGH: Final = 1e-6
COARSE: Final = 0.1
"""A bucket wider than this share of where it starts is looked into, if that is asked for."""


class Histograms:
    """Rows of decaying histograms over the same buckets with the same half-life.

    A sample's weight is multiplied by 2^((its time − the row's reference time) / half-life); the reference is the
    multiple of the half-life nearest to the first sample and moves only when exponents pass 100.
    """

    def __init__(self, buckets: Buckets, half_life: float, most: int | None = None) -> None:
        """`half_life` in seconds; `most`: units of 8 buckets that a row may take (`Arena`), None is VPA's exactness."""
        self.buckets, self.half_life, self._most = buckets, half_life, most
        self.arena = Arena(buckets.count, most)
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
        self._cover(rows, buckets)
        position = self.arena.position(rows, buckets)
        flat = self.arena.flat
        np.add.at(flat, position, weights.astype(flat.dtype, copy=False))
        np.add.at(self.total, rows, weights)
        heavy = flat[position] >= EPSILON
        np.minimum.at(self.minimum, rows[heavy], buckets[heavy])
        np.maximum.at(self.maximum, rows[heavy], buckets[heavy])

    def subtract(self, rows: Rows, amounts: Amounts, weight: float, times: Floats) -> None:
        """Takes back samples that were added with the same amount, weight and time."""
        weights = weight * self._decay(rows, times)
        buckets = self.buckets.find(amounts)
        self._cover(rows, buckets)
        position = self.arena.position(rows, buckets)
        flat = self.arena.flat
        np.subtract.at(flat, position, weights.astype(flat.dtype, copy=False))
        np.subtract.at(self.total, rows, weights)
        # Of single precision a share of what was there stays besides.
        dust = np.maximum(EPSILON, 0.0 if self._most is None else ROUGH * weights)
        flat[position] = np.where(flat[position] < dust, 0.0, flat[position])
        self.total[rows] = np.where(self.total[rows] < EPSILON, 0.0, self.total[rows])
        self._narrow(distinct(rows))

    def percentiles(self, fractions: Sequence[float], rows: Rows | None = None, inside: bool = False) -> Floats:
        """The END of the bucket in which each fraction of the weight is reached: (len(fractions), n); 0 where empty.

        With `inside`, the place inside that bucket where buckets are coarse (wider than a tenth of where they start:
        below 0.2 cores, 200 MB), its samples taken as spread evenly over it.
        """
        rows = np.arange(len(self)) if rows is None else rows
        values = np.zeros((len(fractions), len(rows)))
        for part, low, weights in self.arena.groups(rows):
            minimum, maximum, scale = self._ends(rows[part])
            width = np.arange(weights.shape[1])
            weights[width < (minimum - low)[:, None]] = 0.0
            at_minimum = weights[np.arange(len(part)), np.clip(minimum - low, 0, len(width) - 1)]
            reached = np.cumsum(weights, axis=1)
            for index, fraction in enumerate(fractions):
                threshold = fraction * self.total[rows[part]]
                over = reached >= threshold[:, None]
                column = low + np.where(over[:, -1], over.argmax(axis=1), len(width))
                column = np.maximum(np.minimum(column, maximum), minimum)
                value = self.buckets.ends[self._last(column, scale)]
                if inside:
                    value = value - self._part_above(column, column - low, scale, threshold, weights, reached)
                values[index, part] = np.where(at_minimum < EPSILON, 0.0, value)
        return values

    def _part_above(
        self, at: NDArray[np.int64], column: NDArray[np.int64], scale: Indices, threshold: Floats,
        weights: Floats, reached: Floats,
    ) -> Floats:  # fmt: skip
        """How much of each column lies above the place where `threshold` is reached, units."""
        start, end = self.buckets.starts[at << scale], self.buckets.ends[self._last(at, scale)]
        unused = np.zeros(len(at))
        row = np.flatnonzero(end - start > COARSE * start)
        column = np.minimum(np.maximum(column[row], 0), weights.shape[1] - 1)
        over = (reached[row, column] - threshold[row]) / np.maximum(weights[row, column], EPSILON)
        unused[row] = np.minimum(np.maximum(over, 0.0), 1.0) * (end - start)[row]
        return unused

    def _ends(self, rows: Rows) -> tuple[Indices, Indices, Indices]:
        """The least and the largest column of each row that counts, and how often its columns were doubled."""
        scale = self.arena.scale[rows].astype(np.int16)
        return self.minimum[rows] >> scale, self.maximum[rows] >> scale, scale

    def _last(self, columns: NDArray[np.int64], scale: NDArray[np.integer]) -> NDArray[np.int64]:
        """The last bucket of each column: itself where columns were not doubled."""
        last: NDArray[np.int64] = np.minimum(((columns + 1) << scale) - 1, self.buckets.count - 1)
        return last

    def _cover(self, rows: Rows, buckets: Indices) -> None:
        squeezed = self.arena.cover(rows, buckets)
        if len(squeezed):
            self._narrow(squeezed)

    def copy(self, rows: Rows) -> "Histograms":
        """The histograms of `rows` (unique) as ones of their own, in that order."""
        other = Histograms(self.buckets, self.half_life, self._most)
        other.arena = self.arena.copy(rows)
        other.total, other.reference = self.total[rows], self.reference[rows]
        other.minimum, other.maximum = self.minimum[rows], self.maximum[rows]
        return other

    def weights(self, row: int) -> Floats:
        """The weights of one row over all buckets; of a column of more than one it is at the last."""
        full = np.zeros(self.buckets.count)
        scale = self.arena.scale[row]
        for _, low, weights in self.arena.groups(np.array([row])):
            np.add.at(full, self._last(low[0] + np.arange(weights.shape[1]), scale), weights[0])
        return full

    def checkpoint_weights(self, rows: Rows) -> list[dict[int, int]]:
        """Each row as a checkpoint holds it: bucket -> weight, the heaviest 10,000, those that round to 0 left out."""
        by_row: list[dict[int, int]] = [{} for _ in rows]
        for part, low, weights in self.arena.groups(rows):
            heaviest = weights.max(axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                scaled = np.floor(weights * (MAX_CHECKPOINT_WEIGHT / heaviest)[:, None] + 0.5)
            column = low[:, None] + np.arange(weights.shape[1])
            minimum, maximum, scale = self._ends(rows[part])
            inside = (column >= minimum[:, None]) & (column <= maximum[:, None])
            bucket = self._last(column, scale[:, None])
            # An all-zero row divides by zero; nothing of it is inside minimum and maximum, or it is not above zero.
            keep = inside & (scaled > 0)
            row_of = np.nonzero(keep)[0]
            for at, key, value in zip(
                part[row_of].tolist(), bucket[keep].tolist(), scaled[keep].astype(np.int64).tolist(), strict=True
            ):
                by_row[at][key] = value
        return by_row

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
        self._cover(rows[owner], buckets)
        flat = self.arena.flat
        np.add.at(flat, self.arena.position(rows[owner], buckets), added.astype(flat.dtype, copy=False))
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
        return exp2((times - self.reference[rows]) / self.half_life)

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
            column = low[:, None] + np.arange(weights.shape[1])
            members = rows[part]
            minimum, maximum, _ = self._ends(members)
            inside = (column >= minimum[:, None]) & (column <= maximum[:, None])
            self.arena.write(members, np.where(inside, weights * factors[part][:, None], weights))
        self.total[rows] *= factors
        self._narrow(rows)

    def _narrow(self, rows: Rows) -> None:
        """Moves minimum and maximum of rows (unique) inward past buckets that are lighter than EPSILON."""
        for part, low, weights in self.arena.groups(rows):
            members = rows[part]
            column = low[:, None] + np.arange(weights.shape[1])
            minimum, maximum, scale = self._ends(members)
            heavy = weights >= EPSILON
            above = heavy & (column >= minimum[:, None])
            below = heavy & (column <= maximum[:, None])
            first = low + above.argmax(axis=1)
            last = low + weights.shape[1] - 1 - below[:, ::-1].argmax(axis=1)
            self.minimum[members] = np.where(above.any(axis=1), first << scale, self.buckets.count - 1)
            self.maximum[members] = np.where(below.any(axis=1), self._last(last, scale), 0)
