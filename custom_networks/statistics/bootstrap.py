"""Bootstrap of means over images, resampled by group: confidence intervals, bias-corrected and accelerated (BCa).

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 14. Images of one patient (or near-duplicates) are
no independent observations: whole groups are drawn, and the jackknife of the acceleration leaves out one group at a
time. A resample of a mean needs the sum and the size of each group only, so the jackknife has a closed form and the
cost grows with the number of groups. Without groups this is `scipy.stats.bootstrap(method="BCa")` of the mean, number
for number with the same seed; SciPy's jackknife is quadratic.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from custom_networks.array_types import Doubles
from custom_networks.errors import UserError

RESAMPLES = 5000
CONFIDENCE = 0.95
MIN_GROUPS = 10
"""Fewer groups give no interval: a bootstrap of so few covers the truth far less often than it says."""
BATCH = 4_000_000
"""How many numbers of resamples are held at a time."""


def check_seed(seed: int) -> None:
    """Raise UserError for a seed that no random generator takes."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UserError(f"--seed {seed}: must be a whole number from 0 up")


@dataclass(frozen=True)
class Interval:
    """Confidence interval of a mean.

    Attributes:
        low: lower end; NaN with fewer than `MIN_GROUPS` groups.
        high: upper end; NaN likewise.
        groups: how many groups have values.
    """

    low: float
    high: float
    groups: int


