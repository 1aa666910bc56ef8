"""Every metric of one image as a row: what `per_image.csv` holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_networks.metrics import overlap, surface
from custom_networks.metrics.instances import match_instances
from custom_networks.metrics.policies import flags
from custom_networks.metrics.probability import auroc, border_band, brier, expected_calibration_error
from custom_networks.metrics.surface import boundary_iou
from custom_networks.metrics.watershed import WatershedParameters, split_instances


def measure(
    prediction: NDArray[Any],
    truth: NDArray[Any],
    spacing: tuple[float, float] | None = None,
    edge: NDArray[np.floating] | None = None,
    tolerance: float = 2.0,
    threshold: float = 0.5,
    watershed: WatershedParameters | None = None,
) -> dict[str, float]:
    """Measure a prediction against the truth.

    Args:
        prediction: (H, W): floating-point numbers are foreground probabilities, 0 to 1; integers and booleans are a
            mask, above 0 foreground, and the metrics of probabilities (AUROC, ECE, Brier score) are then left out.
        truth: (H, W) integers or booleans, above 0 foreground; an instance map when `edge` is given.
        spacing: millimetres between rows and between columns, when known; distances are then in millimetres.
        edge: (H, W) edge probability of SGE; adds PQ, SQ, DQ and AJI of instances cut out by watershed.
        tolerance: of NSD and boundary F, in pixels; with a spacing, in pixels of the same area.
        threshold: a pixel is foreground from this probability up.
        watershed: how instances are cut out, with a threshold of their own; the defaults when None.

    Returns:
        A value for each metric of `policies.METRICS` that applies, in its order, NaN where undefined; then the flags
        missed, false_alarm and both_empty, 0 or 1.

    Raises:
        ValueError: for shapes that differ, a probability that is none, an edge map without probabilities, or a
            spacing that is not positive.
    """
    is_probability = np.issubdtype(np.asarray(prediction).dtype, np.floating)
    prediction, truth = _checked(np.asarray(prediction), np.asarray(truth), spacing)
    predicted = prediction >= threshold if is_probability else prediction > 0
    true = truth > 0
    counts = overlap.confusion(predicted, true)
    row = _of_masks(predicted, true, counts, spacing, tolerance)
    if is_probability:
        row |= {
            "auroc": auroc(prediction, true),
            "ece": expected_calibration_error(prediction, true),
            "border_ece": expected_calibration_error(prediction, true, border_band(true)),
            "brier": brier(prediction, true),
        }
    if edge is not None:
        if not is_probability or edge.shape != truth.shape:
            raise ValueError(
                f"edge {edge.shape}: needs the truth's shape {truth.shape} and probabilities, got {prediction.dtype}"
            )
        row |= match_instances(split_instances(prediction, edge, watershed), truth).row()
    return row | flags(counts.case)


def _of_masks(
    predicted: NDArray[np.bool_],
    true: NDArray[np.bool_],
    counts: overlap.Confusion,
    spacing: tuple[float, float] | None,
    tolerance: float,
) -> dict[str, float]:
    distances = surface.border_distances(predicted, true, spacing)
    limit = tolerance * surface.pixel_length(spacing)
    return {
        "dice": overlap.dice(counts),
        "iou": overlap.iou(counts),
        "isic_jaccard": overlap.isic_jaccard(counts),
        "sensitivity": overlap.sensitivity(counts),
        "specificity": overlap.specificity(counts),
        "precision": overlap.precision(counts),
        "hd": surface.hausdorff(distances),
        "hd95": surface.hausdorff_95(distances),
        "assd": surface.average_distance(distances),
        "nsd": surface.normalised_surface_dice(distances, limit),
        "boundary_iou": boundary_iou(predicted, true),
        "boundary_f": surface.boundary_f(distances, limit),
    }


def _checked(
    prediction: NDArray[Any], truth: NDArray[Any], spacing: tuple[float, float] | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    if prediction.ndim != 2 or prediction.shape != truth.shape:
        raise ValueError(f"prediction {prediction.shape} and truth {truth.shape}: must be two maps (H, W) of one shape")
    if np.issubdtype(truth.dtype, np.floating):
        raise ValueError(f"truth: got {truth.dtype}, must be integers or booleans; threshold it first")
    if np.issubdtype(prediction.dtype, np.floating) and not (prediction.min() >= 0 and prediction.max() <= 1):
        raise ValueError(
            f"prediction: got values from {prediction.min():g} to {prediction.max():g}, probabilities must lie between "
            "0 and 1; apply the sigmoid to logits first"
        )
    if spacing is not None and not (len(spacing) == 2 and min(spacing) > 0):
        raise ValueError(f"spacing {spacing}: must be (row, column) in millimetres, both above 0")
    return prediction, truth
