"""NIfTI pictures and slices of volumes.

The first axis of the array runs along a row of the picture and the second down its columns, as in MONAI; a slice keeps
the order of its two remaining axes. Nothing is turned to an anatomical orientation.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image

from custom_networks.array_types import Spacing
from custom_networks.errors import UserError
from custom_networks.files import PathLike, check_regular, file_stamp

EXTENSIONS = (".nii", ".nii.gz")
_PERCENTILES = (0.5, 99.5)
_MILLIMETRES = {"mm": 1.0, "micron": 1e-3, "meter": 1e3}


def _warning(record: logging.LogRecord) -> bool:
    """Whether nibabel goes on after a message; where it does not, its error says the same."""
    return record.levelno < nib.imageglobals.error_level


nib.imageglobals.logger.addFilter(_warning)


@dataclass(frozen=True)
class Slice:
    """Place of a picture in a volume.

    Args:
        axis: of the array, 0 to 2, along which the slices are counted.
        index: number of the slice, from 0.
    """

    axis: int
    index: int


def is_nifti(path: PathLike) -> bool:
    """Tell by the name whether a file is NIfTI."""
    return str(path).lower().endswith(EXTENSIONS)


def volume_shape(path: PathLike) -> tuple[int, ...]:
    """Shape of a file's array without trailing axes of length 1 (but two axes at least); only the header is read."""
    shape = tuple(_open(path).shape)
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def same_space(path: PathLike, other: PathLike) -> bool:
    """Tell whether two files have the same shape and affine, to a hundredth of a millimetre."""
    return volume_shape(path) == volume_shape(other) and np.allclose(_open(path).affine, _open(other).affine, atol=1e-2)


def read_nifti_image(path: PathLike, at: Slice | None = None) -> tuple[Image.Image, Spacing | None]:
    """Read a picture, or a slice of a volume, as 8-bit grey or RGB.

    8-bit values stay. Others are shown between the header's cal_min and cal_max where it has them, else between the
    0.5th and the 99.5th percentile of the volume.

    Args:
        path: the file.
        at: the slice; None where the file holds a single picture.

    Returns:
        The picture, mode "L" or "RGB", and its spacing (rows, columns) in mm, None where the header names no unit.

    Raises:
        UserError: for a damaged file, a volume without `at`, or values that are not finite.
    """
    values, low, high = _volume(str(path), file_stamp(path))
    plane = _plane(values, path, at)
    if plane.dtype.names:  # the RGB24 type of NIfTI
        plane = np.stack([plane[name] for name in plane.dtype.names], axis=-1)
    elif plane.dtype != np.uint8:
        scaled = (plane.astype(np.float64) - low) / (high - low or 1.0)
        plane = np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(plane)), _spacing(path, at)


def read_nifti_labels(path: PathLike, at: Slice | None = None) -> tuple[np.ndarray, Spacing | None]:
    """Read a label map, or a slice of one.

    Args:
        path: the file.
        at: the slice; None where the file holds a single picture.

    Returns:
        The values (H, W) and the spacing, as `read_nifti_image`.

    Raises:
        UserError: as `read_nifti_image`.
    """
    plane = _plane(_volume(str(path), file_stamp(path))[0], path, at)
    if plane.dtype.names:
        raise UserError(f"{path}: the mask is coloured; save whole numbers, 0 for background")
    return plane, _spacing(path, at)


def _open(path: PathLike) -> Any:
    check_regular(path)
    try:
        opened: Any = nib.load(path)
        shape = tuple(opened.shape)
    except Exception as error:  # nibabel and gzip raise many kinds on damaged bytes
        raise _damaged(path, error) from None
    if 0 in shape:
        raise UserError(f"{path}: an array of {' x '.join(map(str, shape))}, which holds no picture; export it again")
    return opened


def _damaged(path: PathLike, error: Exception) -> UserError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(f"{path}: not a NIfTI file, damaged or cut short ({reason}); copy it again from the source")


@lru_cache(maxsize=2)  # an image and its mask: a volume is decoded once for all of its slices
def _volume(path: str, stamp: tuple[int, int]) -> tuple[np.ndarray, float, float]:
    """Array of a file, and the values that become black and white; the stamp makes a changed file another one."""
    opened = _open(path)
    try:
        values = np.asanyarray(opened.dataobj).reshape(volume_shape(path))
    except Exception as error:
        raise _damaged(path, error) from None
    if values.dtype.names:
        return values, 0.0, 255.0
    if values.dtype.kind not in "biuf":
        raise UserError(f"{path}: holds {values.dtype} values; save real numbers")
    if not np.isfinite(values).all():
        raise UserError(f"{path}: some values are not finite; replace NaN and infinity")
    low, high = (float(opened.header[name]) for name in ("cal_min", "cal_max"))
    if not low < high:  # both are 0 where no window is declared
        low, high = np.percentile(values, _PERCENTILES)
    return values, float(low), float(high)


def _plane(values: np.ndarray, path: PathLike, at: Slice | None) -> np.ndarray:
    if values.ndim not in (2, 3):
        raise UserError(f"{path}: an array of {values.ndim} axes; save 2-D pictures or volumes of 3 axes")
    if values.ndim == 3:
        if at is None:
            raise UserError(f"{path}: a volume of {' x '.join(map(str, values.shape))}; name the axis of its slices")
        values = np.take(values, at.index, axis=at.axis)
    return values.T


def _spacing(path: PathLike, at: Slice | None) -> Spacing | None:
    header = _open(path).header
    millimetres = _MILLIMETRES.get(header.get_xyzt_units()[0])
    if millimetres is None:
        return None
    axes = [axis for axis in range(3) if at is None or axis != at.axis][:2]
    along_row, down_column = (float(header.get_zooms()[axis]) * millimetres for axis in axes)
    return down_column, along_row
