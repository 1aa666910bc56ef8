"""Semantics and detail infusion: the decoder of U-Net v2, which VM-UNet V2 took over.

Source: Peng, Chen and Sonka, "U-Net v2: Rethinking the Skip Connections of U-Net for Medical Image Segmentation", ISBI
2025: each encoder map is attended to (CBAM; Woo et al., 2018), reduced to w channels, and multiplied with all the
others at its size; the products are summed up from the deepest to the shallowest.

Symbols: B batch, C channels, H and W height and width, w channels of the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PooledChannelAttention(nn.Module):
    """Scale each channel by what its mean and its maximum say.

    Args:
        channels: C.
        reduction: C / reduction inner channels.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Conv2d(channels, channels // reduction, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels // reduction, channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scale (B, C, H, W)."""
        mean, largest = F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1)
        return x * torch.sigmoid(self.weigh(mean) + self.weigh(largest))


class SpatialAttention(nn.Module):
    """Scale each pixel by what the mean and the maximum of its channels say."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scale (B, C, H, W)."""
        said = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.weigh(said))


class Infusion(nn.Module):
    """Multiply the maps of all levels at the size of one.

    Args:
        levels: how many.
        width: w.
    """

    def __init__(self, levels: int, width: int) -> None:
        super().__init__()
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(levels))

    def forward(self, maps: list[Tensor], like: Tensor) -> Tensor:
        """Compute (B, w, H, W) at the size of `like`: larger maps are averaged, smaller ones upsampled."""
        product = torch.ones_like(like)
        for x, smooth in zip(maps, self.smooth, strict=True):
            larger = x.shape[2] > like.shape[2] or x.shape[3] > like.shape[3]
            size = (like.shape[2], like.shape[3])
            resized = (
                F.adaptive_avg_pool2d(x, size)
                if larger
                else F.interpolate(x, size, mode="bilinear", align_corners=True)  # as the authors do
            )
            product = product * smooth(resized)
        return product


class InfusionDecoder(nn.Module):
    """From the maps of an encoder to logits.

    Args:
        channels: of the maps, shallow to deep, each half as large as the one before.
        width: w.
        out_channels: of the logits.
    """

    def __init__(self, channels: Sequence[int], width: int, out_channels: int) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(
            nn.Sequential(
                PooledChannelAttention(each),
                SpatialAttention(),
                nn.Conv2d(each, width, 1, bias=False),
                nn.BatchNorm2d(width),
            )
            for each in channels
        )
        self.infuse = nn.ModuleList(Infusion(len(channels), width) for _ in channels)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, bias=False) for _ in channels[1:]
        )
        self.head = nn.Conv2d(width, out_channels, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits (B, classes, H, W) at the size of the shallowest map."""
        reduced = [reduce(x) for reduce, x in zip(self.reduce, maps, strict=True)]
        *infused, x = (infuse(reduced, like) for infuse, like in zip(self.infuse, reduced, strict=True))
        for up, skip in zip(self.up, reversed(infused), strict=True):
            x = up(x) + skip
        return self.head(x)
