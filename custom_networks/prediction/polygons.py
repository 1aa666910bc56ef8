"""Outlines of objects as polygons.

Coordinates are (x, y) in pixels from the image's left upper corner, so that the first pixel's centre is (0.5, 0.5). The
outline runs half-way between the centres of neighbouring pixels and cuts corners: a ring of an object or of a hole
encloses half a pixel less than its pixels.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from custom_networks.prediction.objects import Object

Ring = NDArray[np.float64]  # (N, 2), x and y; the first point is the last


def rings(found: Object) -> list[Ring]:
    """Outline an object.

    Args:
        found: whose pixels touch by their sides.

    Returns:
        The outer ring, anticlockwise with y pointing up (RFC 7946), then its holes, clockwise.
    """
    padded = np.pad(found.mask, 1).astype(np.float32)
    outlines = find_contours(padded, 0.5, fully_connected="low", positive_orientation="high")
    shifted = [outline[:, ::-1] + (found.column - 0.5, found.row - 0.5) for outline in outlines]
    return nested(map(without_straight_points, shifted))


def nested(outlines: Iterable[Ring]) -> list[Ring]:
    """Put the rings of one object in order: the outer one, anticlockwise, then its holes, clockwise."""
    straight = sorted(outlines, key=lambda ring: -abs(area(ring)))
    return [ring if (area(ring) > 0) == (i == 0) else ring[::-1] for i, ring in enumerate(straight)]


def area(ring: Ring) -> float:
    """Signed area of a ring, positive where it runs anticlockwise with y pointing up."""
    x, y = ring[:, 0], ring[:, 1]
    return float(np.sum(x[1:] * y[:-1] - x[:-1] * y[1:]) / 2)


def without_straight_points(outline: Ring) -> Ring:
    """Drop the points on straight lines of a ring, or of an outline between its ends, which stay."""
    closed = bool((outline[0] == outline[-1]).all())
    points = outline[:-1] if closed else outline
    before, after = points - np.roll(points, 1, 0), np.roll(points, -1, 0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    if not closed:
        turns[[0, -1]] = True
        return points[turns]
    kept = points[turns]
    return np.concatenate([kept, kept[:1]])
