"""Dynamic convolution, eq. (3), on any device: products of banded matrices with the patches under them.

Every row of the map is cut into segments of T pixels. For a segment the weighted sum is one matrix product of a banded
(T, k*P) matrix, which holds the kernels of its pixels, and the (k*P, C/G) patch around it, P = T + k - 1. The backward
pass is two more products; it recomputes patches and bands.

The softmax is PyTorch's. What follows it is the operator `sgdnet::tiled`, registered with `torch.library`.

Symbols: B batch, C channels, G heads (groups of C/G consecutive channels that share kernels), k kernel side,
K = k*k taps in row-major order, H height, W width, M = B*G maps of a head, c = C/G, T pixels of a segment, P width of
its patch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from custom_networks.operators.float32 import autocasting


def tile_of(width: int) -> int:
    """Return T for a map of this width: short segments waste less arithmetic, long ones copy less."""
    return 16 if width <= 32 else 8


class _Strips:
    """Geometry of `tiled`: rows cut into segments of T pixels, with the patches that these read.

    All the patches of a column of segments lie in one array, P pixels wide: each is k rows of it, one row below the
    last, so that nothing is copied for a pixel's row, and P / T of it for its column. The last k - 1 patches of a
    column reach into the next one; their products are computed and left out.

    Args:
        x: (M, H, W, c).
        kernel: k.
    """

    def __init__(self, x: Tensor, kernel: int) -> None:
        maps, self.height, self.width, self.channels = x.shape
        self.kernel, self.tile = kernel, tile_of(self.width)
        self.patch = self.tile + kernel - 1
        self.columns = -(-self.width // self.tile)
        self.right = self.columns * self.tile - self.width
        self.rows = self.height + kernel - 1
        self.count = self.columns * self.rows - (kernel - 1)
        self.shape = (maps, self.columns, self.rows, self.tile, self.channels)
        radius = kernel // 2
        padded = F.pad(x, [0, 0, radius, radius + self.right, radius, radius])
        self.windows = padded.unfold(2, self.patch, self.tile).permute(0, 2, 1, 4, 3)  # (M, columns, rows, P, c)

    def cut(self, values: Tensor) -> Tensor:
        """(M, H, W, *n) to segments (M, columns, H, T, *n)."""
        if self.right:
            values = F.pad(values, [0, 0] * (values.ndim - 3) + [0, self.right])
        return values.unflatten(2, [self.columns, self.tile]).transpose(1, 2)

    def join(self, segments: Tensor, heads: int) -> Tensor:
        """(B*G, columns, rows, T, n) to channels-last (B, G*n, H, W)."""
        rows = segments.unflatten(0, [-1, heads])[:, :, :, : self.height].permute(0, 3, 2, 4, 1, 5)
        return rows.flatten(4, 5).flatten(2, 3)[:, :, : self.width].permute(0, 3, 1, 2)

    def patches(self, i: int) -> Tensor:
        """Overlapping patches of map i, (count, k*P, c)."""
        shape = (self.count, self.kernel * self.patch, self.channels)
        return self.windows[i].contiguous().as_strided(shape, (self.patch * self.channels, self.channels, 1))

    def diagonals(self, band: Tensor) -> Tensor:
        """View matrices (columns * rows, T, k*P) as the taps of each pixel, (columns, rows, T, k, k)."""
        row = self.kernel * self.patch
        shape = (self.columns, self.rows, self.tile, self.kernel, self.kernel)
        return band.as_strided(shape, (self.rows * self.tile * row, self.tile * row, row + 1, self.patch, 1))

    def band(self, taps: Tensor) -> Tensor:
        """Taps (columns, H, T, k, k) of one map to the matrices (count, T, k*P) that act on its patches."""
        band = taps.new_zeros(self.columns * self.rows, self.tile, self.kernel * self.patch)
        self.diagonals(band)[:, : self.height].copy_(taps)
        return band[: self.count]


def _maps(x: Tensor, heads: int) -> Tensor:
    """View (B, G*n, H, W) as one map a head, (B*G, H, W, n); a gradient comes back channels-last."""
    return x.permute(0, 2, 3, 1).unflatten(3, [heads, -1]).permute(0, 3, 1, 2, 4).flatten(0, 1)


def _gather(x: Tensor, weights: Tensor, heads: int) -> Tensor:
    """Sum the neighbourhood of each pixel, weighted.

    Args:
        x: (B, C, H, W).
        weights: (B*G, H, W, k, k), of any strides.
        heads: G.

    Returns:
        (B, C, H, W).
    """
    strips = _Strips(_maps(x, heads), weights.shape[-1])
    taps = strips.cut(weights)
    sums = x.new_empty(strips.shape)
    for i in range(sums.shape[0]):  # map by map: a patch and a band stay small
        torch.bmm(strips.band(taps[i]), strips.patches(i), out=sums[i].flatten(0, 1)[: strips.count])
    return strips.join(sums, heads)


def _reflected(weights: Tensor) -> Tensor:
    """Weights (M, H, W, k, k) of the adjoint: what pixel p takes from q becomes what q takes from p."""
    margin = weights.shape[-1] // 2
    padded = F.pad(weights, [0, 0, 0, 0, margin, margin, margin, margin])
    step, down, right, tap_down, tap_right = padded.stride()
    last_tap = (weights.shape[-1] - 1) * (tap_down + tap_right)
    return padded.as_strided(weights.shape, (step, down, right, down - tap_down, right - tap_right), last_tap)


def _correlate(x: Tensor, grad: Tensor, heads: int, kernel_size: int) -> Tensor:
    """Multiply each pixel's gradient with its neighbourhood: the derivative of `_gather` by its weights.

    Args:
        x: (B, C, H, W).
        grad: (B, C, H, W), by the result of `_gather`.
        heads: G.
        kernel_size: k.

    Returns:
        (B*G, H, W, k, k).
    """
    strips = _Strips(_maps(x, heads), kernel_size)
    segments = strips.cut(_maps(grad, heads))
    taps = x.new_empty(*strips.shape[:4], kernel_size**2)
    padded = x.new_zeros(strips.shape[1:])
    products = x.new_empty(strips.columns * strips.rows, strips.tile, kernel_size * strips.patch)
    for i in range(taps.shape[0]):
        padded[:, : strips.height] = segments[i]
        torch.bmm(padded.flatten(0, 1)[: strips.count], strips.patches(i).mT, out=products[: strips.count])
        taps[i] = strips.diagonals(products).flatten(3)
    by_pixel = taps[:, :, : strips.height].transpose(1, 2).flatten(2, 3)[:, :, : strips.width]
    return by_pixel.unflatten(3, [kernel_size, kernel_size])


@torch.library.custom_op("sgdnet::tiled", mutates_args=())
def _tiled(x: Tensor, weights: Tensor, heads: int) -> Tensor:
    """Gather (B, C, H, W) with weights (B*G, H, W, k, k), of x's type; the result is channels-last."""
    x = x.contiguous(memory_format=torch.channels_last)
    return _gather(x, weights, heads).contiguous(memory_format=torch.channels_last)


