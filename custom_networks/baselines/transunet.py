"""TransUNet: a ResNet whose last map a vision transformer reads, and a U-Net's decoder.

Source: Chen et al., "TransUNet: Transformers Make Strong Encoders for Medical Image Segmentation", 2021, with its
R50-ViT-B/16 encoder (Dosovitskiy et al., 2021; the ResNet of Kolesnikov et al., "Big Transfer", 2020: standardised
convolutions and group normalisation). For nine classes at 224 x 224 it has the 105.28 M parameters of the literature,
for one class at 256 x 256 105.32 M and 38.4 GMACs; Table 2 of the SGD-Net paper prints 114.65 M and 37.02 G.

Deviations: random initialisation instead of ImageNet-21k weights; positions are learned for 256 x 256 and resized for
other sizes.

Symbols: B batch, C channels, H and W height and width, N tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from custom_networks.network.layers import ConvBNReLU, resize_to

GROUPS = 32
STRIDE = 16


class StandardizedConv2d(nn.Conv2d):
    """Convolution whose kernels have mean 0 and variance 1 (Qiao et al., 2019), without bias."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (B, C, H, W)."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        weight = (self.weight - mean) * torch.rsqrt(variance + 1e-5)
        return F.conv2d(input, weight, None, self.stride, self.padding)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a residual.

    Args:
        in_channels: of the input.
        out_channels: of the result, four times the inner channels.
        stride: of the 3x3.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        inner = out_channels // 4
        self.body = nn.Sequential(
            StandardizedConv2d(in_channels, inner, 1),
            nn.GroupNorm(GROUPS, inner, eps=1e-6),
            nn.ReLU(inplace=True),
            StandardizedConv2d(inner, inner, 3, stride),
            nn.GroupNorm(GROUPS, inner, eps=1e-6),
            nn.ReLU(inplace=True),
            StandardizedConv2d(inner, out_channels, 1),
            nn.GroupNorm(GROUPS, out_channels, eps=1e-6),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                StandardizedConv2d(in_channels, out_channels, 1, stride), nn.GroupNorm(out_channels, out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Compute (B, out_channels, H/stride, W/stride)."""
        return F.relu(self.shortcut(x) + self.body(x))


class HybridResNet(nn.Module):
    """The first three stages of a ResNet-50: maps at /2, /4, /8 and /16."""

    def __init__(self, in_channels: int, depths: Sequence[int] = (3, 4, 9)) -> None:
        super().__init__()
        self.root = nn.Sequential(
            StandardizedConv2d(in_channels, 64, 7, 2), nn.GroupNorm(GROUPS, 64, eps=1e-6), nn.ReLU(inplace=True)
        )
        self.pool = nn.MaxPool2d(3, 2, 1)
        stages, channels = [], 64
        for stage, depth in enumerate(depths):
            width = 256 * 2**stage
            first = Bottleneck(channels, width, 1 if stage == 0 else 2)
            stages.append(nn.Sequential(first, *(Bottleneck(width, width) for _ in range(depth - 1))))
            channels = width
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps of 64, 256, 512 and 1024 channels, from (B, C, H, W)."""
        maps = [self.root(x)]
        x = self.pool(maps[0])
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class UpBlock(nn.Sequential):
    """Two 3x3 convolutions on the map at twice its size, beside a skip if there is one."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__(
            ConvBNReLU(in_channels + skip_channels, out_channels, 3), ConvBNReLU(out_channels, out_channels, 3)
        )

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Compute (B, out_channels, 2H, 2W) from (B, in_channels, H, W)."""
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
        return super().forward(x if skip is None else torch.cat([x, skip], 1))


class TransUNet(nn.Module):
    """TransUNet for 2D images whose sides are multiples of 16.

    Args:
        in_channels: of the image.
        out_channels: of the logits.
        hidden: channels of a token.
        layers: of the transformer.
        heads: of its attention.
        mlp: inner channels of its feed-forward part.
        dropout: probability in the transformer.
        image_size: side in pixels of the square that positions are learned for.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        hidden: int = 768,
        layers: int = 12,
        heads: int = 12,
        mlp: int = 3072,
        dropout: float = 0.1,
        image_size: int = 256,
    ) -> None:
        super().__init__()
        side = image_size // STRIDE
        self.encoder = HybridResNet(in_channels)
        self.embed = nn.Conv2d(1024, hidden, 1)
        self.position = nn.Parameter(torch.zeros(1, hidden, side, side))
        nn.init.trunc_normal_(self.position, std=0.02)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            hidden, heads, mlp, dropout, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(
            layer, layers, nn.LayerNorm(hidden, eps=1e-6), enable_nested_tensor=False
        )
        self.widen = ConvBNReLU(hidden, 512, 3)
        self.up = nn.ModuleList(
            [UpBlock(512, 512, 256), UpBlock(256, 256, 128), UpBlock(128, 64, 64), UpBlock(64, 0, 16)]
        )
        self.head = nn.Conv2d(16, out_channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of (B, 3, H, W)."""
        half, quarter, eighth, deepest = self.encoder(image)
        tokens = self.embed(deepest)
        tokens = self.dropout(tokens + resize_to(self.position, tokens))
        read = self.transformer(tokens.flatten(2).transpose(1, 2))  # (B, N, hidden)
        x = self.widen(read.transpose(1, 2).unflatten(2, tokens.shape[2:]))
        for up, skip in zip(self.up, (eighth, quarter, half, None), strict=True):
            x = up(x, skip)
        return self.head(x)
