"""Read one picture of any format that a data set may hold: what PIL reads, DICOM and NIfTI, with its pixel spacing.

`read` is what training, checks, preparation, evaluation, prediction and annotation read images and labels with, so that
all see the same pixels and numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from custom_networks.array_types import Spacing
from custom_networks.data.datalist import LABEL_KINDS
from custom_networks.data.formats import dicom, dicom_volumes, nifti, slides
from custom_networks.data.formats.nifti import Slice
from custom_networks.data.images import (
    WIDE_MODES,
    binary,
    check_sixteen_bits,
    mask_levels,
    needed_depth,
    orientation,
    read_picture,
    to_eight_bits,
    to_labels,
    to_rgb,
    upright,
    whole_numbers,
)
from custom_networks.data.pairing import EXTENSIONS
from custom_networks.errors import UserError, nearest
from custom_networks.files import PathLike

__all__ = ["KINDS", "Opened", "Slice", "read", "stem", "stored_image", "stored_picture", "stored_volume"]

KINDS = ("image", *LABEL_KINDS)
_EXTENSIONS = (*nifti.EXTENSIONS[::-1], *dicom.EXTENSIONS, *slides.EXTENSIONS, *EXTENSIONS)


@dataclass(frozen=True)
class Opened:
    """A decoded picture.

    Args:
        image: of size (W, H), in the mode that the function which gave it names.
        spacing: millimetres between rows and between columns; None where the file does not say.
        mode: of the pixels in the file, in PIL's words.
        transparent: whether the file has transparency.
        turned: whether EXIF turned it.
        depth: bits of grey that `image` still has, at least what its values need; None where it is on the 8-bit scale.
        levels: of a mask, its grey levels 0..255 before the threshold.
    """

    image: Image.Image
    spacing: Spacing | None = None
    mode: str = "RGB"
    transparent: bool = False
    turned: bool = False
    depth: int | None = None
    levels: Image.Image | None = None

    def rgb(self, name: PathLike, depth: int | None = None) -> Image.Image:
        """Bring an image to 8-bit RGB.

        Args:
            name: what messages shall call it.
            depth: bits of grey of more than 8; None takes the image's own.

        Returns:
            Mode "RGB".

        Raises:
            UserError: for values that exceed the depth.
        """
        if self.depth is None:
            return self.image
        return Image.fromarray(to_eight_bits(np.asarray(self.image), depth or self.depth, name)).convert("RGB")


def stem(path: PathLike) -> str:
    """Name of a file without its extension; DICOM names such as 1.2.840.10008 have none."""
    name = Path(path).name
    known = next((end for end in _EXTENSIONS if name.lower().endswith(end)), "")
    return name[: len(name) - len(known)]


def read(
    path: PathLike,
    kind: str,
    depth: int | None = None,
    data: bytes | None = None,
    at: Slice | None = None,
    image_uid: str = "",
) -> Opened:
    """Read an image or a label of any format, upright.

    Args:
        path: the file, or what messages shall call it where `data` is given.
        kind: one of `KINDS`: "image", or what the label is.
        depth: bits of an image's grey where the file stores 16, such as 12; None takes the smallest of 8, 10, 12, 14
            and 16 that holds the image's own values.
        data: the bytes of the file where it lies in an archive; formats of PIL only.
        at: the slice of a NIfTI volume.
        image_uid: SOP Instance UID of the label's image, which chooses among the frames of a DICOM SEG.

    Returns:
        "image": mode "RGB". "mask": mode "L", 0 and 1; in NIfTI and DICOM SEG every value but 0 is foreground, in
        other formats see `mask_levels`. "instances" and "classes": mode "I", the whole numbers of the file; of a
        palette picture its indices, of a DICOM SEG its segment numbers.

    Raises:
        UserError: when the file is missing, no regular file, damaged, of several frames, or cannot be read as that
            kind; for an image whose values exceed `depth`.
    """
    if kind == "image":
        opened = stored_image(path, data, at)
        return Opened(opened.rgb(path, depth), opened.spacing, opened.mode, opened.transparent, opened.turned)
    if kind not in LABEL_KINDS:
        raise UserError(f"label_kind {kind}: must be one of {', '.join(LABEL_KINDS)}{nearest(str(kind), LABEL_KINDS)}")
    if data is None and nifti.is_nifti(path):
        return _numbered(*nifti.read_nifti_labels(path, at), path, kind)
    if data is None and dicom.is_dicom(path):
        if dicom.is_segmentation(path):
            return _numbered(*dicom.read_segmentation(path, image_uid), path, kind)
        picture, spacing = dicom.read_dicom_levels(path)
    else:
        picture, spacing = read_picture(path, data), None
    if kind == "mask":
        levels = mask_levels(picture)
        return Opened(binary(levels), spacing, picture.mode, levels=levels)
    return Opened(to_labels(picture), spacing, picture.mode)


def stored_image(path: PathLike, data: bytes | None = None, at: Slice | None = None) -> Opened:
    """Read an image without a decision about the depth of its grey.

    Args:
        path: see `read`.
        data: see `read`.
        at: see `read`.

    Returns:
        Mode "RGB"; or mode "I;16" with the stored values of a grey image of more than 8 bits, and its depth.

    Raises:
        UserError: as `read`.
    """
    if data is None and nifti.is_nifti(path):
        picture, spacing = nifti.read_nifti_image(path, at)
        return Opened(picture.convert("RGB"), spacing, picture.mode)
    if data is None and dicom.is_dicom(path):
        picture, spacing = dicom.read_dicom_image(path)
        if picture.mode in WIDE_MODES:
            return _wide(np.asarray(picture), path, Opened(picture, spacing, picture.mode))
        return Opened(picture.convert("RGB"), spacing, picture.mode)
    return stored_picture(read_picture(path, data), path)


def stored_picture(picture: Image.Image, name: PathLike) -> Opened:
    """Take a picture that PIL has, as `stored_image` does.

    Args:
        picture: of any mode.
        name: what messages shall call it.

    Returns:
        See `stored_image`.

    Raises:
        UserError: for values outside the range of its mode.
    """
    found = Opened(picture, None, picture.mode, picture.has_transparency_data, orientation(picture) != 1)
    if picture.mode in WIDE_MODES:
        return _wide(np.asarray(upright(picture)), name, found)
    return Opened(to_rgb(picture), None, found.mode, found.transparent, found.turned)


def stored_volume(paths: Sequence[Path]) -> list[Opened]:
    """Read the frames of a DICOM file, or the slices of a series in the order of their positions, as `stored_image`.

    Args:
        paths: one file of several frames, or the files of a series.

    Returns:
        The frames or slices; those of grey of more than 8 bits have one depth, which holds them all.

    Raises:
        UserError: as `stored_image`, and where the files are no volume.
    """
    pictures = dicom_volumes.read_series(paths) if len(paths) > 1 else dicom_volumes.read_frames(paths[0])
    opened = [Opened(picture, spacing, picture.mode) for picture, spacing in pictures]
    if pictures[0][0].mode not in WIDE_MODES:
        return [replace(one, image=one.image.convert("RGB")) for one in opened]
    wide = [_wide(np.asarray(one.image), paths[0], one) for one in opened]
    depth = max(one.depth or 0 for one in wide)
    return [replace(one, depth=depth) for one in wide]


def _wide(values: NDArray, path: PathLike, found: Opened) -> Opened:
    depth = needed_depth(values.max())
    check_sixteen_bits(values, path)
    return Opened(
        Image.fromarray(values.astype(np.uint16)), found.spacing, found.mode, turned=found.turned, depth=depth
    )


def _numbered(values: NDArray, spacing: Spacing | None, path: PathLike, kind: str) -> Opened:
    """A label that holds numbers, of a format whose masks are every number but 0."""
    if kind == "mask":
        levels = Image.fromarray(np.where(values != 0, np.uint8(255), np.uint8(0)))
        return Opened(binary(levels), spacing, levels=levels)
    return Opened(Image.fromarray(whole_numbers(values, path)), spacing)
