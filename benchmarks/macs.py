"""Multiply-adds of a network."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from custom_networks.operators.dynamic_convolution import DynamicConvolution


def count_macs(network: nn.Module, size: int) -> int:
    """Count the multiply-adds of one image.

    `torch.utils.flop_counter` counts convolutions, matrix products and attention, on the meta device, where nothing is
    computed and attention falls apart into products that it knows. The dynamic convolution is counted by formula
    instead, whatever computes it: C * H * W * k * k, one multiply-add for each tap and output value. (The counter sees
    nothing of it: the tiled backend is one operator, and the unfold has no product.) Normalisation, activations,
    resizing, biases and softmax are left out.

    Published numbers come from other counters, which differ in what they leave out: 36.23 G for SGD-Net (its literal
    form has 36.18 here) and 22.70 for CTO (22.82 here, 0.22 of it attention's products).

    Args:
        network: left as it is.
        size: side of the image, (1, 3, size, size).
    """
    taken: list[int] = []

    def count_taps(module: DynamicConvolution, inputs: tuple[Any, ...]) -> None:
        taken.append(inputs[0].numel() * module.kernel_size**2)

    network = copy.deepcopy(network).eval().to("meta")
    for module in network.modules():
        if isinstance(module, DynamicConvolution):
            module.register_forward_pre_hook(count_taps)
    image = torch.zeros(1, 3, size, size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    return counter.get_total_flops() // 2 + sum(taken)


def count_parameters(network: nn.Module) -> int:
    """Count all parameters, frozen ones too; buffers are none."""
    return sum(parameter.numel() for parameter in network.parameters())
