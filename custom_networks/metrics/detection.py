"""Detection of separate objects: which true lesions are found, and what is found where there is none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.optimize import linear_sum_assignment

from custom_networks.metrics.instances import instance_overlaps

DETECTION_IOU = 0.5
LESION_COLUMNS = ("lesions_true", "lesions_detected", "lesions_false")
_NEIGHBOURS = np.ones((3, 3), int)


def detect(prediction: NDArray, truth: NDArray, minimum_iou: float = DETECTION_IOU) -> dict[str, int]:
    """Count the lesions of an image.

    A true and a predicted lesion match where their IoU is at least `minimum_iou`; each matches one at most, and as many
    match as can.

    Args:
        prediction: (H, W): booleans are a mask, whose regions (8 neighbours) are the lesions; integers are instances.
        truth: the same.
        minimum_iou: above 0, at most 1.

    Returns:
        `LESION_COLUMNS`: true lesions, how many of them are detected, predicted lesions without a match.
    """
    predicted, true = (label(map_, _NEIGHBOURS)[0] if map_.dtype == bool else map_ for map_ in (prediction, truth))
    overlap = instance_overlaps(predicted, true)
    iou = np.zeros((len(overlap.true_area), len(overlap.predicted_area)))
    iou[overlap.true, overlap.predicted] = overlap.iou
    matches = iou >= minimum_iou
    rows, columns = linear_sum_assignment(matches, maximize=True)
    detected = int(matches[rows, columns].sum())
    return dict(zip(LESION_COLUMNS, (iou.shape[0], detected, iou.shape[1] - detected), strict=True))
