"""The network for inference alone: batch normalisation folded into convolutions, channels-last, in one type.

`FoldedSGDNet` consists of layers that exporters know; `OptimizedSGDNet` also packs the weights for the processor it
runs on, which no exporter can write down.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from custom_networks.network.fold import fold
from custom_networks.network.packed import pack


class FoldedSGDNet(nn.Module):
    """A copy of an `SGDNet` that can only predict.

    Args:
        network: to copy; it stays as it is.
        dtype: of weights and maps.
        edge: whether the edge logits follow those of the classes, as a further channel.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype, edge: bool = False) -> None:
        super().__init__()
        self.dtype, self.edge = dtype, edge
        folded = fold(copy.deepcopy(network).eval()).requires_grad_(False).to(dtype=dtype)
        self.network = folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image: Tensor) -> Tensor:
        """Segment (B, 3, H, W) into final logits (B, classes, H, W), and the edge's after them, float32."""
        image = image.to(dtype=self.dtype, memory_format=torch.channels_last)
        return (self.network.with_edge(image) if self.edge else self.network(image)).float()


class OptimizedSGDNet(FoldedSGDNet):
    """The same with packed weights, see `SGDNet.optimize_for_inference`.

    Args:
        network: to copy; it stays as it is.
        dtype: of weights and maps.
        edge: see `FoldedSGDNet`.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype, edge: bool = False) -> None:
        super().__init__(network, dtype, edge)
        self.network = pack(self.network, skip=("stitch_vit.feed_forward", "sge.fuse"))

    def train(self, mode: bool = True) -> OptimizedSGDNet:
        """Stay in `eval()`; folded layers cannot be trained."""
        return super().train(False)
