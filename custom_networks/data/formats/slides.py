"""Slides: pyramids of tiles that do not fit in memory, read region by region by OpenSlide.

A slide is a file with an extension of a scanner, or a tiled TIFF with several levels of resolution, or one of more
pixels than PIL reads. `pip install 'sgdnet[slides]'` brings OpenSlide.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from custom_networks.data.images import to_rgb
from custom_networks.errors import UserError
from custom_networks.files import PathLike, check_regular

EXTENSIONS = (".svs", ".ndpi", ".scn", ".bif")
_TIFF = (".tif", ".tiff")
_MICRONS = 1000.0


def is_slide(path: PathLike) -> bool:
    """Tell whether a file is a slide; False for a damaged TIFF, which reading it as a picture tells."""
    ending = Path(path).suffix.lower()
    if ending in EXTENSIONS:
        return True
    if ending not in _TIFF:
        return False
    try:
        status = check_regular(path)
    except UserError:
        return False
    return _is_pyramid(str(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=65536)
def _is_pyramid(path: str, size: int, modified: int) -> bool:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.series[0].levels[0].keyframe
            large = page.imagelength * page.imagewidth > 2 * (Image.MAX_IMAGE_PIXELS or 0)
            return bool(page.is_tiled and (len(file.series[0].levels) > 1 or large))
    except Exception:  # tifffile raises many kinds on damaged bytes
        return False


class Slide:
    """An open slide.

    Args:
        path: its file.

    Attributes:
        size: width and height of level 0.
        downsamples: of each level, 1 for level 0.
        spacing: millimetres between rows and between columns of level 0; None where the file does not say.

    Raises:
        UserError: when the file is missing or damaged, or OpenSlide is not installed or does not know it.
    """

    def __init__(self, path: PathLike) -> None:
        check_regular(path)
        try:
            import openslide
        except ImportError:
            raise UserError(f"{path}: a slide, which OpenSlide reads; `pip install 'sgdnet[slides]'`") from None
        self.path = path
        self._fault = openslide.OpenSlideError
        try:
            self._file: Any = openslide.OpenSlide(str(path))
        except openslide.OpenSlideUnsupportedFormatError:
            raise UserError(
                f"{path}: not a slide that OpenSlide knows; save it as a tiled TIFF, such as by `vips tiffsave --tile "
                "--pyramid`"
            ) from None
        except openslide.OpenSlideError as error:
            raise self._damaged(error) from None
        self.size: tuple[int, int] = self._file.dimensions
        self.downsamples: tuple[float, ...] = self._file.level_downsamples
        self.spacing = self._spacing()

    def __enter__(self) -> Slide:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def region(self, box: tuple[float, float, float, float], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Read a region, from the level that is just finer than what is asked for.

        Args:
            box: left, top, right and bottom in pixels of level 0, within the slide.
            size: width and height of the result.

        Returns:
            (height, width, 3) RGB; what the scanner left out is white.

        Raises:
            UserError: where the file is damaged there.
        """
        steps = ((box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1])
        level = self._file.get_best_level_for_downsample(min(steps) * (1 + 1e-6))
        width, height = self._file.level_dimensions[level]
        down = (self.size[0] / width, self.size[1] / height)
        place = [box[0] / down[0], box[1] / down[1], box[2] / down[0], box[3] / down[1]]
        margin = int(np.ceil(max(steps[0] / down[0], steps[1] / down[1]))) + 1  # as far as the filter looks
        left, top = (max(0, int(np.floor(edge)) - margin) for edge in place[:2])
        right, bottom = (
            min(limit, int(np.ceil(edge)) + margin) for edge, limit in zip(place[2:], (width, height), strict=True)
        )
        try:
            corner = (round(left * down[0]), round(top * down[1]))
            picture = to_rgb(self._file.read_region(corner, level, (right - left, bottom - top)))
        except self._fault as error:
            raise self._damaged(error) from None
        inner = (place[0] - left, place[1] - top, min(place[2], width) - left, min(place[3], height) - top)
        return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=inner))

    def _spacing(self) -> tuple[float, float] | None:
        try:
            found = [float(self._file.properties[f"openslide.mpp-{axis}"]) / _MICRONS for axis in "yx"]
        except (KeyError, ValueError):
            return None
        return (found[0], found[1]) if all(0 < one < float("inf") for one in found) else None

    def _damaged(self, error: Exception) -> UserError:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return UserError(f"{self.path}: damaged or cut short ({reason}); copy it again from the source")
