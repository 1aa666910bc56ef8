"""From what the network gives to what is measured: probabilities (H, W) at a chosen size, edge maps.

MONAI's PIL reader lays pictures out as (W, H); everything here leaves as (H, W). Symbols: B batch, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from custom_networks.network.segmenter import SGDNetMaps
from custom_networks.precision import MixedPrecisionInferer
from custom_networks.weights.normalization import Normalization

RESOLUTIONS = ("original", "network")


class MapsInferer(MixedPrecisionInferer):
    """Return the final logits, as its parent does, and keep every map of the last batch as `maps`.

    Args:
        amp: whether to use bfloat16.
        device: where the network runs.
    """

    maps: SGDNetMaps

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run `network.maps` on (B, 3, H, W); returns float32 logits (B, C, H, W)."""

        def finest(image: Tensor) -> Tensor:
            self.maps = network.maps(image)  # type: ignore[attr-defined]
            return self.maps.segmentation[0]

        return super().__call__(inputs, finest, *args, **kwargs)


def at_size(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps bilinearly, averaged where they shrink.

    Args:
        maps: (C, H, W).
        size: height and width in pixels.

    Returns:
        (C, height, width); the same tensor where the size is right already.
    """
    if tuple(maps.shape[1:]) == size:
        return maps
    resized = functional.interpolate(maps[None], size, mode="bilinear", align_corners=False, antialias=True)[0]
    return resized.clamp(0, 1)


def original_size(image: Any) -> tuple[int, int]:
    """Height and width of a picture as it was read, from its metadata."""
    width, height = (int(side) for side in np.asarray(image.meta["spatial_shape"])[:2])
    return height, width


def to_picture(image: Tensor, normalization: Normalization) -> NDArray[np.uint8]:
    """Undo the normalisation of a network input (3, W, H); returns (H, W, 3) in 0..255."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (normalization.mean, normalization.std))
    plain = torch.as_tensor(image).detach().float().cpu() * std + mean
    return plain.round().clamp(0, 255).byte().permute(2, 1, 0).numpy()
