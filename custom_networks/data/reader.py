"""MONAI's reader of images and labels: `read` of `formats`, in a `LoadImaged`.

In a config, here for masks:

    {"_target_": "LoadImaged", "keys": "label", "reader": {
        "_target_": "custom_networks.data.PictureReader", "kind": "mask"}}

`EnsureChannelFirstd` then makes (3, W, H) of an image (`channel_dim=-1`) and (1, W, H) of a label
(`channel_dim="no_channel"`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from monai.data import PILReader
from monai.utils import ensure_tuple

from custom_networks.data.formats import read
from custom_networks.files import PathLike


class PictureReader(PILReader):
    """Read images or labels, with errors that arrive, each in one sentence that names the file.

    `LoadImage` swallows what a reader raises in `read` and tries its other readers. Only errors from `get_data` pass,
    so the files are opened there.

    Args:
        kind: "image", or what the labels are: "mask", "instances" or "classes"; see `read` of `formats`.
        depth: bits of grey that is stored in 16; None takes each image's own.
    """

    def __init__(self, kind: str, depth: int | None = None) -> None:
        super().__init__()
        self.kind, self.depth = kind, depth

    def read(self, data: Sequence[PathLike] | PathLike | np.ndarray, **kwargs: Any) -> tuple[PathLike, ...]:
        """Name the files that `get_data` will open.

        Args:
            data: one path, or several to stack as channels.
            kwargs: unused; `LoadImage` passes none.

        Returns:
            The paths.
        """
        return ensure_tuple(data)

    def get_data(self, img: Sequence[PathLike]) -> tuple[np.ndarray, dict]:
        """Open, decode and convert the files.

        Args:
            img: the paths from `read`.

        Returns:
            The array, uint8 or (of instances and classes) int32, (W, H) or (W, H, C), or (N, W, H) of N grey files, and
            its metadata.

        Raises:
            UserError: when a file cannot be read.
        """
        return super().get_data([read(path, self.kind, self.depth).image for path in img])
