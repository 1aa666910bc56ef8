"""Measurements of an object: size, roundness, symmetry; in millimetres where the spacing is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist
from skimage.measure import perimeter_crofton

from custom_networks.data.formats import Spacing
from custom_networks.prediction.objects import Object
from custom_networks.prediction.polygons import rings

SQUARE = 0.01  # pixels whose sides differ by less are square
LARGEST = 4_000_000  # pixels; of larger masks every second, third, ... row and column tells the asymmetry


def measure(found: Object, spacing: Spacing | None = None) -> dict[str, Any]:
    """Measure an object.

    Args:
        found: the object.
        spacing: millimetres between rows and between columns.

    Returns:
        `area_px`; `perimeter_px` (Crofton's formula); `diameter_px` of the circle of that area; `longest_diameter_px`
        between two points of the outline; `asymmetry`, the share of the object that its mirror images on the two
        principal axes leave uncovered (0 is symmetric); `border_irregularity`, perimeter^2 / (4 pi area) (1 is a
        circle); then the sizes in mm (mm^2), None where the spacing is unknown. With pixels that are not square, shape
        is that in millimetres.
    """
    row: dict[str, Any] = {f"{name}_px": value for name, value in _sizes(found.mask, 1.0).items()}
    row["longest_diameter_px"] = longest(found, (1.0, 1.0))
    mask, side = (found.mask, 1.0) if spacing is None else _with_square_pixels(found.mask, spacing)
    sizes = _sizes(mask, side)
    row["asymmetry"] = asymmetry(mask)
    row["border_irregularity"] = sizes["perimeter"] ** 2 / (4 * np.pi * sizes["area"])
    row["area_mm2"] = None if spacing is None else row["area_px"] * spacing[0] * spacing[1]
    row["perimeter_mm"] = None if spacing is None else sizes["perimeter"]
    row["diameter_mm"] = None if spacing is None else 2 * float(np.sqrt(row["area_mm2"] / np.pi))
    row["longest_diameter_mm"] = None if spacing is None else longest(found, spacing)
    return row


def asymmetry(mask: NDArray[np.bool_]) -> float:
    """Mean over both principal axes of the share of a mask (h, w) that its mirror image leaves uncovered, 0 to 1."""
    step = int(np.ceil(np.sqrt(mask.size / LARGEST)))
    mask = mask[::step, ::step]
    points = np.argwhere(mask).astype(np.float64)
    centre = points.mean(0)
    offsets = points - centre
    _, axes = np.linalg.eigh(offsets.T @ offsets)
    shares = []
    for axis in axes.T:
        mirrored = np.rint(points - 2 * np.outer(offsets @ axis, axis)).astype(int)
        inside = ((mirrored >= 0) & (mirrored < mask.shape)).all(1)
        shares.append(1 - np.count_nonzero(mask[tuple(mirrored[inside].T)]) / len(points))
    return float(np.mean(shares))


def longest(found: Object, spacing: Spacing) -> float:
    """Largest distance between two points of an object's outline, in the unit of `spacing`."""
    outline = rings(found)[0][:-1] * (spacing[1], spacing[0])
    return float(pdist(outline[ConvexHull(outline).vertices]).max())


def _sizes(mask: NDArray[np.bool_], side: float) -> dict[str, float]:
    area = np.count_nonzero(mask) * side**2
    perimeter = float(perimeter_crofton(np.pad(mask, 1), directions=4)) * side
    return {"area": area, "perimeter": perimeter, "diameter": 2 * float(np.sqrt(area / np.pi))}


def _with_square_pixels(mask: NDArray[np.bool_], spacing: Spacing) -> tuple[NDArray[np.bool_], float]:
    """Resample a mask to square pixels where its own are not; returns it and their side in mm."""
    side = min(spacing)
    if max(spacing) <= side * (1 + SQUARE):
        return mask, float(np.sqrt(spacing[0] * spacing[1]))
    factors = (spacing[0] / side, spacing[1] / side)
    return zoom(mask.astype(np.uint8), factors, order=0, grid_mode=True, mode="nearest").astype(bool), side
