"""Decoder with reverse attention, section 3.1, and its segmentation heads.

Reverse attention masks what the deep map is sure of, 1 - sigmoid(d), so that the shallow map is searched for what
is left: the boundary.

Symbols: B batch, D the decoder's width (64), H and W the input's height and width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from custom_networks.network.layers import ConvBNReLU, resize_to
from custom_networks.operators.convolution import Convolution


class ReverseAttentionStep(nn.Module):
    """One step from a deep map to the next shallower one.

    Args:
        channels: D.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.agree = nn.Sequential(
            Convolution(2 * channels, channels, 3),
            nn.BatchNorm2d(channels),
            nn.PReLU(),
            Convolution(channels, channels, 3),
            nn.BatchNorm2d(channels),
            nn.PReLU(),
            nn.Conv2d(channels, 1, 1),
        )
        self.reverse = nn.Sequential(
            ConvBNReLU(channels, channels, 3),
            ConvBNReLU(channels, channels, 3),
            nn.Conv2d(channels, 1, 3, padding=1, bias=False),
            nn.BatchNorm2d(1),
        )

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        """Merge (B, D, h, w) into (B, D, H, W): agreement + reverse attention + the deep map itself."""
        deep = resize_to(deep, shallow)
        agreement = self.agree(torch.cat([shallow, deep], dim=1))
        reversal = self.reverse((1 - torch.sigmoid(deep)) * shallow)
        return agreement + reversal + deep


class ReverseAttentionDecoder(nn.Module):
    """Three steps, /16, /8, /4, from the deepest map to the shallowest.

    Args:
        skip_channels: channels of the refined encoder maps, shallow to deep.
        channels: D.
    """

    def __init__(self, skip_channels: tuple[int, ...] = (256, 512, 1024), channels: int = 64) -> None:
        super().__init__()
        deep_first = skip_channels[::-1]
        self.reduce = nn.ModuleList(ConvBNReLU(c, channels, 1, bias=True) for c in deep_first)
        self.steps = nn.ModuleList(ReverseAttentionStep(channels) for _ in deep_first)

    def forward(self, deep: Tensor, skips: list[Tensor]) -> list[Tensor]:
        """Decode.

        Args:
            deep: (B, D, H/32, W/32).
            skips: refined encoder maps, shallow (/4) to deep (/16).

        Returns:
            Decoded maps (B, D, h, w), fine (/4) to coarse (/16).
        """
        decoded: list[Tensor] = []
        for i, (reduce, step) in enumerate(zip(self.reduce, self.steps)):  # noqa: B905 (TorchScript)
            deep = step(deep, reduce(skips[len(skips) - 1 - i]))
            decoded.append(deep)
        return decoded[::-1]
