"""What may refine the encoder's maps before they are decoded: SGDC, and what Table 4 puts in its place.

A new refinement is a class and a line in `REFINEMENTS`. It maps (x, guidance) to a map of x's shape.

Symbols: B batch, C channels, G heads, k kernel side, K = k*k taps, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from custom_networks.network.contmix import ContMixRefinement
from custom_networks.network.layers import LayerNorm2d
from custom_networks.network.sgdc import SGDC, GuidanceAddition
from custom_networks.operators.convolution import Convolution
from custom_networks.operators.dynamic_convolution import DynamicConvolution
from custom_networks.operators.float32 import precise_matmul


class PooledDynamicConvolution(nn.Module):
    """ContMix-like refinement, row 4 of Table 4: kernels from affinities to an average-pooled context.

    After Lou and Yu, "OverLoCK", CVPR 2025: each pixel's query is compared with keys pooled to a k x k grid, and a
    linear map turns the K affinities of a head into its K kernel logits. Where SGDC reads the guidance at the
    pixel, this pools it. `network/contmix.py` has the module as its authors publish it.

    Args:
        channels: C.
        guidance_channels: channels of the guidance.
        heads: G.
        kernel_size: k, side of the kernels and of the pooled grid.
        reduction: queries and keys have C / reduction channels.
        backend: of the dynamic convolution, a name in `operators/backends/registry.py` or "auto".
    """

    def __init__(
        self,
        channels: int,
        guidance_channels: int = 16,
        heads: int = 4,
        kernel_size: int = 7,
        reduction: int = 4,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.heads = heads
        self.kernel_size = kernel_size
        self.operator = DynamicConvolution(heads, kernel_size, backend)
        inner = channels // reduction
        self.fuse = GuidanceAddition(channels, guidance_channels)
        self.query = Convolution(channels, inner, 1)
        self.key = Convolution(channels, inner, 1)
        self.to_logits = nn.Linear(kernel_size**2, kernel_size**2)
        self.norm = LayerNorm2d(channels)
        self.project = Convolution(channels, channels, 1)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Refine (B, C, H, W) with a guidance of any size."""
        height, width = x.shape[2], x.shape[3]
        fused = self.fuse(x, guidance)
        query = self.query(fused).unflatten(1, [self.heads, -1]).flatten(3)  # (B, G, c, HW)
        pooled = F.adaptive_avg_pool2d(self.key(fused), self.kernel_size)
        key = pooled.unflatten(1, [self.heads, -1]).flatten(3)  # (B, G, c, K)
        affinity = precise_matmul(query.transpose(2, 3), key) * query.shape[2] ** -0.5  # (B, G, HW, K)
        logits = self.to_logits(affinity.to(x.dtype)).transpose(2, 3).flatten(1, 2).unflatten(2, [height, width])
        return x + self.project(self.operator(self.norm(x), logits))


class NoRefinement(nn.Module):
    """The map passes unchanged: rows 1 and 2 of Table 4. The guidance is not read."""

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Return `x`."""
        return x


@dataclass(frozen=True)
class RefinementOptions:
    """Arguments of `SGDNet` that refinements read, each what it needs; `SGDNet` and `SGDC` describe them."""

    guidance_channels: int
    kernel_size: int
    local_branch: bool
    dynamic_branch: bool
    local_input: str
    layer_scale_init: float | None
    backend: str


def _sgdc(channels: int, options: RefinementOptions) -> nn.Module:
    return SGDC(
        channels,
        options.guidance_channels,
        kernel_size=options.kernel_size,
        local_branch=options.local_branch,
        dynamic_branch=options.dynamic_branch,
        local_input=options.local_input,
        layer_scale_init=options.layer_scale_init,
        backend=options.backend,
    )


def _contmix(channels: int, options: RefinementOptions) -> nn.Module:
    return PooledDynamicConvolution(
        channels, options.guidance_channels, kernel_size=options.kernel_size, backend=options.backend
    )


def _contmix_published(channels: int, options: RefinementOptions) -> nn.Module:
    return ContMixRefinement(channels, options.guidance_channels)


def _add(channels: int, options: RefinementOptions) -> nn.Module:
    return GuidanceAddition(channels, options.guidance_channels)


def _none(channels: int, options: RefinementOptions) -> nn.Module:
    return NoRefinement()


REFINEMENTS: dict[str, Callable[[int, RefinementOptions], nn.Module]] = {
    "sgdc": _sgdc,
    "contmix": _contmix,
    "contmix_published": _contmix_published,
    "add": _add,
    "none": _none,
}
"""Name to what makes it for a map of so many channels."""
