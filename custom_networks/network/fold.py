"""Folding for inference: layers that follow each other linearly become one, with the same outputs.

- batch normalisation into the convolution before it;
- the dual attention's last 1x1 (576 -> 2048) into the 1x1 that reduces it (2048 -> 64): nothing stands between them
  but a dropout that is off in `eval()`.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from custom_networks.network.res2net import Bottle2neck, Res2Net

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
