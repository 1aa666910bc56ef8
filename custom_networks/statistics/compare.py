"""Two runs on the same images: paired tests, effect sizes, correction over the metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import wilcoxon

from custom_networks.errors import UserError
from custom_networks.metrics.policies import METRICS
from custom_networks.statistics.bca import RESAMPLES, ClusterSample, bootstrap_interval
from custom_networks.statistics.per_image import group_column, metric_columns


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    names: tuple[str, str] = ("A", "B"),
    metrics: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare two runs metric by metric; differences are B minus A on the same image.

    With a column `group`, groups are the unit: the bootstrap draws groups, and Wilcoxon's test and the effect sizes
    take each group's mean difference.

    Args:
        a: per-image table of the first run, as `per_image.read_per_image` returns.
        b: of the second; the order of its rows does not matter.
        names: of the runs, for messages and the column `better`.
        metrics: to compare; all that both tables hold by default.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        A row for each metric, indexed by name: pairs, undefined (pairs without a value in one run or both), units
        (groups, or pairs), mean_a, mean_b, difference, ci_low, ci_high (95 % BCa of the mean difference), wilcoxon_p,
        wilcoxon_p_holm, bootstrap_p, bootstrap_p_holm, rank_biserial, cohen_dz, better (the run that is better at 5 %
        by the corrected Wilcoxon test, or empty).

    Raises:
        UserError: when the runs are not on the same images, their groups differ, or a metric is missing.
    """
    check_same_images(a, b, names)
    b = b.loc[a.index]
    chosen = _chosen_metrics(a, b, names, metrics)
    groups, other_groups = group_column(a), group_column(b)
    if groups and other_groups and groups != other_groups:
        raise UserError(f"{names[0]}, {names[1]}: the images are grouped differently; evaluate both with one datalist")
    groups = groups or other_groups
    rows = {
        name: _compare_metric(a[name].to_numpy(float), b[name].to_numpy(float), groups, resamples, seed)
        for name in chosen
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    for test in ("wilcoxon_p", "bootstrap_p"):
        table.insert(table.columns.get_loc(test) + 1, f"{test}_holm", holm(table[test]))
    table["better"] = [_better(name, row, names) for name, row in table.iterrows()]
    return table


def check_same_images(a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str]) -> None:
    """Refuse runs on different images.

    Raises:
        UserError: naming the first ids that only one of the runs has.
    """
    parts = []
    for one, other, name in ((a, b, names[0]), (b, a, names[1])):
        lonely = sorted(set(one.index) - set(other.index))
        if lonely:
            more = f" and {len(lonely) - 3} more" if len(lonely) > 3 else ""
            parts.append(f"only {name} has {', '.join(lonely[:3])}{more}")
    if parts:
        raise UserError(f"the runs are on different images: {'; '.join(parts)}; evaluate both with the same datalist")


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct p-values for testing several metrics, by Holm's step-down method.

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
    ranks = pd.Series(np.abs(nonzero)).rank().to_numpy()
    return float((ranks * np.sign(nonzero)).sum() / ranks.sum())


def _compare_metric(
    a: NDArray[np.float64], b: NDArray[np.float64], groups: list[str] | None, resamples: int, seed: int
) -> dict[str, float]:
    difference = b - a
    defined = ~np.isnan(difference)
    sample = ClusterSample(difference, groups)
    units = sample.group_means()
    interval = bootstrap_interval(difference, groups, resamples=resamples, seed=seed)
    spread = units.std(ddof=1) if len(units) > 1 else np.nan
    mean = float(difference[defined].mean()) if defined.any() else np.nan
    return {
        "pairs": len(difference),
        "undefined": int((~defined).sum()),
        "units": len(units),
        "mean_a": float(a[defined].mean()) if defined.any() else np.nan,
        "mean_b": float(b[defined].mean()) if defined.any() else np.nan,
        "difference": mean,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "wilcoxon_p": _wilcoxon(units),
        "bootstrap_p": _bootstrap_p(sample, resamples, seed),
        "rank_biserial": rank_biserial(units) if len(units) else np.nan,
        "cohen_dz": float(units.mean() / spread) if len(units) > 1 and spread > 0 else (0.0 if mean == 0 else np.nan),
    }


def _wilcoxon(differences: NDArray[np.float64]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test, zero differences left out; 1 where all are zero."""
    if not len(differences):
        return np.nan
    return float(wilcoxon(differences).pvalue) if differences.any() else 1.0


def _bootstrap_p(sample: ClusterSample, resamples: int, seed: int) -> float:
    """Two-sided p: how often the mean of a resample is as far from the observed mean as that is from zero."""
    if sample.count < 2:
        return np.nan
    observed = sample.values.mean()
    away = np.abs(sample.replicates(np.mean, resamples, seed) - observed) >= abs(observed) * (1 - 1e-12)
    return float((1 + away.sum()) / (1 + resamples))


def _better(name: object, row: pd.Series, names: tuple[str, str]) -> str:
    if not row["wilcoxon_p_holm"] < 0.05:
        return ""
    b_is_better = (row["rank_biserial"] > 0) == (METRICS[str(name)].better == "higher")
    return names[1] if b_is_better else names[0]


def _chosen_metrics(
    a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str], metrics: Sequence[str] | None
) -> list[str]:
    shared = [name for name in metric_columns(a) if name in b.columns]
    missing = [name for name in metrics or () if name not in shared]
    if missing:
        raise UserError(f"{missing[0]}: not a metric that both runs hold; choose from {', '.join(shared)}")
    if not shared:
        raise UserError(f"{names[0]} and {names[1]} have no metric in common; evaluate both in the same way")
    return list(metrics or shared)
