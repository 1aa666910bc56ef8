"""Small blocks that several parts of SGD-Net share.

Symbols: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from custom_networks.operators.convolution import Convolution


class ConvBNReLU(nn.Sequential):
    """k x k convolution, batch normalisation, ReLU; "same" padding.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the kernel, odd.
        bias: whether the convolution has a bias.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, bias: bool = False) -> None:
        super().__init__(
            Convolution(in_channels, out_channels, kernel_size, bias=bias),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over the channels of a (B, C, H, W) map, eq. (2).

    Args:
        channels: C.
        eps: added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__(channels, eps=eps)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each pixel's channel vector; shape (B, C, H, W) in and out."""
        channels_last = input.permute(0, 2, 3, 1)
        normalised = F.layer_norm(channels_last, self.normalized_shape, self.weight, self.bias, self.eps)
        return normalised.permute(0, 3, 1, 2)


def has_batch_norm(module: nn.Module) -> bool:
    """Whether a module keeps batch statistics, which a second forward pass in one step would count twice."""
    return any(isinstance(each, nn.modules.batchnorm._BatchNorm) for each in module.modules())


def resize_to(x: Tensor, like: Tensor) -> Tensor:
    """Resize bilinearly (align_corners False) to another map's height and width.

    Args:
        x: (B, C, h, w).
        like: (B, any, H, W), read for its size alone.

    Returns:
        (B, C, H, W); `x` itself where the size is the same already.
    """
    if x.shape[2] == like.shape[2] and x.shape[3] == like.shape[3]:
        return x
    return F.interpolate(x, size=(like.shape[2], like.shape[3]), mode="bilinear", align_corners=False)


def pad_to_multiple(x: Tensor, factor: int) -> Tensor:
    """Pad a (B, C, H, W) map on its right and bottom by replication to multiples of `factor`."""
    bottom = (-x.shape[2]) % factor
    right = (-x.shape[3]) % factor
    if bottom == 0 and right == 0:
        return x
    return F.pad(x, [0, right, 0, bottom], mode="replicate")


def constant_parameter(channels: int, value: float) -> nn.Parameter:
    """Return a learned per-channel scale (C, 1, 1) filled with `value`."""
    return nn.Parameter(torch.full((channels, 1, 1), value))
