"""DICOM volumes: the frames of a multi-frame file, and series of single-frame files, ordered by their positions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from custom_networks.array_types import Spacing
from custom_networks.data.formats import dicom
from custom_networks.errors import UserError
from custom_networks.files import PathLike, check_regular

if TYPE_CHECKING:
    from pydicom import Dataset

_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_SERIES = "SeriesInstanceUID"
_POSITION, _ORIENTATION = "ImagePositionPatient", "ImageOrientationPatient"
_HEADER = [_SERIES, _POSITION, _ORIENTATION, "Rows", "Columns", "PixelSpacing", "NumberOfFrames", "SOPClassUID"]
_GAP = 1.5  # distance of neighbouring slices, in that of most, from which one is missing between them
_TURN = 1e-3  # difference of direction cosines that is rounding
_SAME = 1e-3  # millimetres
_OF_A_FRAME = ("PixelMeasuresSequence", "FrameVOILUTSequence", "PixelValueTransformationSequence")


def frame_count(path: PathLike) -> int:
    """Count the frames of a DICOM image; 1 for a damaged one, which reading it tells."""
    try:
        status = check_regular(path)
        return _frame_count(str(path), status.st_size, status.st_mtime_ns)
    except UserError:
        return 1


@lru_cache(maxsize=65536)
def _frame_count(path: str, size: int, modified: int) -> int:
    return int(_header(path).get("NumberOfFrames") or 1)


def _header(path: PathLike) -> Dataset:
    return dicom.read_dataset(path, stop_before_pixels=True, specific_tags=_HEADER)


def read_frames(path: PathLike) -> list[tuple[Image.Image, Spacing | None]]:
    """Read the frames of a file, in their order, as `dicom.read_dicom_image` reads one.

    Each frame has the rescale, window and spacing that its functional groups, or those that all share, say. Rescaled
    values without a window are stretched from the smallest to the largest of all frames.

    Args:
        path: the file.

    Raises:
        UserError: as `dicom.read_dicom_image`; for a whole slide, whose frames are tiles.
    """
    with dicom.told(path):
        dataset = dicom.read_dataset(path)
        if dataset.get("SOPClassUID") == _WHOLE_SLIDE:
            raise UserError(f"{path}: a whole slide in DICOM, whose frames are tiles; convert it to a pyramidal TIFF")
        values = dicom.read_pixels(dataset, path, several=True)
        values = values if int(dataset.get("NumberOfFrames") or 1) > 1 else values[None]
        headers = [_of_frame(dataset, number) for number in range(len(values))]
        return _shown(list(values), headers)


def find_series(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Find the series of a folder: two single frames or more of one series, of which some say their position.

    Args:
        paths: DICOM files.

    Returns:
        The files of each series by its UID, in the order that they were given in; damaged files are in none.
    """
    found: dict[str, list[Path]] = {}
    placed: set[str] = set()
    for path in paths:
        try:
            header = _header(path)
        except UserError:  # told when it is read
            continue
        if int(header.get("NumberOfFrames") or 1) == 1 and header.get(_SERIES):
            found.setdefault(str(header[_SERIES].value), []).append(path)
            if header.get(_POSITION) and header.get(_ORIENTATION):
                placed.add(str(header[_SERIES].value))
    return {uid: files for uid, files in found.items() if uid in placed and len(files) > 1}


def read_series(paths: Sequence[Path]) -> list[tuple[Image.Image, Spacing | None]]:
    """Read the slices of a series, in the order of `ordered`, as `dicom.read_dicom_image` reads one.

    Rescaled values without a window are stretched from the smallest to the largest of all slices.

    Args:
        paths: its files.

    Raises:
        UserError: as `ordered` and `dicom.read_dicom_image`.
    """
    values, headers = [], []
    for path in ordered(paths):
        with dicom.told(path):
            dataset = dicom.read_dataset(path)
            values.append(dicom.read_pixels(dataset, path))
            del dataset.PixelData
            headers.append(dataset)
    with dicom.told(paths[0]):
        return _shown(values, headers)


def ordered(paths: Sequence[Path]) -> list[Path]:
    """Order the files of a series by their positions along the direction that the slices face.

    Args:
        paths: its files.

    Returns:
        The same files.

    Raises:
        UserError: where they are no volume: one has no position, another size, pixel spacing or orientation, or lies
            where another one lies, or a slice is missing between two of them.
    """
    first = paths[0]
    headers = {path: _header(path) for path in paths}
    for path, header in headers.items():
        if not header.get(_POSITION) or not header.get(_ORIENTATION):
            raise UserError(f"{first}: {path.name} of its series has no {_POSITION} or {_ORIENTATION}; {_FIX}")
    size, axes = _size(headers[first]), _axes(headers[first])
    for path, header in headers.items():
        if _size(header) != size:
            raise UserError(f"{first}: its series has {_told(size)}, and {path.name} {_told(_size(header))}; {_FIX}")
        if np.abs(_axes(header) - axes).max() > _TURN:
            raise UserError(f"{first}: its series has two orientations, {path.name} lies in another plane; {_FIX}")
        mine, other = (list(map(float, one.get("PixelSpacing") or [])) for one in (headers[first], header))
        if len(mine) != len(other) or not np.allclose(mine, other, atol=_SAME):
            raise UserError(f"{first}: its series has pixels of {mine} mm, and {path.name} of {other} mm; {_FIX}")
    facing = np.cross(axes[:3], axes[3:])
    places = {path: float(facing @ np.asarray(header[_POSITION].value, float)) for path, header in headers.items()}
    files = sorted(paths, key=lambda path: places[path])
    steps = np.diff([places[path] for path in files])
    for path, following, step in zip(files, files[1:], steps, strict=False):
        if step < _SAME:
            raise UserError(f"{first}: {path.name} and {following.name} of its series lie in one place; {_FIX}")
        if step > _GAP * np.median(steps):
            raise UserError(
                f"{first}: a slice of its series is missing between {path.name} and {following.name}, {step:g} mm "
                f"apart, others {np.median(steps):g} mm; {_FIX}"
            )
    return files


_FIX = "mend the series, or predict its files one by one by a pattern such as 'folder/*'"


def _shown(values: Sequence[np.ndarray], headers: Sequence[Dataset]) -> list[tuple[Image.Image, Spacing | None]]:
    ranges = np.array([dicom.rescaled_range(*pair) for pair in zip(values, headers, strict=True)])
    extremes = (float(ranges[:, 0].min()), float(ranges[:, 1].max()))
    return [
        (dicom.shown(one, header, extremes), dicom.spacing_of(header))
        for one, header in zip(values, headers, strict=True)
    ]


def _of_frame(dataset: Dataset, number: int) -> Dataset:
    """What a file says of one frame: its own, with what the frame's functional groups say over it."""
    found = dicom.pydicom.Dataset()
    found.update({element.tag: element for element in dataset if element.keyword != "PixelData"})
    groups = [*(dataset.get("SharedFunctionalGroupsSequence") or [])]
    groups += list(dataset.get("PerFrameFunctionalGroupsSequence") or [])[number : number + 1]
    for group in groups:
        for name in _OF_A_FRAME:
            for item in group.get(name) or []:
                found.update({element.tag: element for element in item})
    return found


def _size(header: Dataset) -> tuple[int, int]:
    return int(header.get("Columns") or 0), int(header.get("Rows") or 0)


def _axes(header: Dataset) -> np.ndarray:
    return np.asarray(header[_ORIENTATION].value, float)


def _told(size: tuple[int, int]) -> str:
    return f"slices of {size[0]} x {size[1]} pixels"
