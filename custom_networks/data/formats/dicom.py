"""DICOM pictures, colour or grey, and DICOM SEG masks."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
from PIL import Image

from custom_networks.data.images import needed_depth
from custom_networks.errors import UserError
from custom_networks.files import PathLike, check_regular

if TYPE_CHECKING:
    from pydicom import Dataset

pydicom = lazy_loader.load("pydicom")  # data without DICOM does without it
logger = logging.getLogger(__name__)

EXTENSIONS = (".dcm", ".dicom", ".ima")
_PREAMBLE = 128
_LINEAR = "LINEAR"
_FUNCTIONS = (_LINEAR, "LINEAR_EXACT", "SIGMOID")  # PS3.3 C.11.2.1.3
_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")


@contextmanager
def told(path: PathLike) -> Iterator[None]:
    """Tell what pydicom and highdicom raise, nearly anything, of a file whose elements are missing or contradict."""
    try:
        yield
    except (UserError, pydicom.errors.InvalidDicomError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: damaged or cut short ({reason}); copy it again from the source") from None


def is_dicom(path: PathLike) -> bool:
    """Tell by the extension, or in a file without one by its first bytes, whether a file is DICOM."""
    suffix = Path(path).suffix.lower()
    if suffix in EXTENSIONS:
        return True
    if suffix and not suffix[1:].isdigit():  # names such as 1.2.840.10008 end in numbers, not in an extension
        return False
    try:
        check_regular(path)
        with Path(path).open("rb") as file:
            return file.read(_PREAMBLE + 4)[_PREAMBLE:] == b"DICM"
    except (OSError, UserError):
        return False


def read_header(path: PathLike) -> Dataset:
    """Read everything but the pixels.

    Raises:
        UserError: when the file is missing or no DICOM.
    """
    return read_dataset(path, stop_before_pixels=True)


def is_segmentation(path: PathLike) -> bool:
    """Tell whether a DICOM file is a SEG object."""
    return read_header(path).get("SOPClassUID") in _SEGMENTATIONS


def references(header: Dataset) -> list[str]:
    """SOP Instance UIDs of the images that a SEG object says it was drawn on."""
    found = [
        instance.ReferencedSOPInstanceUID
        for series in header.get("ReferencedSeriesSequence", [])
        for instance in series.get("ReferencedInstanceSequence", [])
    ]
    found += [uid for frame in header.get("PerFrameFunctionalGroupsSequence", []) for uid in _frame_sources(frame)]
    return list(dict.fromkeys(map(str, found)))


def read_dicom_image(path: PathLike) -> tuple[Image.Image, tuple[float, float] | None]:
    """Read a picture as it would be shown.

    Grey values pass rescale and the first window (or VOI table) of the file. Without one, stored values are scaled by
    the bits that the file says it stores: 12 bits have their white at 4095. Signed or rescaled values, such as
    Hounsfield units, are stretched from the smallest to the largest. MONOCHROME1 is inverted. Colours become RGB.

    Args:
        path: a file of one frame.

    Returns:
        The picture and its spacing (rows, columns) in mm, None where the file does not say. Mode "L" or "RGB"; "I;16",
        with the stored values, where the file declares 16 bits, which often hold fewer.

    Raises:
        UserError: when the file is missing, damaged, holds no picture or several frames, or is compressed in a way for
            which no decoder is installed.
    """
    with told(path):
        dataset = read_dataset(path)
        return shown(read_pixels(dataset, path), dataset), spacing_of(dataset)


def shown(values: np.ndarray, dataset: Dataset, extremes: tuple[float, float] | None = None) -> Image.Image:
    """Bring stored values to what `read_dicom_image` gives.

    Args:
        values: (H, W) or (H, W, 3) of a frame.
        dataset: that says how they are shown.
        extremes: rescaled values that become black and white where no window is declared; None takes the frame's own.
    """
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        values = apply_color_lut(values, dataset)
    if values.ndim == 3:
        bits = 8 * values.itemsize if dataset.PhotometricInterpretation == "PALETTE COLOR" else dataset.BitsStored
        values = values if bits == 8 else np.rint(values / (2**bits - 1) * 255)
        return Image.fromarray(values.astype(np.uint8))
    if _is_plain(dataset) and dataset.BitsStored == 16:
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            largest = extremes[1] if extremes else float(values.max())
            values = 2 ** needed_depth(largest) - 1 - values.astype(np.int64)
        return Image.fromarray(values.astype(np.uint16))
    levels = _window(values, dataset, extremes)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        levels = 255 - levels
    return Image.fromarray(np.rint(levels).astype(np.uint8))


def rescaled_range(values: np.ndarray, dataset: Dataset) -> tuple[float, float]:
    """Smallest and largest value of a frame after the modality rescale."""
    from pydicom.pixels import apply_modality_lut

    levels = apply_modality_lut(values, dataset) if values.ndim == 2 else values
    return float(levels.min()), float(levels.max())


def read_dicom_levels(path: PathLike) -> tuple[Image.Image, tuple[float, float] | None]:
    """Read the stored values of a grey picture that serves as a mask, without window.

    Args:
        path: a file of one frame.

    Returns:
        The picture, mode "L" or "I;16", and its spacing as `read_dicom_image`.

    Raises:
        UserError: as `read_dicom_image`; for colours and for negative values.
    """
    dataset = read_dataset(path)
    values = read_pixels(dataset, path)
    if values.ndim == 3:
        raise UserError(f"{path}: the mask is coloured; save it as grey, 0 for background")
    if values.min() < 0:
        raise UserError(f"{path}: the mask has negative values; save it as grey, 0 for background")
    picture = Image.fromarray(values.astype(np.uint8 if values.max() <= 255 else np.uint16))
    picture.filename = str(path)  # type: ignore[attr-defined]  # for later messages, as PIL sets it
    return picture, spacing_of(dataset)


def read_segmentation(path: PathLike, image_uid: str = "") -> tuple[np.ndarray, tuple[float, float] | None]:
    """Read the segments that a SEG object has for one image.

    Args:
        path: the SEG file: binary, fractional (half of the maximum and more counts) or a label map.
        image_uid: SOP Instance UID of the image; empty takes all frames.

    Returns:
        Segment number of each pixel (H, W), 0 for none, the higher one where segments overlap; and the spacing. An
        image that the file refers to, but has no frame of, has no segment: empty frames may be left out.

    Raises:
        UserError: when the file is damaged, refers to other images only, or has several frames of one segment.
    """
    with told(path):
        dataset = read_dataset(path)
        frames = read_pixels(dataset, path, several=True)
        frames = frames if frames.ndim == 3 else frames[None]
        groups = list(dataset.get("PerFrameFunctionalGroupsSequence", [])) or [pydicom.Dataset()] * len(frames)
        sources = [_frame_sources(group) for group in groups]
        mine = [i for i, uids in enumerate(sources) if not image_uid or not uids or image_uid in uids]
        if not mine and image_uid in references(dataset):
            return np.zeros(frames.shape[1:], np.uint16), spacing_of(dataset)
        if not mine:
            raise UserError(f"{path}: drawn on other images than its partner; pair it with the image that it refers to")
        if dataset.SegmentationType == "LABELMAP":
            numbers = [0] * len(frames)
        else:
            numbers = [_segment_number(group, dataset, i) for i, group in enumerate(groups)]
        if len({numbers[i] for i in mine}) < len(mine):
            raise UserError(f"{path}: several frames of one segment; save a SEG of one frame a segment for each image")
        if dataset.SegmentationType == "LABELMAP":
            return frames[mine[0]], spacing_of(dataset)
        least = dataset.MaximumFractionalValue / 2 if dataset.SegmentationType == "FRACTIONAL" else 1
        labels = np.zeros(frames.shape[1:], np.uint16)
        for i in sorted(mine, key=lambda i: numbers[i]):
            labels[frames[i] >= least] = numbers[i]
        return labels, spacing_of(dataset)


def read_dataset(path: PathLike, **options: Any) -> Dataset:
    """Read a file, with options of `dcmread`; raises UserError when it is missing or no DICOM."""
    check_regular(path)
    try:
        with told(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(path, **options)
    except pydicom.errors.InvalidDicomError:
        raise UserError(f"{path}: not a DICOM file; replace it, or give it the extension of its format") from None


def read_pixels(dataset: Dataset, path: PathLike, several: bool = False) -> np.ndarray:
    """Decoded values: (H, W) or (H, W, 3) of one frame, with `several` also (frames, H, W)."""
    try:
        from pydicom.pixels import get_decoder, pixel_array  # new in pydicom 3
    except ImportError:
        raise UserError(
            f"{path}: reading the pixels of DICOM needs pydicom 3, this environment has {pydicom.__version__}; "
            "convert it to PNG with `sgdnet prepare dicom`"
        ) from None
    if "PixelData" not in dataset:
        raise UserError(
            f"{path}: a DICOM file without a picture ({dataset.get('Modality', 'no modality')}); take it out"
        )
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1 and not several:
        raise UserError(f"{path}: {frames} frames in one file; save each frame as a file of its own")
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if syntax is None:
        raise UserError(f"{path}: does not say how its pixels are stored (no Transfer Syntax UID); export it again")
    try:
        missing = not get_decoder(syntax).is_available
    except NotImplementedError:
        missing = True
    if missing:
        raise UserError(
            f"{path}: compressed as {syntax.name}, for which no decoder is installed; `pip install pylibjpeg "
            "pylibjpeg-libjpeg pylibjpeg-openjpeg`, or export it uncompressed"
        )
    with told(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pixel_array(dataset)


def _is_plain(dataset: Dataset) -> bool:
    """Tell whether grey values are unsigned and the file says nothing of how they are shown."""
    said = ("VOILUTSequence", "WindowCenter", "ModalityLUTSequence")
    rescaled = float(dataset.get("RescaleSlope") or 1) != 1 or float(dataset.get("RescaleIntercept") or 0) != 0
    return not dataset.PixelRepresentation and not rescaled and not any(dataset.get(name) for name in said)


def _window(values: np.ndarray, dataset: Dataset, extremes: tuple[float, float] | None) -> np.ndarray:
    """Grey levels 0..255, as float, of stored values (H, W)."""
    from highdicom.pixels import apply_voi_window  # takes a second to import
    from pydicom.pixels import apply_modality_lut, apply_voi

    if _is_plain(dataset):
        return values / (2 ** int(dataset.BitsStored) - 1) * 255
    levels = apply_modality_lut(values, dataset)
    if dataset.get("VOILUTSequence"):
        table = dataset.VOILUTSequence[0]
        return apply_voi(levels, dataset) / (2 ** int(table.LUTDescriptor[2]) - 1) * 255
    centres, widths = (
        np.atleast_1d([] if dataset.get(name) is None else dataset.get(name))
        for name in ("WindowCenter", "WindowWidth")
    )
    if len(centres) and len(widths):
        function = str(dataset.get("VOILUTFunction") or _LINEAR).strip().upper()
        if float(widths[0]) < 1:  # PS3.3 C.11.2.1.2
            raise ValueError(f"its window is {float(widths[0]):g} wide")
        if function not in _FUNCTIONS:
            _tell_unknown(function)
            function = _LINEAR
        return apply_voi_window(levels, float(centres[0]), float(widths[0]), function, output_range=(0, 255))
    low, high = extremes or (float(levels.min()), float(levels.max()))
    return (levels - low) / (high - low or 1.0) * 255


@lru_cache(maxsize=32)
def _tell_unknown(function: str) -> None:
    logger.warning("DICOM window of the unknown function %s: shown as LINEAR", function)


def spacing_of(dataset: Dataset) -> tuple[float, float] | None:
    """Millimetres between rows and columns, of the picture or of what all frames share."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()]
    for place in (dataset, *(shared[0].get("PixelMeasuresSequence") or [])):
        spacing = place.get("PixelSpacing")
        if spacing and all(float(value) > 0 for value in spacing):
            return float(spacing[0]), float(spacing[1])
    return None


def _frame_sources(frame: Dataset) -> list[str]:
    return [
        str(source.ReferencedSOPInstanceUID)
        for derivation in frame.get("DerivationImageSequence", [])
        for source in derivation.get("SourceImageSequence", [])
    ]


def _segment_number(group: Dataset, dataset: Dataset, position: int) -> int:
    shared = dataset.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()]
    for place in (group, shared[0]):
        if place.get("SegmentIdentificationSequence"):
            return int(place.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
    return position + 1
