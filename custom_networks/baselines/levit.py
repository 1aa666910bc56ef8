"""LeViT: a vision transformer in a pyramid, of layers with batch normalisation.

Source: Graham et al., "LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference", ICCV 2021. The default
is LeViT-384 without its classifier.

Deviations: random initialisation; the learned attention biases, one for each offset between two tokens, are resized for
maps of another size than that of `image_size`.

Symbols: B batch, C channels, H and W height and width, N tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEM_STRIDE = 16


class ConvNorm(nn.Sequential):
    """Convolution without bias and batch normalisation.

    Args:
        in_channels: of the input.
        out_channels: of the result.
        kernel_size: side of the kernel.
        stride: of the convolution.
        gain: scale of the normalisation at the start.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 1, stride: int = 1, gain: float = 1.0
    ) -> None:
        norm = nn.BatchNorm2d(out_channels)
        nn.init.constant_(norm.weight, gain)
        super().__init__(nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False), norm)


class BiasedAttention(nn.Module):
    """Attention with a bias for each offset; with stride 2 the result has half the size.

    Args:
        in_channels: C.
        out_channels: of the result.
        heads: of the attention.
        key: channels of a query and a key.
        value_ratio: channels of a value as a multiple of `key`.
        side: of the map that offsets are learned for.
        stride: of the queries.
    """

    def __init__(
        self, in_channels: int, out_channels: int, heads: int, key: int, value_ratio: int, side: int, stride: int = 1
    ) -> None:
        super().__init__()
        self.heads, self.key, self.stride = heads, key, stride
        self.query = ConvNorm(in_channels, heads * key)
        self.key_value = ConvNorm(in_channels, heads * key * (1 + value_ratio))
        self.bias = nn.Parameter(torch.zeros(heads, side, side))
        gain = 0.0 if stride == 1 else 1.0  # a residual starts as the identity
        self.project = nn.Sequential(nn.Hardswish(), ConvNorm(heads * key * value_ratio, out_channels, gain=gain))

    def biases(self, height: int, width: int) -> Tensor:
        """Bias of each query and key, (heads, N of the queries, N)."""
        learned: Tensor = self.bias
        if learned.shape[1:] != (height, width):
            learned = F.interpolate(learned[None], (height, width), mode="bilinear", align_corners=False)[0]
        rows, columns = (torch.arange(side, device=learned.device) for side in (height, width))
        down = (rows[:: self.stride, None] - rows).abs()[:, None, :, None]
        right = (columns[:: self.stride, None] - columns).abs()[None, :, None, :]
        return learned[:, down, right].flatten(3).flatten(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Attend within (B, C, H, W)."""
        height, width = x.shape[2:]
        sampled = x[:, :, :: self.stride, :: self.stride]
        query = self.query(sampled).flatten(2).unflatten(1, [self.heads, -1]).transpose(2, 3)
        pairs = self.key_value(x).flatten(2).unflatten(1, [self.heads, -1]).transpose(2, 3)
        key, value = pairs[..., : self.key], pairs[..., self.key :]
        read = F.scaled_dot_product_attention(query, key, value, self.biases(height, width).to(query.dtype))
        return self.project(read.transpose(2, 3).flatten(1, 2).unflatten(2, sampled.shape[2:]))


class LeViTFeedForward(nn.Sequential):
    """Two 1x1 with Hardswish between them; (B, C, H, W) in and out."""

    def __init__(self, channels: int, ratio: int = 2) -> None:
        inner = channels * ratio
        super().__init__(ConvNorm(channels, inner), nn.Hardswish(), ConvNorm(inner, channels, gain=0.0))


class Residual(nn.Module):
    """x + body(x)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Add (B, C, H, W)."""
        return x + self.body(x)


class LeViT(nn.Module):
    """Maps of the convolutional stem at /2, /4, /8, and of the transformer at /16, /32, /64.

    Args:
        in_channels: of the image.
        channels: of the transformer's stages.
        heads: of each stage.
        depths: pairs of attention and feed-forward part of each stage.
        key: channels of a query and a key.
        image_size: side in pixels of the square that attention biases are learned for.
    """

    def __init__(
        self,
        in_channels: int = 3,
        channels: Sequence[int] = (384, 512, 768),
        heads: Sequence[int] = (6, 9, 12),
        depths: Sequence[int] = (4, 4, 4),
        key: int = 32,
        image_size: int = 256,
    ) -> None:
        super().__init__()
        widths = [in_channels, *(channels[0] // factor for factor in (8, 4, 2, 1))]
        self.stem = nn.ModuleList(
            nn.Sequential(ConvNorm(before, after, 3, 2), nn.Hardswish() if after != channels[0] else nn.Identity())
            for before, after in itertools.pairwise(widths)
        )
        side = image_size // STEM_STRIDE
        stages = []
        for stage, width in enumerate(channels):
            parts: list[nn.Module] = []
            if stage > 0:
                before = channels[stage - 1]
                parts += [BiasedAttention(before, width, before // key, key, 4, side, stride=2)]
                parts += [Residual(LeViTFeedForward(width))]
                side = (side + 1) // 2
            for _ in range(depths[stage]):
                attention = BiasedAttention(width, width, heads[stage], key, 2, side)
                parts += [Residual(attention), Residual(LeViTFeedForward(width))]
            stages.append(nn.Sequential(*parts))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Six maps, shallow to deep, of (B, 3, H, W), H and W multiples of 16."""
        maps = []
        for conv in self.stem:
            x = conv(x)
            maps.append(x)
        maps.pop()  # the transformer's first map has its size
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
