"""Tests of paired differences, and Holm's correction where several are made at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, rankdata, wilcoxon

from custom_networks.statistics.bootstrap import MIN_GROUPS, ClusterSample

SIGNIFICANT = 0.05


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct p-values for testing several hypotheses, by Holm's step-down method.

    Args:
        p_values: (M,); NaN are no tests and stay NaN.

    Returns:
        (M,) corrected values: the smallest times M, the next times M - 1, ..., never falling, at most 1.
    """
    given = np.asarray(p_values, np.float64)
    corrected = np.full(given.shape, np.nan)
    order = np.argsort(given)[: np.count_nonzero(~np.isnan(given))]
    steps = given[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def wilcoxon_p(differences: NDArray[np.float64]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test, zero differences left out; 1 where all are zero."""
    if not len(differences):
        return np.nan
    return float(wilcoxon(differences).pvalue) if differences.any() else 1.0


def rank_biserial(differences: NDArray[np.float64]) -> float:
    """Matched-pairs rank-biserial correlation: (W+ - W-) / (W+ + W-), -1 to 1; zero differences left out.

    Args:
        differences: (N,).

    Returns:
        1 where all differences are positive; 0 where all are zero.
    """
    nonzero = differences[differences != 0]
    if not nonzero.size:
        return 0.0
    ranks = rankdata(np.abs(nonzero))
    return float((ranks * np.sign(nonzero)).sum() / ranks.sum())


def bootstrap_p(sample: ClusterSample, resamples: int, seed: int) -> float:
    """Two-sided p: how often the mean of a resample is as far from the observed mean as that is from zero.

    Args:
        sample: of one column of differences.
        resamples: how many.
        seed: of the resampling.

    Returns:
        The p-value; NaN with too few groups for a bootstrap.
    """
    if sample.count < MIN_GROUPS:
        return np.nan
    observed = sample.means[0]
    away = np.abs(sample.replicates(resamples, seed)[:, 0] - observed) >= abs(observed) * (1 - 1e-12)
    return float((1 + away.sum()) / (1 + resamples))


def mcnemar_p(only_a: int, only_b: int) -> float:
    """Exact p of McNemar's test: 1 where no pair is discordant.

    Args:
        only_a: pairs in which the event happens to A alone.
        only_b: pairs in which it happens to B alone.

    Returns:
        The two-sided p-value.
    """
    discordant = only_a + only_b
    return float(binomtest(only_a, discordant).pvalue) if discordant else 1.0
