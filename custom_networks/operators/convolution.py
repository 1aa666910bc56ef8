"""Convolution of stride 1 and "same" size in whichever form is the fastest on a CPU; elsewhere PyTorch's own.

- larger weights than maps: one matrix product of the weights with the map's columns. oneDNN copies such weights into
  another layout at every call, forward and backward, which can take longer than the convolution;
- 3x3 of many channels on many pixels, float32: Winograd's, see `winograd.py`;
- anything else: PyTorch's, by oneDNN.

All forms sum the same products, in another order. They are chosen by size alone, so that a run can be repeated.

Symbols: B batch, C channels in, O channels out, k kernel side, d dilation, H height, W width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from custom_networks.operators import winograd
from custom_networks.operators.float32 import autocasting

WIDE_CHANNELS = 512  # of 3x3 kernels; fewer, and nine copies of the map cost more than they save


def product_pays(pixels: int, channels: int, channels_out: int, kernel_size: int, dilation: int) -> bool:
    """Whether one matrix product is the fastest on so many pixels (B * H * W)."""
    most = max(channels, channels_out)
    if kernel_size == 1:
        return pixels < 4 * most
    return dilation == 1 and 4 * pixels <= most and min(channels, channels_out) >= WIDE_CHANNELS


def convolve_as_product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve as one matrix product: each pixel's k x k neighbours beside each other, k * k times the map.

    Args:
        x: (B, C, H, W); channels-last costs least.
        weight: (O, C, k, k), k odd; channels-last costs least.
        bias: (O).

    Returns:
        (B, O, H, W), channels-last.
    """
    height, width, kernel = x.shape[2], x.shape[3], weight.shape[2]
    maps = x.permute(0, 2, 3, 1)
    if kernel > 1:
        padded = F.pad(maps, [0, 0, *[kernel // 2] * 4])
        shifted = [padded[:, i : i + height, j : j + width] for i in range(kernel) for j in range(kernel)]
        maps = torch.cat(shifted, 3)
    return F.linear(maps, weight.permute(0, 2, 3, 1).flatten(1), bias).permute(0, 3, 1, 2)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None, dilation: int = 1) -> Tensor:
    """Convolve with zero padding, "same" size, stride 1.

    TorchScript, tracing and exporters always get `conv2d`. Winograd's form is differentiable once, and spreads a value
    that is infinite or no number over the tiles of 4 x 4 pixels that it reaches.

    Args:
        x: (B, C, H, W).
        weight: (O, C, k, k), k odd.
        bias: (O).
        dilation: d.

    Returns:
        (B, O, H, W).
    """
    kernel = weight.shape[2]
    if not torch.jit.is_scripting():
        exporting = torch.jit.is_tracing() or torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()
        if not exporting and x.device.type == "cpu":
            batch, channels, height, width = x.shape
            larger = x if kernel == 1 else weight  # copying the other one into channels-last costs little
            if larger.is_contiguous(memory_format=torch.channels_last) and product_pays(
                batch * height * width, channels, weight.shape[0], kernel, dilation
            ):
                return convolve_as_product(x, weight, bias)
            if winograd.pays(x, weight, dilation) and not autocasting(x):
                return winograd.convolve_by_winograd(x, weight, bias, dilation)
    return F.conv2d(x, weight, bias, padding=dilation * (kernel // 2), dilation=dilation)


class Convolution(nn.Conv2d):
    """`convolve` as a layer, with the names and the initial weights of `nn.Conv2d`.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: k, odd.
        dilation: d.
        bias: whether it has a bias.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, dilation: int = 1, bias: bool = True
    ) -> None:
        padding = dilation * (kernel_size // 2)
        super().__init__(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (B, C, H, W) to (B, O, H, W)."""
        return convolve(input, self.weight, self.bias, self.dilation[0])
