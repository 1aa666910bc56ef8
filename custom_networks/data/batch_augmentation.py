"""The bundle's random transforms on whole batches, on any device: flips, rotation, normalisation.

They are made from MONAI's own transforms, so that a configuration is written once, and give what those give image by
image: flips and normalisation to the bit, rotations to rounding, since the sampling positions of a batch are computed
in one product (where a position lies half-way between two pixels, "nearest" may then take the other one).

Symbols: B batch, C channels, W and H the two spatial axes, in this order as the bundle loads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from monai.transforms import EnsureTyped, NormalizeIntensityd, RandFlipd, RandRotated
from torch import Generator, Tensor

from custom_networks.errors import UserError

Batch = dict[str, Tensor]
Step = Callable[[Batch, Generator], Batch]


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the CPU to a device, without waiting for what a GPU computes just then."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def flip(maps: Tensor, axis: int, chosen: Tensor) -> Tensor:
    """Flip some maps of a batch.

    Args:
        maps: (B, C, W, H).
        axis: 0 or 1, the spatial axis.
        chosen: (B,) bool, on the CPU, which to flip.

    Returns:
        (B, C, W, H).
    """
    positions = sent(chosen.nonzero()[:, 0], maps.device)
    return maps.index_copy(0, positions, maps[positions].flip(2 + axis)) if len(positions) else maps


def rotate(maps: Tensor, angles: Tensor, mode: str = "bilinear", padding_mode: str = "reflection") -> Tensor:
    """Rotate each map of a batch about its centre, as MONAI's `Rotate` does.

    Args:
        maps: (B, C, W, H), of any type.
        angles: (B,) in radians, on the CPU; maps with 0 are left to the bit.
        mode: "bilinear" or "nearest".
        padding_mode: "reflection", "border" or "zeros".

    Returns:
        (B, C, W, H) float32.
    """
    maps = maps.float()
    turned = angles.nonzero()[:, 0]
    if not len(turned):
        return maps
    width, height = maps.shape[2:]
    cos, sin = angles[turned].double().cos(), angles[turned].double().sin()
    zero = torch.zeros_like(cos)
    # rows: the last axis, then the one before it, both normalised to -1..1
    rows = [cos, sin * width / height, zero], [-sin * height / width, cos, zero]
    theta = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    positions = sent(turned, maps.device)
    chosen = maps[positions]
    grid = F.affine_grid(sent(theta.float(), maps.device), list(chosen.shape), align_corners=False)
    sampled = F.grid_sample(chosen, grid, mode=mode, padding_mode=padding_mode, align_corners=False)
    return maps.index_copy(0, positions, sampled)


def draw(count: int, prob: float, generator: Generator) -> Tensor:
    """Draw which of `count` items a transform of probability `prob` takes; (count,) bool on the CPU."""
    return torch.rand(count, generator=generator) < prob


@dataclass(frozen=True)
class BatchFlip:
    """`RandFlipd` on a batch.

    Attributes:
        keys: of the maps.
        prob: of each item.
        axis: spatial, 0 or 1.
    """

    keys: tuple[str, ...]
    prob: float
    axis: int

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """Flip the same items under every key."""
        chosen = draw(len(batch[self.keys[0]]), self.prob, generator)
        return {**batch, **{key: flip(batch[key], self.axis, chosen) for key in self.keys}}


@dataclass(frozen=True)
class BatchRotation:
    """`RandRotated` on a batch.

    Attributes:
        keys: of the maps.
        prob: of each item.
        low: smallest angle in radians.
        high: largest angle.
        modes: interpolation of each key.
        padding_modes: of each key.
    """

    keys: tuple[str, ...]
    prob: float
    low: float
    high: float
    modes: tuple[str, ...]
    padding_modes: tuple[str, ...]

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """Rotate the same items by the same angles under every key."""
        count = len(batch[self.keys[0]])
        chosen = draw(count, self.prob, generator)
        angles = (self.low + (self.high - self.low) * torch.rand(count, generator=generator)) * chosen
        turned = {
            key: rotate(batch[key], angles, mode, padding_mode)
            for key, mode, padding_mode in zip(self.keys, self.modes, self.padding_modes, strict=True)
        }
        return {**batch, **turned}


@dataclass(frozen=True)
class BatchNormalization:
    """`NormalizeIntensityd` with given figures on a batch.

    Attributes:
        keys: of the images.
        mean: of each channel.
        std: of each channel.
    """

    keys: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """Subtract and divide."""
        result = dict(batch)
        for key in self.keys:
            mean = sent(torch.tensor(self.mean), batch[key].device)[:, None, None]
            std = sent(torch.tensor(self.std), batch[key].device)[:, None, None]
            result[key] = (batch[key].float() - mean) / std
        return result


@dataclass(frozen=True)
class BatchFloat:
    """`EnsureTyped` with float32 on a batch.

    Attributes:
        keys: of the maps.
    """

    keys: tuple[str, ...]

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """Make float32."""
        return {**batch, **{key: batch[key].float() for key in self.keys}}


def batch_steps(transforms: Sequence[Any]) -> list[Step]:
    """Translate MONAI's dictionary transforms.

    Args:
        transforms: `RandFlipd` of one axis, `RandRotated` that keeps the size, `NormalizeIntensityd` with figures for
            each channel, `EnsureTyped` to float32 or of the type it finds.

    Returns:
        A step for each.

    Raises:
        UserError: for any other transform.
    """
    return [step for transform in transforms for step in _translate(transform)]


def _translate(transform: Any) -> list[Step]:
    keys = tuple(getattr(transform, "keys", ()))
    if isinstance(transform, RandFlipd) and transform.flipper.spatial_axis in (0, 1):
        return [BatchFlip(keys, transform.prob, transform.flipper.spatial_axis)]
    if isinstance(transform, RandRotated) and transform.rand_rotate.keep_size and not any(transform.align_corners):
        low, high = transform.rand_rotate.range_x
        modes, padding_modes = map(str, transform.mode), map(str, transform.padding_mode)
        return [BatchRotation(keys, transform.prob, low, high, tuple(modes), tuple(padding_modes))]
    if isinstance(transform, NormalizeIntensityd):
        mean, std = transform.normalizer.subtrahend, transform.normalizer.divisor
        by_channel = transform.normalizer.channel_wise and not transform.normalizer.nonzero
        if by_channel and mean is not None and std is not None:
            return [BatchNormalization(keys, tuple(map(float, mean)), tuple(map(float, std)))]
    if isinstance(transform, EnsureTyped) and set(transform.dtype) <= {None, torch.float32}:
        return [BatchFloat(tuple(key for key, dtype in zip(keys, transform.dtype, strict=True) if dtype is not None))]
    raise UserError(
        f"--data_on_device true: {type(transform).__name__} as configured cannot run on whole batches, only RandFlipd "
        "of one axis, RandRotated, NormalizeIntensityd and EnsureTyped can; set --data_on_device false"
    )
