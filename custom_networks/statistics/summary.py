"""A metric over a set of images, over folds, and over subgroups."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from custom_networks.metrics.policies import FLAGS
from custom_networks.statistics.bca import RESAMPLES, bootstrap_interval
from custom_networks.statistics.per_image import group_column, metric_columns


def summarise(frame: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Summarise each metric of a per-image table.

    Args:
        frame: as `per_image.read_per_image` returns, or rows of `metrics.measure`; a column `group` makes the bootstrap
            resample whole groups.
        resamples: of the bootstrap.
        seed: of the bootstrap, the same for each metric.

    Returns:
        A row for each metric, indexed by its name: images, undefined (how many of them have no value), mean, ci_low
        and ci_high (95 %, of the mean), sd (n - 1), median, q1, q3, min, max; and how many images were missed,
        false_alarm and both_empty, the same in every row.
    """
    groups = group_column(frame)
    counts = {flag: int(frame[flag].sum()) for flag in FLAGS if flag in frame.columns}
    rows = {}
    for name in metric_columns(frame):
        column = frame[name]
        interval = bootstrap_interval(column.to_numpy(), groups, resamples=resamples, seed=seed)
        rows[name] = {
            "images": len(column),
            "undefined": int(column.isna().sum()),
            "mean": column.mean(),
            "ci_low": interval.low,
            "ci_high": interval.high,
            "sd": column.std(ddof=1),
            "median": column.median(),
            "q1": column.quantile(0.25),
            "q3": column.quantile(0.75),
            "min": column.min(),
            "max": column.max(),
            **counts,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


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


def summarise_subgroups(
    frame: pd.DataFrame, column: str, metrics: list[str] | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """Summarise each subgroup; images without a value in the column form a subgroup `unknown`, nothing is dropped.

    Args:
        frame: per-image table.
        column: any column: text as it is, numbers with more than ten values in quarters of equal size.
        metrics: to summarise; all by default.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        The rows of `summarise`, indexed by subgroup and metric: classes in their order, text by the alphabet, `unknown`
        last.
    """
    keep = metrics or metric_columns(frame)
    others = [name for name in (*FLAGS, "group") if name in frame.columns]
    parts = {
        str(name): summarise(part[[*keep, *others]], resamples, seed)
        for name, part in frame.groupby(subgroups_of(frame[column]), observed=True)
    }
    return pd.concat(parts, names=[column, "metric"])


def subgroups_of(values: pd.Series) -> pd.Series:
    """Name the subgroup of each value: categories keep their order, many numbers become quarters, gaps `unknown`."""
    named = values
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values) and values.nunique() > 10:
        edges = np.unique(np.nanquantile(values, [0, 0.25, 0.5, 0.75, 1]))
        labels = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)]
        named = pd.cut(values, edges, labels=labels, include_lowest=True, ordered=True)
    if not isinstance(named.dtype, pd.CategoricalDtype):
        named = named.astype("category")
    known = [str(name) for name in named.cat.categories]
    text = named.astype(object).where(named.notna(), "unknown").map(str)
    order = [*known, *([] if named.notna().all() else ["unknown"])]
    return pd.Series(pd.Categorical(text, categories=list(dict.fromkeys(order)), ordered=True), index=values.index)
