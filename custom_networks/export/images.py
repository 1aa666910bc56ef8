"""Images that calibrate and verify an export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from custom_networks.data.datalist import SPLITS, Datalist
from custom_networks.data.pairing import find_images
from custom_networks.errors import UserError

CALIBRATION_IMAGES = 32


def listed_images(source: str | Path) -> list[str]:
    """List the images of a folder or of a datalist, training images where it tells them apart.

    Args:
        source: a folder, or a MONAI datalist whose relative paths start at its own folder.

    Returns:
        Paths of images.

    Raises:
        UserError: for a file that is no datalist, or lists nothing.
    """
    path = Path(source)
    if path.suffix != ".json":
        return [item["image"] for item in find_images(path)]
    datalist = Datalist.read(path)
    for split in SPLITS:
        if datalist.listed(split):
            return [item["image"] for item in datalist.located(split)]
    raise UserError(f'{path}: lists no image; it needs "training": [{{"image": "PATH"}}, ...]')


def spread(paths: Sequence[str], count: int = CALIBRATION_IMAGES) -> list[str]:
    """Pick `count` of a list, evenly spread; all of a shorter one."""
    if len(paths) <= count:
        return list(paths)
    return [paths[position] for position in np.linspace(0, len(paths) - 1, count).round().astype(int)]
