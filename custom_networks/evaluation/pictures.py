"""Small pictures of an evaluation: a thumbnail of each image, and every map of the few that stand out.

A case is an `.npz` with, at 256 pixels at most (h, w): image (h, w, 3) uint8, truth and prediction bool, edge and
guidance uint8 (empty where the network has none), error float16: the signed distance of each pixel to the true border
in the unit of the evaluation's pixels, positive outside the truth (empty where the truth is).
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt
from skimage.segmentation import find_boundaries

from custom_networks.colours import PREDICTION_COLOUR, TRUTH_COLOUR
from custom_networks.errors import UserError
from custom_networks.files import write_atomically
from custom_networks.metrics.policies import METRICS
from custom_networks.network.sgdnet import SGDNetMaps

CASES, THUMBNAILS = "cases", "thumbnails"
LONGEST, THUMBNAIL = 256, 96
REASONS = ("missed", "false alarm", "worst", "median", "best")
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """An image that a report shows in full.

    Attributes:
        id: of the image.
        reasons: of `REASONS`, why it was chosen.
        file: the `.npz`, from the evaluation's folder.
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
        key: metric that ranks them; of equals the first in the table.

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
    ranked = ranked[~np.isnan(values[ranked])]
    middle = max(0, (len(ranked) - count) // 2)
    take("worst", ranked)
    take("median", ranked[middle : middle + count])
    take("best", ranked[::-1])
    return chosen


def signed_distance(truth: Mask) -> NDArray[np.float64]:
    """Distance of each pixel to the true border, in pixels.

    Args:
        truth: (H, W).

    Returns:
        (H, W), positive outside; the border between two pixels is 0.5 from either.
    """
    return np.where(truth, 0.5 - distance_transform_edt(truth), distance_transform_edt(~truth) - 0.5)


def write_case(
    folder: Path,
    index: int,
    name: str,
    reasons: list[str],
    picture: NDArray[np.uint8],
    masks: tuple[Mask, Mask],
    maps: SGDNetMaps,
) -> Case:
    """Write the maps of one image.

    Args:
        folder: of the evaluation.
        index: number of the image, for the file's name.
        name: its id.
        reasons: why it was chosen.
        picture: (h, w, 3) RGB.
        masks: truth and prediction, (H, W) at the size that was measured.
        maps: of a batch of this one image, (1, C, W, H).

    Returns:
        The case.
    """
    truth, prediction = masks
    size = (int(picture.shape[0]), int(picture.shape[1]))
    empty = np.zeros((0, 0), np.uint8)
    edge, guidance = empty, empty
    if maps.edge.numel():
        edge = _grey(torch.sigmoid(maps.edge[0, 0].float()), size)
    if maps.guidance.numel():
        mean = maps.guidance[0].float().mean(0)
        span = (mean.max() - mean.min()).clamp(min=1e-12)
        guidance = _grey((mean - mean.min()) / span, size)
    error = np.zeros((0, 0), np.float16)
    if truth.any() and not truth.all():
        distances = Image.fromarray(signed_distance(truth).astype(np.float32))
        error = np.asarray(distances.resize(size[::-1], Image.Resampling.BILINEAR)).astype(np.float16)
    file = f"{CASES}/{index:06d}.npz"
    buffer = BytesIO()
    np.savez_compressed(
        buffer,
        image=picture,
        truth=resize_mask(truth, size),
        prediction=resize_mask(prediction, size),
        edge=edge,
        guidance=guidance,
        error=error,
    )
    write_atomically(folder / file, lambda out: out.write(buffer.getvalue()))
    return Case(name, reasons, file)


def read_case(path: Path) -> dict[str, NDArray]:
    """Read what `write_case` wrote; raises UserError for a file that is missing or damaged."""
    try:
        with np.load(path) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: missing or damaged ({error}); evaluate the run again") from error


def _grey(probability: torch.Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Turn (W, H) in 0..1 into (h, w) in 0..255."""
    return resize_picture((255 * probability.T.clamp(0, 1)).round().byte().cpu().numpy(), size)