def bootstrap_interval(
    values: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    weights: ArrayLike | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Compute the BCa interval of a mean; see `bootstrap_intervals`."""
    return bootstrap_intervals(np.asarray(values, float)[:, None], groups, weights, resamples, seed)[0]


def bootstrap_intervals(
    values: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    weights: ArrayLike | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Interval]:
    """Compute the 95 % BCa interval of the mean of each column.

    Args:
        values: (N, M), a row for each image; NaN (undefined) are left out.
        groups: (N,) group of each image; None makes each image a group of its own.
        weights: (N,) what the sum of the values is divided by, such as the number of lesions of each image; 1 each by
            default. Images of weight 0 are left out.
        resamples: how many.
        seed: of the resampling.

    Returns:
        An interval for each column; a single point where resampling changes nothing.
    """
    table = np.asarray(values, np.float64)
    share = np.ones(len(table)) if weights is None else np.asarray(weights, np.float64)
    defined = ~np.isnan(table) & (share > 0)[:, None]
    intervals = [Interval(np.nan, np.nan, 0)] * table.shape[1]
    if not len(table):
        return intervals
    patterns, pattern_of = np.unique(defined, axis=1, return_inverse=True)
    for number, rows in enumerate(patterns.T):  # columns that are defined on the same images share their resamples
        columns = np.flatnonzero(pattern_of.ravel() == number)
        sample = ClusterSample(table[rows][:, columns], selected(groups, rows), share[rows])
        for column, interval in zip(columns, _bca(sample, resamples, seed), strict=True):
            intervals[column] = interval
    return intervals


def selected(groups: Sequence[Hashable] | None, rows: NDArray[np.bool_]) -> list[Hashable] | None:
    """Groups of some rows, (N,) boolean; raises ValueError when there is not one for each row."""
    if groups is None:
        return None
    if len(groups) != len(rows):
        raise ValueError(f"groups: got {len(groups)}, must be one for each of {len(rows)} values")
    return [group for group, keep in zip(groups, rows, strict=True) if keep]


class ClusterSample:
    """Sums and sizes of groups, from which whole groups are drawn.

    Args:
        values: (N,) or (N, M), without NaN.
        groups: (N,) or None.
        weights: (N,) that the sums are divided by; 1 each by default.

    Attributes:
        sums: (G, M) of each group's values.
        sizes: (G,) of each group's weights.
        count: G, how many groups there are.
    """

    def __init__(
        self, values: ArrayLike, groups: Sequence[Hashable] | None = None, weights: ArrayLike | None = None
    ) -> None:
        given = np.asarray(values, np.float64)
        given = given if given.ndim == 2 else given[:, None]
        share = np.ones(len(given)) if weights is None else np.asarray(weights, np.float64)
        codes = np.arange(len(given)) if groups is None else pd.factorize(np.asarray(groups, object))[0]
        self.sums = sums_by_group(given, codes)
        self.sizes = sums_by_group(share[:, None], codes)[:, 0]
        self.count = len(self.sizes)

    @property
    def means(self) -> Doubles:
        """Mean of each column, (M,); NaN without values."""
        return self.sums.sum(0) / self.sizes.sum() if self.count else np.full(self.sums.shape[1], np.nan)

    def group_means(self) -> Doubles:
        """Mean of each group, (G, M)."""
        return self.sums / self.sizes[:, None]

    def jackknife(self) -> Doubles:
        """Means without each of the groups, (G, M)."""
        return (self.sums.sum(0) - self.sums) / (self.sizes.sum() - self.sizes)[:, None]

    def replicates(self, resamples: int, seed: int) -> Doubles:
        """Means of each resample, (resamples, M)."""
        totals = resampled_totals(np.column_stack([self.sums, self.sizes]), resamples, seed)
        return totals[:, :-1] / totals[:, -1:]


def sums_by_group(values: Doubles, codes: NDArray[np.integer]) -> Doubles:
    """Add up the rows of (N, M) by their group's number, (N,); returns (G, M)."""
    count = int(codes.max()) + 1 if codes.size else 0
    columns = [np.bincount(codes, column, minlength=count) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.zeros((count, 0))


def resampled_totals(table: Doubles, resamples: int, seed: int) -> Doubles:
    """Column sums of resampled rows.

    Args:
        table: (G, M), a row for each group.
        resamples: how many.
        seed: of the resampling.

    Returns:
        (resamples, M).
    """
    return np.concatenate([counts @ table for counts in _drawn(len(table), resamples, seed)])


def _drawn(count: int, resamples: int, seed: int) -> Iterator[Doubles]:
    """How often each group is drawn, a row for each resample, a batch of resamples at a time."""
    random = np.random.default_rng(seed)
    size = max(1, min(resamples, BATCH // max(1, count)))
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = random.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def _bca(sample: ClusterSample, resamples: int, seed: int) -> list[Interval]:
    """Interval of each column of a sample."""
    columns = sample.sums.shape[1]
    if sample.count < MIN_GROUPS:
        return [Interval(np.nan, np.nan, sample.count)] * columns
    replicates, left_out = sample.replicates(resamples, seed), sample.jackknife()
    ends = (_bca_ends(*each) for each in zip(sample.means, replicates.T, left_out.T, strict=True))
    return [Interval(float(low), float(high), sample.count) for low, high in ends]


def _bca_ends(estimate: float, replicates: Doubles, left_out: Doubles) -> Doubles:
    """Both ends of the interval of one mean, from its resamples and its jackknife."""
    tails = np.array([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    influence = left_out.mean() - left_out
    spread = (influence**2).sum()
    rounding = 1e-12 * max(abs(estimate), float(np.abs(replicates).max()))
    if np.ptp(replicates) <= rounding or spread <= rounding**2:
        return np.array([estimate, estimate])
    acceleration = (influence**3).sum() / (6 * spread**1.5)
    away = replicates - estimate  # of resamples that equal the estimate, up to rounding, half count as below
    below = ((away < -rounding).mean() + (away <= rounding).mean()) / 2
    limit = 0.5 / len(replicates)
    bias = ndtri(np.clip(below, limit, 1 - limit))
    shifted = bias + ndtri(tails)
    return np.quantile(replicates, ndtr(bias + shifted / (1 - acceleration * shifted)))


def group_key(group: Any) -> str | None:
    """Turn the value of a datalist's or a table's `group` into a key; None where there is none.

    A number is the same group whether JSON holds it, a CSV file its text, or pandas made a fraction of it beside gaps:
    3, "3" and 3.0 are one.
    """
    if group is None or (isinstance(group, float) and pd.isna(group)):
        return None
    if isinstance(group, float) and group.is_integer():
        group = int(group)
    return str(group).strip() or None


def group_column(frame: pd.DataFrame) -> list[str] | None:
    """Group of each row: the key of its column `group`, the image's own name where it is empty; None without it."""
    if "group" not in frame.columns:
        return None
    keys = [group_key(group) for group in frame["group"].tolist()]
    return [f"image {name}" if key is None else key for name, key in zip(frame.index, keys, strict=True)]
