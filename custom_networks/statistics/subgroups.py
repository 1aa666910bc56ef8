"""Subgroups of a set of images: how they are formed, the summary of each, and which of them fares worse than the rest.

The smallest of several means is always smaller than the mean of all, so a subgroup is called weaker only where the
interval of its difference from the rest and a p-value corrected over all subgroups say so. Both come from one symmetric
bootstrap-t of whole groups (Hall, 1988): a difference of means over its cluster-robust standard error, which keeps
the error rate of small subgroups. For Dice, whose low values spread more than its high ones, it errs towards silence.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from custom_networks.array_types import Doubles
from custom_networks.metrics.policies import FLAGS, METRICS
from custom_networks.statistics.bootstrap import (
    CONFIDENCE,
    MIN_GROUPS,
    RESAMPLES,
    group_column,
    resampled_totals,
    sums_by_group,
)
from custom_networks.statistics.paired_tests import SIGNIFICANT, holm
from custom_networks.statistics.per_image import metric_columns
from custom_networks.statistics.summary import summarise

UNKNOWN = "unknown"
FEW_VALUES = 10
"""A column of numbers with no more values than this is a code, such as a site: a subgroup for each value."""
ROUNDING = 1e-7
"""A standard error below this share of the largest value is rounding: its square is a difference of sums."""
Edges = Sequence[float]


def summarise_subgroups(
    frame: pd.DataFrame,
    column: str,
    metrics: list[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    edges: Edges = (),
) -> pd.DataFrame:
    """Summarise each subgroup; images without a value in the column form a subgroup `unknown`, nothing is dropped.

    Args:
        frame: per-image table.
        column: any column, see `subgroups_of`.
        metrics: to summarise; all by default.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        edges: of a column of numbers.

    Returns:
        The rows of `summarise`, indexed by subgroup and metric: classes in their order, text by the alphabet, `unknown`
        last.
    """
    keep = metrics or metric_columns(frame)
    others = [name for name in (*FLAGS, "group") if name in frame.columns]
    parts = {
        str(name): summarise(part[[*keep, *others]], resamples, seed)
        for name, part in frame.groupby(subgroups_of(frame[column], edges), observed=True)
    }
    return pd.concat(parts, names=[column, "metric"])


def subgroups_of(values: pd.Series, edges: Edges = ()) -> pd.Series:
    """Name the subgroup of each value.

    Args:
        values: a column: classes keep their order; numbers and dates (or their text) with more than ten values are cut
            into quarters of about equal size; other values are subgroups as they are; gaps are `unknown`.
        edges: rising, where numbers are cut instead; a value on an edge counts above it.

    Returns:
        Ordered categories.
    """
    numbers = _numbers(values)
    named = values
    if numbers is not None and edges:
        names = [f"below {edges[0]:g}", *(f"{low:g} to {high:g}" for low, high in itertools.pairwise(edges))]
        bins = [-np.inf, *edges, np.inf]
        named = pd.cut(numbers, bins, right=False, labels=[*names, f"{edges[-1]:g} and above"])
    elif numbers is not None and numbers.nunique() > FEW_VALUES:
        limits = np.unique(np.nanquantile(numbers, [0, 0.25, 0.5, 0.75, 1]))
        named = pd.cut(numbers, limits, labels=_names(limits, values), include_lowest=True, ordered=True)
    if not isinstance(named.dtype, pd.CategoricalDtype):
        named = named.map(lambda value: None if pd.isna(value) or value == "" else str(value)).astype("category")
    known = [str(name) for name in named.cat.categories]
    text = named.astype(object).where(named.notna(), UNKNOWN).map(str)
    order = [*known, *([] if named.notna().all() else [UNKNOWN])]
    return pd.Series(pd.Categorical(text, categories=list(dict.fromkeys(order)), ordered=True), index=values.index)


def subgroup_differences(
    frame: pd.DataFrame,
    columns: Mapping[str, Edges],
    metric: str = "dice",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Compare each subgroup with the rest of the images.

    Args:
        frame: per-image table.
        columns: that subgroups are formed by, with their edges.
        metric: that is compared.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        A row for each subgroup that is not everything: column, subgroup, metric, images, groups, mean, difference (from
        the mean of the rest), ci_low, ci_high (95 %), p, p_holm (over all rows that have a p), weaker (whether it is
        worse than the rest at 5 % after correction). A subgroup, or a rest, with fewer than `MIN_GROUPS` groups has
        neither interval nor p.
    """
    part = frame[frame[metric].notna()]
    keys = group_column(part) or list(part.index)
    codes = pd.factorize(np.asarray(keys, object))[0]
    values = part[metric].to_numpy(float)
    rows, masks = [], []
    for column, edges in columns.items():
        named = subgroups_of(part[column], edges)
        for name in named.cat.categories:
            inside = (named == name).to_numpy()
            if inside.any() and not inside.all():
                rows.append({"column": column, "subgroup": str(name), "metric": metric, "images": int(inside.sum())})
                masks.append(inside)
    if not rows:
        return []
    found = _differences(values, np.stack(masks, axis=1), codes, resamples, seed)
    table = pd.concat([pd.DataFrame(rows), found], axis=1)
    table["p_holm"] = holm(table["p"])
    worse = table["difference"] < 0 if METRICS[metric].better == "higher" else table["difference"] > 0
    table["weaker"] = worse & (table["p_holm"] < SIGNIFICANT)
    return table.to_dict("records")


