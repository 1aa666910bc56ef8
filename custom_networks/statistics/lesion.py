"""How large a lesion is and how much its border stands out: two columns for subgroups, from image and truth."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skimage.color import rgb2lab

SIZES = {"none": 0.0, "small": 0.05, "medium": 0.20, "large": 1.0}
CONTRASTS = {"low": 10.0, "medium": 20.0, "high": np.inf}
BAND_SHARE = 0.02  # of the diagonal: width of the band on either side of the border


def lesion_size(truth: NDArray[np.bool_]) -> float:
    """Share of the image that the lesion covers, 0 to 1; the magnification being unknown, no millimetres.

    Args:
        truth: (H, W) boolean.

    Returns:
        The share.
    """
    return float(np.count_nonzero(truth) / truth.size)


def border_contrast(image: NDArray[np.uint8], truth: NDArray[np.bool_]) -> float:
    """Colour difference across the lesion's border.

    Args:
        image: (H, W, 3) sRGB.
        truth: (H, W) boolean.

    Returns:
        Distance in CIELAB (Delta E 1976) between the medians of a band inside and a band outside the border, each 2 %
        of the image's diagonal wide; NaN where there is no border.
    """
    if truth.all() or not truth.any():
        return float("nan")
    width = max(1.0, BAND_SHARE * np.hypot(*truth.shape))
    inside = truth & (distance_transform_edt(truth) <= width)
    outside = ~truth & (distance_transform_edt(~truth) <= width)
    medians = (np.median(rgb2lab(image[band][None]), axis=1) for band in (inside, outside))
    return float(np.linalg.norm(np.subtract(*medians)))


def size_classes(shares: Iterable[float]) -> pd.Categorical:
    """Classes of `lesion_size`: none, small up to 5 % of the image, medium up to 20 %, large."""
    return _classes(shares, SIZES)


def contrast_classes(contrasts: Iterable[float]) -> pd.Categorical:
    """Classes of `border_contrast`: low up to 10 Delta E, medium up to 20, high; gaps stay gaps."""
    return _classes(contrasts, CONTRASTS)


def _classes(values: Iterable[float], limits: dict[str, float]) -> pd.Categorical:
    return pd.cut(np.asarray(list(values), float), [-np.inf, *limits.values()], labels=list(limits))
