"""Files of the input's own family: PNG for pictures, NIfTI with its affine, DICOM SEG that refers to its source."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from custom_networks.data.formats import dicom, nifti, slides
from custom_networks.errors import UserError

PICTURE, NIFTI, DICOM, SLIDE = "picture", "nifti", "dicom", "slide"
LARGEST = 65535


def family(path: Path) -> str:
    """Tell the family of an image file."""
    if nifti.is_nifti(path):
        return NIFTI
    if dicom.is_dicom(path):
        return DICOM
    return SLIDE if slides.is_slide(path) else PICTURE


def png(values: NDArray) -> bytes:
    """Encode (H, W) uint8 or uint16 values as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(values)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def probability_png(values: NDArray[np.floating]) -> bytes:
    """Encode (H, W) values from 0 to 1 as a PNG of 16 bits, 65535 being 1."""
    return png(probability_levels(values))


def probability_levels(values: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Bring (H, W) values from 0 to 1 to 16 bits, 65535 being 1."""
    levels = np.empty(values.shape, np.uint16)
    for row, line in enumerate(values):  # row by row: a large map is not copied in float
        levels[row] = np.rint(np.clip(line, 0, 1) * LARGEST)
    return levels


def pages(maps: Sequence[NDArray]) -> bytes:
    """Encode maps (H, W) as the pages of a TIFF, each as `grid_file` encodes one for a picture."""
    import tifffile

    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for values in maps:
            page = probability_levels(values) if values.dtype.kind == "f" else values
            file.write(page, compression="zlib", photometric="minisblack", metadata=None, software="SGD-Net")
    return buffer.getvalue()


def nifti_like(source: Path, values: NDArray, axis: int = 0) -> bytes:
    """Encode values as `.nii.gz` in the space of a NIfTI file: its shape, affine, codes and units.

    Args:
        source: the file.
        values: (H, W), or (slices, H, W) of a volume; uint8, uint16, int32 or float32.
        axis: of the file's array along which slices are counted.

    Returns:
        The file's bytes, the same for the same values.
    """
    import nibabel as nib

    like: Any = nib.load(source)
    header = like.header.copy()
    header.set_data_dtype(values.dtype)
    header["scl_slope"], header["scl_inter"] = np.nan, np.nan
    header["cal_min"] = header["cal_max"] = 0
    stored = values.T if values.ndim == 2 else np.moveaxis(values.transpose(0, 2, 1), 0, axis)
    image = type(like)(np.ascontiguousarray(stored).reshape(like.shape), like.affine, header)
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)


def numbers(source: Path, labels: NDArray[np.integer]) -> NDArray[np.uint16] | NDArray[np.int32]:
    """Store a label map (H, W), 0 being background, in 16 bits, in 32 bits of NIfTI for more objects than they hold.

    Raises:
        UserError: for more objects than 16 bits hold in a picture.
    """
    if labels.max(initial=0) > LARGEST:
        if family(source) == NIFTI:
            return labels.astype(np.int32)
        raise UserError(f"{source}: {labels.max()} instances, more than 16 bits hold; cut the image into parts")
    return labels.astype(np.uint16)


def grid_file(source: Path, values: NDArray) -> bytes:
    """Encode a map (H, W) as NIfTI for NIfTI, else as a PNG, of 16 bits for values from 0 to 1 and for uint16."""
    if family(source) == NIFTI:
        return nifti_like(source, values)
    return probability_png(values) if values.dtype.kind == "f" else png(values)
