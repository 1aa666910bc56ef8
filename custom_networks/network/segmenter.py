"""What training, evaluation and prediction ask of a network, whatever its architecture.

Symbols: B batch, H and W the input's height and width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from custom_networks.network.layers import resize_to
from custom_networks.network.optimized import InferenceCopy


class SGDNetMaps(NamedTuple):
    """Every map of one forward pass, at the input's size unless said otherwise; empty what the network does not have.

    Attributes:
        segmentation: logits (B, classes, H, W), of SGD-Net those of the three scales, fine to coarse.
        edge: edge logits, (B, 1, H, W).
        guidance: what SGDC reads, (B, 16, H/4, W/4) of the padded input; for `guidance="self"`, which reads none,
            the structure map of the SGE, (B, 4P, H/4, W/4).
    """

    segmentation: list[Tensor]
    edge: Tensor
    guidance: Tensor


class Segmenter(nn.Module):
    """A network for 2D images of any height and width.

    In `train()` its `forward` gives one map of logits or a list of them, the finest first, as `SGDNetLoss` takes them.
    In `eval()` it gives the final segmentation logits alone.

    Args:
        size_factor: sides are padded to multiples of it.
        out_channels: 1 for a binary mask, else the number of classes including background.
        has_edge: whether there is an edge map.
        arguments: of the architecture, by name, which the record of the weights keeps.
    """

    def __init__(self, size_factor: int, out_channels: int, has_edge: bool, arguments: Mapping[str, Any]) -> None:
        super().__init__()
        self.size_factor = size_factor
        self.out_channels = out_channels
        self.has_edge = has_edge
        self.arguments = dict(arguments)

    @torch.jit.unused
    def maps(self, image: Tensor) -> SGDNetMaps:
        """Compute every map of (B, 3, H, W), whatever the mode; for evaluation and pictures."""
        raise NotImplementedError

    @torch.jit.unused
    def with_edge(self, image: Tensor) -> Tensor:
        """Return the final logits and, as a further channel, those of the edge; in `eval()`, where there are some."""
        raise NotImplementedError

    @torch.jit.unused
    def optimize_for_inference(
        self, dtype: torch.dtype = torch.float32, edge: bool = False, packed: bool = True
    ) -> InferenceCopy:
        """Return a copy for inference that takes and gives float32.

        Args:
            dtype: that it computes in.
            edge: whether the edge logits follow those of the classes, as a further channel.
            packed: whether weights are packed for this processor, where the network can.
        """
        return InferenceCopy(self, dtype, edge)


def restore(logits: Tensor, padded: Tensor, image: Tensor) -> Tensor:
    """Upsample logits (B, n, h, w) to the padded input's size and crop them to the image's."""
    return resize_to(logits, padded)[:, :, : image.shape[2], : image.shape[3]]
