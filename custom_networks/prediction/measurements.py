"""Measurements of an object: size, roundness, symmetry; in millimetres where the spacing is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from custom_networks.data.formats import Spacing
from custom_networks.prediction.objects import Object
from custom_networks.prediction.polygons import rings

PIXELS: Spacing = (1.0, 1.0)
LARGEST = 4_000_000  # pixels; of larger objects every second, third, ... tells the asymmetry


def measure(found: Object, spacing: Spacing | None = None) -> dict[str, Any]:
    """Measure an object.

    Args:
        found: the object.
        spacing: millimetres between rows and between columns.

    Returns:
        `area_px`; `perimeter_px`; `diameter_px` of the circle of that area; `longest_diameter_px` between two points of
        the outline; `asymmetry`, the share of the object that its mirror images on the two principal axes leave
        uncovered (0 is symmetric); `border_irregularity`, perimeter^2 / (4 pi area) (1 is a circle); then the sizes in
        mm (mm^2), None where the spacing is unknown. With pixels that are not square, shape is that in millimetres.
    """
    sizes = _sizes(found, PIXELS)
    world = sizes if spacing is None else _sizes(found, spacing)
    row: dict[str, Any] = {f"{name}_px": value for name, value in sizes.items()}
    row["asymmetry"] = asymmetry(found.mask, spacing or PIXELS)
    row["border_irregularity"] = world["perimeter"] ** 2 / (4 * np.pi * world["area"])
    for name, value in world.items():
        row[f"{name}_mm2" if name == "area" else f"{name}_mm"] = None if spacing is None else value
    return row


def perimeter(mask: NDArray[np.bool_], spacing: Spacing = PIXELS) -> float:
    """Length of the border by Crofton's formula, from the crossings of lines in four directions.

    Args:
        mask: (h, w).
        spacing: between rows and between columns.

    Returns:
        The length, in the unit of `spacing`: for each direction the number of crossings times the distance between its
        lines times half the angle that it stands for.
    """
    padded = np.pad(mask, 1)
    height, width = spacing
    slope = np.arctan2(height, width)
    diagonal = np.hypot(height, width)
    crossings = (
        (padded[:, 1:] != padded[:, :-1], width, slope),
        (padded[1:] != padded[:-1], height, np.pi / 2 - slope),
        (padded[1:, 1:] != padded[:-1, :-1], diagonal, np.pi / 4),
        (padded[1:, :-1] != padded[:-1, 1:], diagonal, np.pi / 4),
    )
    area = height * width
    return float(sum(np.count_nonzero(found) * area / step * angle / 2 for found, step, angle in crossings))


def asymmetry(mask: NDArray[np.bool_], spacing: Spacing = PIXELS) -> float:
    """Mean over both principal axes of the share of a mask (h, w) that its mirror image leaves uncovered, 0 to 1."""
    inside = np.flatnonzero(mask)
    places = np.stack(np.unravel_index(inside[:: -(-len(inside) // LARGEST)], mask.shape), axis=1)
    points = places * np.asarray(spacing)
    offsets = points - points.mean(0)
    _, axes = np.linalg.eigh(offsets.T @ offsets)
    shares = []
    for axis in axes.T:
        mirrored = np.rint((points - 2 * np.outer(offsets @ axis, axis)) / spacing).astype(int)
        known = mirrored[((mirrored >= 0) & (mirrored < mask.shape)).all(1)]
        shares.append(1 - np.count_nonzero(mask[tuple(known.T)]) / len(points))
    return float(np.mean(shares))


def longest_diameter(found: Object, spacing: Spacing = PIXELS) -> float:
    """Largest distance between two points of an object's outline, in the unit of `spacing`."""
    outline = rings(found)[0][:-1] * (spacing[1], spacing[0])
    return float(pdist(outline[ConvexHull(outline).vertices]).max())


def _sizes(found: Object, spacing: Spacing) -> dict[str, float]:
    area = float(np.count_nonzero(found.mask) * spacing[0] * spacing[1])
    return {
        "area": area,
        "perimeter": perimeter(found.mask, spacing),
        "diameter": 2 * float(np.sqrt(area / np.pi)),
        "longest_diameter": longest_diameter(found, spacing),
    }
