"""Fields over a picture: coordinates, noise, cells and strokes.

Lengths are fractions of the picture's side, so that a scene is the same at every size.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Field = NDArray[np.float64]
_SUPERSAMPLE = 4


def grid(size: int) -> tuple[Field, Field]:
    """Pixel centres as (row, column) fields, each (size, size), in fractions of the side."""
    axis = (np.arange(size) + 0.5) / size
    row, column = np.meshgrid(axis, axis, indexing="ij")
    return row, column


def noise(rng: Generator, size: int, cells: int, octaves: int = 1, gain: float = 0.55) -> Field:
    """Smooth noise (size, size) of mean 0 and deviation about 1 (cubic B-spline lattices).

    The first octave has `cells` blobs a side; each further one is twice as fine and `gain` as strong.
    """
    field = np.zeros((size, size))
    for octave in range(octaves):
        count = cells * 2**octave
        lattice = gain**octave * rng.standard_normal((count + 3, count + 3))
        position = (np.arange(size) + 0.5) / size * count
        cell = position.astype(np.intp)
        t = position - cell
        weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
        rows = sum((w[:, None] * lattice[cell + k] for k, w in enumerate(weights)), np.zeros((size, count + 3)))
        field += sum((w[None, :] * rows[:, cell + k] for k, w in enumerate(weights)), np.zeros((size, size)))
    return field / (36 * 0.479 * math.sqrt(sum(gain ** (2 * octave) for octave in range(octaves))))


def smoothstep(values: Field, low: float, high: float) -> Field:
    """0 up to `low`, 1 from `high` on, smooth between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def tessellation(rng: Generator, size: int, cells: int) -> tuple[Field, Field]:
    """Distances (size, size) to the nearest and second nearest of scattered points, in widths of a cell."""
    row, column = grid(size)
    row = np.clip(row + 0.25 / cells * noise(rng, size, cells // 2), 0, 1 - 1e-9) * cells
    column = np.clip(column + 0.25 / cells * noise(rng, size, cells // 2), 0, 1 - 1e-9) * cells
    jitter = rng.uniform(0.12, 0.88, (2, cells + 2, cells + 2))
    i, j = row.astype(np.intp), column.astype(np.intp)
    first, second = np.full((size, size), 9.0), np.full((size, size), 9.0)
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            dy = i + di + jitter[0, i + di + 1, j + dj + 1] - row
            dx = j + dj + jitter[1, i + di + 1, j + dj + 1] - column
            distance = np.sqrt(dy * dy + dx * dx)
            second = np.minimum(second, np.maximum(first, distance))
            first = np.minimum(first, distance)
    return first, second


def coverage(size: int, strokes: list[tuple[Field, Field]]) -> Field:
    """Coverage 0..1 (size, size) of strokes: points (n, 2) as (x, y), and the widths (n,) there."""
    scale = size * _SUPERSAMPLE
    canvas = Image.new("L", (scale, scale))
    draw = ImageDraw.Draw(canvas)
    for points, widths in strokes:
        ends = [(round(float(x) * scale), round(float(y) * scale)) for x, y in points]
        for start, end, width in zip(ends[:-1], ends[1:], widths, strict=False):
            draw.line((start, end), fill=255, width=max(1, round(float(width) * scale)))
    return np.asarray(canvas.reduce(_SUPERSAMPLE), dtype=np.float64) / 255
