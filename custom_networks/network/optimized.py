"""The network for inference alone: batch normalisation folded into convolutions, channels-last, in one type.

`InferenceCopy` takes any network and folds nothing. `FoldedSGDNet` consists of layers that exporters know;
`OptimizedSGDNet` also packs the weights for the processor it runs on, which no exporter can write down.

Folding: layers that follow each other linearly become one, with the same outputs.

- batch normalisation into the convolution before it;
- the dual attention's last 1x1 (576 -> 2048) into the 1x1 that reduces it (2048 -> 64): nothing stands between them
  but a dropout that is off in `eval()`.

Packing: PyTorch hands oneDNN the weights as they are, and oneDNN copies them into its blocked layout at every call: for
wide layers on small maps that costs more than the convolution. `PackedConv2d` copies once for each shape of the input;
where oneDNN cannot, it is the plain convolution. The operators are those that `torch.compile` calls on a CPU. Where
Winograd's form is faster, its transformed kernels take the place of packed weights.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from custom_networks.network.res2net import Bottle2neck, Res2Net
from custom_networks.operators import winograd
from custom_networks.operators.convolution import Convolution
from custom_networks.operators.float32 import autocasting
from custom_networks.processor import packs

Pair = tuple[nn.Module, str, nn.Module, str]


def batch_norm_pairs(network: nn.Module) -> list[Pair]:
    """List each convolution and the batch normalisation that reads it: (parent, name, parent, name)."""
    pairs: list[Pair] = []
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            names = list(module._modules)
            for name, following in itertools.pairwise(names):
                pairs.append((module, name, module, following))
        elif isinstance(module, Bottle2neck):
            pairs += [(module, "conv1", module, "bn1"), (module, "conv3", module, "bn3")]
            pairs += [(module.convs, str(i), module.bns, str(i)) for i in range(len(module.convs))]
        elif isinstance(module, Res2Net):
            pairs.append((module.conv1, str(len(module.conv1) - 1), module, "bn1"))
    return [
        pair
        for pair in pairs
        if isinstance(pair[0]._modules[pair[1]], nn.Conv2d) and isinstance(pair[2]._modules[pair[3]], nn.BatchNorm2d)
    ]


def merge_pointwise(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    """Return the 1x1 convolution that does what `first` and then `second`, both 1x1 with bias, do."""
    merged = nn.Conv2d(first.in_channels, second.out_channels, 1)
    outer, inner = second.weight.flatten(1).double(), first.weight.flatten(1).double()
    assert first.bias is not None
    assert second.bias is not None
    merged.weight.data = (outer @ inner).to(first.weight.dtype)[..., None, None]
    merged.bias.data = (outer @ first.bias.double() + second.bias.double()).to(first.weight.dtype)  # type: ignore
    return merged


@torch.no_grad()
def fold(network: nn.Module) -> nn.Module:
    """Fold an `SGDNet` in `eval()` in place, and return it."""
    for conv_parent, conv_name, norm_parent, norm_name in batch_norm_pairs(network):
        conv, norm = conv_parent._modules[conv_name], norm_parent._modules[norm_name]
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        conv_parent._modules[conv_name] = fuse_conv_bn_eval(conv, norm)
        norm_parent._modules[norm_name] = nn.Identity()
    attention, reduce = network.get_submodule("dual_attention"), network.get_submodule("reduce")
    first, second = attention.get_submodule("project.1"), reduce.get_submodule("0")
    assert isinstance(first, nn.Conv2d)
    assert isinstance(second, nn.Conv2d)
    attention._modules["project"] = nn.Identity()
    reduce._modules["0"] = merge_pointwise(first, second)
    return network


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
        same = [d * (side // 2) for d, side in zip(self.dilation, conv.kernel_size, strict=True)]
        self.same_size = self.padding == same and self.stride == [1, 1] and self.groups == 1
        self.fused, self.scalars = ACTIVATIONS[type(activation)](activation) if activation else ("none", [])
        self.packed: Tensor | None = None
        self.packed_for: list[int] = []

    def finish(self, out: Tensor, shortcut: Tensor | None) -> Tensor:
        """Add and activate."""
        out = out if shortcut is None else out + shortcut
        return out if self.activation is None else self.activation(out)

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Convolve (B, C, H, W), add a shortcut of the result's shape, and activate."""
        geometry = (self.padding, self.stride, self.dilation, self.groups)
        if x.device.type != "cpu" or x.requires_grad or not packs(x.dtype):
            out = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
            return self.finish(out, shortcut)
        shape = list(x.shape)
        by_winograd = self.same_size and winograd.pays(x, self.weight, self.dilation[0]) and not autocasting(x)
        packed_for = [*shape, -1 if self.weight.is_inference() else self.weight._version, int(by_winograd)]
        if packed_for != self.packed_for:
            pack = torch.ops.mkldnn._reorder_convolution_weight
            kernels = winograd.transform_kernels(self.weight) if by_winograd else pack(self.weight, *geometry, shape)
            self.packed, self.packed_for = kernels, packed_for
        if by_winograd:
            assert self.packed is not None
            return self.finish(winograd.convolve_transformed(x, self.packed, self.bias, self.dilation[0]), shortcut)
        convolve = torch.ops.mkldnn._convolution_pointwise
        if shortcut is None:
            return convolve(x, self.packed, self.bias, *geometry, self.fused, self.scalars, "none")
        if self.fused not in ("none", "relu"):  # oneDNN adds and activates with these alone
            return self.finish(convolve(x, self.packed, self.bias, *geometry, "none", [], "none"), shortcut)
        fused = "relu" if self.fused == "relu" else None
        return convolve.binary(x, shortcut, self.packed, self.bias, *geometry, "add", 1.0, fused, [], None)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PackedConv2d:
        """Drop the packed weights when the module changes its type or device."""
        self.packed, self.packed_for = None, []
        return super()._apply(fn, recurse)

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle without the packed weights."""
        return {**self.__dict__, "packed": None, "packed_for": []}


class PackedBottle2neck(nn.Module):
    """A folded block of the encoder whose activations and shortcut are part of its convolutions.

    Args:
        block: to take the layers of.
    """

    def __init__(self, block: Bottle2neck) -> None:
        super().__init__()
        assert isinstance(block.bn1, nn.Identity), "fold first"
        self.width, self.first = block.width, block.first
        self.conv1, self.conv3 = PackedConv2d(block.conv1, nn.ReLU()), PackedConv2d(block.conv3, nn.ReLU())
        self.convs = nn.ModuleList(PackedConv2d(conv, nn.ReLU()) for conv in block.convs)  # type: ignore[arg-type]
        self.pool, self.downsample = block.pool, block.downsample

    def forward(self, x: Tensor) -> Tensor:
        """Do what `Bottle2neck` does."""
        splits = self.conv1(x).split(self.width, 1)
        outputs: list[Tensor] = []
        for i, conv in enumerate(self.convs):
            outputs.append(conv(splits[i] if i == 0 or self.first else splits[i] + outputs[i - 1]))
        outputs.append(self.pool(splits[-1]))
        shortcut: Tensor = self.downsample(x)
        out: Tensor = self.conv3(torch.cat(outputs, 1), shortcut)
        return out


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
            if isinstance(child, Bottle2neck):
                parent._modules[name] = PackedBottle2neck(child)
            if type(child) not in (nn.Conv2d, Convolution):
                continue
            following = next(((n, c) for n, c in children[i + 1 :] if not isinstance(c, nn.Identity)), ("", None))
            fusable = isinstance(parent, nn.Sequential) and type(following[1]) in ACTIVATIONS
            parent._modules[name] = PackedConv2d(child, following[1] if fusable else None)
            if fusable:
                parent._modules[following[0]] = nn.Identity()
    return module


class InferenceCopy(nn.Module):
    """A copy of a network that can only predict.

    Args:
        network: to copy; it stays as it is.
        dtype: of weights and maps.
        edge: whether the edge logits follow those of the classes, as a further channel.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype, edge: bool = False) -> None:
        super().__init__()
        self.dtype, self.edge = dtype, edge
        copied = self.prepare(copy.deepcopy(network).eval()).requires_grad_(False).to(dtype=dtype)
        self.network = copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @staticmethod
    def prepare(network: nn.Module) -> nn.Module:
        """Change the copy, still in the type of the network, for the better."""
        return network

    def train(self, mode: bool = True) -> InferenceCopy:
        """Stay in `eval()`; folded layers cannot be trained."""
        return super().train(False)

    def forward(self, image: Tensor) -> Tensor:
        """Segment (B, 3, H, W) into final logits (B, classes, H, W), and the edge's after them, float32."""
        image = image.to(dtype=self.dtype, memory_format=torch.channels_last)
        return (self.network.with_edge(image) if self.edge else self.network(image)).float()


class FoldedSGDNet(InferenceCopy):
    """The same of an `SGDNet`, batch normalisation folded into the convolutions."""

    @staticmethod
    def prepare(network: nn.Module) -> nn.Module:
        """Fold."""
        return fold(network)


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
