"""Boundary IoU: the IoU of the two masks' inner bands along their contours.

Cheng et al., Boundary IoU: Improving Object-Centric Image Segmentation Evaluation, CVPR 2021. The band holds the
pixels of the mask within `width` pixels of its contour in both axes (an erosion by a square), the image's frame
counting as contour, as in the paper's code.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from custom_networks.metrics.policies import Presence, empty_worth
from custom_networks.metrics.surface import bounding_box

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
