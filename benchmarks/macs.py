"""Multiply-adds of a network, or of a part of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from custom_networks.operators.dynamic_convolution import DynamicConvolution


def _flops_of_gradients(
    gradient: Sequence[int], image: Sequence[int], weight: Sequence[int], *others: Any, **_: Any
) -> int:
    """Flops of a convolution's backward pass: those of the forward pass for each of the two gradients asked for.

    PyTorch's own formula takes a grouped convolution's gradient by the weights for that of a full one.
    """
    transposed, wanted = others[4], others[7]
    per_value = math.prod(weight[1:])  # taps of an output value, or of an input value where it is transposed
    return 2 * math.prod(image if transposed else gradient) * per_value * sum(wanted[:2])


GRADIENTS = {torch.ops.aten.convolution_backward: _flops_of_gradients}


@contextmanager
def counting_macs(network: nn.Module) -> Iterator[Callable[[], int]]:
    """Count the multiply-adds of what runs in this context.

    `torch.utils.flop_counter` counts convolutions, matrix products and attention, forward and backward; on the meta
    device nothing is computed, and attention falls apart into products that it knows. The dynamic convolution is
    counted by formula instead, whatever computes it: C * H * W * k * k, one multiply-add for each tap and output value,
    and as many again for each of the two gradients that are asked for. (The counter sees nothing of it: the tiled
    backend is one operator, and the unfold has no product.) Normalisation, activations, resizing, biases and softmax
    are left out.

    Args:
        network: on the meta device.

    Yields:
        A function that says how many there have been so far.
    """
    taken: list[int] = []

    def count_taps(module: DynamicConvolution, inputs: tuple[Any, ...]) -> None:
        passes = 1 + (sum(each.requires_grad for each in inputs) if torch.is_grad_enabled() else 0)
        taken.append(passes * inputs[0].numel() * module.kernel_size**2)

    hooks = [
        module.register_forward_pre_hook(count_taps)
        for module in network.modules()
        if isinstance(module, DynamicConvolution)
    ]
    try:
        with FlopCounterMode(display=False, custom_mapping=GRADIENTS) as counter:
            yield lambda: counter.get_total_flops() // 2 + sum(taken)
    finally:
        for hook in hooks:
            hook.remove()


def count_macs(network: nn.Module, size: int) -> int:
    """Count the multiply-adds of one image, see `counting_macs`.

    Published numbers come from other counters, which differ in what they leave out: 36.23 G for SGD-Net (its literal
    form has 36.18 here) and 22.70 for CTO (22.82 here, 0.22 of it attention's products).

    Args:
        network: left as it is.
        size: side of the image, (1, 3, size, size).
    """
    network = copy.deepcopy(network).eval().to("meta")
    with torch.no_grad(), counting_macs(network) as counted:
        network(torch.zeros(1, 3, size, size, device="meta"))
        return counted()


def count_parameters(network: nn.Module) -> int:
    """Count all parameters, frozen ones too; buffers are none."""
    return sum(parameter.numel() for parameter in network.parameters())
