"""What somebody sent, made safe for a page.

Of a folder its regular files are read, and nothing that lies outside it. Pictures are decoded and encoded again, so
that nothing but their pixels gets into the page.
"""

from __future__ import annotations

import base64
import os
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from custom_networks.data.images import read_picture
from custom_networks.errors import UserError


def file_in(folder: Path, name: str) -> Path | None:
    """Find a file in a folder by a name that may come from the folder itself.

    Args:
        folder: that was given.
        name: of the file, from the folder, such as "cases/000003.npz".

    Returns:
        The file; None where there is none.

    Raises:
        UserError: for a name that leads out of the folder, a symlink on the way, or what is no regular file.
    """
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or "\0" in name:
        raise UserError(f"{folder}: {name!r} does not lie in this folder, so it is not read; evaluate the run again")
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise UserError(f"{path}: a symlink, which may lead out of the folder; put the file itself there")
    if not os.path.lexists(path):
        return None
    if not path.is_file():
        raise UserError(f"{path}: not a regular file; put the file there that sgdnet wrote")
    return path


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