def weakness_sentences(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which subgroups are weaker than the rest, or that none is shown to be and which is the lowest observed.

    Args:
        rows: of `subgroup_differences`, or the same read back from JSON.

    Returns:
        A sentence for each weaker subgroup, or one sentence; none without subgroups.
    """
    if not rows:
        return []
    tested = sum(not pd.isna(row["p_holm"]) for row in rows)
    weaker = [f"Weaker than the rest: {_sentence(row)}" for row in rows if row["weaker"]]
    if weaker:
        return weaker
    sign = 1 if METRICS[rows[0]["metric"]].better == "higher" else -1
    lowest = min(rows, key=lambda row: sign * row["mean"])
    return [
        f"No subgroup is shown to be weaker than the rest ({tested} of {len(rows)} could be tested); lowest observed: "
        f"{_sentence(lowest)}"
    ]


def _sentence(row: Mapping[str, Any]) -> str:
    label, images = METRICS[row["metric"]].label, row["images"]
    text = f"{row['column']} {row['subgroup']}, mean {label} {row['mean']:.3g} in {images} image{'s' * (images != 1)}"
    text += f" of {row['groups']} group{'s' * (row['groups'] != 1)}, {row['difference']:+.3g} against the rest"
    if pd.isna(row["p"]):
        return f"{text} (too few groups for an interval)."
    return f"{text} (95 % interval {row['ci_low']:+.3g} to {row['ci_high']:+.3g}, p {row['p_holm']:.2g} after Holm)."


def _numbers(values: pd.Series) -> pd.Series | None:
    """Values as numbers, gaps NaN, dates as days since 1970; None where they are neither numbers nor dates."""
    if isinstance(values.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(values):
        return None
    known = values.replace("", None).dropna()
    if known.map(lambda value: isinstance(value, bool)).any():
        return None
    numbers = pd.to_numeric(known, errors="coerce")
    if numbers.isna().any() and known.map(lambda value: isinstance(value, str)).all():
        dates = pd.to_datetime(known.astype(str), format="ISO8601", errors="coerce", utc=True)
        numbers = (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    if numbers.empty or numbers.isna().any() or not np.isfinite(numbers).all():
        return None
    return numbers.astype(float).reindex(values.index)


def _names(limits: Doubles, values: pd.Series) -> list[str]:
    """Names of the ranges between some limits, with as many digits as tell them apart."""
    if pd.to_numeric(values.replace("", None), errors="coerce").notna().any():
        written = next(
            text
            for digits in range(4, 18)
            if len(set(text := [f"{limit:.{digits}g}" for limit in limits])) == len(text)
        )
    else:
        written = [str((pd.Timestamp(0) + pd.Timedelta(days=limit)).date()) for limit in limits]
    names = [f"{low} to {high}" for low, high in itertools.pairwise(written)]
    return names if len(set(names)) == len(names) else [f"{name} ({number})" for number, name in enumerate(names, 1)]


def _differences(values: Doubles, inside: np.ndarray, codes: np.ndarray, resamples: int, seed: int) -> pd.DataFrame:
    """Difference of each subgroup from the rest, with interval and p.

    A group g adds s1 to the sum and n1 to the size of the subgroup, s0 and n0 to the rest. Its influence on the
    difference m1 - m0 is u = (s1 - n1 m1) / N1 - (s0 - n0 m0) / N0; the variance is the sum of all u squared. In a
    resample both are functions of the column sums of s1, n1, s0, n0 and of their products.

    Args:
        values: (N,) without NaN.
        inside: (N, K) whether each image is in each subgroup.
        codes: (N,) number of the group of each image.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        A row for each subgroup: groups, mean, difference, ci_low, ci_high, p.
    """
    parts = np.stack([values[:, None] * inside, inside, values[:, None] * ~inside, ~inside])  # (4, N, K)
    s1n1s0n0 = np.stack([sums_by_group(part.astype(float), codes) for part in parts])  # (4, G, K)
    pairs = list(itertools.combinations_with_replacement(range(4), 2))
    table = np.concatenate([s1n1s0n0, np.stack([s1n1s0n0[i] * s1n1s0n0[j] for i, j in pairs])])  # (14, G, K)
    kinds, groups, subgroups = table.shape
    flat = table.transpose(1, 0, 2).reshape(groups, kinds * subgroups)
    own, rest = ((s1n1s0n0[index] > 0).sum(0) for index in (1, 3))
    difference, error = _studentised(flat.sum(0).reshape(1, kinds, subgroups), pairs)
    totals = resampled_totals(flat, resamples, seed).reshape(-1, kinds, subgroups)
    with np.errstate(divide="ignore", invalid="ignore"):
        again, errors = _studentised(totals, pairs)
        away = np.nan_to_num(np.abs(again - difference) / errors, nan=np.inf)  # NaN: a side that was not drawn
        reached = away >= np.abs(difference / error) * (1 - 1e-12)
        limit = np.quantile(away, CONFIDENCE, axis=0, method="higher") * error[0]  # NaN where nothing varies
    p = (1 + reached.sum(0)) / (1 + len(away))
    varies = error[0] > ROUNDING * np.abs(values).max()
    known = (np.minimum(own, rest) >= MIN_GROUPS) & varies
    columns = {"ci_low": difference[0] - limit, "ci_high": difference[0] + limit, "p": p}
    means = s1n1s0n0[0].sum(0) / s1n1s0n0[1].sum(0)
    return pd.DataFrame(
        {"groups": own, "mean": means, "difference": difference[0]}
        | {name: np.where(known, column, np.nan) for name, column in columns.items()}
    )


def _studentised(totals: Doubles, pairs: list[tuple[int, int]]) -> tuple[Doubles, Doubles]:
    """Differences and their standard errors, (R, K) each, of column sums (R, 14, K)."""
    s1, n1, s0, n0 = totals[:, :4].swapaxes(0, 1)
    factors = [1 / n1, -s1 / n1**2, -1 / n0, s0 / n0**2]  # of s1, n1, s0, n0 in a group's influence
    products = totals[:, 4:].swapaxes(0, 1)
    variance = sum(
        (2 - (i == j)) * factors[i] * factors[j] * product for (i, j), product in zip(pairs, products, strict=True)
    )
    return s1 / n1 - s0 / n0, np.sqrt(np.maximum(variance, 0))
