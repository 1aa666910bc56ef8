"""Weighted sum over each pixel's neighbourhood, whose window is moved inwards at the border instead of padded.

After NATTEN's neighbourhood attention (Hassani et al., CVPR 2023), which OverLoCK's ContMix calls: every pixel has
k x k real neighbours, at the border not centred on it. A map smaller than the window is padded by replication, which
NATTEN refuses.

Symbols: B batch, C channels, G heads of C/G channels, H height, W width, k side of the window.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def window_positions(length: int, kernel_size: int, device: torch.device | None = None) -> Tensor:
    """Return the positions (length, k) of each pixel's window along one side; beyond `length` where k is larger."""
    centres = torch.arange(length, device=device)
    starts = (centres - kernel_size // 2).clamp(0, max(length - kernel_size, 0))
    return starts[:, None] + torch.arange(kernel_size, device=device)


def neighbourhood_sum(x: Tensor, weights: Tensor, kernel_size: int) -> Tensor:
    """Sum each pixel's neighbours with the pixel's own weights.

    It holds k*k copies of the map in memory.

    Args:
        x: (B, C, H, W), C a multiple of G.
        weights: (B, G, H, W, k, k), of x's type.
        kernel_size: k, odd.

    Returns:
        (B, C, H, W).
    """
    height, width = x.shape[2], x.shape[3]
    rows = window_positions(height, kernel_size, x.device)
    columns = window_positions(width, kernel_size, x.device)
    below, right = max(kernel_size - height, 0), max(kernel_size - width, 0)
    if below + right > 0:
        x = F.pad(x, [0, right, 0, below], mode="replicate")
    windows = x[:, :, rows][:, :, :, :, columns]  # (B, C, H, k, W, k)
    windows = windows.unflatten(1, [weights.shape[1], -1])
    return torch.einsum("bgchiwj,bghwij->bgchw", windows, weights).flatten(1, 2)
