"""U-Net v2: a pyramid vision transformer and the infusion of every level into every other.

Source: Peng, Chen and Sonka, "U-Net v2", ISBI 2025, with the encoder PVT v2-B2 (Wang et al., "PVT v2: Improved
Baselines with Pyramid Vision Transformer", 2022). 25.13 M parameters and 5.56 GMACs at 256 x 256, attention's products
among them; Table 2 of the SGD-Net paper prints 25.15 M and 5.40 G.

Deviations: random initialisation instead of ImageNet weights, and one head, at the finest level, where the authors'
code has one at each.

Symbols: B batch, C channels, H and W height and width, N tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from monai.networks.layers import DropPath
from torch import Tensor, nn

from custom_networks.baselines.sdi import InfusionDecoder
from custom_networks.network.layers import LayerNorm2d, resize_to


class ReducedAttention(nn.Module):
    """Attention of every pixel to a map that is smaller by a factor.

    Args:
        channels: C.
        heads: of the attention.
        reduction: the factor.
    """

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.shrink: nn.Module = nn.Identity()
        if reduction > 1:
            self.shrink = nn.Sequential(
                nn.Conv2d(channels, channels, reduction, reduction), LayerNorm2d(channels, eps=1e-5)
            )
        self.project = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Attend within (B, C, H, W)."""
        query = self.query(x.flatten(2).transpose(1, 2)).unflatten(2, [self.heads, -1]).transpose(1, 2)
        pairs = self.key_value(self.shrink(x).flatten(2).transpose(1, 2))
        key, value = pairs.unflatten(2, [2, self.heads, -1]).permute(2, 0, 3, 1, 4)  # (B, heads, N, c) each
        read = F.scaled_dot_product_attention(query, key, value)
        return self.project(read.transpose(1, 2).flatten(2)).transpose(1, 2).unflatten(2, x.shape[2:])


class ConvFeedForward(nn.Module):
    """Linear, depthwise 3x3, GELU, linear; (B, C, H, W) in and out.

    Args:
        channels: C.
        ratio: of inner channels to C.
    """

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        inner = channels * ratio
        self.body = nn.Sequential(
            nn.Conv2d(channels, inner, 1),
            nn.Conv2d(inner, inner, 3, padding=1, groups=inner),
            nn.GELU(),
            nn.Conv2d(inner, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute each pixel, with its neighbours."""
        return self.body(x)


class PyramidBlock(nn.Module):
    """Attention and feed-forward part, each with a residual; (B, C, H, W) in and out."""

    def __init__(self, channels: int, heads: int, ratio: int, reduction: int, drop_path: float) -> None:
        super().__init__()
        attention = ReducedAttention(channels, heads, reduction)
        parts = (attention, ConvFeedForward(channels, ratio))
        self.parts = nn.ModuleList(
            nn.Sequential(LayerNorm2d(channels), part, DropPath(drop_path) if drop_path else nn.Identity())
            for part in parts
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute both parts."""
        for part in self.parts:
            x = x + part(x)
        return x


class PyramidTransformer(nn.Module):
    """PVT v2: maps at /4, /8, /16 and /32.

    Args:
        in_channels: of the image.
        channels: of the maps.
        depths: blocks of each stage.
        heads: of each stage.
        ratios: of the feed-forward parts.
        reductions: of the attention.
        drop_path: probability that the last block is left out in training; earlier ones less.
    """

    def __init__(
        self,
        in_channels: int = 3,
        channels: Sequence[int] = (64, 128, 320, 512),
        depths: Sequence[int] = (3, 4, 6, 3),
        heads: Sequence[int] = (1, 2, 5, 8),
        ratios: Sequence[int] = (8, 8, 4, 4),
        reductions: Sequence[int] = (8, 4, 2, 1),
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        rates = iter(torch.linspace(0, drop_path, sum(depths), device="cpu").tolist())
        stages, before = [], in_channels
        for stage, width in enumerate(channels):
            kernel, stride = (7, 4) if stage == 0 else (3, 2)
            embed = nn.Conv2d(before, width, kernel, stride, kernel // 2)
            blocks = [
                PyramidBlock(width, heads[stage], ratios[stage], reductions[stage], next(rates))
                for _ in range(depths[stage])
            ]
            stages.append(nn.Sequential(embed, LayerNorm2d(width, eps=1e-5), *blocks, LayerNorm2d(width)))
            before = width
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps, shallow to deep, of (B, 3, H, W)."""
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class UNetV2(nn.Module):
    """U-Net v2 for 2D images whose sides are multiples of 32.

    Args:
        in_channels: of the image.
        out_channels: of the logits.
        width: channels of the decoder.
        channels: of the encoder's maps.
        depths: blocks of the encoder's stages.
        drop_path: see `PyramidTransformer`.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        width: int = 32,
        channels: Sequence[int] = (64, 128, 320, 512),
        depths: Sequence[int] = (3, 4, 6, 3),
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        self.encoder = PyramidTransformer(in_channels, channels, depths, drop_path=drop_path)
        self.decoder = InfusionDecoder(channels, width, out_channels)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of (B, 3, H, W)."""
        return resize_to(self.decoder(self.encoder(image)), image)
