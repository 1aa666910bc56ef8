"""Spatially variant dynamic convolution: every pixel and head has its own k x k kernel, eq. (3).

Source: section 3.3. The authors unfold the map into K shifted copies; none of the backends needs that, see
`backends/registry.py`. The literal unfold is the oracle in the tests.

Symbols: B batch, C channels, G heads (groups of C/G consecutive channels that share kernels), k kernel side,
K = k*k taps in row-major order, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from custom_networks.operators.backends.registry import AUTO, BACKENDS, check_name, choose_backend
from custom_networks.operators.backends.streaming import check_shapes, streaming


def dynamic_convolution(x: Tensor, logits: Tensor, heads: int, kernel_size: int, backend: str = AUTO) -> Tensor:
    """Convolve every pixel's neighbourhood with its own softmax-normalised kernel.

    TorchScript, tracing, `torch.export` and the ONNX exporter always get `streaming`, whose operators are plain. It
    alone has second derivatives and forward-mode ones: with the others a second derivative is an error, and a tangent
    is lost.

    Args:
        x: (B, C, H, W), floating-point, C a multiple of `heads`; the neighbourhood is zero-padded. `tiled` spreads a
            value that is infinite or no number over the pixels that share its segment.
        logits: (B, heads * kernel_size**2, H, W), taps in row-major order; may be of another type than x.
        heads: G; a head is C/G consecutive channels.
        kernel_size: k, odd.
        backend: a name in `BACKENDS`, or "auto"; see `choose_backend`.

    Returns:
        (B, C, H, W), of x's type.

    Raises:
        ValueError: where the shapes do not fit, or x is of whole numbers.
        UserError: for a backend that does not exist, or was named and does not work on `x`.
    """
    check_shapes(x, logits, heads, kernel_size)
    if not torch.jit.is_scripting():
        exporting = torch.jit.is_tracing() or torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()
        if not exporting and x.numel() > 0:
            name = choose_backend(backend, x.device, x.dtype, logits.dtype, heads, kernel_size)
            return BACKENDS[name].compute(x, logits, heads, kernel_size)
    return streaming(x, logits, heads, kernel_size)


class DynamicConvolution(nn.Module):
    """`dynamic_convolution` as a part of a network; it has no weights.

    Args:
        heads: G.
        kernel_size: k, odd.
        backend: a name in `BACKENDS`, or "auto"; see `choose_backend`.

    Raises:
        UserError: for a backend that does not exist.
    """

    def __init__(self, heads: int, kernel_size: int, backend: str = AUTO) -> None:
        super().__init__()
        check_name(backend, "backend")
        self.heads = heads
        self.kernel_size = kernel_size
        self.backend = backend

    def forward(self, x: Tensor, logits: Tensor) -> Tensor:
        """Convolve (B, C, H, W) with the softmax of (B, G*K, H, W)."""
        return dynamic_convolution(x, logits, self.heads, self.kernel_size, self.backend)

    def extra_repr(self) -> str:
        """Show heads, kernel size and backend."""
        return f"heads={self.heads}, kernel_size={self.kernel_size}, backend={self.backend!r}"
