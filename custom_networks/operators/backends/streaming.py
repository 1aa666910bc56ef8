"""Dynamic convolution, eq. (3), one tap after the other in plain operators.

TorchScript, `torch.export` and the ONNX exporter see this form, so that their files run without this package.

Symbols: B batch, C channels, G heads, k kernel side, K = k*k taps in row-major order, H height, W width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def streaming(x: Tensor, logits: Tensor, heads: int, kernel_size: int) -> Tensor:
    """Sum tap by tap; see `dynamic_convolution` for arguments and result."""
    radius = kernel_size // 2
    height, width = x.shape[2], x.shape[3]
    weights = torch.softmax(logits.unflatten(1, [heads, -1]), dim=2).to(x.dtype)  # (B, G, K, H, W)
    padded = F.pad(x, [radius, radius, radius, radius]).unflatten(1, [heads, -1])
    total = torch.zeros_like(x).unflatten(1, [heads, -1])
    for tap in range(kernel_size * kernel_size):
        top, left = tap // kernel_size, tap % kernel_size
        shifted = padded[:, :, :, top : top + height, left : left + width]
        total = total + shifted * weights[:, :, tap].unsqueeze(2)
    return total.flatten(1, 2)
