"""Windows over images larger than the network's square, blended with Gaussian weights by MONAI.

Beside the 8-bit image only the maps and their weights are held in memory, 4 bytes a pixel each: the inferer slides over
an empty stand-in of the image's shape, and each window is cut from the image as it is needed.
"""

from __future__ import annotations

import math
import sys
from typing import Any, cast

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from custom_networks.data.resizing import resized
from custom_networks.prediction.maps import MapSource

MANY = 200  # windows, from which an image has a progress bar of its own


def predict_windows(
    source: MapSource,
    pixels: NDArray[np.uint8],
    side: int,
    overlap: float = 0.25,
    scale: float = 1.0,
    batch_size: int = 1,
) -> Tensor:
    """Compute the maps of an image of any size.

    Args:
        source: computes those of windows.
        pixels: (H, W, 3).
        side: of a window, pixels.
        overlap: of neighbouring windows, as a share of `side`.
        scale: factor by which the image is resized first.
        batch_size: windows a step.

    Returns:
        (K, W, H) float32, in the order of `source.channels`.
    """
    height, width = pixels.shape[:2]
    if scale != 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    rows, columns = pixels.shape[:2]
    if rows < side or columns < side:
        pixels = np.pad(pixels, ((0, max(0, side - rows)), (0, max(0, side - columns)), (0, 0)), mode="edge")
    rows_padded, columns_padded = pixels.shape[:2]

    def predict(_: Tensor, places: list[list[slice]], *args: Any, **kwargs: Any) -> Tensor:
        windows = [pixels[down, across].transpose(2, 1, 0) for _, _, across, down in places]
        return source(torch.from_numpy(np.stack(windows)))

    step = side * (1 - overlap)
    many = (columns_padded / step) * (rows_padded / step) > MANY
    inferer = SlidingWindowInferer(
        (side, side),
        batch_size,
        overlap,
        mode="gaussian",
        sw_device="cpu",
        device="cpu",
        with_coord=True,
        progress=many and sys.stderr.isatty(),
    )
    with torch.inference_mode():
        maps = inferer(torch.zeros(1).expand(1, 1, columns_padded, rows_padded), predict)
    return resized(cast(Tensor, maps)[0, :, :columns, :rows], (width, height))


def some_windows(pixels: NDArray[np.uint8], side: int, scale: float, count: int) -> list[Tensor]:
    """Cut some windows along the diagonal of an image.

    Args:
        pixels: (H, W, 3).
        side: of a window, pixels.
        scale: factor by which the image is resized.
        count: how many.

    Returns:
        Each (3, side, side), uint8.
    """
    extent, found = max(1, round(side / scale)), []
    for share in np.linspace(0, 1, count + 2)[1:-1]:
        down, across = (round(share * max(0, length - extent)) for length in pixels.shape[:2])
        cut = np.asarray(pixels[down : down + extent, across : across + extent])
        cut = np.pad(cut, (*((0, extent - length) for length in cut.shape[:2]), (0, 0)), mode="edge")
        window = Image.fromarray(cut).resize((side, side), Image.Resampling.BILINEAR)
        found.append(torch.from_numpy(np.asarray(window).transpose(2, 1, 0).copy()))
    return found


def window_count(size: tuple[int, int], side: int, overlap: float, scale: float) -> int:
    """About how many windows an image of a width and height has."""
    step = side * (1 - overlap)
    return math.prod(max(1, math.ceil((scale * length - side) / step) + 1) for length in size)
