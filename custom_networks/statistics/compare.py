"""Runs on the same images, two by two: paired tests, effect sizes, correction over metrics and pairs, a verdict.

A mean and the ranks answer different questions: many small gains and a few disasters raise the ranks and lower the
mean. A run is called better only where both say so; where they point in opposite directions, that is the finding, and
the images that make it are named.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from custom_networks.errors import UserError, nearest
from custom_networks.metrics.policies import METRICS
from custom_networks.statistics.bootstrap import RESAMPLES, ClusterSample, bootstrap_interval, group_column, selected
from custom_networks.statistics.paired_tests import (
    SIGNIFICANT,
    bootstrap_p,
    holm,
    mcnemar_p,
    rank_biserial,
    wilcoxon_p,
)
from custom_networks.statistics.per_image import metric_columns

BETTER, CONFLICT, ONE_TEST, NOTHING = "better", "conflict", "one test alone", "no difference shown"
TESTS = ("wilcoxon_p", "bootstrap_p")
Frames = Mapping[str, pd.DataFrame]


def compare(
    frames: Frames,
    metrics: Sequence[str] | None = None,
    margins: Mapping[str, float] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare each pair of runs metric by metric; differences are B minus A on the same image.

    With a column `group`, groups are the unit: the bootstrap draws groups, and Wilcoxon's test and the effect sizes
    take each group's mean difference.

    Args:
        frames: per-image tables by the name of their run, two or more, as `aligned` returns.
        metrics: to compare; all that every table holds by default.
        margins: of non-inferiority, by metric, in its unit: how much worse B may be.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        A row for each pair and metric, indexed by a, b (names of the runs) and metric: pairs, undefined (pairs without
        a value in one run or both), units (groups, or pairs), mean_a, mean_b, difference, ci_low, ci_high (95 % BCa of
        the mean difference), median_difference, better_a, better_b (images on which either is better), wilcoxon_p,
        wilcoxon_p_holm, bootstrap_p, bootstrap_p_holm (over all rows), rank_biserial, cohen_dz, margin, non_inferior
        (whether B is no worse than A by the margin: the end of the interval lies within), verdict (one of the constants
        of this module), better (the run that is, or empty).

    Raises:
        UserError: when a metric is missing.
    """
    chosen = _chosen_metrics(frames, metrics)
    groups = group_column(next(iter(frames.values())))
    rows = {}
    for name_a, name_b in itertools.combinations(frames, 2):
        for name in chosen:
            a, b = (frames[run][name].to_numpy(float) for run in (name_a, name_b))
            row = _compare_metric(a, b, groups, METRICS[name].better == "higher", resamples, seed)
            rows[name_a, name_b, name] = row | _non_inferiority(row, (margins or {}).get(name), name)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["a", "b", "metric"])
    for test in TESTS:
        table.insert(table.columns.get_loc(test) + 1, f"{test}_holm", holm(table[test]))
    verdicts = [_verdict(row, key) for key, row in table.iterrows()]
    return table.assign(verdict=[text for text, _ in verdicts], better=[run for _, run in verdicts])


def aligned(frames: Frames) -> dict[str, pd.DataFrame]:
    """Bring the rows of several runs into the order of the first, each with the groups that any of them has.

    Raises:
        UserError: when the runs are not on the same images, naming the first ids that only one has, or group them
            differently.
    """
    names = list(frames)
    first = frames[names[0]]
    for name in names[1:]:
        check_same_images(first, frames[name], (names[0], name))
    ordered = {name: frame.loc[first.index] for name, frame in frames.items()}
    grouped = {name: found for name, frame in ordered.items() if (found := group_column(frame)) is not None}
    if not grouped:
        return ordered
    one, groups = next(iter(grouped.items()))
    other = next((name for name, found in grouped.items() if found != groups), None)
    if other:
        raise UserError(f"{one}, {other}: the images are grouped differently; evaluate both with one datalist")
    return {name: frame.assign(group=groups) for name, frame in ordered.items()}


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


