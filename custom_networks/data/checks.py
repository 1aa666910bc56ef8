"""Decode every picture of a data set once, before training, and say what is wrong or worth knowing."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from monai.utils import ensure_tuple
from PIL import Image

from custom_networks.data.images import (
    MASK_THRESHOLD,
    WIDE_MODES,
    mask_levels,
    orientation,
    read_picture,
    to_labels,
    to_rgb,
)
from custom_networks.errors import UserError

Examined = UserError | list[tuple[str, str]]  # of one pair: its error, or its findings as (what, path)

_BATCH = 512  # pairs handed to the threads at once, so that memory does not grow with the data set

_READ_AS = {
    "1": "1-bit images (read as black and white RGB)",
    "L": "grey images (repeated in R, G and B)",
    "P": "palette images (colours looked up)",
    "CMYK": "CMYK images (converted to RGB)",
    "F": "floating-point images (scaled to 0..255)",
    **dict.fromkeys(WIDE_MODES, "16-bit grey images (divided by 257)"),
}
_TURNED = "images turned upright by their EXIF orientation (their masks must be upright too)"
_DARK = "16-bit images without a value above 255 (read as black; if they hold 8-bit values, save them as 8-bit)"
_GREY = f"grey-valued masks (value above {MASK_THRESHOLD} is foreground)"
_FAINT = f"masks with values, but none above {MASK_THRESHOLD} (read as empty; save foreground as 255)"
_EMPTY = "empty masks (no foreground)"
_NO_LABELS = "empty label maps (background alone)"
_FULL = "full masks (no background)"


def check_pairs(
    items: Sequence[Mapping[str, Any]], num_workers: int | None = None, label_kind: str = "mask", classes: int = 1
) -> list[str]:
    """Decode every image and mask once, in threads, and check that each pair fits.

    Args:
        items: `{"image": path, "label": path}` each, as from `load_datalist`; without "label", only the image is read;
            "label" may be a list of paths, instances and their classes.
        num_workers: threads; None takes one for each core this process may use, 8 at most.
        label_kind: "mask", "instances" or "classes".
        classes: how many are told apart, background included; 1 for object or background.

    Returns:
        Notices, one for each kind of finding: what it is and how it is read, how often, and an example.

    Raises:
        UserError: for the first bad pair in the order of `items`, with the count of the others: a file missing,
            empty, damaged, too large, not an image or of several frames; values that cannot be read as an image or
            as a label of its kind; or a label whose size differs from its image's.
    """
    problems: list[UserError] = []
    counts: dict[str, int] = {}
    examples: dict[str, str] = {}
    with warnings.catch_warnings():  # around the threads: the filters are global to the process
        warnings.simplefilter("ignore")
        examine = partial(_examine, label_kind=label_kind, classes=classes)
        for result in _examine_all(examine, items, num_workers or min(8, _cores())):
            if isinstance(result, UserError):
                problems.append(result)
                continue
            for finding, path in result:
                counts[finding] = counts.get(finding, 0) + 1
                examples.setdefault(finding, Path(path).name)
    if problems:
        others = f" (and {len(problems) - 1} more with errors)" if len(problems) > 1 else ""
        raise UserError(f"{problems[0]}{others}")
    return [f"{finding}: {count}, e.g. {examples[finding]}" for finding, count in counts.items()]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _examine_all(
    examine: Callable[[Mapping[str, Any]], Examined], items: Sequence[Mapping[str, Any]], num_workers: int
) -> Iterator[Examined]:
    with ThreadPoolExecutor(num_workers) as threads:
        for start in range(0, len(items), _BATCH):
            yield from threads.map(examine, items[start : start + _BATCH])


def _examine(item: Mapping[str, Any], label_kind: str, classes: int) -> Examined:
    """Check one pair; returns its error, or its findings as (what, path)."""
    try:
        size, image_findings = _examine_image(item["image"])
        findings = [(finding, item["image"]) for finding in image_findings]
        labels = ensure_tuple(item.get("label", ()))
        for number, label in enumerate(labels, start=1):
            if label_kind == "mask":
                label_findings = _examine_mask(label, item["image"], size)
            else:
                label_findings = _examine_labels(label, item["image"], size, classes if number == len(labels) else 1)
            findings += [(finding, label) for finding in label_findings]
    except UserError as error:
        return error
    return findings


def _examine_image(path: str) -> tuple[tuple[int, int], list[str]]:
    """Check one image; returns its upright size (W, H) and its findings."""
    picture = read_picture(path)
    mode = picture.mode
    findings = []
    if picture.has_transparency_data:
        findings.append(f"{mode} images with transparency (composited on white)")
    elif mode != "RGB":
        findings.append(_READ_AS.get(mode, f"{mode} images (converted to RGB)"))
    if mode in WIDE_MODES and np.asarray(picture).max() <= 255:
        findings.append(_DARK)
    if orientation(picture) != 1:
        findings.append(_TURNED)
    return to_rgb(picture).size, findings


def _examine_mask(path: str, image_path: str, size: tuple[int, int]) -> list[str]:
    """Check one mask against the upright size (W, H) of its image; returns its findings."""
    levels = mask_levels(read_picture(path))
    if levels.size != size:
        raise UserError(_size_error(path, levels.size, image_path, size))
    return _mask_findings(levels)


def _examine_labels(path: str, image_path: str, size: tuple[int, int], classes: int) -> list[str]:
    """Check one instance or class map against the upright size (W, H) of its image; returns its findings."""
    labels = to_labels(read_picture(path))
    if labels.size != size:
        raise UserError(_size_error(path, labels.size, image_path, size))
    highest = int(np.asarray(labels).max())
    if highest >= classes > 1:
        raise UserError(f"{path}: class {highest} in it, but the {classes} classes are 0 to {classes - 1}; declare it")
    return [] if highest else [_NO_LABELS]


def _size_error(path: str, mask: tuple[int, int], image_path: str, image: tuple[int, int]) -> str:
    fix = "turn the mask by 90 degrees" if mask == image[::-1] else "save the mask at the size of its image"
    return (
        f"{path}: the mask is {mask[0]} x {mask[1]} pixels (width x height), but its image {image_path} is "
        f"{image[0]} x {image[1]}; {fix}"
    )


def _mask_findings(levels: Image.Image) -> list[str]:
    """Name what is unusual about a mask of 0..255 levels."""
    histogram = levels.histogram()
    background, total = sum(histogram[: MASK_THRESHOLD + 1]), sum(histogram)
    if background == total:
        return [_EMPTY if histogram[0] == total else _FAINT]
    findings = [_GREY] if sum(histogram[1:255]) else []
    return findings + ([_FULL] if background == 0 else [])
