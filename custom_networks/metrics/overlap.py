"""Metrics of counted pixels: Dice, IoU and ISIC's thresholded Jaccard, sensitivity, specificity, precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from custom_networks.metrics.policies import UNDEFINED, Presence, empty_worth

ISIC_THRESHOLD = 0.65


@dataclass(frozen=True)
class Confusion:
    """Pixels of a pair of masks: true positive, false positive, false negative, true negative."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def case(self) -> Presence:
        """What of the pair is empty."""
        return Presence.of(self.tp + self.fp, self.tp + self.fn)


def confusion(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Confusion:
    """Count the pixels.

    Args:
        prediction: (H, W) boolean.
        truth: (H, W) boolean.

    Returns:
        The four counts.
    """
    tp = int(np.count_nonzero(prediction & truth))
    predicted, true = int(np.count_nonzero(prediction)), int(np.count_nonzero(truth))
    return Confusion(tp, predicted - tp, true - tp, truth.size - predicted - true + tp)


def dice(counts: Confusion) -> float:
    """2 TP / (2 TP + FP + FN)."""
    return _ratio("dice", counts, 2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def iou(counts: Confusion) -> float:
    """TP / (TP + FP + FN), also called the Jaccard index."""
    return _ratio("iou", counts, counts.tp, counts.tp + counts.fp + counts.fn)


def isic_jaccard(counts: Confusion) -> float:
    """IoU, 0 where it is below 0.65: the ranking metric of the ISIC 2018 challenge (Codella et al., 2019)."""
    overlap = iou(counts)
    return 0.0 if overlap < ISIC_THRESHOLD else overlap


def sensitivity(counts: Confusion) -> float:
    """TP / (TP + FN): share of the true pixels that are found; also called recall."""
    return _ratio("sensitivity", counts, counts.tp, counts.tp + counts.fn)


def specificity(counts: Confusion) -> float:
    """TN / (TN + FP): share of the background that is left alone; undefined where the truth fills the image."""
    return _ratio("specificity", counts, counts.tn, counts.tn + counts.fp)


def precision(counts: Confusion) -> float:
    """TP / (TP + FP): share of the predicted pixels that are true."""
    return _ratio("precision", counts, counts.tp, counts.tp + counts.fp)


def _ratio(name: str, counts: Confusion, numerator: int, denominator: int) -> float:
    worth = empty_worth(name, counts.case)
    if worth is not None:
        return worth
    return numerator / denominator if denominator else UNDEFINED
