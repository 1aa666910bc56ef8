"""Spatially variant dynamic convolution: every pixel and head has its own k x k kernel, eq. (3).

Source: section 3.3. The authors unfold the map into K shifted copies; none of that is needed:

- `tiled`, on any device: the map is cut into T x T tiles. Within a tile the weighted sum is one matrix product of a
  banded (T*T, P*P) matrix, which holds the kernels of the tile's pixels, and the tile's (P*P, C/G) patch,
  P = T + k - 1. Its backward pass is two more products; it recomputes patch and band.
- `fused`: Triton kernels, in `dynamic_convolution_triton.py`; where there is a GPU that has them, they come first.
- `streaming`: one tap after the other, in plain operators; the form that TorchScript and the exporters see.

The literal unfold is the oracle in the tests.

Symbols: B batch, C channels, G heads (groups of C/G consecutive channels that share kernels), k kernel side,
K = k*k taps in row-major order, H height, W width, T side of a tile, P side of its patch, N = B * tiles * G.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from custom_networks.operators.dynamic_convolution_triton import fused, usable

TILE = 8


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


class _Tiling:
    """Geometry of one call of `tiled`: how maps, tiles, patches and bands lie in memory.

    Args:
        x: (B, C, H, W), read for its shape alone.
        heads: G.
        kernel_size: k.
    """

    def __init__(self, x: Tensor, heads: int, kernel_size: int) -> None:
        self.batch, channels, self.height, self.width = x.shape
        self.heads, self.kernel, self.head_channels = heads, kernel_size, channels // heads
        self.tile = max(TILE, kernel_size - 1)  # so that a patch overlaps its neighbours only
        self.patch = self.tile + kernel_size - 1
        self.rows, self.columns = -(-self.height // self.tile), -(-self.width // self.tile)
        self.below, self.right = self.rows * self.tile - self.height, self.columns * self.tile - self.width

    def cut(self, channels_last: Tensor) -> Tensor:
        """(B, H, W, G*n) to tiles (N, T*T, n)."""
        padded = F.pad(channels_last, [0, 0, 0, self.right, 0, self.below])
        tiles = padded.view(self.batch, self.rows, self.tile, self.columns, self.tile, self.heads, -1)
        return tiles.permute(0, 1, 3, 5, 2, 4, 6).flatten(4, 5).flatten(0, 3)

    def join(self, tiles: Tensor) -> Tensor:
        """Tiles (N, T*T, n) to (B, H, W, G*n), the inverse of `cut`."""
        grid = tiles.view(self.batch, self.rows, self.columns, self.heads, self.tile, self.tile, -1)
        joined = grid.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4).flatten(1, 2)
        return joined[:, : self.height, : self.width]

    def patches(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the zero-padded neighbourhoods of its tiles, (N, P*P, C/G)."""
        radius = self.kernel // 2
        padded = F.pad(x.permute(0, 2, 3, 1), [0, 0, radius, radius + self.right, radius, radius + self.below])
        windows = padded.unfold(1, self.patch, self.tile).unfold(2, self.patch, self.tile)  # a view
        return windows.unflatten(3, [self.heads, -1]).permute(0, 1, 2, 3, 5, 6, 4).flatten(4, 5).flatten(0, 3)

    def add_patches(self, patches: Tensor) -> Tensor:
        """Sum overlapping patches (N, P*P, C/G) back into a map (B, C, H, W), the adjoint of `patches`."""
        tile, rows, columns, radius = self.tile, self.rows, self.columns, self.kernel // 2
        shape = (self.batch, rows, columns, self.heads, self.patch, self.patch, self.head_channels)
        patches = patches.view(shape).permute(0, 1, 4, 2, 5, 3, 6)  # (B, rows, P, columns, P, G, C/G)
        canvas = patches.new_zeros(self.batch, rows + 1, tile, columns + 1, tile, self.heads, self.head_channels)
        for down, from_row, rest in ((0, 0, tile), (1, tile, self.patch - tile)):
            for across, from_column, rest_across in ((0, 0, tile), (1, tile, self.patch - tile)):
                target = canvas[:, down : down + rows, :rest, across : across + columns, :rest_across]
                target += patches[:, :, from_row : from_row + rest, :, from_column : from_column + rest_across]
        joined = canvas.flatten(5, 6).flatten(3, 4).flatten(1, 2)  # (B, Hp, Wp, C)
        return joined[:, radius : radius + self.height, radius : radius + self.width].permute(0, 3, 1, 2)

    def diagonals(self, band: Tensor) -> Tensor:
        """View a band (N, T*T, P*P) as the K taps of each pixel of the tile, (N, T, T, k, k)."""
        tile, patch, kernel = self.tile, self.patch, self.kernel
        strides = (tile**2 * patch**2, tile * patch**2 + patch, patch**2 + 1, patch, 1)
        return band.as_strided((band.shape[0], tile, tile, kernel, kernel), strides)

    def band(self, weights: Tensor) -> Tensor:
        """Weights (B, H, W, G*K) to the matrices (N, T*T, P*P) that act on the patches."""
        taps = self.cut(weights)
        band = taps.new_zeros(taps.shape[0], self.tile**2, self.patch**2)
        self.diagonals(band).copy_(taps.view(-1, self.tile, self.tile, self.kernel, self.kernel))
        return band


