"""A simulated user: where the next click, scribble or box goes, from the error of a mask.

The next mark lies in the error region of the largest inscribed disc, false negative or false positive, as in the
evaluation of Sofiiuk et al. (RITM), 2022: a click in its middle, a scribble along its centre line or its contour, as
Wong et al., "ScribblePrompt", ECCV 2024, have them. For training, a random generator moves each of them.

Arrays are two-dimensional and boolean; points are indices of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric
from skimage.measure import find_contours
from skimage.morphology import skeletonize

from custom_networks.array_types import Mask
from custom_networks.interactive.guidance import Points

BOX_JITTER = 0.1  # of the box's side, either way
SHORTEST_STROKE = 0.4  # of the whole centre line or contour, in training


class Error(NamedTuple):
    """A connected region where a mask is wrong.

    Attributes:
        depth: distance of each pixel of the region to its outside, 0 elsewhere; the image's border counts as outside.
        positive: whether the object is missing there, so that the mark is of the foreground.
    """

    depth: NDArray[np.float64]
    positive: bool


def largest_error(prediction: Mask, truth: Mask) -> Error | None:
    """Find the error region with the largest inscribed disc; None for a mask without errors."""
    depths = [
        ndimage.distance_transform_edt(np.pad(e, 1))[1:-1, 1:-1] for e in (truth & ~prediction, prediction & ~truth)
    ]
    positive = bool(depths[0].max() >= depths[1].max())
    depth = depths[0] if positive else depths[1]
    middle = np.unravel_index(np.argmax(depth), depth.shape)
    if depth[middle] == 0:
        return None
    labels, _ = ndimage.label(depth > 0)
    return Error(np.where(labels == labels[middle], depth, 0.0), positive)


def click_in(error: Error, rng: np.random.Generator | None = None) -> Points:
    """Click into a region.

    Args:
        error: the region.
        rng: None clicks its middle; a generator clicks anywhere that is half as deep as the middle.

    Returns:
        (1, 2).
    """
    if rng is None:
        return np.argwhere(error.depth == error.depth.max())[:1]
    candidates = np.argwhere(error.depth > error.depth.max() / 2)
    return candidates[[rng.integers(len(candidates))]]


def scribble_in(error: Error, rng: np.random.Generator | None = None) -> Points:
    """Draw a stroke in a region.

    Args:
        error: the region.
        rng: None draws the whole centre line; a generator draws a part of the centre line or of a contour.

    Returns:
        Corners of the stroke, (N, 2); a click's pixel where the region is too small for a line.
    """
    if rng is None:
        return _centre_line(error)
    stroke = _contour(error, rng) if rng.random() < 0.5 else _centre_line(error)
    length = max(1, round(len(stroke) * rng.uniform(SHORTEST_STROKE, 1)))
    first = rng.integers(len(stroke) - length + 1)
    return stroke[first : first + length]


def box_around(truth: Mask, rng: np.random.Generator | None = None) -> tuple[Points, Points] | None:
    """Draw a box around an object.

    Args:
        truth: the object.
        rng: moves each side by up to a tenth of the box's; None draws the exact box.

    Returns:
        First indices and those after the last; None where there is no object.
    """
    where = np.argwhere(truth)
    if not len(where):
        return None
    low, high = where.min(0), where.max(0) + 1
    if rng is not None:
        jitter = rng.uniform(-BOX_JITTER, BOX_JITTER, (2, 2)) * (high - low)
        low, high = np.rint(low + jitter[0]).astype(np.intp), np.rint(high + jitter[1]).astype(np.intp)
    low = np.clip(low, 0, np.asarray(truth.shape) - 1)
    return low, np.clip(high, low + 1, truth.shape)


def _centre_line(error: Error) -> Points:
    """The longest path along the skeleton of a region."""
    skeleton = skeletonize(error.depth > 0)
    pixels = np.argwhere(skeleton)
    if len(pixels) < 2:
        return click_in(error)
    costs = np.where(skeleton, 1.0, -1.0)  # negative: no way through
    first = tuple(np.unravel_index(np.argmax(np.where(skeleton, error.depth, 0)), skeleton.shape))
    for _ in range(2):  # from anywhere to one end, from there to the other
        paths = MCP_Geometric(costs)
        distance, _ = paths.find_costs([first])
        first = tuple(np.unravel_index(np.argmax(np.where(np.isfinite(distance), distance, -1)), distance.shape))
    return np.array(paths.traceback(first), np.intp)


def _contour(error: Error, rng: np.random.Generator) -> Points:
    """A contour inside a region, at some depth."""
    level = error.depth.max() * rng.uniform(0.2, 0.8)
    contours = find_contours(np.pad(error.depth, 1), level)
    longest = np.rint(max(contours, key=len) - 1).astype(np.intp)
    longest = np.clip(longest, 0, np.asarray(error.depth.shape) - 1)
    turned = np.roll(longest, rng.integers(len(longest)), axis=0)
    inside = error.depth[tuple(turned.T)] > 0
    return turned[inside] if inside.any() else click_in(error, rng)
