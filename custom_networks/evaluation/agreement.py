"""What else a set of masks says beside its metrics: which lesions are detected, and how areas agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from custom_networks.evaluation.measuring import READER_METRICS
from custom_networks.statistics.bootstrap import bootstrap_interval, group_column
from custom_networks.statistics.comparison_plot import bland_altman
from custom_networks.statistics.per_image import json_value


def detection_figures(frame: pd.DataFrame, minimum_iou: float, seed: int = 0) -> dict[str, Any]:
    """Lesion-wise detection over a per-image table.

    Args:
        frame: with the columns of `metrics.instances.detect`.
        minimum_iou: at which they were counted.
        seed: of the bootstrap.

    Returns:
        iou, lesions, detected, false; sensitivity (detected of all lesions) and false_per_image, each with its 95 %
        interval, whole groups drawn, and the number of groups.
    """
    groups = group_column(frame)
    true, detected, false = (frame[f"lesions_{name}"] for name in ("true", "detected", "false"))
    of_lesions = bootstrap_interval(detected, groups, weights=true, seed=seed)
    of_images = bootstrap_interval(false, groups, seed=seed)
    return {
        "iou": minimum_iou,
        "lesions": int(true.sum()),
        "detected": int(detected.sum()),
        "false": int(false.sum()),
        "sensitivity": {
            "value": float(detected.sum() / true.sum()) if true.sum() else None,
            "ci_low": json_value(of_lesions.low),
            "ci_high": json_value(of_lesions.high),
            "groups": of_lesions.groups,
        },
        "false_per_image": {
            "value": float(false.mean()),
            "ci_low": json_value(of_images.low),
            "ci_high": json_value(of_images.high),
            "groups": of_images.groups,
        },
    }


def area_figures(frame: pd.DataFrame, unit: str, seed: int = 0) -> dict[str, Any]:
    """Agreement of predicted and true areas (Bland and Altman, 1986).

    Args:
        frame: with area_true and area_predicted.
        unit: of the areas' sides, "px" or "mm".
        seed: of the bootstrap.

    Returns:
        unit; mean_difference (predicted minus true) with its 95 % interval; the limits of agreement, between which 95 %
        of differences lie if they are normal; relative_error, the mean of |difference| / true area over the images
        that hold an object.
    """
    difference = frame["area_predicted"] - frame["area_true"]
    interval = bootstrap_interval(difference, group_column(frame), seed=seed)
    mean, spread = float(difference.mean()), float(difference.std(ddof=1))
    relative = (difference.abs() / frame["area_true"].where(frame["area_true"] > 0)).mean()
    return {
        "unit": f"{unit}²",
        "mean_difference": mean,
        "ci_low": json_value(interval.low),
        "ci_high": json_value(interval.high),
        "groups": interval.groups,
        "limits_of_agreement": [json_value(mean - 1.96 * spread), json_value(mean + 1.96 * spread)],
        "relative_error": json_value(relative),
    }


def reader_figures(frame: pd.DataFrame, reader: str | Path, seed: int = 0) -> dict[str, Any]:
    """Agreement of another reader with the labels: mean, 95 % interval and groups of each of `READER_METRICS`."""
    figures: dict[str, Any] = {"folder": str(reader)}
    for name in READER_METRICS:
        column = frame[f"reader_{name}"]
        interval = bootstrap_interval(column, group_column(frame), seed=seed)
        ends = {"ci_low": json_value(interval.low), "ci_high": json_value(interval.high), "groups": interval.groups}
        figures[name] = {"mean": json_value(column.mean()), **ends}
    return figures


def plot_areas(frame: pd.DataFrame, unit: str) -> Figure:
    """Draw the Bland-Altman plot of predicted and true areas."""
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    x_label = f"mean of predicted and true area ({unit}²)"
    bland_altman(axes, frame["area_true"], frame["area_predicted"], x_label, f"predicted - true area ({unit}²)")
    axes.set_title(f"Area, Bland-Altman, {np.count_nonzero(frame['area_true'])} images with an object")
    return figure
