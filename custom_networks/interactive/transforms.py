"""Guidance in the bundle's inference: beside the image before the network, honoured in the mask after it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform

from custom_networks.configuration.merged import read_config
from custom_networks.interactive.guidance import Guidance, guidance_maps, marked_cells
from custom_networks.interactive.merging import honour, honoured_radius


def read_guidance(folder: str | Path | None, image: str | Path) -> Guidance:
    """Read `NAME.json` of a folder for an image `NAME.*`; empty where there is none, or no folder.

    Args:
        folder: with the files, see `Guidance.from_json`; None or "" for none.
        image: path.

    Returns:
        The guidance.

    Raises:
        UserError: for a file that is no JSON or no guidance.
    """
    path = Path(folder or "") / f"{Path(image).stem}.json"
    return Guidance.from_json(read_config([path])) if folder and path.is_file() else Guidance()


class AddGuidanced(MapTransform):
    """Put the guidance maps beside the image's channels.

    Args:
        keys: of the images, (3, X, Y) `MetaTensor`s that know their file and their size as read.
        guidance_dir: see `read_guidance`.
    """

    def __init__(self, keys: str, guidance_dir: str | Path | None = None) -> None:
        super().__init__(keys)
        self.folder = guidance_dir

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Give (3 + 4, X, Y)."""
        items = dict(data)
        for key in self.key_iterator(items):
            image = items[key]
            guidance = read_guidance(self.folder, image.meta["filename_or_obj"])
            size = _size(image)
            guidance.check(*size)
            maps = torch.from_numpy(guidance_maps(guidance, size, image.shape[-1], None))
            items[key] = MetaTensor(torch.cat([image.as_tensor(), maps])).copy_meta_from(image)
        return items


class HonourGuidanced(MapTransform):
    """Change masks at the image's size where they contradict a mark.

    Args:
        keys: of the masks, (1, W, H).
        image_key: of their images.
        guidance_dir: see `read_guidance`.
    """

    def __init__(self, keys: str, image_key: str = "image", guidance_dir: str | Path | None = None) -> None:
        super().__init__(keys)
        self.image_key = image_key
        self.folder = guidance_dir

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Give masks that honour every mark."""
        items = dict(data)
        image = items[self.image_key]
        guidance = read_guidance(self.folder, image.meta["filename_or_obj"])
        size = _size(image)
        inside = marked_cells(guidance.foreground, guidance.foreground_scribbles, size, size)
        outside = marked_cells(guidance.background, guidance.background_scribbles, size, size)
        radius = honoured_radius(image.shape[-1], size)
        for key in self.key_iterator(items):
            mask = items[key]
            honoured = honour(np.asarray(mask[0]) > 0, inside, outside, radius)
            items[key] = MetaTensor(torch.from_numpy(honoured)[None].to(mask.dtype)).copy_meta_from(mask)
        return items


def _size(image: MetaTensor) -> tuple[int, int]:
    """Width and height of an image as it was read."""
    width, height = (int(side) for side in np.asarray(image.meta["spatial_shape"])[:2])
    return width, height
