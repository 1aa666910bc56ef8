"""ContMix as its authors publish it, beside the ContMix-like row 4 of Table 4.

Lou and Yu, "OverLoCK: An Overview-first-Look-Closely-next ConvNet with Context-Mixing Dynamic Kernels", CVPR 2025,
arXiv 2502.20087. Written from the class `DynamicConvBlock` of the authors' file; none of its code is here.

As published: queries of the map, keys of a context that is pooled to 7 x 7 before their convolution, both C/2 channels
with batch normalisation; affinities scaled by (C/G)^-1/2; one linear map for all heads from the 49 affinities to the
logits of a small and a large kernel; a bias for each relative position, zero at first; softmax; the first half of the
channels takes the small kernels, the second the large ones; windows moved inwards at the border; a 1x1 convolution with
batch normalisation at the end; map and context normalised together. Eight heads, as in OverLoCK's third stage.

Not as published, since SGD-Net has other things there: the context is the guidance, and not OverLoCK's overview; both
kernels have one size at every scale (5 and 7, where OverLoCK's large one goes from 17 to 7); what surrounds ContMix in
OverLoCK's block (fusion, gate, dilated convolution, squeeze and excitation, feed-forward) is left out, a residual
stands for it; a map smaller than the window is padded.

Symbols: B batch, C channels, D channels of the context, G heads, S side of the pooled context, k kernel side, H height,
W width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from custom_networks.network.layers import LayerNorm2d, resize_to
from custom_networks.operators.float32 import precise_matmul
from custom_networks.operators.neighbourhood import neighbourhood_sum, window_positions


class RelativeBias(nn.Module):
    """A learned bias for each head and each offset from the pixel to a neighbour in its window.

    Args:
        heads: G.
        kernel_size: k, odd.
    """

    def __init__(self, heads: int, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.table = nn.Parameter(torch.zeros(heads, 2 * kernel_size - 1, 2 * kernel_size - 1))

    def offsets(self, length: int) -> Tensor:
        """Return the table's rows for each pixel and tap along one side, (length, k)."""
        pixels = torch.arange(length, device=self.table.device)[:, None]
        return window_positions(length, self.kernel_size, self.table.device) - pixels + self.kernel_size - 1

    def forward(self, height: int, width: int) -> Tensor:
        """Return the biases of a map, (G, H, W, k, k)."""
        rows, columns = self.offsets(height), self.offsets(width)
        return self.table[:, rows][:, :, :, columns].transpose(2, 3)


class ContMix(nn.Module):
    """Context-mixing dynamic convolution: a pixel's kernels come from its affinities with the regions of a context.

    Args:
        channels: C, a multiple of 2 G.
        context_channels: D.
        heads: G.
        kernel_size: side of the large kernels, odd.
        small_kernel_size: side of the small ones, odd.
        grid: S.

    Raises:
        ValueError: for channels that the heads do not share.
    """

    def __init__(
        self,
        channels: int,
        context_channels: int,
        heads: int = 8,
        kernel_size: int = 7,
        small_kernel_size: int = 5,
        grid: int = 7,
    ) -> None:
        super().__init__()
        if channels % (2 * heads):
            raise ValueError(f"channels must be a multiple of twice the heads, got {channels} and {heads} heads")
        self.heads = heads
        self.sides = [small_kernel_size, kernel_size]
        self.taps = [small_kernel_size * small_kernel_size, kernel_size * kernel_size]
        self.grid = grid
        self.query = _projection(channels, channels // 2)
        self.key = _projection(context_channels, channels // 2)
        self.to_logits = nn.Linear(grid**2, sum(self.taps))
        self.small_bias = RelativeBias(heads, small_kernel_size)
        self.large_bias = RelativeBias(heads, kernel_size)
        self.project = _projection(channels, channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Mix (B, C, H, W) by the affinities of its pixels with a context (B, D, h, w) of any size; x's shape."""
        height, width = x.shape[2], x.shape[3]
        query = self.query(x).unflatten(1, [self.heads, -1]).flatten(3)  # (B, G, c, HW)
        key = self.key(F.adaptive_avg_pool2d(context, self.grid)).unflatten(1, [self.heads, -1]).flatten(3)
        scale = (x.shape[1] // self.heads) ** -0.5
        affinity = precise_matmul(query.transpose(2, 3), key) * scale  # (B, G, HW, S*S)
        logits = self.to_logits(affinity.to(x.dtype)).unflatten(2, [height, width])
        small, large = logits.split(self.taps, dim=4)
        first, second = x.chunk(2, dim=1)
        mixed = [
            _convolve(first, small, self.small_bias(height, width), self.sides[0]),
            _convolve(second, large, self.large_bias(height, width), self.sides[1]),
        ]
        return self.project(torch.cat(mixed, dim=1))


class ContMixRefinement(nn.Module):
    """Refine a map by ContMix with the guidance as its context.

    Args:
        channels: C.
        guidance_channels: D.
    """

    def __init__(self, channels: int, guidance_channels: int = 16) -> None:
        super().__init__()
        self.sections = [channels, guidance_channels]
        self.norm = LayerNorm2d(channels + guidance_channels)
        self.mix = ContMix(channels, guidance_channels)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Refine (B, C, H, W) with a guidance of any size."""
        together = self.norm(torch.cat([x, resize_to(guidance, x)], dim=1))
        normalized, context = together.split(self.sections, dim=1)
        return x + self.mix(normalized, context)


def _projection(channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))


def _convolve(x: Tensor, logits: Tensor, bias: Tensor, kernel_size: int) -> Tensor:
    """Convolve (B, C, H, W) with the softmax of logits (B, G, H, W, k*k) and biases (G, H, W, k, k)."""
    weights = torch.softmax(logits + bias.flatten(3), dim=4).to(x.dtype)
    return neighbourhood_sum(x, weights.unflatten(4, [kernel_size, kernel_size]), kernel_size)