class _Tiled(torch.autograd.Function):
    """Forward and backward of `tiled`; keeps the map and the softmax weights alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, logits: Tensor, heads: int, kernel_size: int) -> Tensor:
        """Multiply every tile's band with its patch."""
        tiling = _Tiling(x, heads, kernel_size)
        taps = logits.permute(0, 2, 3, 1).unflatten(3, [heads, -1])
        precise = torch.promote_types(x.dtype, torch.float32)
        weights = torch.softmax(taps, dim=-1, dtype=precise).to(x.dtype).flatten(3)  # (B, H, W, G*K)
        ctx.save_for_backward(x, weights)
        ctx.tiling = tiling
        tiles = tiling.band(weights) @ tiling.patches(x)
        return tiling.join(tiles).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Transposed products, and the softmax's own backward pass."""
        x, weights = ctx.saved_tensors
        tiling = ctx.tiling
        grad_tiles = tiling.cut(grad.permute(0, 2, 3, 1))
        grad_x, grad_logits = None, None
        if ctx.needs_input_grad[0]:
            grad_x = tiling.add_patches(tiling.band(weights).transpose(1, 2) @ grad_tiles)
        if ctx.needs_input_grad[1]:
            grad_band = grad_tiles @ tiling.patches(x).transpose(1, 2)
            taps = tiling.diagonals(grad_band).flatten(3).flatten(1, 2)  # (N, T*T, K)
            precise = torch.promote_types(x.dtype, torch.float32)
            grad_weights = tiling.join(taps).unflatten(3, [tiling.heads, -1]).to(precise)
            soft = weights.unflatten(3, [tiling.heads, -1]).to(precise)
            grad_soft = soft * (grad_weights - (soft * grad_weights).sum(dim=-1, keepdim=True))
            grad_logits = grad_soft.to(x.dtype).flatten(3).permute(0, 3, 1, 2)
        return grad_x, grad_logits, None, None


def tiled(x: Tensor, logits: Tensor, heads: int, kernel_size: int) -> Tensor:
    """Sum by banded matrix products; see `dynamic_convolution` for arguments and result."""
    device = x.device.type
    if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        return _Tiled.apply(x, logits.to(x.dtype), heads, kernel_size)
    dtype = torch.get_autocast_dtype(device)
    with torch.autocast(device, enabled=False):  # the products below, forward and backward, are of one type
        return _Tiled.apply(x.to(dtype), logits.to(dtype), heads, kernel_size).to(x.dtype)


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
    if not torch.jit.is_scripting():  # noqa: SIM102 (TorchScript compiles what stands beside this condition)
        if not (torch.jit.is_tracing() or torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()):
            backend = fused if usable(x) else tiled
            return backend(x, logits, heads, kernel_size)
    return streaming(x, logits, heads, kernel_size)
