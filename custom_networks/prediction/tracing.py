"""Outlines of the regions of a label map that does not fit in memory, from top to bottom.

The map comes in bands of rows. Each band is outlined together with the last row of the one before it, so that the
pieces of an outline meet in the points where they cross that row, and are joined there: the rings are those of
`objects.rings` over the whole map. Held in memory are a band and the outlines of the regions that reach its last row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours, label

from custom_networks.prediction.objects import Ring, nested, without_straight_points

BAND = 1 << 21  # pixels that are outlined at once
OutlinePoint = tuple[int, float, float]  # outlines of two numbers may run through one point


@dataclass(eq=False)
class Region:
    """A region whose pixels touch by their sides.

    Attributes:
        category: its number in the map.
        area: pixels.
        rings: (N, 2) x and y each: the outer one, then its holes, as of `objects.rings`.
    """

    category: int
    area: int = 0
    rings: list[Ring] = field(default_factory=list)
    _joined: Region | None = None

    def root(self) -> Region:
        """Region that this one turned out to be a part of, or itself."""
        while self._joined is not None and self._joined._joined is not None:
            self._joined = self._joined._joined
        return self._joined or self

    def join(self, other: Region) -> None:
        """Become a part of another region."""
        other.area += self.area
        other.rings += self.rings
        self._joined, self.rings = other, []


@dataclass(eq=False)
class _Chain:
    """Pieces of an outline, each beginning where the one before it ends, and the region that they are of."""

    region: Region
    pieces: list[Ring]

    @property
    def start(self) -> OutlinePoint:
        return self._place(self.pieces[0][0])

    @property
    def end(self) -> OutlinePoint:
        return self._place(self.pieces[-1][-1])

    def _place(self, point: NDArray[np.float64]) -> OutlinePoint:
        return self.region.category, float(point[0]), float(point[1])


def trace(bands: Iterable[NDArray[np.uint8]]) -> Iterator[Region]:
    """Outline the regions of a map.

    Args:
        bands: (rows, W) of it, from top to bottom, 0 being background.

    Yields:
        The regions, each when the rows below it begin.
    """
    tracer: _Tracer | None = None
    for band in bands:
        tracer = tracer or _Tracer(band.shape[1])
        step = max(1, BAND // band.shape[1])
        for first in range(0, len(band), step):
            yield from tracer.add(band[first : first + step])
    if tracer is not None:
        yield from tracer.add(np.zeros((1, tracer.width), np.uint8))


class _Tracer:
    """What is known of a map above some row.

    Args:
        width: of the map.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._row = -1  # the last one of the bands so far
        self._above = np.zeros(width, np.uint8)
        self._labels_above: NDArray[np.integer] = np.zeros(width, np.int32)
        self._regions_above: list[Region] = []
        self._open: list[Region] = []  # in the order of their first rows
        self._starts: dict[OutlinePoint, _Chain] = {}
        self._ends: dict[OutlinePoint, _Chain] = {}

    def add(self, band: NDArray[np.uint8]) -> Iterator[Region]:
        """Take further rows; yields the regions that do not reach the last of them."""
        block = np.concatenate([self._above[None], band])
        labels = label(block, connectivity=1)
        regions = self._regions(labels, block)
        for category in np.flatnonzero(np.bincount(block.ravel())[1:]) + 1:
            self._outline(block == category, labels, regions)
        self._above, self._row = band[-1].copy(), self._row + len(band)
        self._labels_above, self._regions_above = labels[-1].copy(), regions
        reaching = {regions[number].root() for number in np.unique(labels[-1]) if number}
        done = [region for region in self._open if region._joined is None and region not in reaching]
        self._open = [region for region in self._open if region in reaching]
        for region in done:
            region.rings = nested(region.rings)
            yield region

    def _regions(self, labels: NDArray[np.integer], block: NDArray[np.uint8]) -> list[Region]:
        """Region of each label of a block; that of 0, the background, means nothing."""
        categories = np.zeros(int(labels.max()) + 1, np.uint8)
        categories[labels.ravel()] = block.ravel()
        found: list[Region | None] = [None] * len(categories)
        here = labels[0] > 0
        for number, above in np.unique(np.stack([labels[0][here], self._labels_above[here]]), axis=1).T.tolist():
            region, known = self._regions_above[above].root(), found[number]
            if known is None:
                found[number] = region
            elif known.root() is not region:
                region.join(known.root())
        regions = [one or Region(int(category)) for one, category in zip(found, categories, strict=True)]
        self._open += [region for region, one in zip(regions[1:], found[1:], strict=True) if one is None]
        for region, area in zip(regions, np.bincount(labels[1:].ravel(), minlength=len(regions)).tolist(), strict=True):
            region.root().area += area
        return regions

    def _outline(self, mask: NDArray[np.bool_], labels: NDArray[np.integer], regions: list[Region]) -> None:
        """Outline the regions of a block that have one number, and join what meets the outlines above."""
        padded = np.pad(mask, ((0, 0), (1, 1)))
        for outline in find_contours(padded, 0.5, fully_connected="low", positive_orientation="high"):
            row, column = self._inside(padded, outline[0])
            region = regions[labels[row, column - 1]]
            piece = without_straight_points(outline[:, ::-1] + (-0.5, self._row + 0.5))
            if (piece[0] == piece[-1]).all():
                region.root().rings.append(piece)
            else:
                self._join(_Chain(region, [piece]))

    def _join(self, chain: _Chain) -> None:
        """Join a piece to the one that ends where it starts and to the one that starts where it ends."""
        before = self._ends.pop(chain.start, None)
        if before is not None:
            del self._starts[before.start]
            before.pieces += chain.pieces
            chain = before
        after = chain if chain.end == chain.start else self._starts.pop(chain.end, None)
        if after is chain:
            whole = np.concatenate([chain.pieces[0], *(piece[1:] for piece in chain.pieces[1:])])
            chain.region.root().rings.append(without_straight_points(whole))
            return
        if after is not None:
            chain.pieces += after.pieces
        self._starts[chain.start] = self._ends[chain.end] = chain

    @staticmethod
    def _inside(padded: NDArray[np.bool_], point: NDArray[np.float64]) -> tuple[int, int]:
        """Pixel of the mask beside a point of its outline, which lies half-way between two pixels."""
        low, high = np.floor(point).astype(int), np.ceil(point).astype(int)
        row, column = low if padded[tuple(low)] else high
        return int(row), int(column)
