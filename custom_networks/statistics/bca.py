"""Bootstrap confidence intervals, bias-corrected and accelerated (BCa), resampled by group.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 14. Images of one patient (or near-duplicates) are
no independent observations: whole groups are drawn, and the jackknife of the acceleration leaves out one group at a
time. Without groups this is `scipy.stats.bootstrap(method="BCa")`, number for number with the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

RESAMPLES = 5000
CONFIDENCE = 0.95

Statistic = Callable[[NDArray[np.float64]], float]


@dataclass(frozen=True)
class Interval:
    """Confidence interval; both ends NaN where fewer than two groups have values."""

    low: float
    high: float


def bootstrap_interval(
    values: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    statistic: Statistic = np.mean,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Compute the BCa interval of a statistic.

    Args:
        values: (N,) one for each image; NaN (undefined) are left out.
        groups: (N,) group of each value; None makes each value a group of its own.
        statistic: of a vector of values.
        confidence: of the interval.
        resamples: how many.
        seed: of the resampling.

    Returns:
        The interval; a single point where resampling changes nothing.
    """
    sample = ClusterSample(values, groups)
    if sample.count < 2:
        return Interval(np.nan, np.nan)
    estimate = float(statistic(sample.values))
    replicates = sample.replicates(statistic, resamples, seed)
    left_out = np.array([statistic(sample.without(group)) for group in range(sample.count)])
    influence = left_out.mean() - left_out
    spread = (influence**2).sum()
    if spread == 0 or np.ptp(replicates) == 0:
        return Interval(*(float(end) for end in np.quantile(replicates, [(1 - confidence) / 2, (1 + confidence) / 2])))
    acceleration = (influence**3).sum() / (6 * spread**1.5)
    below = ((replicates < estimate).sum() + (replicates <= estimate).sum()) / (2 * resamples)
    bias = ndtri(np.clip(below, 0.5 / resamples, 1 - 0.5 / resamples))
    shifted = bias + ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    low, high = np.quantile(replicates, ndtr(bias + shifted / (1 - acceleration * shifted)))
    return Interval(float(low), float(high))


class ClusterSample:
    """Values sorted by group, from which whole groups are drawn.

    Args:
        values: (N,); NaN are left out.
        groups: (N,) or None.
    """

    def __init__(self, values: ArrayLike, groups: Sequence[Hashable] | None = None) -> None:
        given = np.asarray(values, np.float64)
        names: dict[Hashable, int] = {}
        codes = np.arange(given.size)
        if groups is not None:
            if len(groups) != given.size:
                raise ValueError(f"groups: got {len(groups)}, must be one for each of {given.size} values")
            codes = np.array([names.setdefault(group, len(names)) for group in groups], np.intp)
        defined = ~np.isnan(given)
        _, codes = np.unique(codes[defined], return_inverse=True)
        order = np.argsort(codes, kind="stable")
        self.values = given[defined][order]
        self.sizes = np.bincount(codes) if codes.size else np.zeros(0, np.intp)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.count = len(self.sizes)

    def without(self, group: int) -> NDArray[np.float64]:
        """Values of all groups but one."""
        start = self.starts[group]
        return np.delete(self.values, slice(start, start + self.sizes[group]))

    def replicates(self, statistic: Statistic, resamples: int, seed: int) -> NDArray[np.float64]:
        """Statistic of each resample, (resamples,)."""
        random = np.random.default_rng(seed)
        drawn = (random.integers(0, self.count, self.count) for _ in range(resamples))
        if len(self.values) == self.count:
            return np.array([statistic(self.values[picked]) for picked in drawn])
        return np.array([statistic(self.values[self._members(picked)]) for picked in drawn])

    def group_means(self) -> NDArray[np.float64]:
        """Mean of each group, (groups,)."""
        return np.add.reduceat(self.values, self.starts) / self.sizes if self.count else self.values

    def _members(self, picked: NDArray[np.intp]) -> NDArray[np.intp]:
        """Positions of the values of some groups, one after the other."""
        sizes = self.sizes[picked]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return np.repeat(self.starts[picked], sizes) + within
