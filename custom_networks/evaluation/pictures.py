"""Small pictures of an evaluation: a thumbnail of each image, and the choice of those that a report shows in full."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import find_boundaries

from custom_networks.array_types import Mask
from custom_networks.colours import PREDICTION_COLOUR, TRUTH_COLOUR
from custom_networks.errors import UserError
from custom_networks.metrics.policies import METRICS

THUMBNAILS = "thumbnails"
LONGEST, THUMBNAIL = 256, 96
REASONS = ("missed", "false alarm", "worst", "median", "best")


@dataclass(frozen=True)
class ShownCase:
    """An image that a report shows in full.

    Attributes:
        id: of the image.
        reasons: of `REASONS`, why it was chosen.
        file: its maps, from the evaluation's folder.
    """

    id: str
    reasons: list[str]
    file: str


def small_size(size: tuple[int, int], longest: int = LONGEST) -> tuple[int, int]:
    """Height and width with the aspect of `size`, the longer side at most `longest`."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize_picture(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize (H, W[, 3]) in 0..255 to `size`, height and width, averaged where it shrinks."""
    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR))


def resize_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """Resize a mask (H, W) to `size`: foreground where at least half of a new pixel is."""
    return resize_picture(np.where(mask, 255, 0).astype(np.uint8), size) >= 128


def write_thumbnail(path: Path, picture: NDArray[np.uint8], truth: Mask, prediction: Mask) -> None:
    """Write a JPEG of 96 pixels at most with the truth's border and, over it, the prediction's broken one.

    Args:
        path: the file; its folder is made.
        picture: (h, w, 3) RGB.
        truth: (h, w).
        prediction: (h, w).
    """
    size = small_size(picture.shape[:2], THUMBNAIL)
    drawn = resize_picture(picture, size).copy()
    rows, columns = np.indices(size)
    dashes = (rows + columns) // 3 % 2 == 0
    true, predicted = (find_boundaries(resize_mask(mask, size), mode="inner") for mask in (truth, prediction))
    drawn[true] = TRUTH_COLOUR
    drawn[predicted & (dashes | ~true)] = PREDICTION_COLOUR
    buffer = BytesIO()
    Image.fromarray(drawn).save(buffer, "JPEG", quality=80)
    try:  # no fsync: a thumbnail may be lost, and there are many
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose another --output_dir") from error


def choose_cases(frame: pd.DataFrame, count: int, key: str) -> dict[int, list[str]]:
    """Choose the images that a report shows in full.

    Args:
        frame: the per-image table.
        count: how many missed, false alarms, worst, median and best, each.
        key: metric that ranks them; of equals the first in the table. Images on which truth and prediction agree that
            nothing is there are no best cases: they are left out of the ranking.

    Returns:
        Reasons by row number: missed objects and false alarms first, then worst, median, best.
    """
    chosen: dict[int, list[str]] = {}

    def take(reason: str, rows: NDArray[np.intp]) -> None:
        for row in rows[:count].tolist():
            chosen.setdefault(row, []).append(reason)

    for reason, flag in (("missed", "missed"), ("false alarm", "false_alarm")):
        take(reason, np.flatnonzero(frame[flag].to_numpy() > 0))
    values = frame[key].to_numpy(float)
    ranked = np.argsort(values if METRICS[key].better == "higher" else -values, kind="stable")
    ranked = ranked[~np.isnan(values[ranked]) & ~(frame["both_empty"].to_numpy()[ranked] > 0)]
    middle = max(0, (len(ranked) - count) // 2)
    take("worst", ranked)
    take("median", ranked[middle : middle + count])
    take("best", ranked[::-1])
    return chosen
