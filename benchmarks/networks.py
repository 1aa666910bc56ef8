"""The networks that are compared, untrained but with sound statistics."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import torch
from monai.networks.nets import AttentionUnet, BasicUNet, SegResNet, SwinUNETR
from torch import nn

from benchmarks.literal import literal
from custom_networks.baselines.cto import CTO
from custom_networks.network.sgdc import SGDC
from custom_networks.network.sgdnet import SGDNet

SEED = 0


@torch.no_grad()
def settle(network: nn.Module, size: int = 128) -> nn.Module:
    """Give an untrained network the batch statistics of noise, so that its maps neither vanish nor explode."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # a plain average
    network.train()(torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(SEED)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()


def sgdnet(checkpointing: bool = False) -> SGDNet:
    """SGD-Net in `eval()`, the same weights at each call.

    Scales that start at or near 0 are 0.5 here, so that attention and dynamic convolution count in a comparison;
    dropout is 0, so that training steps can be compared. Nothing is kept: a copy would count as memory.
    """
    torch.manual_seed(SEED)
    network = SGDNet(dropout=0.0, checkpointing=checkpointing)
    scales = [network.dual_attention.position[1].scale, network.dual_attention.channel[1].scale]
    for block in network.refine:
        assert isinstance(block, SGDC)
        assert isinstance(block.mix_scale, nn.Parameter)
        assert isinstance(block.ffn_scale, nn.Parameter)
        scales += [block.mix_scale, block.ffn_scale]
    for scale in scales:
        scale.data.fill_(0.5)
    settle(network)
    return network


def literal_sgdnet() -> SGDNet:
    """SGD-Net from literal parts, with the weights of `sgdnet`."""
    return literal(sgdnet())


def cto() -> CTO:
    """CTO, without dropout."""
    torch.manual_seed(SEED)
    network = CTO(dropout=0.0)
    settle(network)
    return network


_kept = functools.cache(lambda make: make())


def made(make: Callable[[], nn.Module], device: str) -> nn.Module:
    """Make a network, on the CPU; for a GPU each is made once and copied, since memory here does not count then."""
    return copy.deepcopy(_kept(make)) if device.startswith("cuda") else make()


def basic_unet() -> nn.Module:
    """MONAI's U-Net at its default width."""
    return BasicUNet(spatial_dims=2, in_channels=3, out_channels=1)


def attention_unet() -> nn.Module:
    """Attention U-Net at the width of the original."""
    return AttentionUnet(2, 3, 1, channels=(64, 128, 256, 512, 1024), strides=(2, 2, 2, 2))


def swin_unetr() -> nn.Module:
    """SwinUNETR at its default width."""
    return SwinUNETR(in_channels=3, out_channels=1, feature_size=24, spatial_dims=2)


def segresnet() -> nn.Module:
    """SegResNet at the width of the original."""
    return SegResNet(spatial_dims=2, init_filters=32, in_channels=3, out_channels=1)


OTHERS: dict[str, Callable[[], nn.Module]] = {
    "CTO": cto,
    "BasicUNet": basic_unet,
    "AttentionUnet": attention_unet,
    "SwinUNETR": swin_unetr,
    "SegResNet": segresnet,
}
