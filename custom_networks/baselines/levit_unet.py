"""LeViT-UNet: LeViT as the encoder of a U-Net.

Source: Xu et al., "LeViT-UNet: Make Faster Encoders with Transformer for Medical Image Segmentation", 2021, the variant
with LeViT-384. The paper prints 52.17 M parameters and 25.55 G at 224 x 224; Table 2 of the SGD-Net paper prints
64.23 M and 23.57 G for "LeViT".

Deviations: the widths of the decoder halve from 512 to 64 here, which gives 50.52 M parameters and 12.4 GMACs at
256 x 256 (9.5 at 224 x 224); the encoder has those of LeViT-384. Where the published multiply-adds come from is open.

Symbols: B batch, H and W height and width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from custom_networks.baselines.levit import LeViT
from custom_networks.network.layers import ConvBNReLU, resize_to


class LeViTUNet(nn.Module):
    """LeViT-UNet for 2D images whose sides are multiples of 16.

    The transformer's maps are resized to the first one's size and joined; the decoder goes up from there beside the
    maps of the stem.

    Args:
        in_channels: of the image.
        out_channels: of the logits.
        channels: of the transformer's stages.
        heads: of each stage.
        depths: of each stage.
        widths: of the decoder at /16, /8, /4, /2.
        image_size: side in pixels of the square that attention biases are learned for.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        channels: Sequence[int] = (384, 512, 768),
        heads: Sequence[int] = (6, 9, 12),
        depths: Sequence[int] = (4, 4, 4),
        widths: Sequence[int] = (512, 256, 128, 64),
        image_size: int = 256,
    ) -> None:
        super().__init__()
        self.encoder = LeViT(in_channels, channels, heads, depths, image_size=image_size)
        skips = [0, *(channels[0] // factor for factor in (2, 4, 8))]
        inputs = [sum(channels), *widths]
        self.decoder = nn.ModuleList(
            nn.Sequential(ConvBNReLU(before + skip, width, 3), ConvBNReLU(width, width, 3))
            for before, skip, width in zip(inputs, skips, widths, strict=False)
        )
        self.head = nn.Conv2d(widths[-1], out_channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of (B, 3, H, W)."""
        half, quarter, eighth, *tokens = self.encoder(image)
        x = self.decoder[0](torch.cat([resize_to(each, tokens[0]) for each in tokens], 1))
        for block, skip in zip(self.decoder[1:], (eighth, quarter, half), strict=True):
            x = block(torch.cat([resize_to(x, skip), skip], 1))
        return resize_to(self.head(x), image)
