"""Two runs image by image (scatter and Bland-Altman plot of each chosen metric); the ranks of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from custom_networks.metrics.policies import METRICS

PLOTTED = ("dice", "hd95", "nsd", "pq")


def plot_comparison(a: pd.DataFrame, b: pd.DataFrame, table: pd.DataFrame, names: tuple[str, str]) -> Figure:
    """Draw the comparison.

    Args:
        a: per-image table of the first run.
        b: of the second, rows in the same order.
        table: from `compare`, says which metrics.
        names: of the runs.

    Returns:
        A figure with a row for each of Dice, HD95, NSD and PQ that was compared (else for the first four metrics):
        left one run against the other, right the difference against the mean, with the mean difference and the limits
        of agreement (1.96 standard deviations).
    """
    chosen = _plotted(table.index)
    figure = Figure(figsize=(11, 4.6 * len(chosen)), layout="constrained")
    axes = figure.subplots(len(chosen), 2, squeeze=False)
    for (scatter, difference), name in zip(axes, chosen, strict=True):
        _scatter(scatter, a[name], b[name], METRICS[name].label, names)
        bland_altman(difference, a[name], b[name], f"mean of both {METRICS[name].label}", "B - A")
        difference.set_title(f"{METRICS[name].label}, Bland-Altman")
    return figure


def _scatter(axes: Axes, a: pd.Series, b: pd.Series, label: str, names: tuple[str, str]) -> None:
    axes.scatter(a, b, s=14, alpha=0.6, color="tab:blue", edgecolors="none")
    axes.axline((float(a.mean()), float(a.mean())), slope=1, color="black", linewidth=0.8, label="equal")
    axes.set(
        xlabel=f"{label}, A: {_plain(names[0])}",
        ylabel=f"{label}, B: {_plain(names[1])}",
        title=f"{label}, image by image",
    )
    axes.legend(loc="best")


def bland_altman(axes: Axes, a: pd.Series, b: pd.Series, x_label: str, y_label: str) -> None:
    """Draw differences (b - a) against means, with the mean difference and the limits of agreement (1.96 sd)."""
    difference = b - a
    mean, spread = float(difference.mean()), float(difference.std(ddof=1))
    low, high = mean - 1.96 * spread, mean + 1.96 * spread
    axes.scatter((a + b) / 2, difference, s=14, alpha=0.6, color="tab:blue", edgecolors="none")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.axhline(mean, color="tab:orange", label=f"mean difference {mean:+.3g}")
    axes.axhline(low, color="tab:orange", linestyle="--", label=f"limits of agreement {low:+.3g}, {high:+.3g}")
    axes.axhline(high, color="tab:orange", linestyle="--")
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.legend(loc="best")


def plot_ranking(frames: Mapping[str, pd.DataFrame], ranking: pd.DataFrame) -> Figure:
    """Draw the ranking of several runs.

    Args:
        frames: per-image tables by the name of their run.
        ranking: from `rank_runs`.

    Returns:
        A figure with a row for each of Dice, HD95, NSD and PQ that was ranked (else for the first four metrics): left a
        box plot of each run, best first, right the share of resamples in which it has each rank.
    """
    chosen = _plotted(ranking.index.unique("metric"))
    figure = Figure(figsize=(11, (1.6 + 0.5 * len(frames)) * len(chosen)), layout="constrained")
    for (boxes, shares), name in zip(figure.subplots(len(chosen), 2, squeeze=False), chosen, strict=True):
        part = ranking.loc[name]
        runs, label = list(part.index), METRICS[name].label
        boxes.boxplot([frames[run][name].dropna() for run in runs], showmeans=True, widths=0.6)
        boxes.set(ylabel=f"{label} (box: quartiles, triangle: mean)", title=f"{label}, each image")
        boxes.set_xticks(range(1, len(runs) + 1), [*map(_plain, runs)])
        table = part[[f"rank {place}" for place in range(1, len(runs) + 1)]].to_numpy(float)
        shares.imshow(table, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        for row, column in np.ndindex(table.shape):
            dark = "white" if table[row, column] > 0.6 else "black"
            text = "" if np.isnan(table[row, column]) else f"{table[row, column]:.0%}"
            shares.text(column, row, text, ha="center", va="center", color=dark)
        shares.set(xticks=range(len(runs)), xticklabels=range(1, len(runs) + 1), yticks=range(len(runs)))
        shares.set(yticklabels=[*map(_plain, runs)], xlabel="rank", title=f"{label}, ranks in resampled sets of images")
    return figure


def _plain(name: str) -> str:
    """Write a name so that Matplotlib takes no part of it for a formula."""
    return name.replace("$", r"\$")


def _plotted(names: Sequence[str]) -> list[str]:
    return [name for name in PLOTTED if name in names] or list(names[:4])
