"""The image with the outline of its mask, in a colour for each class."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from custom_networks.colours import BLUE, GREEN, PURPLE, SKY_BLUE, YELLOW
from custom_networks.prediction.result import PredictedCase, Volume

COLOURS = ((255, 140, 0), SKY_BLUE, GREEN, YELLOW, BLUE, PURPLE)
"""The first stands out from skin and from stained tissue."""
LINES = 400  # an outline is this part of the shorter side wide


def draw_outlines(pixels: NDArray[np.uint8], classes: NDArray[np.uint8]) -> Image.Image:
    """Draw the border of each class, inside it.

    Args:
        pixels: (H, W, 3).
        classes: (H, W), 0 being background.

    Returns:
        The picture.
    """
    picture = Image.fromarray(pixels).copy()
    for number in range(1, int(classes.max(initial=0)) + 1):
        whole = Image.fromarray(np.where(classes == number, np.uint8(255), np.uint8(0)))
        inner = whole
        for _ in range(max(1, round(min(classes.shape) / LINES))):
            inner = inner.filter(ImageFilter.MinFilter(3))
        picture.paste(COLOURS[(number - 1) % len(COLOURS)], mask=ImageChops.subtract(whole, inner))
    return picture


def overlay_file(case: PredictedCase) -> bytes:
    """Encode the overlay as a JPEG."""
    buffer = io.BytesIO()
    _drawn(case).save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()


def overlay_volume(volume: Volume) -> bytes:
    """Encode the overlays of all slices as the pages of a TIFF."""
    buffer = io.BytesIO()
    first, *rest = (_drawn(one) for one in volume.slices)
    first.save(buffer, "TIFF", compression="tiff_deflate", save_all=True, append_images=rest)
    return buffer.getvalue()


def _drawn(case: PredictedCase) -> Image.Image:
    return draw_outlines(case.prediction.image.pixels, case.classes)
