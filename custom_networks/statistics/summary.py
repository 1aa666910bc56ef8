"""A metric over a set of images, and over folds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from custom_networks.metrics.policies import FLAGS
from custom_networks.statistics.bootstrap import RESAMPLES, bootstrap_intervals, group_column
from custom_networks.statistics.per_image import metric_columns


def summarise(frame: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Summarise each metric of a per-image table.

    Args:
        frame: as `per_image.read_per_image` returns, or rows of `metrics.measure`; a column `group` makes the bootstrap
            resample whole groups.
        resamples: of the bootstrap.
        seed: of the bootstrap, the same for each metric.

    Returns:
        A row for each metric, indexed by its name: images, undefined (how many of them have no value), groups (that
        have values), mean, ci_low and ci_high (95 %, of the mean; NaN with too few groups), mean_with_object (over the
        images whose truth is not empty), mean_of_groups (of the groups' means, such as a mean over patients; NaN
        without groups), sd (n - 1), median, q1, q3, min, max; and how many images were missed, false_alarm and
        both_empty, the same in every row.
    """
    names, groups = metric_columns(frame), group_column(frame)
    values = frame[names].astype(float)
    counts = {flag: int(frame[flag].sum()) for flag in FLAGS if flag in frame.columns}
    intervals = bootstrap_intervals(values, groups, resamples=resamples, seed=seed)
    of_groups = values.groupby(np.asarray(groups, object)).mean().mean() if groups else values.mean() * np.nan
    quartiles = values.quantile([0.25, 0.75])
    table = pd.DataFrame(
        {
            "images": len(frame),
            "undefined": values.isna().sum(),
            "groups": [interval.groups for interval in intervals],
            "mean": values.mean(),
            "ci_low": [interval.low for interval in intervals],
            "ci_high": [interval.high for interval in intervals],
            "mean_with_object": values[has_object(frame)].mean(),
            "mean_of_groups": of_groups,
            "sd": values.std(ddof=1),
            "median": values.median(),
            "q1": quartiles.loc[0.25],
            "q3": quartiles.loc[0.75],
            "min": values.min(),
            "max": values.max(),
            **counts,
        },
        index=pd.Index(names),
    )
    return table


def has_object(frame: pd.DataFrame) -> pd.Series:
    """Whether the truth of each row holds an object; everywhere in a table without the flags."""
    empty = [frame[flag] > 0 for flag in ("false_alarm", "both_empty") if flag in frame.columns]
    return ~np.logical_or.reduce(empty) if empty else pd.Series(True, index=frame.index)


def summarise_folds(frame: pd.DataFrame, column: str = "fold") -> pd.DataFrame:
    """Summarise a cross-validation: mean over the folds of each fold's mean, and its standard deviation.

    Args:
        frame: per-image table of all folds.
        column: that names the fold.

    Returns:
        A row for each metric: folds, mean, sd (n - 1; NaN with one fold), and a column `fold X` with each fold's mean.
    """
    names = metric_columns(frame)
    means = frame.groupby(column)[names].mean()
    table = pd.DataFrame({"folds": means.notna().sum(), "mean": means.mean(), "sd": means.std(ddof=1)})
    return table.join(means.T.add_prefix("fold "))
