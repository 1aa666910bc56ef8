"""Two runs image by image: scatter and Bland-Altman plot of each chosen metric."""

from __future__ import annotations

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
    chosen = [name for name in PLOTTED if name in table.index] or list(table.index[:4])
    figure = Figure(figsize=(11, 4.6 * len(chosen)), layout="constrained")
    axes = figure.subplots(len(chosen), 2, squeeze=False)
    for (scatter, difference), name in zip(axes, chosen, strict=True):
        _scatter(scatter, a[name], b[name], METRICS[name].label, names)
        _bland_altman(difference, a[name], b[name], METRICS[name].label, names)
    return figure


def _scatter(axes: Axes, a: pd.Series, b: pd.Series, label: str, names: tuple[str, str]) -> None:
    axes.scatter(a, b, s=14, alpha=0.6, color="tab:blue", edgecolors="none")
    axes.axline((float(a.mean()), float(a.mean())), slope=1, color="black", linewidth=0.8, label="equal")
    axes.set(xlabel=f"{label}, A: {names[0]}", ylabel=f"{label}, B: {names[1]}", title=f"{label}, image by image")
    axes.legend(loc="best")


def _bland_altman(axes: Axes, a: pd.Series, b: pd.Series, label: str, names: tuple[str, str]) -> None:
    difference = b - a
    mean, spread = float(difference.mean()), float(difference.std(ddof=1))
    axes.scatter((a + b) / 2, difference, s=14, alpha=0.6, color="tab:blue", edgecolors="none")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.axhline(mean, color="tab:orange", label=f"mean difference {mean:+.3g}")
    low, high = mean - 1.96 * spread, mean + 1.96 * spread
    axes.axhline(low, color="tab:orange", linestyle="--", label=f"limits of agreement {low:+.3g}, {high:+.3g}")
    axes.axhline(high, color="tab:orange", linestyle="--")
    axes.set(xlabel=f"mean of both {label}", ylabel="B - A", title=f"{label}, Bland-Altman")
    axes.legend(loc="best")
