"""Convolutions on a CPU with weights in oneDNN's own layout and their activation fused.

PyTorch hands oneDNN the weights as they are, and oneDNN copies them into its blocked layout at every call: for wide
layers on small maps that costs more than the convolution. `PackedConv2d` copies once for each shape of the input; where
oneDNN cannot, it is the plain convolution. The operators are those that `torch.compile` calls on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from custom_networks.processor import packs

ACTIVATIONS = {
    nn.ReLU: lambda module: ("relu", []),
    nn.LeakyReLU: lambda module: ("leaky_relu", [module.negative_slope]),
    nn.GELU: lambda module: ("gelu", []),
}


class PackedConv2d(nn.Module):
    """What a convolution and the activation after it do, for inference.

    Args:
        conv: the convolution; its padding must be zeros.
        activation: the activation after it, one of `ACTIVATIONS`, or None.
    """

    def __init__(self, conv: nn.Conv2d, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.padding: list[int] = list(conv.padding)  # type: ignore[arg-type]
        self.stride, self.dilation, self.groups = list(conv.stride), list(conv.dilation), conv.groups
        self.activation = activation
        self.fused, self.scalars = ACTIVATIONS[type(activation)](activation) if activation else ("none", [])
        self.packed: Tensor | None = None
        self.packed_for: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, C, H, W) and activate."""
        geometry = (self.padding, self.stride, self.dilation, self.groups)
        if x.device.type != "cpu" or x.requires_grad or not packs(x.dtype):
            out = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
            return out if self.activation is None else self.activation(out)
        shape = list(x.shape)
        if shape != self.packed_for:
            pack = torch.ops.mkldnn._reorder_convolution_weight
            self.packed = pack(self.weight, *geometry, shape)
            self.packed_for = shape
        convolve = torch.ops.mkldnn._convolution_pointwise
        return convolve(x, self.packed, self.bias, *geometry, self.fused, self.scalars, "none")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PackedConv2d:
        """Drop the packed weights when the module changes its type or device."""
        self.packed, self.packed_for = None, []
        return super()._apply(fn, recurse)

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle without the packed weights."""
        return {**self.__dict__, "packed": None, "packed_for": []}


def pack(module: nn.Module, skip: Sequence[str] = ()) -> nn.Module:
    """Pack every convolution below a module, in place, with the activation that follows it in an `nn.Sequential`.

    Args:
        module: changed in place.
        skip: names of submodules to leave as they are, because something reads their layers one by one.

    Returns:
        The module.
    """
    parents = [parent for name, parent in module.named_modules() if not name.startswith(tuple(skip))]
    for parent in parents:
        children = list(parent._modules.items())
        for i, (name, child) in enumerate(children):
            if type(child) is not nn.Conv2d:
                continue
            following = next(((n, c) for n, c in children[i + 1 :] if not isinstance(c, nn.Identity)), ("", None))
            fusable = isinstance(parent, nn.Sequential) and type(following[1]) in ACTIVATIONS
            parent._modules[name] = PackedConv2d(child, following[1] if fusable else None)
            if fusable:
                parent._modules[following[0]] = nn.Identity()
    return module
