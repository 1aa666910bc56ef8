"""Outlines of a map in bands are those of the whole map."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from custom_networks.prediction import tracing
from custom_networks.prediction.objects import Ring, components, objects, rings
from custom_networks.prediction.tracing import trace


def bands(values: NDArray[np.uint8], height: int) -> list[NDArray[np.uint8]]:
    return [values[first : first + height] for first in range(0, len(values), height)]


def points(ring: Ring) -> list[tuple[float, ...]]:
    """Corners of a ring from its least one on, so that it does not matter where it was begun."""
    corners = [tuple(point) for point in ring[:-1].tolist()]
    first = corners.index(min(corners))
    return corners[first:] + corners[:first]


def described(rings_: list[Ring]) -> tuple[list[tuple[float, ...]], list[list[tuple[float, ...]]]]:
    return points(rings_[0]), sorted(map(points, rings_[1:]))


def expected(values: NDArray[np.uint8]) -> list[object]:
    found = objects(components(values), values)
    return sorted((one.category, int(one.mask.sum()), *described(rings(one))) for one in found)


def blobs(seed: int, shape: tuple[int, int], classes: int, share: float = 0.5) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    coarse = random.integers(1, classes + 1, shape) * (random.random(shape) < share)
    return coarse.astype(np.uint8)


@pytest.mark.parametrize("height", [1, 2, 7, 40])
@pytest.mark.parametrize(("classes", "share"), [(1, 0.5), (1, 0.62), (2, 0.9), (3, 0.7), (1, 0.0), (1, 1.0)])
def test_bands_give_what_the_whole_gives(height: int, classes: int, share: float) -> None:
    """Touching corners, holes, spirals of noise, regions that meet further down, and both edges of the map."""
    for seed in range(5):
        values = blobs(seed, (37, 41), classes, share)
        found = list(trace(bands(values, height)))
        assert sorted((one.category, one.area, *described(one.rings)) for one in found) == expected(values)


def test_what_is_outlined_at_once_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "BAND", 100)
    values = np.repeat(np.repeat(blobs(9, (20, 20), 2, 0.6), 5, 0), 5, 1)
    found = list(trace([values]))
    assert sorted((one.category, one.area, *described(one.rings)) for one in found) == expected(values)


def test_regions_come_as_soon_as_they_end() -> None:
    """So that those that are passed take no memory."""
    values = np.zeros((60, 20), np.uint8)
    values[::4] = 1
    seen = iter(bands(values, 6))
    traced = trace(seen)
    next(traced)
    assert len(list(seen)) == 9
