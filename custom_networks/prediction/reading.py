"""Read what is to be predicted, an image or the slices of a volume, and notice when its file changes meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from custom_networks.data.formats import Slice, Spacing, nifti, read_image
from custom_networks.data.images import to_rgb
from custom_networks.errors import UserError

Stamp = tuple[int, int]


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, upright as EXIF says.
        spacing: millimetres between rows and between columns; None where unknown.
    """

    pixels: NDArray[np.uint8]
    spacing: Spacing | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]


def stamp(path: Path) -> Stamp:
    """Size and time of a file, which tell whether it changed; raises UserError where it cannot be looked at."""
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); put it there, or leave it out") from None
    return status.st_size, status.st_mtime_ns


def is_volume(path: Path) -> bool:
    """Tell whether a file is a NIfTI volume of several slices; False for a damaged one, which reading tells."""
    try:
        return nifti.is_nifti(path) and len(nifti.volume_shape(path)) == 3
    except UserError:
        return False


def read_file(path: Path) -> Picture:
    """Read a file of one image.

    Args:
        path: of any format that `read_image` knows.

    Returns:
        The image.

    Raises:
        UserError: when it is damaged, no image, too large, or changes while it is read.
    """
    return _read(path, [None])[0]


def read_slices(path: Path, axis: int = 2) -> list[Picture]:
    """Read the slices of a NIfTI volume, or the one image of any other file.

    Args:
        path: of any format that `read_image` knows.
        axis: of a volume's array, 0 to 2, along which its slices are counted.

    Returns:
        The images, one for each slice.

    Raises:
        UserError: as `read_file`.
    """
    if not is_volume(path):
        return _read(path, [None])
    return _read(path, [Slice(axis, index) for index in range(nifti.volume_shape(path)[axis])])


def _read(path: Path, places: Sequence[Slice | None]) -> list[Picture]:
    before = stamp(path)
    opened = [read_image(path, at=place) for place in places]
    pictures = [Picture(np.asarray(one.image), one.spacing) for one in opened]
    if stamp(path) != before:
        raise UserError(f"{path}: changed while it was read; predict it again when it is complete")
    return pictures


def from_array(array: NDArray) -> Picture:
    """Take an array as an image.

    Args:
        array: (H, W) or (H, W, 3 or 4), uint8; grey also uint16, or float within 0..1 or 0..255.

    Returns:
        The image.

    Raises:
        UserError: for an array of another shape or type.
    """
    try:
        return Picture(np.asarray(to_rgb(Image.fromarray(np.ascontiguousarray(array)))))
    except (TypeError, AttributeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"an array of shape {np.shape(array)} and type {getattr(array, 'dtype', type(array).__name__)} is no "
            "image; give (H, W, 3) of uint8"
        ) from None
