"""Dual attention on the deepest level, and its reduction to the decoder's width.

Source: section 3.1; Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019; layout of CTO. Energies and
their softmax are in float32 also where the maps are in bfloat16.

Symbols: B batch, C channels, N = H*W positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from custom_networks.network.layers import ConvBNReLU
from custom_networks.operators.convolution import Convolution
from custom_networks.operators.float32 import precise_matmul


class PositionAttention(nn.Module):
    """Every position attends to every other; residual with a learned scale that starts at zero.

    Args:
        channels: C.
        reduction: the query and key have C / reduction channels.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.query = Convolution(channels, channels // reduction, 1)
        self.key = Convolution(channels, channels // reduction, 1)
        self.value = Convolution(channels, channels, 1)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in and out."""
        query, key, value = self.query(x).flatten(2), self.key(x).flatten(2), self.value(x).flatten(2)
        energy = precise_matmul(query.transpose(1, 2), key)  # (B, N, N)
        attention = torch.softmax(energy, dim=-1).to(value.dtype)  # over keys
        return self.scale * (value @ attention.transpose(1, 2)).reshape(x.shape) + x


class ChannelAttention(nn.Module):
    """Every channel attends to every other; residual with a learned scale that starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in and out."""
        features = x.flatten(2)
        energy = precise_matmul(features, features.transpose(1, 2))  # (B, C, C)
        attention = torch.softmax(energy.max(dim=-1, keepdim=True)[0] - energy, dim=-1).to(features.dtype)
        return self.scale * (attention @ features).reshape(x.shape) + x


class DualAttention(nn.Module):
    """Sum of a position and a channel attention branch.

    Args:
        in_channels: channels of the deepest map joined with StitchViT's output.
        out_channels: channels that come out.
        dropout: probability of the dropout before the last convolution.
        reduction: each branch works on in_channels / reduction channels.
    """

    def __init__(
        self, in_channels: int = 2304, out_channels: int = 2048, dropout: float = 0.1, reduction: int = 4
    ) -> None:
        super().__init__()
        inner = in_channels // reduction
        self.position = nn.Sequential(
            ConvBNReLU(in_channels, inner, 3), PositionAttention(inner), ConvBNReLU(inner, inner, 3)
        )
        self.channel = nn.Sequential(ConvBNReLU(in_channels, inner, 3), ChannelAttention(), ConvBNReLU(inner, inner, 3))
        self.project = nn.Sequential(nn.Dropout(dropout), Convolution(inner, out_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H, W)."""
        return self.project(self.position(x) + self.channel(x))
