"""Spatially variant dynamic convolution: every pixel and head has its own k x k kernel, eq. (3).

Source: section 3.3. The authors unfold K = k*k shifted copies of the map; here the taps are streamed, one at a
time, and the backward pass recomputes what it needs, so that memory holds no copy per tap. The literal unfold is
the oracle in the tests.

Symbols: B batch, C channels, G heads (groups of C/G consecutive channels that share kernels), k kernel side,
K = k*k taps in row-major order, H height, W width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def tap_weights(logits: Tensor, heads: int) -> Tensor:
    """Softmax over the taps: (B, G*K, H, W) logits to (B, G, K, H, W) weights that sum to 1 over K."""
    return torch.softmax(logits.unflatten(1, [heads, -1]), dim=2)


def stream_taps(x: Tensor, weights: Tensor, kernel_size: int) -> Tensor:
    """Weighted sum of the zero-padded neighbourhood of every pixel, one tap after the other.

    Args:
        x: (B, C, H, W).
        weights: (B, G, K, H, W).
        kernel_size: k.

    Returns:
        (B, C, H, W).
    """
    radius = kernel_size // 2
    height, width = x.shape[2], x.shape[3]
    heads = weights.shape[1]
    padded = F.pad(x, [radius, radius, radius, radius]).unflatten(1, [heads, -1])
    total = torch.zeros_like(x, memory_format=torch.contiguous_format).unflatten(1, [heads, -1])
    for tap in range(kernel_size * kernel_size):
        top, left = tap // kernel_size, tap % kernel_size
        shifted = padded[:, :, :, top : top + height, left : left + width]
        total = total + shifted * weights[:, :, tap].unsqueeze(2)
    return total.flatten(1, 2)


class _StreamedTaps(torch.autograd.Function):
    """`stream_taps` of the softmax of logits, with a backward pass that streams as well."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, logits: Tensor, heads: int, kernel_size: int) -> Tensor:
        """Sum in place, tap by tap; keeps `x` and `logits` alone for the backward pass."""
        radius = kernel_size // 2
        height, width = x.shape[2:]
        weights = tap_weights(logits, heads)
        padded = F.pad(x, [radius] * 4).unflatten(1, [heads, -1])
        total = torch.zeros_like(x, memory_format=torch.contiguous_format).unflatten(1, [heads, -1])
        for tap in range(kernel_size**2):
            top, left = divmod(tap, kernel_size)
            total.addcmul_(padded[..., top : top + height, left : left + width], weights[:, :, tap].unsqueeze(2))
        ctx.save_for_backward(x, logits)
        ctx.heads, ctx.kernel_size = heads, kernel_size
        return total.flatten(1, 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[override]
        """Stream the taps again: gradient of the map, and of the logits through the softmax."""
        x, logits = ctx.saved_tensors
        heads, kernel_size = ctx.heads, ctx.kernel_size
        radius = kernel_size // 2
        height, width = x.shape[2:]
        weights = tap_weights(logits, heads)
        padded = F.pad(x, [radius] * 4).unflatten(1, [heads, -1])
        grad_padded = torch.zeros_like(padded)
        grad_weights = torch.empty_like(weights)
        grad = grad.unflatten(1, [heads, -1])
        for tap in range(kernel_size**2):
            top, left = divmod(tap, kernel_size)
            window = (..., slice(top, top + height), slice(left, left + width))
            grad_padded[window].addcmul_(grad, weights[:, :, tap].unsqueeze(2))
            torch.sum(grad * padded[window], dim=2, out=grad_weights[:, :, tap])
        grad_logits = weights * (grad_weights - (weights * grad_weights).sum(dim=2, keepdim=True))
        grad_x = grad_padded.flatten(1, 2)[..., radius : radius + height, radius : radius + width]
        return grad_x, grad_logits.flatten(1, 2), None, None


def dynamic_convolution(x: Tensor, logits: Tensor, heads: int, kernel_size: int) -> Tensor:
    """Convolve every pixel's neighbourhood with its own softmax-normalised kernel.

    Args:
        x: (B, C, H, W), C a multiple of `heads`; the neighbourhood is zero-padded.
        logits: (B, heads * kernel_size**2, H, W), taps in row-major order.
        heads: G; a head is C/G consecutive channels.
        kernel_size: k, odd.

    Returns:
        (B, C, H, W), of x's type.

    Raises:
        ValueError: where the shapes do not fit.
    """
    if kernel_size % 2 == 0 or x.shape[1] % heads != 0 or logits.shape[1] != heads * kernel_size * kernel_size:
        raise ValueError(
            f"kernel_size must be odd, channels a multiple of heads, and logits have heads * kernel_size**2 "
            f"channels; got kernel_size {kernel_size}, {x.shape[1]} channels, {heads} heads, "
            f"{logits.shape[1]} logits"
        )
    logits = logits.to(x.dtype)
    if not torch.jit.is_scripting():
        if torch.is_grad_enabled() and (x.requires_grad or logits.requires_grad):
            return _StreamedTaps.apply(x, logits, heads, kernel_size)
    return stream_taps(x, tap_weights(logits, heads), kernel_size)
