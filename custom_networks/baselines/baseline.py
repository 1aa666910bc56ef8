"""Any network in the place of SGD-Net: padding, cropping, and one form of output.

Symbols: B batch, H and W the input's height and width.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from custom_networks.baselines.architectures import find_architecture
from custom_networks.errors import UserError, nearest
from custom_networks.losses.sgd_loss import SCALES
from custom_networks.network.layers import pad_to_multiple
from custom_networks.network.segmenter import Segmenter, SGDNetMaps, restore

LARGEST = 1024
"""Of the channels of an image, the classes and the size factor; a record beyond it is damaged."""
PRETRAINED = "pretrained"
"""How options begin that load weights: they are no part of the architecture."""


class Baseline(Segmenter):
    """A network of `monai.networks.nets` or `custom_networks.baselines` that is trained and used as SGD-Net is.

    The input is padded to multiples of `size_factor` by replication, and the maps are cropped. Networks with deep
    supervision give several maps in `train()`, at the input's size all of them, as `SGDNetLoss` wants them: as a list,
    or stacked as MONAI's DynUNet does.

    Args:
        architecture: path of the class, such as "monai.networks.nets.AttentionUnet".
        in_channels: channels of the image.
        out_channels: 1 for a binary mask (sigmoid), else the number of classes including background (softmax).
        size_factor: what sides must be multiples of.
        options: further arguments of the class.
        pretrained_encoder: file of weights, for a class that takes one; None or "" starts from random numbers.
        checkpointing: as for `SGDNet`; for a class that takes it.

    Raises:
        UserError: for a class that does not exist, or arguments that it does not take; in a training step, for more
            than three maps, of which the loss would take the fourth for the edge map.
    """

    def __init__(
        self,
        architecture: str,
        in_channels: int = 3,
        out_channels: int = 1,
        size_factor: int = 32,
        options: Mapping[str, Any] | None = None,
        pretrained_encoder: str | Path | None = None,
        checkpointing: bool = False,
    ) -> None:
        found = find_architecture(architecture)
        numbers = {"in_channels": in_channels, "out_channels": out_channels, "size_factor": size_factor}
        for name, number in numbers.items():
            if type(number) is not int or not 1 <= number <= LARGEST:
                raise UserError(f"{architecture}: {name} must be a whole number from 1 to {LARGEST}, got {number!r}")
        options = copy.deepcopy(dict(options or {}))
        given = {"in_channels": in_channels, "out_channels": out_channels, **options}
        for name, value in (("pretrained_encoder", pretrained_encoder), ("checkpointing", checkpointing)):
            if value:
                given[name] = value
        known = inspect.signature(found).parameters
        for name in given:
            if name not in known:
                where = "" if name in options else f"; leave --{name} out"
                raise UserError(f"{architecture}: has no argument {name!r}{where or nearest(name, known)}")
        kept = {name: value for name, value in options.items() if not name.startswith(PRETRAINED)}
        recorded = {
            "architecture": architecture,
            "in_channels": in_channels,
            "out_channels": out_channels,
            "size_factor": size_factor,
            "options": kept,
        }
        try:
            network = found(**given)
        except Exception as error:  # whatever the class makes of wrong arguments
            said = str(error) or type(error).__name__
            raise UserError(f"{architecture}: cannot be built with these arguments: {said}") from error
        super().__init__(size_factor, out_channels, getattr(network, "has_edge", False), recorded)
        self.network: nn.Module = network

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Segment (B, 3, H, W): final logits (B, classes, H, W) in `eval()`; in `train()` these or a list of maps."""
        padded = pad_to_multiple(image, self.size_factor)
        maps = _as_list(self.network(padded))
        if self.training and not self.has_edge and len(maps) > len(SCALES):
            raise UserError(
                f"{self.arguments['architecture']}: gives {len(maps)} maps in training, but the loss takes "
                f"{len(SCALES)}; switch some of its deep supervision off"
            )
        restored = [restore(logits, padded, image) for logits in (maps if self.training else maps[:1])]
        return restored if len(restored) > 1 else restored[0]

    def maps(self, image: Tensor) -> SGDNetMaps:
        """Compute every map of (B, 3, H, W); the edge map is empty where the network has none."""
        padded = pad_to_multiple(image, self.size_factor)
        empty = image.new_zeros([0])
        if self.has_edge:
            *segmentation, edge = self.network.maps(padded)  # type: ignore[operator]
        else:
            segmentation, edge = _as_list(self.network(padded)), empty
        segmentation = [restore(logits, padded, image) for logits in segmentation]
        return SGDNetMaps(segmentation, restore(edge, padded, image) if self.has_edge else empty, empty)

    def with_edge(self, image: Tensor) -> Tensor:
        """Compute final logits and, as a further channel, edge logits of (B, 3, H, W)."""
        maps = self.maps(image)
        return torch.cat([maps.segmentation[0], maps.edge], 1)


def _as_list(outputs: Any) -> list[Tensor]:
    """Maps of a network that gives one (B, C, H, W), a list of them, or (B, maps, C, H, W)."""
    if isinstance(outputs, Tensor):
        return [outputs] if outputs.ndim == 4 else list(outputs.unbind(1))
    return list(outputs)
