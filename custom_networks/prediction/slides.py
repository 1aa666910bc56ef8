"""Slides, predicted window by window: at which resolution, on which windows, and what becomes of their maps."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from custom_networks.array_types import Spacing
from custom_networks.data.formats.slides import Slide
from custom_networks.errors import UserError
from custom_networks.metrics.decision import class_numbers
from custom_networks.prediction.maps import CLASS, MapSource
from custom_networks.prediction.options import Options
from custom_networks.prediction.slide_rows import RowOfWindows, SlideRows
from custom_networks.prediction.window import blended_rows, starts

FOREGROUND = 255  # of a mask of one class
LARGEST_FACTOR = 4.0  # of resizing, as of --scale
BRIGHT, GREY = (
    220,
    20,
)  # a pixel of glass has no channel below the one, and channels that differ by no more than the other
GLASS = 0.999  # share of such pixels from which a window is left out
MICRONS = 1000.0


@dataclass(frozen=True)
class SlideGrid:
    """At which resolution a slide is predicted, and its windows.

    Args:
        slide: it.
        options: how to predict.
        spacing: millimetres a pixel of level 0; None where unknown.

    Raises:
        UserError: where the slide does not have that resolution.
    """

    slide: Slide
    options: Options
    spacing: Spacing | None

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height at that resolution."""
        width, height = self.slide.size
        return max(1, round(width * self.factor)), max(1, round(height * self.factor))

    @cached_property
    def factor(self) -> float:
        """By which the slide is resized."""
        path, options = self.slide.path, self.options
        if options.level is not None:
            if options.level >= len(self.slide.downsamples):
                raise UserError(
                    f"{path}: has levels 0 to {len(self.slide.downsamples) - 1}; there is no --level {options.level}"
                )
            return 1 / self.slide.downsamples[options.level]
        if options.mpp is None:
            return options.scale
        if self.spacing is None:
            raise UserError(
                f"{path}: does not say its microns a pixel, which --mpp needs; add --spacing, in millimetres a pixel, "
                "or give --level instead"
            )
        own = MICRONS * sum(self.spacing) / 2
        if own / options.mpp > LARGEST_FACTOR:
            raise UserError(
                f"{path}: has {own:g} microns a pixel, too coarse for --mpp {options.mpp:g}; give {own:g} or more"
            )
        return own / options.mpp

    @property
    def enlargement(self) -> tuple[float, float]:
        """Pixels of level 0 that a pixel has, across and down."""
        return self.slide.size[0] / self.size[0], self.slide.size[1] / self.size[1]

    @property
    def pixel(self) -> Spacing | None:
        """Millimetres between rows and between columns at that resolution."""
        across, down = self.enlargement
        return None if self.spacing is None else (self.spacing[0] * down, self.spacing[1] * across)

    @property
    def padded(self) -> tuple[int, int]:
        """Width and height that hold a window at least."""
        side = self.options.image_size
        return max(side, self.size[0]), max(side, self.size[1])

    def tops(self) -> list[int]:
        """First pixel of each row of windows."""
        return starts(self.padded[1], self.options.image_size, self.options.overlap)

    def window(self, left: int, top: int) -> NDArray[np.uint8]:
        """Read a window (side, side, 3); beyond the slide its border is repeated."""
        side = self.options.image_size
        width, height = min(side, self.size[0] - left), min(side, self.size[1] - top)
        across, down = self.enlargement
        box = (left * across, top * down, (left + width) * across, (top + height) * down)
        pixels = self.slide.region(box, (width, height))
        if (width, height) == (side, side):
            return pixels
        return np.pad(pixels, ((0, side - height), (0, side - width), (0, 0)), mode="edge")


def is_glass(window: NDArray[np.uint8]) -> bool:
    """Tell whether a window (side, side, 3) shows nothing but bright grey: glass without tissue."""
    low, high = window.min(axis=2), window.max(axis=2)
    return bool(np.mean((low >= BRIGHT) & (high - low <= GREY)) >= GLASS)


def predict_rows(source: MapSource, grid: SlideGrid, batch_size: int, rows: SlideRows, probability: bool) -> None:
    """Predict the rows of windows that are not there yet.

    Args:
        source: computes the maps of windows.
        grid: of the slide.
        batch_size: windows a step.
        rows: gets the mask of each row, and its probability, 255 being 1.
        probability: whether that is kept.

    Raises:
        UserError: where the slide is damaged, or nothing can be written.
    """
    options, tops = grid.options, grid.tops()
    glass: dict[int, set[int]] = {top: set() for top in tops}
    across = len(starts(grid.padded[0], options.image_size, options.overlap))

    def cut(left: int, top: int) -> NDArray[np.uint8] | None:
        window = grid.window(left, top)
        if options.skip_glass and is_glass(window):
            glass[top].add(left)
            return None
        return window

    first = len(rows.found)
    if first == len(tops):
        return
    found = blended_rows(source, cut, grid.padded, options.image_size, options.overlap, batch_size, first)
    with (
        torch.inference_mode(),
        tqdm(total=len(tops), initial=first, unit="rows", disable=not sys.stderr.isatty()) as bar,
    ):
        for number, maps in found:
            inner = maps[:, : grid.size[0], : grid.size[1] - tops[number]]
            classes, counted = _conclude(inner, source.channels, options.threshold)
            row = RowOfWindows(windows=across, glass=len(glass[tops[number]]), **counted)
            stored = [np.where(classes > 0, np.uint8(FOREGROUND), np.uint8(0)) if len(row.pixels) == 1 else classes]
            if probability:
                stored.append(np.rint(inner[0].T.numpy() * 255).astype(np.uint8))
            rows.add(row, stored)
            bar.update()


def _conclude(maps: Tensor, channels: Sequence[str], threshold: float) -> tuple[NDArray[np.uint8], dict]:
    """Class of each pixel (rows, W), as `result.prediction_of` tells it, and what is counted of a row."""
    named = dict(zip(channels, maps, strict=True))
    probability = named["probability"]
    numbers = [values for name, values in named.items() if name.startswith(CLASS)]
    classes = class_numbers(probability, numbers, threshold)
    return np.ascontiguousarray(classes.T.numpy()), {
        "rows": maps.shape[2],
        "pixels": [int((classes == number).sum()) for number in range(1, max(1, len(numbers)) + 1)],
        "inside": float(probability[classes > 0].sum(dtype=torch.float64)),
        "total": float(probability.sum(dtype=torch.float64)),
    }
