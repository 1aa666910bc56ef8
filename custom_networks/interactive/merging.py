"""From a probability and guidance to a mask that respects the user.

Three rules. A mark is always honoured: its pixels are in the mask, or out of it. A mark changes the previous mask only
in the region that it touches, as in the progressive merge of Chen et al., "FocalClick", CVPR 2022; thin bridges do not
connect regions. Where no mark contradicts the previous mask, nothing changes.

Arrays are two-dimensional and boolean; points are (N, 2) indices of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from custom_networks.array_types import Mask
from custom_networks.interactive.guidance import RADIUS, Points, draw_discs

BRIDGE = 1  # parts of a change that are joined by no more than 2 * BRIDGE pixels count as apart


def contradicted(mask: Mask, foreground: Points, background: Points) -> tuple[Points, Points]:
    """Marks that a mask does not honour: of the foreground outside of it, of the background inside."""
    return foreground[~mask[tuple(foreground.T)]], background[mask[tuple(background.T)]]


def touched_change(previous: Mask, new: Mask, foreground: Points, background: Points) -> tuple[Mask, Mask]:
    """Choose the parts of a change that the marks ask for.

    Args:
        previous: mask that was corrected.
        new: mask that the network answers.
        foreground: marks in the object.
        background: marks outside.

    Returns:
        Pixels that may be added, and those that may be removed: the regions of the change that touch a mark that
        `previous` contradicts. They reach one pixel beyond the change, so that on a finer grid, where the same masks
        are known better, no slit is left along the previous border.
    """
    allowed = []
    for marks, change in zip(
        contradicted(previous, foreground, background), (new & ~previous, previous & ~new), strict=True
    ):
        discs = np.zeros(previous.shape, np.float32)
        draw_discs(discs, marks)
        seeds = discs > 0
        core = ndimage.binary_opening(change, iterations=BRIDGE) | (change & seeds)
        labels, _ = ndimage.label(core)
        chosen = np.unique(labels[seeds & core])
        region = np.isin(labels, chosen[chosen > 0])
        if region.any():
            region = ndimage.binary_dilation(region, iterations=BRIDGE + 1, mask=change)
            region = ndimage.binary_dilation(region, np.ones((3, 3), bool))
        allowed.append(region)
    return allowed[0], allowed[1]


def honour(mask: Mask, foreground: Points, background: Points, radius: int) -> Mask:
    """Change a mask where a mark contradicts it: a disc around the mark, as far as no opposite mark is nearer.

    Where marks of both kinds share a pixel, the background has it.

    Args:
        mask: as it was found; it stays as it is.
        foreground: marks in the object.
        background: marks outside.
        radius: of the discs.

    Returns:
        A mask that honours every mark.
    """
    mask = mask.copy()
    added, removed = contradicted(mask, foreground, background)
    for marks, opposite, value in ((added, background, True), (removed, foreground, False)):
        if len(marks):
            low = np.maximum(marks.min(0) - radius, 0)
            high = np.minimum(marks.max(0) + radius + 1, mask.shape)
            box = tuple(slice(*ends) for ends in zip(low, high, strict=True))
            near = _distance(mask[box].shape, marks - low)
            others = opposite[((opposite >= low - radius) & (opposite < high + radius)).all(1)]
            closer = near <= _distance(mask[box].shape, others - low)
            mask[box][(near <= radius) & closer] = value
    mask[tuple(foreground.T)] = True
    mask[tuple(background.T)] = False
    return mask


def _distance(shape: tuple[int, ...], points: Points) -> NDArray[np.float64]:
    """Distance of each pixel to the nearest of some points, which may lie outside; infinite without any."""
    if not len(points):
        return np.full(shape, np.inf)
    low = np.minimum(points.min(0), 0)
    high = np.maximum(points.max(0) + 1, shape)
    free = np.ones(high - low, bool)
    free[tuple((points - low).T)] = False
    inner = tuple(slice(-start, -start + side) for start, side in zip(low, shape, strict=True))
    return ndimage.distance_transform_edt(free)[inner]


def honoured_radius(side: int, size: tuple[int, int]) -> int:
    """Radius in pixels of the image of a disc that the network sees with `RADIUS`."""
    return max(1, round(RADIUS * min(size) / side))
