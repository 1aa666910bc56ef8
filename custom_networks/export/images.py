"""Images that calibrate an export, and others that verify it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from custom_networks.configuration.inference import TrainedSource
from custom_networks.data.datalist import SPLITS, Datalist, Split
from custom_networks.data.pairing import find_images
from custom_networks.data.phantoms import write_phantoms
from custom_networks.data.remote import is_remote
from custom_networks.data.splitting import load_datalist
from custom_networks.errors import UserError
from custom_networks.export.format import Images
from custom_networks.files import sha256
from custom_networks.weights.reading import record_of

logger = logging.getLogger(__name__)
Image = TypeVar("Image")

CALIBRATION_IMAGES = 32
VERIFIED_IMAGES = 32
PHANTOMS = 3
"""Drawn images that stand in where there are none."""
HELD_OUT: tuple[Split, ...] = ("validation", "test", "training")
"""Lists of a datalist that verify, the first one that has images."""


@dataclass(frozen=True)
class Verification:
    """Images to compare an exported file on.

    Attributes:
        names: of their files.
        images: normalised (3, X, Y).
        where: they come from, in words.
    """

    names: tuple[str, ...]
    images: tuple[Images, ...]
    where: str

    def __str__(self) -> str:
        return f"{len(self.images)} {self.where}"


def listed_images(source: str | Path, splits: Sequence[Split] = SPLITS) -> list[str]:
    """List the images of a folder or of a datalist.

    Args:
        source: a folder, or a MONAI datalist whose relative paths start at its own folder.
        splits: lists of the datalist, of which the first one that has images counts.

    Returns:
        Paths of images.

    Raises:
        UserError: for a file that is no datalist, or lists nothing.
    """
    path = Path(source)
    if path.suffix != ".json":
        return [item["image"] for item in find_images(path)]
    datalist = Datalist.read(path)
    for split in splits:
        if datalist.listed(split):
            return [item["image"] for item in datalist.located(split)]
    raise UserError(f'{path}: lists no image; it needs "training": [{{"image": "PATH"}}, ...]')


def spread(images: Sequence[Image], count: int = CALIBRATION_IMAGES) -> list[Image]:
    """Pick `count` of a list, evenly spread; all of a shorter one."""
    if len(images) <= count:
        return list(images)
    return [images[position] for position in np.linspace(0, len(images) - 1, count).round().astype(int)]


def validated_images(checkpoint: Path) -> list[str]:
    """List the images that weights were validated on, as far as their record and the files on this machine tell.

    Args:
        checkpoint: the weights.

    Returns:
        Paths; empty where the record does not say it, or where the data set is not here any more.
    """
    settings = record_of(checkpoint).settings
    folder, datalist = (settings.get(name) for name in ("dataset_dir", "datalist"))
    if not isinstance(folder, str) or is_remote(folder):  # it would be fetched whole
        return []
    numbers = {name: settings[name] for name in ("fold", "seed") if name in settings}
    try:
        _, validation = load_datalist(folder, datalist, **numbers)
    except UserError as error:
        logger.info("%s: the images it was validated on cannot be had (%s)", checkpoint, error)
        return []
    return [item["image"] for item in validation]


def held_out(paths: Sequence[str], seen: set[str]) -> list[str]:
    """Pick images to verify on, evenly spread.

    Args:
        paths: to pick from.
        seen: SHA-256 of images to leave out, whatever their names.

    Returns:
        `VERIFIED_IMAGES` at most.
    """
    some = spread(paths, VERIFIED_IMAGES + len(seen))  # all of them need not be read
    return spread([path for path in some if sha256(path) not in seen], VERIFIED_IMAGES)


def images_to_verify(
    source: TrainedSource,
    validation: str | Path | None,
    calibration: Sequence[str],
    calibrated: Sequence[str],
) -> Verification:
    """Prepare images that int8 was not calibrated on.

    Args:
        source: the weights.
        validation: folder or datalist; None takes what the weights were validated on, else what else there is of
            `calibration`, else drawn phantoms.
        calibration: images that calibration chose from.
        calibrated: those that it took.

    Returns:
        Some of them, evenly spread.

    Raises:
        UserError: where none is left, or one cannot be read.
    """
    seen = {sha256(path) for path in calibrated}
    if validation is not None:
        names, where = held_out(listed_images(validation, HELD_OUT), seen), f"images of {validation}"
        if not names:
            raise UserError(
                f"--validation {validation}: int8 was calibrated on every one of its images; give other images to one "
                "of --validation and --calibration"
            )
    else:
        data = record_of(source.checkpoint).data
        trained = {*data.images, *(data.earlier or ())} if data else set()
        names, where = held_out(validated_images(source.checkpoint), seen | trained), "images they were validated on"
        if not names:
            names, where = held_out(calibration, seen), "images of --calibration that it did not take"
    if names:
        return Verification(tuple(names), tuple(source.prepare(path) for path in names), where)
    if calibrated:
        raise UserError(
            "--precision int8: no image is left to check the file on, since it was calibrated on all of them; give "
            "--validation a folder or datalist of others"
        )
    with tempfile.TemporaryDirectory() as folder:
        write_phantoms(folder, count=PHANTOMS, size=source.image_size)
        names = listed_images(Path(folder) / "images")
        images = tuple(source.prepare(path) for path in names)
    return Verification(tuple(Path(name).name for name in names), images, "drawn phantoms (give --validation yours)")
