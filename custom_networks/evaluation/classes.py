"""Figures of each class where there are several: every class as a mask of its own, one after the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from custom_networks.metrics.image_metrics import measure
from custom_networks.metrics.policies import FLAGS, Presence
from custom_networks.statistics.summary import summarise

CLASS_METRICS = ("dice", "iou", "hd95", "nsd")
PIXELS = {"true": "pixels_true", "predicted": "pixels_predicted"}


def class_columns(classes: Mapping[int, str]) -> list[str]:
    """Names of the columns that `class_row` adds, such as dice_neutrophil."""
    return [f"{figure}_{name}" for name in classes.values() for figure in (*PIXELS.values(), *CLASS_METRICS)]


def class_row(
    predicted: NDArray[np.integer],
    truth: NDArray[np.integer],
    classes: Mapping[int, str],
    spacing: tuple[float, float] | None = None,
    tolerance: float = 2.0,
) -> dict[str, float]:
    """Measure each class of an image; empty masks are worth what `metrics.policies` says.

    Args:
        predicted: (H, W) class of each pixel, 0 is background.
        truth: (H, W), the same.
        classes: names by number.
        spacing: millimetres between rows and between columns, when known.
        tolerance: of NSD, in pixels.

    Returns:
        A value for each of `class_columns`: pixels of truth and prediction, then the metrics.
    """
    row: dict[str, float] = {}
    for number, name in classes.items():
        masks = predicted == number, truth == number
        figures = measure(*masks, spacing, tolerance=tolerance)
        row[f"{PIXELS['true']}_{name}"] = int(np.count_nonzero(masks[1]))
        row[f"{PIXELS['predicted']}_{name}"] = int(np.count_nonzero(masks[0]))
        row |= {f"{metric}_{name}": figures[metric] for metric in CLASS_METRICS}
    return row


def summarise_classes(frame: pd.DataFrame, classes: Mapping[int, str], seed: int = 0) -> pd.DataFrame:
    """Summarise each class over a per-image table.

    Args:
        frame: with the columns of `class_row`.
        classes: names by number.
        seed: of the bootstrap.

    Returns:
        The rows of `statistics.summarise`, indexed by class and metric, with `images_with`: images in which the truth
        has the class.
    """
    parts = {}
    for name in classes.values():
        true, predicted = (frame[f"{column}_{name}"] for column in (PIXELS["true"], PIXELS["predicted"]))
        part = pd.DataFrame({metric: frame[f"{metric}_{name}"] for metric in CLASS_METRICS})
        cases = [Presence.of(*pair) for pair in zip(predicted, true, strict=True)]
        for flag, case in FLAGS.items():
            part[flag] = [float(each is case) for each in cases]
        if "group" in frame.columns:
            part["group"] = frame["group"]
        summary = summarise(part, seed=seed)
        summary.insert(1, "images_with", int((true > 0).sum()))
        parts[name] = summary
    return pd.concat(parts, names=["class", "metric"])