def compare_misses(frames: Frames) -> pd.DataFrame:
    """Compare how often runs miss the object altogether, by McNemar's exact test.

    Args:
        frames: as in `compare`. With groups, a group counts for the run that misses more of its images.

    Returns:
        A row for each pair of runs that record misses, indexed by a and b: missed_a, missed_b, only_a, only_b (images
        that one of them misses alone), p, p_holm (over the pairs).
    """
    flagged = {name: frame["missed"].to_numpy(float) > 0 for name, frame in frames.items() if "missed" in frame.columns}
    groups = group_column(next(iter(frames.values())))
    rows = {}
    for a, b in itertools.combinations(flagged, 2):
        alone = flagged[b].astype(float) - flagged[a]
        units = ClusterSample(alone, groups).sums[:, 0]
        rows[a, b] = {
            "missed_a": int(flagged[a].sum()),
            "missed_b": int(flagged[b].sum()),
            "only_a": int((alone < 0).sum()),
            "only_b": int((alone > 0).sum()),
            "p": mcnemar_p(int((units < 0).sum()), int((units > 0).sum())),
        }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["missed_a", "missed_b", "only_a", "only_b", "p"])
    if rows:
        table.index = pd.MultiIndex.from_tuples(table.index, names=["a", "b"])
    return table.assign(p_holm=holm(table["p"]))


def tail(a: pd.DataFrame, b: pd.DataFrame, metric: str, row: pd.Series, count: int = 5) -> list[tuple[str, float]]:
    """Images that stand against the run that the ranks favour, the largest difference first.

    Args:
        a: table of the first run.
        b: of the second, rows in the same order.
        metric: that is looked at.
        row: of `compare`.
        count: how many images at most.

    Returns:
        Their ids and differences, B minus A.
    """
    against = (b[metric] - a[metric]) * -np.sign(row["rank_biserial"])
    worst = against[against > 0].nlargest(count).index
    return [(str(name), float(b.loc[name, metric] - a.loc[name, metric])) for name in worst]


def _compare_metric(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    groups: list[str] | None,
    higher: bool,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    difference = b - a
    defined = ~np.isnan(difference)
    shared = difference[defined]
    sample = ClusterSample(shared, selected(groups, defined))
    units = sample.group_means()[:, 0]
    interval = bootstrap_interval(difference, groups, resamples=resamples, seed=seed)
    spread = units.std(ddof=1) if len(units) > 1 else np.nan
    mean = float(sample.means[0])
    gains, losses = int((shared > 0).sum()), int((shared < 0).sum())
    return {
        "pairs": len(difference),
        "undefined": int((~defined).sum()),
        "units": sample.count,
        "mean_a": float(a[defined].mean()) if defined.any() else np.nan,
        "mean_b": float(b[defined].mean()) if defined.any() else np.nan,
        "difference": mean,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "median_difference": float(np.median(shared)) if defined.any() else np.nan,
        "better_a": losses if higher else gains,
        "better_b": gains if higher else losses,
        "wilcoxon_p": wilcoxon_p(units),
        "bootstrap_p": bootstrap_p(sample, resamples, seed),
        "rank_biserial": rank_biserial(units) if len(units) else np.nan,
        "cohen_dz": float(units.mean() / spread) if len(units) > 1 and spread > 0 else (0.0 if mean == 0 else np.nan),
    }


def _non_inferiority(row: Mapping[str, float], margin: float | None, metric: str) -> dict[str, Any]:
    """Whether the end of the interval where B is worse lies within the margin; None without margin or interval."""
    worst = -row["ci_low"] if METRICS[metric].better == "higher" else row["ci_high"]
    return {"margin": margin, "non_inferior": None if margin is None or np.isnan(worst) else bool(worst < margin)}


def _verdict(row: pd.Series, key: tuple[str, str, str]) -> tuple[str, str]:
    """What the tests say together, and the run that is better, if one is."""
    sign = 1 if METRICS[key[2]].better == "higher" else -1
    by_rank, by_mean = (sign * np.sign(row[name]) for name in ("rank_biserial", "difference"))
    shown = [row[f"{test}_holm"] < SIGNIFICANT for test in TESTS]
    if not any(shown):
        return NOTHING, ""
    if by_rank * by_mean < 0:
        return CONFLICT, ""
    return (BETTER, key[1] if by_rank > 0 else key[0]) if all(shown) else (ONE_TEST, "")


def _chosen_metrics(frames: Frames, metrics: Sequence[str] | None) -> list[str]:
    first, *others = frames.values()
    shared = [name for name in metric_columns(first) if all(name in other.columns for other in others)]
    missing = [name for name in metrics or () if name not in shared]
    if missing:
        raise UserError(
            f"--metrics {missing[0]}: not a metric that all runs hold; choose from {', '.join(shared)}"
            f"{nearest(missing[0], shared)}"
        )
    if not shared:
        raise UserError(f"{' and '.join(frames)} have no metric in common; evaluate all in the same way")
    return list(metrics or shared)
