"""Guidance: what a person marks on an image, and the maps that the network reads.

Coordinates are [x, y] in the image's own pixels, x to the right, y down. Maps are drawn on the network's square, x
before y as the bundle reads pictures: discs of a fixed radius, as RITM found best, whatever the image's size.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.draw import line

from custom_networks.array_types import Point
from custom_networks.errors import UserError, nearest
from custom_networks.network.interactive import GUIDANCE_MAPS

Points = NDArray[np.intp]

FOREGROUND, BACKGROUND, BOX, PREVIOUS = range(GUIDANCE_MAPS)
RADIUS = 3
"""Of the discs, in pixels of the network's square."""
_NO_POINTS: Points = np.empty((0, 2), np.intp)


@dataclass(frozen=True)
class Guidance:
    """What is marked on an image.

    Attributes:
        foreground: clicks inside the object.
        background: clicks outside of it.
        foreground_scribbles: polylines inside the object.
        background_scribbles: polylines outside of it.
        box: left, top, right and bottom around the object; None for no box.
        previous: (H, W) boolean, the mask that is corrected; None for none.
    """

    foreground: Sequence[Point] = ()
    background: Sequence[Point] = ()
    foreground_scribbles: Sequence[Sequence[Point]] = ()
    background_scribbles: Sequence[Sequence[Point]] = ()
    box: tuple[float, float, float, float] | None = None
    previous: NDArray[np.bool_] | None = field(default=None, repr=False)

    @classmethod
    def from_json(cls, content: Mapping[str, Any], previous: NDArray[np.bool_] | None = None) -> Guidance:
        """Read guidance from a JSON object with the names of the attributes.

        Args:
            content: any of the attributes but `previous`.
            previous: see the class.

        Returns:
            The guidance.

        Raises:
            UserError: for a name that is none of them, or a value that is no list of points.
        """
        known = [name for name in cls.__dataclass_fields__ if name != "previous"]
        for name in content:
            if name not in known:
                raise UserError(f"guidance {name!r}: must be one of {', '.join(known)}{nearest(str(name), known)}")
        clicks = [[_point(p, name) for p in content.get(name) or ()] for name in known[:2]]
        scribbles = [[[_point(p, name) for p in stroke] for stroke in content.get(name) or ()] for name in known[2:4]]
        box = content.get("box")
        if box is not None:
            corners = _numbers(box, 4, "box", "[left, top, right, bottom]")
            box = (corners[0], corners[1], corners[2], corners[3])
        return cls(clicks[0], clicks[1], scribbles[0], scribbles[1], box=box, previous=previous)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is marked; a previous mask alone marks nothing."""
        marks = (self.foreground, self.background, self.foreground_scribbles, self.background_scribbles)
        return self.box is None and not any(marks)

    def check(self, width: int, height: int) -> None:
        """Refuse what does not lie on the image.

        Raises:
            UserError: for a mark outside, a box of no area, or a previous mask of another size.
        """
        for name in ("foreground", "background"):
            for x, y in (*getattr(self, name), *(p for stroke in getattr(self, f"{name}_scribbles") for p in stroke)):
                if not (0 <= x < width and 0 <= y < height):
                    raise UserError(f"{name} mark [{x:g}, {y:g}]: lies outside the image of {width} x {height} pixels")
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise UserError(f"box {list(self.box)}: must be [left, top, right, bottom], left < right and top < bottom")
        if self.previous is not None and self.previous.shape != (height, width):
            raise UserError(
                f"previous mask: has (height, width) {self.previous.shape}, the image ({height}, {width}); give a mask "
                "of the image's size"
            )


def _numbers(value: Any, count: int, name: str, form: str) -> list[float]:
    try:
        numbers = [float(each) for each in value]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise UserError(f"{name} {value!r}: must be {form}, numbers in pixels")
    return numbers


def _point(value: Any, name: str) -> Point:
    x, y = _numbers(value, 2, name, "a list of [x, y]")
    return x, y


def scale_points(points: Iterable[Point], size: tuple[int, int], grid: tuple[int, int]) -> Points:
    """Bring points from an image to the cells of a grid over it.

    Args:
        points: (x, y), pixels of the image; the centre of its first pixel is (0, 0).
        size: width and height of the image.
        grid: cells along x and y.

    Returns:
        (N, 2) cells, x and y.
    """
    coordinates = np.asarray(list(points), np.float64).reshape(-1, 2)
    cells = np.floor((np.floor(coordinates + 0.5) + 0.5) * np.divide(grid, size)).astype(np.intp)
    return np.clip(cells, 0, np.asarray(grid) - 1)


def connect(points: Points) -> Points:
    """Cells of a polyline, (N, 2), from those of its corners."""
    if len(points) < 2:
        return points
    parts = [np.stack(line(*a, *b), axis=1) for a, b in itertools.pairwise(points)]
    return np.unique(np.concatenate(parts), axis=0)


def marked_cells(
    clicks: Sequence[Point], scribbles: Sequence[Sequence[Point]], size: tuple[int, int], grid: tuple[int, int]
) -> Points:
    """Cells of a grid that clicks and scribbles touch, (N, 2) x and y; see `scale_points`."""
    parts = [scale_points(clicks, size, grid), *(connect(scale_points(stroke, size, grid)) for stroke in scribbles)]
    return np.concatenate([_NO_POINTS, *parts])


def draw_discs(map_: NDArray[np.float32], centres: Points, radius: int = RADIUS) -> None:
    """Set discs around cells of a map to 1, in place.

    Args:
        map_: two-dimensional.
        centres: (N, 2) indices.
        radius: of the discs; the limit itself is inside.
    """
    reach = np.arange(-radius, radius + 1)
    offsets = np.stack(np.meshgrid(reach, reach, indexing="ij"), axis=-1).reshape(-1, 2)
    offsets = offsets[(offsets**2).sum(1) <= radius**2]
    cells = (np.asarray(centres)[:, None] + offsets).reshape(-1, 2)
    inside = ((cells >= 0) & (cells < map_.shape)).all(1)
    map_[tuple(cells[inside].T)] = 1.0


def draw_box(map_: NDArray[np.float32], low: NDArray[Any], high: NDArray[Any]) -> None:
    """Fill a box with 1, in place; `low` and `high` are its corners' indices, the latter exclusive."""
    first = np.clip(np.floor(low), 0, None).astype(int)
    last = np.clip(np.ceil(high), first + 1, None).astype(int)
    map_[first[0] : last[0], first[1] : last[1]] = 1.0


def guidance_maps(
    guidance: Guidance, size: tuple[int, int], side: int, previous: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Draw guidance for the network.

    Args:
        guidance: marks in pixels of the image.
        size: width and height of the image.
        side: of the network's square.
        previous: (side, side) boolean, x before y: the previous mask there; None for none.

    Returns:
        (4, side, side), 0 and 1, x before y: foreground, background, box, previous mask.
    """
    maps = np.zeros((GUIDANCE_MAPS, side, side), np.float32)
    grid = (side, side)
    for index, clicks, scribbles in (
        (FOREGROUND, guidance.foreground, guidance.foreground_scribbles),
        (BACKGROUND, guidance.background, guidance.background_scribbles),
    ):
        draw_discs(maps[index], marked_cells(clicks, scribbles, size, grid))
    if guidance.box is not None:
        corners = np.asarray(guidance.box).reshape(2, 2) * np.divide(grid, size)
        draw_box(maps[BOX], corners[0], corners[1])
    if previous is not None:
        maps[PREVIOUS] = previous
    return maps
