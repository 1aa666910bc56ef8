"""Read what is to be predicted, an image or the slices of a volume, and notice when its file changes meanwhile."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from custom_networks.array_types import Spacing
from custom_networks.data.formats import Slice, dicom, dicom_volumes, nifti, stored_image, stored_picture, stored_volume
from custom_networks.data.formats.slides import is_slide
from custom_networks.errors import UserError
from custom_networks.files import file_stamp

logger = logging.getLogger(__name__)

ARRAY = "the picture"  # what messages call an array


@dataclass(frozen=True)
class ReadImage:
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


def is_volume(path: Path) -> bool:
    """Tell whether a file is a NIfTI volume or a DICOM file of several frames; False for a damaged one."""
    try:
        if nifti.is_nifti(path):
            return len(nifti.volume_shape(path)) == 3
    except UserError:  # told when it is read
        return False
    return dicom.is_dicom(path) and dicom_volumes.frame_count(path) > 1


def read_file(path: Path, depth: int | None = None) -> ReadImage:
    """Read a file of one image.

    Args:
        path: of any format that `read` knows.
        depth: bits of grey that is stored in 16, as in the training; None takes the image's own, with a warning.

    Returns:
        The image.

    Raises:
        UserError: when it is damaged, no image, too large, or changes while it is read.
    """
    if is_volume(path):
        raise UserError(f"{path}: a volume; predict it with `slices`")
    return read_slices(path, depth=depth)[0]


def read_slices(path: Path, axis: int = 2, depth: int | None = None, series: Sequence[Path] = ()) -> list[ReadImage]:
    """Read the slices of a volume, or the one image of any other file.

    Args:
        path: of any format that `read` knows.
        axis: of a NIfTI volume's array, 0 to 2, along which its slices are counted.
        depth: see `read_file`.
        series: files of a DICOM series, `path` among them, whose slices follow their positions.

    Returns:
        The images, one for each slice.

    Raises:
        UserError: as `read_file`.
    """
    files = series or (path,)
    if is_slide(path):
        raise UserError(f"{path}: a slide, which does not fit in memory; predict it with `sgdnet predict`")
    before = file_stamp(*files)
    if not series and not is_volume(path):
        opened = [stored_image(path)]
    elif nifti.is_nifti(path):
        opened = [stored_image(path, at=Slice(axis, index)) for index in range(nifti.volume_shape(path)[axis])]
    else:
        opened = stored_volume(files)
    if depth is None and opened[0].depth is not None:
        _tell_unknown_depth()
    pictures = [ReadImage(np.asarray(one.rgb(path, depth)), one.spacing) for one in opened]
    if file_stamp(*files) != before:
        raise UserError(f"{path}: changed while it was read; predict it again when it is complete")
    return pictures


@functools.cache
def _tell_unknown_depth() -> None:
    logger.warning(
        "the weights do not tell the bit depth of grey images stored in 16 bits; each is scaled by the bits that its "
        "own values need, unless --bit_depth says how many"
    )


def from_array(array: NDArray, depth: int | None = None) -> ReadImage:
    """Take an array as an image.

    Args:
        array: (H, W) or (H, W, 3 or 4), uint8; grey also uint16, or float within 0..1 or 0..255.
        depth: see `read_file`.

    Returns:
        The image.

    Raises:
        UserError: for an array of another shape or type, or values that exceed the depth.
    """
    try:
        opened = stored_picture(Image.fromarray(np.ascontiguousarray(array)), ARRAY)
        if depth is None and opened.depth is not None:
            _tell_unknown_depth()
        return ReadImage(np.asarray(opened.rgb(ARRAY, depth)))
    except (TypeError, AttributeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"an array of shape {np.shape(array)} and type {getattr(array, 'dtype', type(array).__name__)} is no "
            "image; give (H, W, 3) of uint8"
        ) from None
