"""Clean a mask: fill its holes, drop small regions, keep the largest one; each only where it is asked for.

A region is what touches by the sides of its pixels, as objects are; a hole is background that nothing connects, by the
sides of its pixels, to the border of the image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes
from skimage.measure import label


def clean(mask: NDArray[np.bool_], fill_holes: bool, min_area: int, keep_largest: bool) -> NDArray[np.bool_]:
    """Clean a mask, in the order of the arguments.

    Args:
        mask: (H, W).
        fill_holes: whether holes become foreground.
        min_area: regions of fewer pixels are dropped.
        keep_largest: whether only the largest region stays, the first of several as large.

    Returns:
        The mask, (H, W); the same one where nothing is asked for.
    """
    if fill_holes:
        mask = binary_fill_holes(mask)
    if min_area <= 1 and not keep_largest:
        return mask
    labels = label(mask, connectivity=1)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    kept = areas >= max(min_area, 1)
    if keep_largest:
        kept &= np.arange(len(areas)) == areas.argmax()
    return kept[labels]
