"""Open one picture of any format a data set may hold: what PIL reads, DICOM and NIfTI, each with its pixel spacing.

`read_image` gives upright 8-bit RGB, `read_mask` 0 and 255, `read_labels` whole numbers (instances or classes).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from monai.config import PathLike
from PIL import Image

from custom_networks.data.formats import dicom, nifti
from custom_networks.data.images import read_picture, to_mask, to_rgb, upright
from custom_networks.data.pairing import EXTENSIONS
from custom_networks.errors import UserError

__all__ = ["Opened", "Slice", "Spacing", "read_image", "read_labels", "read_mask", "stem"]

Spacing = tuple[float, float]  # millimetres between rows and between columns
Slice = nifti.Slice
_EXTENSIONS = (*nifti.EXTENSIONS[::-1], *dicom.EXTENSIONS, *EXTENSIONS)


@dataclass(frozen=True)
class Opened:
    """A decoded picture.

    Args:
        image: of size (W, H), in the mode that the function which gave it names.
        spacing: millimetres between rows and between columns; None where the file does not say.
    """

    image: Image.Image
    spacing: Spacing | None = None


def stem(path: PathLike) -> str:
    """Name of a file without its extension; DICOM names such as 1.2.840.10008 have none."""
    name = Path(path).name
    known = next((end for end in _EXTENSIONS if name.lower().endswith(end)), "")
    return name[: len(name) - len(known)]


def read_image(path: PathLike, data: bytes | None = None, at: Slice | None = None) -> Opened:
    """Read an image of any format.

    Args:
        path: the file, or what messages shall call it where `data` is given.
        data: the bytes of the file where it lies in an archive; formats of PIL only.
        at: the slice of a NIfTI volume.

    Returns:
        Upright 8-bit RGB. DICOM grey values pass the file's rescale and window, else their range is stretched to
        0..255; NIfTI values that are not 8-bit are stretched from the 0.5th to the 99.5th percentile of the volume.

    Raises:
        UserError: when the file is missing, damaged, of several frames, or cannot be read as an image.
    """
    if data is None and nifti.is_nifti(path):
        picture, spacing = nifti.read_nifti_image(path, at)
        return Opened(picture.convert("RGB"), spacing)
    if data is None and dicom.is_dicom(path):
        picture, spacing = dicom.read_dicom_image(path)
        return Opened(picture.convert("RGB"), spacing)
    return Opened(to_rgb(read_picture(path, data)))


def read_mask(path: PathLike, data: bytes | None = None, at: Slice | None = None, image_uid: str = "") -> Opened:
    """Read a binary mask of any format.

    Args:
        path: see `read_image`.
        data: see `read_image`.
        at: see `read_image`.
        image_uid: SOP Instance UID of the image, which chooses among the frames of a DICOM SEG.

    Returns:
        Mode "L", 0 and 255. In NIfTI and DICOM SEG every value but 0, and every segment, is foreground.

    Raises:
        UserError: as `read_image`, and as `to_mask`.
    """
    if data is None and nifti.is_nifti(path):
        labels, spacing = nifti.read_nifti_labels(path, at)
        return Opened(_binary(labels), spacing)
    if data is None and dicom.is_dicom(path):
        if dicom.is_segmentation(path):
            labels, spacing = dicom.read_segmentation(path, image_uid)
            return Opened(_binary(labels), spacing)
        levels, spacing = dicom.read_dicom_levels(path)
        return Opened(to_mask(levels), spacing)
    return Opened(to_mask(read_picture(path, data)))


def read_labels(path: PathLike, data: bytes | None = None, at: Slice | None = None, image_uid: str = "") -> Opened:
    """Read an instance map or a class map of any format.

    Args:
        path: see `read_image`.
        data: see `read_image`.
        at: see `read_image`.
        image_uid: see `read_mask`.

    Returns:
        Mode "I;16": the stored whole numbers, 0 for background. A DICOM SEG gives its segment numbers, a palette
        picture its indices.

    Raises:
        UserError: as `read_image`; for colours, and for values that are no whole numbers from 0 to 65535.
    """
    if data is None and nifti.is_nifti(path):
        labels, spacing = nifti.read_nifti_labels(path, at)
        return Opened(_numbers(labels, path), spacing)
    if data is None and dicom.is_dicom(path):
        if dicom.is_segmentation(path):
            labels, spacing = dicom.read_segmentation(path, image_uid)
        else:
            levels, spacing = dicom.read_dicom_levels(path)
            labels = np.asarray(levels)
        return Opened(_numbers(labels, path), spacing)
    return Opened(_numbers(np.asarray(upright(read_picture(path, data))), path))


def _binary(labels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.where(labels != 0, np.uint8(255), np.uint8(0)))


def _numbers(labels: np.ndarray, path: PathLike) -> Image.Image:
    if labels.ndim != 2:
        raise UserError(f"{path}: the label map is coloured; save one whole number a pixel, as a grey PNG")
    whole = labels.astype(np.uint16)
    if not np.array_equal(whole, labels):
        raise UserError(
            f"{path}: values from {labels.min():g} to {labels.max():g} are no labels; use whole numbers from 0 to 65535"
        )
    return Image.fromarray(whole)
