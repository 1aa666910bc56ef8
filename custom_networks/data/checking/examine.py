"""Read one item's files once: what is wrong with them, and the little that comparisons across files need."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_networks.data.checking.findings import TINY_PIXELS, TINY_SHARE, Finding, FindingKind
from custom_networks.data.duplicates import thumbnail
from custom_networks.data.formats import Opened, read, stored_image
from custom_networks.data.images import MASK_THRESHOLD
from custom_networks.errors import UserError
from custom_networks.files import sha256

_READ_AS = {
    "1": "1-bit images (read as black and white RGB)",
    "L": "grey images (repeated in R, G and B)",
    "P": "palette images (colours looked up)",
    "CMYK": "CMYK images (converted to RGB)",
    "F": "floating-point images (scaled to 0..255)",
}
_JPEG_REACH = 32  # grey levels around 0 and 255 where JPEG's ripples lie
_JPEG_VALUES = 8  # ripples take many values; a drawn mask few


@dataclass(frozen=True)
class Labels:
    """What a data set says its labels are.

    Attributes:
        kind: "mask" (binary), "instances" (instance ids) or "classes" (class indices).
        classes: the class indices that labels, or the class maps of instances, may hold beside 0; None if not said.
    """

    kind: str = "mask"
    classes: frozenset[int] | None = None


@dataclass
class Examined:
    """What remains of one item.

    Attributes:
        findings: about its files alone.
        pixels_digest: of the decoded pixels and their size; empty when the image cannot be read.
        thumbnail: (64, 64) grey; None when it cannot be read or was not asked for.
        foreground: foreground pixels and all pixels of the label.
        class_pixels: pixels of each class, of labels with classes.
        largest: value of grey that is stored in 16 bits; None for other images.
    """

    findings: list[Finding] = field(default_factory=list)
    pixels_digest: bytes = b""
    thumbnail: NDArray[np.uint8] | None = None
    foreground: tuple[int, int] = (0, 0)
    class_pixels: dict[int, int] = field(default_factory=dict)
    largest: int | None = None


def examine(item: Mapping[str, Any], labels: Labels | None = None, with_thumbnail: bool = True) -> Examined:
    """Read the files of one item.

    Args:
        item: "image" and, unless images alone are checked, "label"; "types" and "sha256" where the datalist has them.
        labels: what its label should hold; binary masks by default.
        with_thumbnail: whether near-duplicates will be searched for.

    Returns:
        What was found; nothing is raised for a bad file.
    """
    examined = Examined()
    path = str(item["image"])
    try:
        size = _examine_image(path, examined, with_thumbnail)
    except UserError as error:
        examined.findings.append(Finding(FindingKind.FILE, path, str(error)))
        return examined
    expected = item.get("sha256")
    if expected and sha256(path) != expected:
        examined.findings.append(Finding(FindingKind.HASH, path))
    try:
        _examine_labels(item, size, labels or Labels(), examined)
    except _BadLabel as error:
        examined.findings.append(Finding(error.kind, error.path, str(error)))
    return examined


class _BadLabel(Exception):
    def __init__(self, kind: FindingKind, path: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind, self.path = kind, path


def _examine_image(path: str, examined: Examined, with_thumbnail: bool) -> tuple[int, int]:
    """Check one image; returns its upright size (W, H)."""
    opened = stored_image(path)
    if opened.transparent:
        text = f"{opened.mode} images with transparency (composited on white)"
        examined.findings.append(Finding(FindingKind.READ_AS, path, text))
    elif opened.mode != "RGB" and opened.depth is None:
        text = _READ_AS.get(opened.mode, f"{opened.mode} images (converted to RGB)")
        examined.findings.append(Finding(FindingKind.READ_AS, path, text))
    if opened.turned:
        examined.findings.append(Finding(FindingKind.TURNED, path))
    if opened.depth is not None:
        examined.largest = int(np.asarray(opened.image).max())
    rgb = opened.rgb(path)
    examined.pixels_digest = hashlib.blake2b(rgb.tobytes(), digest_size=16, salt=str(rgb.size)[:16].encode()).digest()
    if with_thumbnail:
        examined.thumbnail = thumbnail(rgb)
    return rgb.size


def _examine_labels(item: Mapping[str, Any], size: tuple[int, int], labels: Labels, examined: Examined) -> None:
    if "label" not in item:
        return
    path, image = str(item["label"]), str(item["image"])
    opened = _open(path, labels.kind)
    _check_size(path, opened.image.size, image, size)
    values = np.asarray(opened.image)
    foreground = values > 0
    if opened.levels is not None:
        levels = np.asarray(opened.levels)
        _refuse_numbers(path, levels, foreground)
        examined.findings += [Finding(kind, path) for kind in _mask_kinds(levels)]
    elif labels.kind == "classes":
        _count_classes(path, values, labels.classes, examined)
    examined.findings += [Finding(kind, path) for kind in _shape_kinds(foreground, labels.kind)]
    examined.foreground = int(foreground.sum()), foreground.size
    if "types" in item:
        path = str(item["types"])
        types = np.asarray(_open(path, "classes").image)
        _check_size(path, types.shape[::-1], image, size)
        _count_classes(path, types, labels.classes, examined)


def _open(path: str, kind: str) -> Opened:
    try:
        return read(path, kind)
    except UserError as error:
        raise _BadLabel(FindingKind.FILE, path, str(error)) from None


def _refuse_numbers(path: str, levels: NDArray[np.uint8], foreground: NDArray[np.bool_]) -> None:
    """Refuse a mask that has values but no foreground: it would train as empty."""
    if foreground.any() or not levels.any():
        return
    present = np.unique(levels).tolist()
    shown = ", ".join(map(str, present[:5])) + (", ..." if len(present) > 5 else "")
    raise _BadLabel(
        FindingKind.NUMBERS,
        path,
        f"{path}: a mask of the values {shown}, of which none is above {MASK_THRESHOLD}, would be read as empty; set "
        '"label_kind" of the datalist, or --label_kind, to classes or instances, or save foreground as 255',
    )


def _check_size(path: str, mask: tuple[int, ...], image_path: str, image: tuple[int, int]) -> None:
    if tuple(mask) == image:
        return
    fix = "save the mask at the size of its image"
    if tuple(mask) == image[::-1]:
        fix = "turn the mask by 90 degrees"
    elif abs(mask[0] * image[1] / (mask[1] * image[0]) - 1) > 0.02:
        fix += "; the aspect ratio differs too, so it was squeezed or cropped"
    raise _BadLabel(
        FindingKind.SIZE,
        path,
        f"{path}: the mask is {mask[0]} x {mask[1]} pixels (width x height), but its image {image_path} is "
        f"{image[0]} x {image[1]}; {fix}",
    )


def _count_classes(path: str, values: NDArray[np.int64], classes: frozenset[int] | None, examined: Examined) -> None:
    present, counts = np.unique(values, return_counts=True)
    unknown = [] if classes is None else [int(value) for value in present if value and int(value) not in classes]
    if unknown:
        raise _BadLabel(
            FindingKind.VALUES,
            path,
            f"{path}: holds {', '.join(map(str, unknown[:5]))}, which is no declared class "
            f'({", ".join(map(str, sorted(classes or ())))}); correct them or add it to "classes" of the datalist',
        )
    examined.class_pixels = {int(value): int(count) for value, count in zip(present, counts, strict=True)}


def _mask_kinds(values: NDArray[np.uint8]) -> list[FindingKind]:
    """Name what is unusual about the values of a mask of 0..255 levels."""
    between = np.flatnonzero(np.bincount(values.ravel(), minlength=256)[1:255]) + 1
    if not len(between):
        return []
    ripples = bool(np.all((between <= _JPEG_REACH) | (between >= 255 - _JPEG_REACH)))
    return [FindingKind.JPEG if ripples and len(between) >= _JPEG_VALUES else FindingKind.GREY]


def _shape_kinds(foreground: NDArray[np.bool_], label_kind: str) -> list[FindingKind]:
    """Name what is unusual about the extent of the foreground."""
    count = int(foreground.sum())
    if count == 0:
        return [FindingKind.EMPTY]
    if count == foreground.size:
        return [FindingKind.FULL]
    if label_kind == "instances":  # nuclei are small, and cut by every patch
        return []
    tiny = count < TINY_PIXELS and count < TINY_SHARE * foreground.size
    edges = foreground[0].any() or foreground[-1].any() or foreground[:, 0].any() or foreground[:, -1].any()
    return [kind for kind, there in ((FindingKind.TINY, tiny), (FindingKind.CUT, edges)) if there]
