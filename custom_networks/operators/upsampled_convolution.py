"""Convolution of a bilinearly upsampled map, without the upsampled map.

Upsampling and convolution are both linear, so that each tap of the kernel can be applied to the small map first, and
upsampling, shifting and summing over the taps become one matrix per axis. For 8 x 8 upsampled to 64 x 64 and a 3 x 3
kernel that is 1/30 of the multiply-accumulates.

Symbols: B batch, C channels in, O channels out, h and w height and width of the map, H and W of the upsampled one, k
kernel side.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def shifted_upsampling(length: int, size: int, kernel_size: int, like: Tensor) -> Tensor:
    """Return the matrix that upsamples linearly (align_corners False), shifts by each tap and sums.

    Args:
        length: of the axis before.
        size: of the axis after.
        kernel_size: k, odd; taps reach over the ends into zeros.
        like: gives type and device.

    Returns:
        (size, k * length): entry (y, tap * length + i) is the share of sample i in the upsampled y + tap - k // 2.
    """
    precise = torch.float64 if like.dtype == torch.float64 else torch.float32
    samples = torch.arange(length, device=like.device)
    identity = (samples.unsqueeze(1) == samples).to(precise).unsqueeze(0)  # ONNX has no eye of fixed size
    upsampled = F.interpolate(identity, size=size, mode="linear", align_corners=False)[0]  # (length, size)
    padded = F.pad(upsampled, [kernel_size // 2, kernel_size // 2])
    shifted = torch.cat([padded[:, tap : tap + size] for tap in range(kernel_size)])  # (k * length, size)
    return shifted.transpose(0, 1).to(like.dtype)


def convolve_upsampled(x: Tensor, weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Upsample bilinearly (align_corners False) and convolve with zero padding, "same" size.

    Args:
        x: (B, C, h, w).
        weight: (O, C, k, k), k odd.
        size: (H, W).

    Returns:
        (B, O, H, W), channels-last: `conv2d(interpolate(x, size), weight, padding=k // 2)` up to rounding.
    """
    batch, channels, height, width = x.shape
    out, kernel = weight.shape[0], weight.shape[2]
    by_tap = weight.permute(2, 3, 0, 1).reshape(-1, channels)  # (k*k*O, C)
    taps = F.linear(x.permute(0, 2, 3, 1), by_tap).view(batch, height, width, kernel, kernel, out)
    taps = taps.permute(0, 3, 1, 4, 2, 5).reshape(batch, kernel * height, kernel * width * out)
    rows = shifted_upsampling(height, size[0], kernel, taps) @ taps  # (B, H, k*w*O)
    rows = rows.view(batch * size[0], kernel * width, out)
    columns = shifted_upsampling(width, size[1], kernel, taps) @ rows  # (B*H, W, O)
    return columns.view(batch, size[0], size[1], out).permute(0, 3, 1, 2)
