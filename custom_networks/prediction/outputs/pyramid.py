"""Maps of slides as tiled, deflated BigTIFF with levels of half the resolution each, written and read band by band."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_networks.array_types import Spacing

TILE = 512
_PIECE = 1 << 22  # bytes that tifffile packs or unpacks at once
_MILLIMETRES = 10.0  # a centimetre


def write_pyramid(
    path: Path, bands: Iterable[NDArray[np.uint8]], size: tuple[int, int], spacing: Spacing | None
) -> None:
    """Write a map; the memory that this takes depends on its width alone.

    Args:
        path: the file, which is replaced.
        bands: (rows, W) of the map, from top to bottom.
        size: W and H of the map.
        spacing: millimetres between its rows and between its columns; None where unknown.
    """
    import tifffile

    width, height = size
    level = 0
    while True:
        unit: dict[str, Any] = {}
        if spacing is not None:
            rows, columns = (_MILLIMETRES / (one * 2**level) for one in spacing)
            unit = {"resolution": (columns, rows), "resolutionunit": "CENTIMETER"}
        with tifffile.TiffWriter(path, bigtiff=True, append=level > 0) as file:
            file.write(
                _tiles(bands),
                shape=(height, width),
                dtype=np.uint8,
                tile=(TILE, TILE),
                compression="zlib",
                photometric="minisblack",
                subfiletype=int(level > 0),
                metadata=None,
                software="SGD-Net",
                maxworkers=1,
                buffersize=_PIECE,
                **unit,
            )
        if max(width, height) <= TILE:
            return
        bands = (band[::2, ::2] for band in read_bands(path, level))  # of TILE rows, an even number
        width, height, level = -(-width // 2), -(-height // 2), level + 1


def read_bands(path: Path, level: int = 0) -> Iterator[NDArray[np.uint8]]:
    """Read a map that `write_pyramid` wrote.

    Args:
        path: the file.
        level: 0 is the whole resolution.

    Yields:
        (rows, W) each, `TILE` rows but for the last one, from top to bottom.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[level]
        across = -(-page.imagewidth // TILE)
        band = np.empty((TILE, across * TILE), np.uint8)
        for number, (tile, _, _) in enumerate(page.segments(maxworkers=1, buffersize=_PIECE)):
            down, column = divmod(number, across)
            band[:, column * TILE : (column + 1) * TILE] = 0 if tile is None else tile.reshape(TILE, TILE)
            if column == across - 1:
                yield band[: page.imagelength - down * TILE, : page.imagewidth].copy()


def _tiles(bands: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """Cut a map into tiles, row by row, those at its right and lower border filled with zeros."""
    waiting: list[NDArray[np.uint8]] = []
    rows = 0
    for band in bands:
        waiting.append(band)
        rows += len(band)
        while rows >= TILE:
            whole = np.concatenate(waiting)
            yield from _cut(whole[:TILE])
            waiting, rows = [whole[TILE:]], rows - TILE
    if rows:
        yield from _cut(np.concatenate(waiting))


def _cut(band: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    padded = np.pad(band, ((0, TILE - len(band)), (0, -band.shape[1] % TILE)))
    for column in range(0, padded.shape[1], TILE):
        yield np.ascontiguousarray(padded[:, column : column + TILE])
