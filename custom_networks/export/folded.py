"""The network as it is exported: batch normalisation folded, in one type, every layer one that exporters know.

`SGDNet.optimize_for_inference` also packs the weights for the processor it runs on, which no exporter can write down.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from custom_networks.network.fold import fold
from custom_networks.network.sgdnet import SGDNet


class FoldedSGDNet(nn.Module):
    """A copy of an `SGDNet` for inference.

    Args:
        network: to copy; it stays as it is.
        dtype: of weights and maps.
    """

    def __init__(self, network: SGDNet, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        folded = fold(copy.deepcopy(network).eval()).requires_grad_(False).to(dtype=dtype)
        self.network = folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image: Tensor) -> Tensor:
        """Segment (B, 3, H, W) into final logits (B, classes, H, W), float32."""
        return self.network(image.to(dtype=self.dtype, memory_format=torch.channels_last)).float()
