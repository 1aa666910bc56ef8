"""SGD-Net as its source says it, with no thought for speed: what ours is measured against.

- dynamic convolution: the map unfolded into k*k copies (the authors' file);
- edge modulation: two frozen dense C -> C convolutions (the authors' file);
- StitchViT: computed everywhere, then resized;
- SGE: the deep map upsampled and joined before it is convolved.

Everything else is ours, and so are the weights.

Symbols: B batch, C channels, G heads, k kernel side, K = k*k taps, H height, W width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from custom_networks.network.layers import resize_to
from custom_networks.network.sgdnet import SGDNet
from custom_networks.network.sge import StructureGuidanceExtractor
from custom_networks.network.stitch_vit import StitchViT
from custom_networks.operators.convolution import Convolution
from custom_networks.operators.dynamic_convolution import DynamicConvolution
from custom_networks.operators.edges import edge_kernels


def unfold(x: Tensor, logits: Tensor, heads: int, kernel_size: int) -> Tensor:
    """Unfold K shifted copies, weigh them, sum; arguments and result as those of `dynamic_convolution`."""
    b, c, h, w = x.shape
    taps = kernel_size**2
    copies = F.unfold(x, kernel_size, padding=kernel_size // 2).view(b, heads, c // heads, taps, h * w)
    weights = torch.softmax(logits.reshape(b, heads, 1, taps, h * w), dim=3)
    return (copies * weights).sum(3).view(b, c, h, w)


class Unfold(DynamicConvolution):
    """`unfold` as SGDC's operator."""

    def forward(self, x: Tensor, logits: Tensor) -> Tensor:
        """Convolve (B, C, H, W) with the softmax of (B, G*K, H, W)."""
        return unfold(x, logits, self.heads, self.kernel_size)


class DenseEdgeModulation(nn.Module):
    """Eq. (1) with frozen C -> C kernels, the same 3x3 Sobel kernel in each of the C * C places.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name, kernel in zip(("horizontal", "vertical"), edge_kernels("sobel"), strict=True):
            self.register_buffer(name, kernel.repeat(channels, channels, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Modulate (B, C, H, W)."""
        gx, gy = F.conv2d(x, self.horizontal, padding=1), F.conv2d(x, self.vertical, padding=1)
        return x * torch.sigmoid(torch.sqrt(gx**2 + gy**2))


class LiteralStitchViT(StitchViT):
    """StitchViT whose every pixel is computed."""

    def resized(self, x: Tensor, like: Tensor) -> Tensor:
        """Refine (B, C, H, W), then resize."""
        return resize_to(self(x), like)


class LiteralSGE(StructureGuidanceExtractor):
    """SGE whose fusion reads the upsampled deep map."""

    def __init__(self, deep_channels: int, shallow_channels: int) -> None:
        super().__init__(deep_channels, shallow_channels)
        for stream in (self.deep, self.shallow):
            stream[1] = DenseEdgeModulation(stream[0][0].out_channels)

    def structure(self, deep: Tensor, shallow: Tensor) -> Tensor:
        """Join, then convolve."""
        return self.fuse(torch.cat([resize_to(deep, shallow), shallow], dim=1))


class LiteralSGDNet(SGDNet):
    """`SGDNet` of literal parts; takes the state dict of an `SGDNet`."""

    def __init__(self) -> None:
        super().__init__(dropout=0.0)
        channels = self.encoder.out_channels
        self.stitch_vit = LiteralStitchViT(channels[0])
        for block in self.refine:
            operator = block.dynamic.operator
            block.dynamic.operator = Unfold(operator.heads, operator.kernel_size)
        self.sge = LiteralSGE(channels[3], channels[0])


def literal(network: SGDNet) -> LiteralSGDNet:
    """Return the literal network with the weights and the mode of a default `SGDNet`."""
    result = LiteralSGDNet()
    result.load_state_dict(network.state_dict())
    for module in result.modules():
        if type(module) is Convolution:
            module.__class__ = nn.Conv2d
    return result.train(network.training)
