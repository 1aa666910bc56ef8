"""Slides made for the tests, of JPEG tiles, as scanners write them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

TILE = 256
APERIO = "Aperio Image Library v11.2.1\r\n{0}x{1} [0,0 {0}x{1}] (256x256) JPEG/RGB Q=90|AppMag = 40|MPP = {2:.4f}"
Region = Callable[[int, int, int, int], NDArray[np.uint8]]
"""Gives the pixels (height, width, 3) of level 0 at a column and a row, of some width and height."""


def of_array(pixels: NDArray[np.uint8]) -> Region:
    """Regions of an array, repeated beyond its border."""

    def region(left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        rows = np.clip(np.arange(top, top + height), 0, pixels.shape[0] - 1)
        columns = np.clip(np.arange(left, left + width), 0, pixels.shape[1] - 1)
        return pixels[np.ix_(rows, columns)]

    return region


def write_slide(
    path: Path,
    region: Region | NDArray[np.uint8],
    size: tuple[int, int] | None = None,
    mpp: float | None = 0.25,
    levels: int = 3,
    quality: int = 95,
) -> Path:
    """Write a pyramid of levels, each half as fine as the one before: Aperio's for `.svs`, else a plain TIFF.

    Args:
        path: of the file.
        region: gives its pixels; or all of them.
        size: width and height of level 0; of an array its own.
        mpp: microns a pixel; None leaves it out.
        levels: how many.
        quality: of the JPEG tiles.
    """
    if isinstance(region, np.ndarray):
        size, region = size or (region.shape[1], region.shape[0]), of_array(region)
    assert size is not None
    # tifffile looks for its encoder although the tiles are encoded already, and needs another package for it
    tifffile.TIFF.COMPRESSORS._codecs.setdefault(tifffile.COMPRESSION.JPEG, lambda *_, **__: None)
    aperio = APERIO.format(*size, mpp) if path.suffix == ".svs" else None
    unit = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"} if mpp and not aperio else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path, bigtiff=size[0] * size[1] > 1 << 28) as file:
        for level in range(levels):
            width, height = size[0] >> level, size[1] >> level
            file.write(
                _tiles(region, width, height, 1 << level, quality),
                shape=(height, width, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="ycbcr",
                subsampling=(1, 1),
                compression="jpeg",
                description=aperio,
                subfiletype=int(level > 0),
                metadata=None,
                **unit,
            )
            if aperio and level == 0:
                file.write(np.zeros((64, 64, 3), np.uint8), photometric="rgb", description=aperio, metadata=None)
    return path


def _tiles(region: Region, width: int, height: int, step: int, quality: int) -> Iterator[bytes]:
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            pixels = Image.fromarray(region(left * step, top * step, TILE * step, TILE * step))
            buffer = io.BytesIO()
            small = pixels if step == 1 else pixels.resize((TILE, TILE), Image.Resampling.BOX)
            small.save(buffer, "JPEG", quality=quality, subsampling=0)
            yield buffer.getvalue()
