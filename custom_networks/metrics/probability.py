"""Metrics of the probabilities themselves: AUROC, Brier score, calibration error and its curve."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from custom_networks.metrics.policies import UNDEFINED
from custom_networks.metrics.surface import band_width

BINS = 15


def auroc(probability: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Area under the receiver operating characteristic, over pixels.

    The probability that a true pixel has a larger value than a background pixel, ties counting half.

    Args:
        probability: (H, W), any finite values.
        truth: (H, W) boolean.

    Returns:
        0 to 1; NaN where the truth is empty or fills the image.
    """
    positives, negatives = np.sort(probability[truth]), np.sort(probability[~truth])
    if not positives.size or not negatives.size:
        return UNDEFINED
    below = np.searchsorted(negatives, positives, side="left").sum(dtype=np.int64)
    not_above = np.searchsorted(negatives, positives, side="right").sum(dtype=np.int64)
    return float((below + not_above) / (2 * positives.size * negatives.size))


def brier(probability: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Mean over pixels of (probability - truth)^2.

    Args:
        probability: (H, W), 0 to 1.
        truth: (H, W) boolean.

    Returns:
        0 to 1.
    """
    difference = np.subtract(probability, truth, dtype=np.float64)
    return float(np.einsum("ij,ij->", difference, difference) / truth.size)


@dataclass
class Calibration:
    """Reliability of the foreground probability, in equal bins from 0 to 1; add up images to pool a set.

    A probability p lies in bin floor(p * bins), 1 in the last. Per bin: how many pixels, the sum of their
    probabilities, how many are true.

    Args:
        bins: how many.
    """

    bins: int = BINS
    pixels: NDArray[np.float64] = field(init=False)
    probabilities: NDArray[np.float64] = field(init=False)
    positives: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.pixels, self.probabilities, self.positives = np.zeros((3, self.bins))

    def add(
        self,
        probability: NDArray[np.floating],
        truth: NDArray[np.bool_],
        where: NDArray[np.bool_] | None = None,
    ) -> Calibration:
        """Count the pixels of an image, all (H, W), of a region alone where one is given; returns itself."""
        flat, truth = (probability.ravel(), truth) if where is None else (probability[where], truth[where])
        index = np.minimum((flat * self.bins).astype(np.intp), self.bins - 1)
        self.pixels += np.bincount(index, minlength=self.bins)
        self.probabilities += np.bincount(index, flat, minlength=self.bins)
        self.positives += np.bincount(index[truth.ravel()], minlength=self.bins)
        return self

    @property
    def error(self) -> float:
        """Expected calibration error: mean over pixels of their bin's |mean probability - share that is true|."""
        total = self.pixels.sum()
        return float(np.abs(self.probabilities - self.positives).sum() / total) if total else UNDEFINED

    def curve(self) -> list[dict[str, float]]:
        """Rows of the reliability curve for bins with pixels: probability, observed share, pixels."""
        rows = zip(self.pixels, self.probabilities, self.positives, strict=True)
        return [
            {"probability": float(p / n), "observed": float(y / n), "pixels": float(n)} for n, p, y in rows if n > 0
        ]


def expected_calibration_error(
    probability: NDArray[np.floating], truth: NDArray[np.bool_], where: NDArray[np.bool_] | None = None
) -> float:
    """Expected calibration error of one image, over its pixels, in 15 equal bins.

    Args:
        probability: (H, W), 0 to 1.
        truth: (H, W) boolean.
        where: (H, W) boolean, a region that is looked at alone; all by default.

    Returns:
        0 to 1; NaN where the region is empty.
    """
    return Calibration().add(probability, truth, where).error


def border_band(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels near the border of a mask, on both sides, within 2 % of the image's diagonal along both axes.

    Most pixels of an image lie far from any border and are easy: over all of them a network looks calibrated whose
    border is not.

    Args:
        truth: (H, W) boolean.

    Returns:
        (H, W) boolean; nothing where the mask is empty or fills the image.
    """
    size = 2 * band_width(truth.shape) + 1
    return maximum_filter(truth, size, mode="nearest") != minimum_filter(truth, size, mode="nearest")
