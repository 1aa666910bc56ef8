"""What the bundle's configs call for their data: lists that are checked before anything is trained or predicted."""

from __future__ import annotations

import logging
from typing import Any

import torch

from custom_networks.data.checking import check_items
from custom_networks.data.checking.examine import Labels
from custom_networks.data.depth import Items, declared_depth
from custom_networks.data.labels import with_classes
from custom_networks.data.pairing import Item, find_images
from custom_networks.data.splitting import load_datalist
from custom_networks.errors import UserError
from custom_networks.files import PathLike
from custom_networks.network.sgdnet import SIZE_FACTOR
from custom_networks.processes import from_first, rank

logger = logging.getLogger(__name__)


def checked_datalist(
    dataset_dir: PathLike,
    datalist: PathLike | None = None,
    fold: int = 0,
    seed: int = 0,
    label_kind: str = "mask",
    classes: int = 1,
    bit_depth: int | None = None,
) -> dict[str, Items]:
    """List training and validation pairs and check every file, so that a bad one is told before the first epoch.

    Of several processes the first one checks, for all.

    Args:
        dataset_dir: see `load_datalist`.
        datalist: see `load_datalist`.
        fold: see `load_datalist`.
        seed: see `load_datalist`.
        label_kind: "mask", "instances" or "classes", see `label_kind`.
        classes: how many to tell apart, background included; 1 for object or background.
        bit_depth: of grey images stored in 16 bits; None takes the datalist's, or else what holds every image.

    Returns:
        `{"training": [...], "validation": [...]}`, lists of `{"image": path, "label": path}` that know the bit depth;
        "label" is `[instances, types]` where the classes of instances are told apart.

    Raises:
        UserError: for whatever is wrong with the folder, the list or a file.
    """
    lists = load_datalist(dataset_dir, datalist, fold=fold, seed=seed)
    labels = Labels(label_kind, frozenset(range(1, classes)) if classes > 1 else None)
    paired = [with_classes(items, label_kind, classes) for items in lists]
    depth = declared_depth(datalist, bit_depth)
    splits = dict(zip(("training", "validation"), lists, strict=True))
    checked = from_first(lambda: check_items(splits, labels, bit_depth=depth))
    _report(checked.notices)
    training, validation = (Items(items, checked.bit_depth) for items in paired)
    _report([f"{len(training)} training and {len(validation)} validation pairs from {dataset_dir}"], logging.INFO)
    return {"training": training, "validation": validation}


def checked_images(dataset_dir: PathLike, bit_depth: int | None = None) -> list[Item]:
    """List the images of a folder and read every one once; raises UserError as `find_images` and `check_items`."""
    images = find_images(dataset_dir)
    _report(from_first(lambda: check_items({"images": images}, bit_depth=bit_depth)).notices)
    _report([f"{len(images)} images from {dataset_dir}"], logging.INFO)
    return images


def checked_size(image_size: Any) -> list[int]:
    """Return [side, side] of the square the images are resized to.

    Raises:
        UserError: for a side that is no positive multiple of 64.
    """
    if isinstance(image_size, bool) or not isinstance(image_size, int) or image_size < 1 or image_size % SIZE_FACTOR:
        near = SIZE_FACTOR
        if isinstance(image_size, int | float) and image_size > 0:
            near = max(SIZE_FACTOR, round(image_size / SIZE_FACTOR) * SIZE_FACTOR)
        raise UserError(
            f"image_size {image_size}: StitchViT needs a multiple of {SIZE_FACTOR} pixels; use --image_size {near}"
        )
    return [image_size, image_size]


def to_uint8(image: torch.Tensor) -> torch.Tensor:
    """Round to 8 bits: a quarter of the memory in the cache."""
    return image.round().clamp(0, 255).to(torch.uint8)


def _report(notices: list[str], level: int = logging.WARNING) -> None:
    if rank() == 0:
        for notice in notices:
            logger.log(level, notice)
