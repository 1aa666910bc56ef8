"""The image with the outline of its mask."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from custom_networks.prediction.outputs.case import Case, Volume

COLOUR = (255, 140, 0)
LINES = 400  # an outline is this part of the shorter side wide


def draw_outline(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Image.Image:
    """Draw the border of a mask, inside it.

    Args:
        pixels: (H, W, 3).
        mask: (H, W).

    Returns:
        The picture.
    """
    picture = Image.fromarray(pixels).copy()
    whole = Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0)))
    inner = whole
    for _ in range(max(1, round(min(mask.shape) / LINES))):
        inner = inner.filter(ImageFilter.MinFilter(3))
    picture.paste(COLOUR, mask=ImageChops.subtract(whole, inner))
    return picture


def overlay_file(case: Case) -> bytes:
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


def _drawn(case: Case) -> Image.Image:
    return draw_outline(case.prediction.image.pixels, case.prediction.mask)
