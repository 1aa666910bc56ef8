"""CTO, SGD-Net's predecessor, from the same blocks: the baseline of the paper.

Source: Lin et al., "Rethinking Boundary Detection in Deep Learning-Based Medical Image Segmentation", Medical Image
Analysis 2025, the version with StitchViT. 59,773,653 trainable parameters and 22.8 GMACs at 256 x 256 (published:
22.70, and 62.22 M parameters); the authors' code also builds a classifier that it never calls.

Symbols: B batch, C channels, H and W height and width, /4 a quarter of both.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from custom_networks.network.decoder import ReverseAttentionDecoder
from custom_networks.network.dual_attention import DualAttention
from custom_networks.network.layers import ConvBNReLU, pad_to_multiple, resize_to
from custom_networks.network.res2net import PLANES, Res2Net
from custom_networks.network.segmenter import restore
from custom_networks.network.sgdnet import SIZE_FACTOR
from custom_networks.network.stitch_vit import StitchViT
from custom_networks.network.weights import load_encoder
from custom_networks.operators.edges import edge_kernels
from custom_networks.operators.float32 import autocasting, widened


class NormalizedEdgeModulation(nn.Module):
    """`x * sigmoid(|Sobel gradient of x|)` over the channel sum; each of the two responses is batch-normalised."""

    kernels: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernels", edge_kernels("sobel"), persistent=False)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Modulate (B, C, H, W); sum, responses and their size are of float32 at least, under autocast too."""
        if not torch.jit.is_scripting():  # noqa: SIM102 (TorchScript compiles what stands beside this condition)
            if autocasting(x):
                with torch.autocast(x.device.type, enabled=False):
                    return self.forward(x)
        source = widened(x)
        responses = F.conv2d(source.sum(dim=1, keepdim=True), self.kernels.to(source.dtype), padding=1)
        responses = widened(self.norm(responses.to(self.norm.weight.dtype)))
        return x * torch.sigmoid(torch.linalg.vector_norm(responses, dim=1, keepdim=True)).to(x.dtype)


class BoundaryExtractor(nn.Module):
    """Predict the boundary from the shallowest and the deepest map.

    Args:
        shallow_channels: channels of the shallowest map.
        deep_channels: channels of the deepest map.
    """

    def __init__(self, shallow_channels: int = 256, deep_channels: int = 2048) -> None:
        super().__init__()
        self.shallow = nn.Sequential(NormalizedEdgeModulation(), ConvBNReLU(shallow_channels, 64, 1, bias=True))
        self.deep = nn.Sequential(NormalizedEdgeModulation(), ConvBNReLU(deep_channels, 256, 1, bias=True))
        self.fuse = nn.Sequential(ConvBNReLU(64 + 256, 256, 3), ConvBNReLU(256, 256, 3), nn.Conv2d(256, 1, 1))

    def forward(self, shallow: Tensor, deep: Tensor) -> Tensor:
        """Logits (B, 1, H/4, W/4) from (B, 256, H/4, W/4) and (B, 2048, H/32, W/32)."""
        shallow = self.shallow(shallow)
        return self.fuse(torch.cat([resize_to(self.deep(deep), shallow), shallow], dim=1))


class CTO(nn.Module):
    """CTO for 2D images; modes, results and sizes as those of `SGDNet`.

    Args:
        in_channels: channels of the image.
        out_channels: 1 for a binary mask, else the number of classes.
        dropout: probability in the dual attention.
        pretrained_encoder: file of the published ImageNet weights; None or "" starts from random numbers.

    Raises:
        UserError: for weights that are missing or do not fit.
    """

    has_edge = True

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        dropout: float = 0.1,
        pretrained_encoder: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.encoder = Res2Net(in_channels)
        x1, x2, x3, x4 = self.encoder.out_channels
        self.stitch_vit = StitchViT(x1, placement="blocks")  # as its code has it
        self.dual_attention = DualAttention(x1 + x4, x4, dropout)
        self.reduce = ConvBNReLU(x4, PLANES, 1, bias=True)
        self.boundary = BoundaryExtractor(x1, x4)
        self.decoder = ReverseAttentionDecoder((x1, x2, x3), PLANES)
        self.heads = nn.ModuleList(nn.Conv2d(PLANES, out_channels, 1) for _ in range(3))
        if pretrained_encoder:
            load_encoder(self.encoder, pretrained_encoder)

    def decode(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Run it up to the heads: decoded maps, fine to coarse, and edge logits, of (B, 3, H, W) in multiples of 64."""
        x1, x2, x3, x4 = self.encoder(x)
        context = resize_to(self.stitch_vit(x1), x4)
        deep = self.reduce(self.dual_attention(torch.cat([context, x4], dim=1)))
        edge = self.boundary(x1, x4)
        attention = torch.sigmoid(edge)
        return self.decoder(deep, [x * resize_to(attention, x) for x in (x1, x2, x3)]), edge

    def maps(self, image: Tensor) -> list[Tensor]:
        """Compute [fine, middle, coarse, edge] logits, whatever the mode."""
        padded = pad_to_multiple(image, SIZE_FACTOR)
        decoded, edge = self.decode(padded)
        maps = [head(one) for head, one in zip(self.heads, decoded, strict=True)]
        return [restore(logits, padded, image) for logits in (*maps, edge)]

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Final logits (B, classes, H, W) in `eval()`; in `train()` [fine, middle, coarse, edge]."""
        if self.training:
            return self.maps(image)
        padded = pad_to_multiple(image, SIZE_FACTOR)
        return restore(self.heads[0](self.decode(padded)[0][0]), padded, image)
