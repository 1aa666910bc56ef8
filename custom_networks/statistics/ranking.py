"""Ranks of several runs, and how firm they are: the ranks of resampled sets of images.

After Wiesenfarth et al., Methods and open-source toolkit for analyzing and visualizing challenge results, Scientific
Reports 2021: runs are ranked by their mean, again in each bootstrap resample.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from custom_networks.metrics.policies import METRICS
from custom_networks.statistics.bootstrap import (
    CONFIDENCE,
    MIN_GROUPS,
    RESAMPLES,
    ClusterSample,
    group_column,
    selected,
)
from custom_networks.statistics.compare import Frames


def rank_runs(frames: Frames, metrics: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Rank runs by the mean of each metric.

    Args:
        frames: per-image tables by the name of their run, as `compare.aligned` returns.
        metrics: to rank by.
        resamples: of the bootstrap; whole groups are drawn.
        seed: of the bootstrap.

    Returns:
        A row for each metric and run, indexed by both, best first: images (with a value in every run), groups, mean,
        rank (1 is best, equals share the better one; NaN without such images), rank_low and rank_high (95 % of the
        resamples), and `rank 1`, `rank 2`, ...: the share of resamples in which the run has that rank; NaN with too few
        groups.
    """
    parts = {metric: _rank(frames, metric, resamples, seed) for metric in metrics}
    return pd.concat(parts, names=["metric", "run"])


def _rank(frames: Frames, metric: str, resamples: int, seed: int) -> pd.DataFrame:
    values = pd.DataFrame({name: frame[metric].astype(float) for name, frame in frames.items()})
    groups = group_column(next(iter(frames.values())))
    defined = values.notna().all(axis=1).to_numpy()
    sample = ClusterSample(values[defined], selected(groups, defined))
    sign = -1 if METRICS[metric].better == "higher" else 1
    place = rankdata(sign * sample.means, method="min")
    table = pd.DataFrame(
        {
            "images": int(defined.sum()),
            "groups": sample.count,
            "mean": sample.means,
            "rank": place if np.isnan(place).any() else place.astype(int),
        },
        index=values.columns,
    )
    ranks = np.full((1, len(frames)), np.nan)
    if sample.count >= MIN_GROUPS:
        ranks = rankdata(sign * sample.replicates(resamples, seed), method="min", axis=1).astype(float)
    tails = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    table["rank_low"], table["rank_high"] = np.quantile(ranks, tails, axis=0, method="nearest")
    for number in range(1, len(frames) + 1):
        table[f"rank {number}"] = np.where(np.isnan(ranks[0]), np.nan, (ranks == number).mean(0))
    return table.sort_values("rank", kind="stable")
