"""Metrics of borders: of the distances between two of them (HD, HD95, ASSD, NSD, boundary F), and boundary IoU.

The border of a mask is its outermost pixels: those with one of their four neighbours in the background or outside the
image (so the chain is 8-connected). Distances run between pixel centres, Euclidean, in pixels, or in millimetres where
the spacing is given. Both directions are searched once in a k-d tree of the border pixels, which is exact and needs
memory for the borders alone, and all metrics share the result.

HD95 is the larger of the two directed 95th percentiles (linear interpolation), as in MONAI and as in the paper's
field; pooling both directions before the percentile, as MedPy does, gives smaller numbers. ASSD is the mean over the
border pixels of both masks together.

Boundary IoU: the IoU of the two masks' inner bands along their contours. Cheng et al., Boundary IoU: Improving
Object-Centric Image Segmentation Evaluation, CVPR 2021. The band holds the pixels of the mask within `width` pixels of
its contour in both axes (an erosion by a square), the image's frame counting as contour, as in the paper's code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d
from scipy.spatial import cKDTree

from custom_networks.array_types import Doubles, Spacing
from custom_networks.metrics.policies import Presence, empty_worth

_ROUNDING = 1e-9  # relative: 3 pixels of 0.1 mm must count as within 0.3 mm


@dataclass(frozen=True)
class BorderDistances:
    """Nearest distances between the borders of two masks, one for each border pixel.

    Args:
        to_truth: (P,) from each predicted border pixel to the truth's border; empty where either mask is.
        to_prediction: (T,) from each true border pixel to the prediction's border; empty where either mask is.
        case: what of the pair is empty.
        diagonal: of the image, the penalty of a miss; same unit as the distances.
    """

    to_truth: Doubles
    to_prediction: Doubles
    case: Presence
    diagonal: float


def border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the outermost pixels of a mask.

    Args:
        mask: (H, W) boolean.

    Returns:
        (H, W) boolean: pixels of the mask with a 4-neighbour in the background or outside the image.
    """
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Smallest slices of rows and columns that hold a mask; it must not be empty."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def border_distances(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: Spacing | None = None
) -> BorderDistances:
    """Find for each border pixel of either mask the nearest border pixel of the other.

    Args:
        prediction: (H, W) boolean.
        truth: (H, W) boolean.
        spacing: millimetres between rows and between columns; None measures in pixels.

    Returns:
        The distances that all metrics of this file read.
    """
    step = np.asarray(spacing if spacing is not None else (1.0, 1.0), dtype=np.float64)
    diagonal = float(np.hypot(*(step * truth.shape)))
    case = Presence.of(bool(prediction.any()), bool(truth.any()))
    if case is not Presence.PRESENT:
        nothing = np.empty(0)
        return BorderDistances(nothing, nothing, case, diagonal)
    box = bounding_box(prediction | truth)
    predicted, true = (np.argwhere(border(mask[box])) * step for mask in (prediction, truth))
    to_truth, _ = cKDTree(true).query(predicted)
    to_prediction, _ = cKDTree(predicted).query(true)
    return BorderDistances(to_truth, to_prediction, case, diagonal)


def hausdorff(distances: BorderDistances) -> float:
    """HD: the largest distance from either border to the other."""
    return _settled("hd", distances, lambda d: max(d.to_truth.max(), d.to_prediction.max()))


def hausdorff_95(distances: BorderDistances) -> float:
    """HD95: the larger of the two directed 95th percentiles."""
    return _settled("hd95", distances, lambda d: max(np.percentile(d.to_truth, 95), np.percentile(d.to_prediction, 95)))


def average_distance(distances: BorderDistances) -> float:
    """ASSD: mean distance over the border pixels of both masks."""

    def mean(d: BorderDistances) -> float:
        return (d.to_truth.sum() + d.to_prediction.sum()) / (d.to_truth.size + d.to_prediction.size)

    return _settled("assd", distances, mean)


def normalised_surface_dice(distances: BorderDistances, tolerance: float) -> float:
    """NSD: share of the border pixels of both masks that lie within the tolerance of the other border.

    Args:
        distances: from `border_distances`.
        tolerance: in the unit of the distances; the limit itself counts as within.

    Returns:
        0 to 1.
    """

    def share(d: BorderDistances) -> float:
        return (_within(d.to_truth, tolerance) + _within(d.to_prediction, tolerance)) / (
            d.to_truth.size + d.to_prediction.size
        )

    return _settled("nsd", distances, share)


def boundary_f(distances: BorderDistances, tolerance: float) -> float:
    """Boundary F: harmonic mean of the shares of predicted and of true border pixels within the tolerance.

    Args:
        distances: from `border_distances`.
        tolerance: in the unit of the distances; the limit itself counts as within.

    Returns:
        0 to 1.
    """

    def harmonic(d: BorderDistances) -> float:
        precision = _within(d.to_truth, tolerance) / d.to_truth.size
        recall = _within(d.to_prediction, tolerance) / d.to_prediction.size
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    return _settled("boundary_f", distances, harmonic)


def pixel_length(spacing: Spacing | None) -> float:
    """Length of a pixel: 1 without a spacing, else the side in millimetres of the square with a pixel's area."""
    return 1.0 if spacing is None else math.sqrt(spacing[0] * spacing[1])


def _within(distances: Doubles, tolerance: float) -> int:
    return int(np.count_nonzero(distances <= tolerance * (1 + _ROUNDING)))


def _settled(name: str, distances: BorderDistances, formula: Callable[[BorderDistances], float]) -> float:
    worth = empty_worth(name, distances.case, distances.diagonal)
    return float(formula(distances)) if worth is None else worth


WIDTH_SHARE = 0.02  # of the image's diagonal, the paper's choice


def band_width(shape: tuple[int, ...]) -> int:
    """Width of the band in pixels: 2 % of the diagonal, at least 1."""
    return max(1, round(WIDTH_SHARE * math.hypot(*shape)))


def inner_band(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Keep the pixels of a mask near its contour.

    Args:
        mask: (H, W) boolean.
        width: thickness of the band on a straight edge, in pixels.

    Returns:
        (H, W) boolean.
    """
    eroded = mask.view(np.uint8)
    for axis in (0, 1):
        eroded = minimum_filter1d(eroded, 2 * width + 1, axis=axis, mode="constant", cval=0)
    return mask & (eroded == 0)


def boundary_iou(prediction: NDArray[np.bool_], truth: NDArray[np.bool_], width: int | None = None) -> float:
    """IoU of the inner bands.

    Args:
        prediction: (H, W) boolean.
        truth: (H, W) boolean.
        width: of the band, in pixels; 2 % of the image's diagonal by default.

    Returns:
        0 to 1.
    """
    worth = empty_worth("boundary_iou", Presence.of(bool(prediction.any()), bool(truth.any())))
    if worth is not None:
        return worth
    thickness = band_width(truth.shape) if width is None else width
    box = bounding_box(prediction | truth)
    bands = [inner_band(np.ascontiguousarray(mask[box]), thickness) for mask in (prediction, truth)]
    return float(np.count_nonzero(bands[0] & bands[1]) / np.count_nonzero(bands[0] | bands[1]))