@torch.library.custom_op("sgdnet::tiled_backward", mutates_args=())
def _tiled_backward(
    grad: Tensor, x: Tensor, weights: Tensor, heads: int, for_x: bool, for_weights: bool
) -> tuple[Tensor, Tensor]:
    """Gather the gradient with reflected weights; correlate it with the map. What is not asked for is empty."""
    grad = grad.contiguous(memory_format=torch.channels_last)
    grad_x, grad_weights = grad.new_empty(0), grad.new_empty(0)
    if for_x:
        grad_x = _gather(grad, _reflected(weights), heads).contiguous(memory_format=torch.channels_last)
    if for_weights:
        x = x.contiguous(memory_format=torch.channels_last)
        grad_weights = _correlate(x, grad, heads, weights.shape[-1]).contiguous()
    return grad_x, grad_weights


@_tiled.register_fake
def _(x: Tensor, weights: Tensor, heads: int) -> Tensor:
    return torch.empty_like(x, memory_format=torch.channels_last)


@_tiled_backward.register_fake
def _(grad: Tensor, x: Tensor, weights: Tensor, heads: int, for_x: bool, for_weights: bool) -> tuple[Tensor, Tensor]:
    grad_x = torch.empty_like(x, memory_format=torch.channels_last) if for_x else grad.new_empty(0)
    return grad_x, weights.new_empty(weights.shape) if for_weights else grad.new_empty(0)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    """Keep the map and the weights alone."""
    x, weights, ctx.heads = inputs
    ctx.save_for_backward(x, weights)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    """Compute the gradients that are asked for."""
    for_x, for_weights, _ = ctx.needs_input_grad
    grad_x, grad_weights = _tiled_backward(grad, *ctx.saved_tensors, ctx.heads, for_x, for_weights)
    return grad_x if for_x else None, grad_weights if for_weights else None, None


_tiled.register_autograd(_differentiate, setup_context=_keep)


def tiled(x: Tensor, logits: Tensor, heads: int, kernel_size: int) -> Tensor:
    """Sum by banded matrix products; see `dynamic_convolution` for arguments and result."""
    if autocasting(x) and x.dtype != torch.float64:  # which autocast leaves alone
        device = x.device.type
        dtype = torch.get_autocast_dtype(device)
        with torch.autocast(device, enabled=False):  # the products, forward and backward, are of one type
            return tiled(x.to(dtype), logits, heads, kernel_size).to(x.dtype)
    precise = torch.promote_types(x.dtype, torch.float32)
    weights = torch.softmax(_maps(logits, heads), dim=-1, dtype=precise).to(x.dtype)
    x = x.contiguous(memory_format=torch.channels_last)  # reorder it once, for the backward pass too
    return _tiled(x, weights.unflatten(3, [kernel_size, kernel_size]), heads)
