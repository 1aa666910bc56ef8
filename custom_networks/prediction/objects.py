"""Masks and their objects: cleaning, connected regions, outlines as polygons, measurements.

A region is what touches by the sides of its pixels; a hole is background that nothing connects, by the sides of its
pixels, to the border of the image.

Polygons: (x, y) in pixels from the image's left upper corner, so that the first pixel's centre is (0.5, 0.5). The
outline runs half-way between the centres of neighbouring pixels and cuts corners: a ring of an object or of a hole
encloses half a pixel less than its pixels.

Measurements: size, roundness, symmetry; in millimetres where the spacing is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, find_objects
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist
from skimage.measure import find_contours, label

from custom_networks.array_types import Spacing

Ring = NDArray[np.float64]  # (N, 2), x and y; the first point is the last
PIXELS: Spacing = (1.0, 1.0)
LARGEST = 4_000_000  # pixels; of larger objects every second, third, ... tells the asymmetry


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
    labels = components(mask)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    kept = areas >= max(min_area, 1)
    if keep_largest:
        kept &= np.arange(len(areas)) == areas.argmax()
    return kept[labels]


@dataclass(frozen=True)
class Object:
    """One object of a mask.

    Attributes:
        number: from 1.
        row: of its bounding box in the image.
        column: of its bounding box in the image.
        mask: (h, w) boolean, within the bounding box.
        category: its class, from 1.
    """

    number: int
    row: int
    column: int
    mask: NDArray[np.bool_]
    category: int = 1


def components(mask: NDArray[np.bool_] | NDArray[np.uint8]) -> NDArray[np.integer]:
    """Number the regions (H, W) of a mask, or of each class, whose pixels touch by their sides, from 1."""
    return label(mask, connectivity=1)


def objects(labels: NDArray[np.integer], classes: NDArray[np.uint8] | None = None, before: int = 0) -> Iterator[Object]:
    """List the objects of a label map.

    Args:
        labels: (H, W), 0 being background.
        classes: (H, W); an object is of the class that most of its pixels have.
        before: number of the last object before these; numbers continue after it.

    Yields:
        The objects, all of class 1 without `classes`.
    """
    for number, box in enumerate(find_objects(labels), start=1):
        if box is not None:
            mask = labels[box] == number
            category = 1 if classes is None else int(np.bincount(classes[box][mask]).argmax())
            yield Object(before + number, box[0].start, box[1].start, mask, category)


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


def measure_object(found: Object, spacing: Spacing | None = None) -> dict[str, Any]:
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
