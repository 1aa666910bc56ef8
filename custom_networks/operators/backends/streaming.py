"""Dynamic convolution, eq. (3), one tap after the other in plain operators; and the shapes that every backend takes.

TorchScript, `torch.export` and the ONNX exporter see this form, so that their files run without this package.

Symbols: B batch, C channels, G heads, k kernel side, K = k*k taps in row-major order, H height, W width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def check_shapes(x: Tensor, logits: Tensor, heads: int, kernel_size: int) -> None:
    """Check map and logits before a kernel reads beyond them; TorchScript compiles this too.

    Args:
        x: must be (B, C, H, W), C a multiple of `heads`.
        logits: must be (B, heads * kernel_size**2, H, W).
        heads: G.
        kernel_size: k, must be odd.

    Raises:
        ValueError: with what is expected and what is given.
    """
    if x.dim() != 4 or not x.is_floating_point():
        raise ValueError(f"x must be (batch, channels, height, width), floating-point; got {list(x.shape)}, {x.dtype}")
    if kernel_size < 1 or kernel_size % 2 == 0 or heads < 1 or x.shape[1] % heads != 0:
        raise ValueError(
            f"kernel_size must be odd and above 0, and the channels a multiple of heads; "
            f"got kernel_size {kernel_size}, {x.shape[1]} channels, {heads} heads"
        )
    expected = [x.shape[0], heads * kernel_size * kernel_size, x.shape[2], x.shape[3]]
    if list(logits.shape) != expected:
        raise ValueError(
            f"logits must be (batch, heads * kernel_size**2, height, width) = {expected} for x of {list(x.shape)}; "
            f"got {list(logits.shape)}"
        )


def streaming(x: Tensor, logits: Tensor, heads: int, kernel_size: int) -> Tensor:
    """Sum tap by tap; see `dynamic_convolution` for arguments and result.

    Slices end at constants, counted from the far side, and weights are split once: exported graphs have fewer nodes.
    """
    radius, taps = kernel_size // 2, kernel_size * kernel_size
    if logits.dtype != x.dtype and (x.dtype == torch.float32 or x.dtype == torch.float64):
        logits = logits.to(x.dtype)  # a softmax in bfloat16 would be no better than its logits' type
    weights = torch.softmax(logits.unflatten(1, [heads, taps]), dim=2).to(x.dtype)  # (B, G, K, H, W)
    by_tap = weights.split([1] * taps, dim=2)
    padded = F.pad(x, [radius, radius + 1, radius, radius + 1]).unflatten(1, [heads, -1])  # (B, G, C/G, H + k, W + k)
    total = torch.zeros_like(x).unflatten(1, [heads, -1])
    for top in range(kernel_size):
        rows = padded[:, :, :, top : top - kernel_size]
        for left in range(kernel_size):
            total = total + rows[..., left : left - kernel_size] * by_tap[top * kernel_size + left]
    return total.flatten(1, 2)
