"""Pictures inside the page: each is decoded and encoded again, so that nothing but its pixels gets there."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from custom_networks.data.images import read_picture
from custom_networks.errors import UserError

LARGEST = 40_000_000
"""Pixels of a picture that goes into the page."""


def jpeg(picture: NDArray[np.uint8], quality: int = 80) -> str:
    """Data URI of a picture (h, w[, 3])."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def jpeg_of(path: Path, quality: int = 85) -> str:
    """Data URI of a picture file, without its metadata; raises UserError for one that is damaged or too large."""
    with path.open("rb") as file:
        try:
            with Image.open(file) as picture:
                pixels = picture.width * picture.height
        except Exception:  # `read_picture` says what is wrong
            pixels = 0
    if pixels > LARGEST:
        raise UserError(f"{path}: {pixels} pixels, too large for a page; evaluate again")
    return jpeg(np.asarray(read_picture(path).convert("RGB")), quality)
