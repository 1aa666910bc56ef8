"""The maps of an image that a report shows in full, as an `.npz`: the whole picture small, and the border at full size.

The border is a part of the original picture at its own resolution, around truth and prediction; where that part is
longer than 1024 pixels it is reduced to them.
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt

from custom_networks.array_types import Mask
from custom_networks.errors import UserError
from custom_networks.evaluation.pictures import resize_mask, resize_picture, small_size
from custom_networks.files import write_atomically

if TYPE_CHECKING:  # whoever reads maps for a report needs no network
    from torch import Tensor

    from custom_networks.network.segmenter import SGDNetMaps

CASES = "cases"
VERSION = 2
DETAIL = 1024
"""Longest side of the part around the border, in pixels."""
MARGIN, SHARE = 16, 0.15
"""Space around the masks: pixels at least, and a share of their longest side."""
QUALITY = 88
LARGEST_FILE = 1 << 28
"""Bytes that the arrays of a file may unpack to."""


@dataclass(frozen=True)
class CaseMaps:
    """The maps of one image; h and w are at most 256, H and W at most 1024.

    Attributes:
        overview: (h, w, 3) uint8, the whole picture.
        edge: (h, w) uint8; empty for a network without edge map.
        guidance: (h, w) uint8, mean of the channels; empty where there is none.
        size: height and width of the original picture.
        box: top, left, bottom and right of the part around the border, in its pixels.
        detail: (H, W, 3) uint8, that part.
        truth: (H, W) bool.
        prediction: (H, W) bool.
        error: (H, W) float32, signed distance to the true border in measured pixels, positive outside the truth; empty
            where the truth is empty or everything.
    """

    overview: NDArray[np.uint8]
    edge: NDArray[np.uint8]
    guidance: NDArray[np.uint8]
    size: tuple[int, int]
    box: tuple[int, int, int, int]
    detail: NDArray[np.uint8]
    truth: Mask
    prediction: Mask
    error: NDArray[np.float32]

    @property
    def reduced(self) -> bool:
        """Whether the part had to be made smaller than the original."""
        return self.detail.shape[0] < self.box[2] - self.box[0]


def signed_distance(truth: Mask) -> NDArray[np.float64]:
    """Distance of each pixel to the true border, in pixels.

    Args:
        truth: (H, W).

    Returns:
        (H, W), positive outside; the border between two pixels is 0.5 from either.
    """
    return np.where(truth, 0.5 - distance_transform_edt(truth), distance_transform_edt(~truth) - 0.5)


def border_box(mask: Mask) -> tuple[int, int, int, int]:
    """Part of a picture that shows a mask (H, W) with some space around it: top, left, bottom, right.

    It is the whole picture where the mask is empty.
    """
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0, 0, height, width
    margin = max(MARGIN, round(SHARE * max(np.ptp(rows), np.ptp(columns))))
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    return int(top), int(left), int(min(height, rows[-1] + 1 + margin)), int(min(width, columns[-1] + 1 + margin))


def case_maps(original: NDArray[np.uint8], truth: Mask, prediction: Mask, maps: SGDNetMaps | None = None) -> CaseMaps:
    """Make the maps of one image.

    Args:
        original: (H, W, 3) RGB, the picture at its own size.
        truth: (h, w) at the size that was measured.
        prediction: (h, w).
        maps: of a batch of this one image, (1, C, W, H); None where no network of ours predicted.

    Returns:
        The maps.
    """
    size = (int(original.shape[0]), int(original.shape[1]))
    small = small_size(size)
    empty = np.zeros((0, 0), np.uint8)
    edge, guidance = empty, empty
    if maps is not None and maps.edge.numel():
        edge = _grey(maps.edge[0, 0].float().sigmoid(), small)
    if maps is not None and maps.guidance.numel():
        mean = maps.guidance[0].float().mean(0)
        span = (mean.max() - mean.min()).clamp(min=1e-12)
        guidance = _grey((mean - mean.min()) / span, small)
    error = np.zeros((0, 0), np.float32)
    if truth.any() and not truth.all():
        error = signed_distance(truth).astype(np.float32)
    true, predicted = (mask if mask.shape == size else resize_mask(mask, size) for mask in (truth, prediction))
    top, left, bottom, right = box = border_box(true | predicted)
    part = np.s_[top:bottom, left:right]
    detail = small_size((bottom - top, right - left), DETAIL)
    if error.size:
        error = _resize_map(_resize_map(error, size)[part], detail)
    return CaseMaps(
        overview=resize_picture(original, small),
        edge=edge,
        guidance=guidance,
        size=size,
        box=box,
        detail=resize_picture(np.ascontiguousarray(original[part]), detail),
        truth=resize_mask(true[part], detail),
        prediction=resize_mask(predicted[part], detail),
        error=error,
    )


def write_case_maps(path: Path, maps: CaseMaps) -> None:
    """Write the maps of an image; pictures as JPEG."""
    buffer = BytesIO()
    np.savez_compressed(
        buffer,
        version=VERSION,
        overview=_encode(maps.overview),
        edge=maps.edge,
        guidance=maps.guidance,
        size=maps.size,
        box=maps.box,
        detail=_encode(maps.detail),
        truth=maps.truth,
        prediction=maps.prediction,
        error=maps.error.astype(np.float16),
    )
    write_atomically(path, lambda file: file.write(buffer.getvalue()))


def read_case_maps(path: Path) -> CaseMaps:
    """Read what `write_case_maps` wrote.

    Raises:
        UserError: for a file that is missing, damaged, of another version, or whose arrays do not fit each other.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST_FILE:
                raise ValueError(f"it unpacks to more than {LARGEST_FILE / 1e6:.0f} MB")
        with np.load(path, allow_pickle=False) as stored:
            if "version" not in stored.files or int(stored["version"]) != VERSION:
                raise ValueError("written by another version of sgdnet")
            maps = CaseMaps(
                overview=_decode(stored["overview"]),
                edge=stored["edge"],
                guidance=stored["guidance"],
                size=(int(stored["size"][0]), int(stored["size"][1])),
                box=tuple(int(side) for side in stored["box"]),  # type: ignore[arg-type]
                detail=_decode(stored["detail"]),
                truth=stored["truth"],
                prediction=stored["prediction"],
                error=stored["error"].astype(np.float32),
            )
            _check(maps)
    except (OSError, ValueError, KeyError, IndexError, TypeError, zipfile.BadZipFile, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{path}: missing or damaged ({reason}); evaluate the run again") from None
    return maps


def _check(maps: CaseMaps) -> None:
    """Raise ValueError where the arrays of a file do not fit each other."""
    detail, small = maps.detail.shape[:2], maps.overview.shape[:2]
    wanted = {
        "truth": (maps.truth, np.dtype(bool), (detail,)),
        "prediction": (maps.prediction, np.dtype(bool), (detail,)),
        "edge": (maps.edge, np.dtype(np.uint8), (small, (0, 0))),
        "guidance": (maps.guidance, np.dtype(np.uint8), (small, (0, 0))),
        "error": (maps.error, np.dtype(np.float32), (detail, (0, 0))),
    }
    for name, (array, dtype, shapes) in wanted.items():
        if array.dtype != dtype or array.shape not in shapes:
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
    top, left, bottom, right = maps.box
    if not (0 <= top < bottom <= maps.size[0] and 0 <= left < right <= maps.size[1]):
        raise ValueError(f"box {maps.box} does not lie in {maps.size}")
    if max(*detail, *small) > DETAIL or not np.isfinite(maps.error).all():
        raise ValueError("a picture is too large, or an error not finite")


def _encode(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=QUALITY)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def _decode(jpeg: NDArray[np.uint8]) -> NDArray[np.uint8]:
    with Image.open(BytesIO(jpeg.astype(np.uint8).tobytes()), formats=("JPEG",)) as picture:
        if math.prod(picture.size) > DETAIL**2:
            raise ValueError(f"a picture of {picture.size[0]} x {picture.size[1]} pixels")
        return np.asarray(picture.convert("RGB"))


def _resize_map(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    if values.shape == size:
        return values
    return np.asarray(Image.fromarray(values).resize(size[::-1], Image.Resampling.BILINEAR))


def _grey(probability: Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Turn (W, H) in 0..1 into (h, w) in 0..255."""
    return resize_picture((255 * probability.T.clamp(0, 1)).round().byte().cpu().numpy(), size)
