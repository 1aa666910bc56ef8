"""Windows over images larger than the network's square, blended with MONAI's Gaussian weights, row of windows by row.

`blended_rows` holds the maps of one row of windows at a time, so that an image of any height takes no more memory than
one of its width that is as high as a window. Its windows lie as those of MONAI's `SlidingWindowInferer`, with the same
results; that one holds the maps of the whole image.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
from monai.data.utils import compute_importance_map
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from custom_networks.data.resizing import resized
from custom_networks.data.resources import threads_beside_the_network
from custom_networks.prediction.maps import MapSource

MANY = 200  # windows, from which an image has a progress bar of its own
SIGMA = 0.125  # of the weights, as a share of the side: the default of MONAI's inferer
READERS = 2  # threads that cut windows while the network is at work
LEAST_WEIGHT = 1e-3  # as there, so that corners count

Cut = Callable[[int, int], NDArray[np.uint8] | None]
"""Gives the window (side, side, 3) at a column and a row, its left upper corner, in a thread; None leaves it out."""


def starts(length: int, side: int, overlap: float) -> list[int]:
    """Where windows begin along an axis: at equal steps, the last one moved back so that it ends with the image.

    Args:
        length: of the axis, at least `side`.
        side: of a window.
        overlap: of neighbouring windows, as a share of `side`.
    """
    step = max(1, int(side * (1 - overlap)))
    count = 1 + max(0, -(-(length - side) // step))
    return [min(number * step, length - side) for number in range(count)]


def blended_rows(
    source: MapSource,
    cut: Cut,
    size: tuple[int, int],
    side: int,
    overlap: float = 0.25,
    batch_size: int = 1,
    first: int = 0,
) -> Iterator[tuple[int, Tensor]]:
    """Compute the maps of an image, from top to bottom.

    Args:
        source: computes those of windows.
        cut: gives the windows.
        size: width and height of the image, at least `side` each.
        side: of a window, pixels.
        overlap: of neighbouring windows, as a share of `side`.
        batch_size: windows a step.
        first: row of windows to begin with, from 0; what it gives is the same as if it had begun with the first.

    Yields:
        For each row of windows its number and what no later one changes: maps (K, W, rows) float32, in the order of
        `source.channels`, that lie below those before. They are 0 where every window was left out.
    """
    width, height = size
    tops, lefts = starts(height, side, overlap), starts(width, side, overlap)
    importance = compute_importance_map((side, side), mode="gaussian", sigma_scale=SIGMA).clamp(min=LEAST_WEIGHT)
    weights = torch.zeros(width, side)
    sums: Tensor | None = None
    earlier = next(number for number, top in enumerate(tops) if top + side > tops[first])
    with threads_beside_the_network(READERS, "cut") as readers:
        for number in range(earlier, len(tops)):
            top = tops[number]
            cuts = _ahead(readers, cut, lefts, top, batch_size + READERS)
            windows = ((left, window) for left, window in cuts if window is not None)
            while batch := list(islice(windows, batch_size)):
                stacked = np.stack([window.transpose(2, 1, 0) for _, window in batch])
                for (left, _), maps in zip(batch, source(torch.from_numpy(stacked)), strict=True):
                    if sums is None:
                        sums = torch.zeros(len(maps), width, side)
                    sums[:, left : left + side] += maps * importance
                    weights[left : left + side] += importance
            if sums is None:
                sums = torch.zeros(len(source.channels), width, side)
            below = tops[number + 1] if number + 1 < len(tops) else height
            done = below - top
            if number >= first:
                yield number, sums[..., :done] / weights[:, :done].clamp(min=LEAST_WEIGHT)
            for held in (sums, weights):
                held[..., : side - done] = held[..., done:].clone()
                held[..., side - done :] = 0


def _ahead(
    readers: ThreadPoolExecutor, cut: Cut, lefts: Sequence[int], top: int, count: int
) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
    """Cut the windows of a row in threads, some ahead of the network; yields them in order."""
    waiting: deque[tuple[int, Future]] = deque()
    for left in lefts:
        waiting.append((left, readers.submit(cut, left, top)))
        if len(waiting) > count:
            place, future = waiting.popleft()
            yield place, future.result()
    for place, future in waiting:
        yield place, future.result()


def predict_windows(
    source: MapSource,
    pixels: NDArray[np.uint8],
    side: int,
    overlap: float = 0.25,
    scale: float = 1.0,
    batch_size: int = 1,
) -> Tensor:
    """Compute the maps of an image of any size.

    Beside the 8-bit image only its maps are held in memory, 4 bytes a pixel each.

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
    padded = (pixels.shape[1], pixels.shape[0])
    down = starts(padded[1], side, overlap)
    many = len(down) * len(starts(padded[0], side, overlap)) > MANY
    whole: Tensor | None = None
    done = 0
    with torch.inference_mode(), tqdm(total=len(down), disable=not (many and sys.stderr.isatty())) as bar:
        for _, maps in blended_rows(
            source, lambda left, top: pixels[top : top + side, left : left + side], padded, side, overlap, batch_size
        ):
            if whole is None:
                whole = torch.empty(len(maps), *padded)
            whole[..., done : done + maps.shape[-1]] = maps
            done += maps.shape[-1]
            bar.update()
    assert whole is not None
    return resized(whole[:, :columns, :rows], (width, height))


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
    """How many windows an image of a width and height has."""
    return math.prod(len(starts(max(side, round(scale * length)), side, overlap)) for length in size)
