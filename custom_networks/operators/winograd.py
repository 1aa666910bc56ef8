"""3x3 convolution by Winograd's F(4x4, 3x3): the same sums with a quarter of the multiplications, on a CPU in float32.

A tile is 4 x 4 pixels of the result; it reads a patch of 6 x 6. Patch and taps are each transformed into 36 numbers a
channel. Products of these, summed over the channels, are transformed back into the tile: 36 multiplications for each
pair of channels, where the plain convolution has 144. oneDNN has no such convolution on x86. cuDNN has, so a GPU gets
the plain operator.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016. They interpolate at 0, 1, -1, 2,
-2 and infinity, and lose almost a digit. The points here are 0, the square roots of 1/2 and 2 with both signs, and
infinity; the error is about that of the plain convolution.

Symbols: B batch, C channels in, O channels out, H height, W width, d dilation, T tiles. A map with dilation d is d*d
interleaved maps without.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

POINTS = (0.0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2), -math.sqrt(2))  # and infinity
TILE, PATCH, TAPS = 4, 6, 3  # sides of a tile of the result, of what it reads, of the kernel
CHANNELS = 128  # fewer on either side, and the transforms cost more than they save
PIXELS = 1024  # of all maps, likewise: the weights grow to four times their size
BAND = 128  # tiles at a time, so that their numbers stay in the cache


@dataclass(frozen=True)
class _Transforms:
    """The three transforms of a tile, each one matrix for both axes.

    Attributes:
        of_patch: (36, 36), from the pixels of a patch.
        of_kernel: (36, 9), from the taps.
        of_result: (16, 36), to the pixels of a tile.
    """

    of_patch: Tensor
    of_kernel: Tensor
    of_result: Tensor


@functools.cache
def _transforms() -> _Transforms:
    """Derive them from the points: Toom and Cook's product of polynomials, transposed, for each axis."""
    patch, kernel, result = np.zeros((PATCH, PATCH)), np.zeros((PATCH, TAPS)), np.zeros((TILE, PATCH))
    for i, point in enumerate(POINTS):
        others = [other for other in POINTS if other != point]
        patch[i, : PATCH - 1] = np.poly(others)[::-1]
        kernel[i] = point ** np.arange(TAPS) / math.prod(point - other for other in others)
        result[:, i] = point ** np.arange(TILE)
    patch[-1], kernel[-1, -1], result[-1, -1] = np.poly(POINTS)[::-1], 1, 1
    both = (torch.from_numpy(np.kron(matrix, matrix)).float() for matrix in (patch, kernel, result))
    return _Transforms(*both)


def transform_kernels(weight: Tensor) -> Tensor:
    """Turn taps (O, C, 3, 3) into 36 matrices (36, C, O), which act on the numbers of patches.

    Args:
        weight: (O, C, 3, 3).

    Returns:
        (36, C, O), a view in whose memory O comes before C.
    """
    taps = weight.permute(2, 3, 0, 1).reshape(TAPS * TAPS, -1)
    return (_transforms().of_kernel @ taps).view(-1, *weight.shape[:2]).mT


@dataclass(frozen=True)
class _Band:
    """Some rows of tiles of some images: what is computed at once.

    Attributes:
        images: which images.
        first: first row of the map, a multiple of 4 * d.
        rows: how many.
        dilation: d.
    """

    images: slice
    first: int
    rows: int
    dilation: int

    def patches(self, padded: Tensor) -> Tensor:
        """Numbers (36, T, C) of the patches in padded maps (B, H + 2d, W + 2d, C)."""
        d, step = self.dilation, TILE * self.dilation
        part = padded[self.images, self.first : self.first + self.rows + 2 * d]
        image, row, column, channel = part.stride()
        shape = (PATCH, PATCH, len(part), d, d, self.rows // step, (part.shape[2] - 2 * d) // step, part.shape[3])
        strides = (d * row, d * column, image, row, column, step * row, step * column, channel)
        pixels = part.as_strided(shape, strides, part.storage_offset()).reshape(PATCH * PATCH, -1)
        return (_transforms().of_patch @ pixels).view(PATCH * PATCH, -1, part.shape[3])

    def tiles(self, maps: Tensor) -> Tensor:
        """View of the tiles in maps (B, H, W, O), in the order of `patches`: (4, 4, images, d, d, rows, columns, O)."""
        d = self.dilation
        part = maps[self.images, self.first : self.first + self.rows]
        split = part.unflatten(2, [-1, TILE, d]).unflatten(1, [-1, TILE, d])  # image, row, i, p, column, j, q, channel
        return split.permute(2, 5, 0, 3, 6, 1, 4, 7)


def _bands(maps: Tensor, dilation: int) -> Iterator[_Band]:
    """Cut maps (B, H, W, channels) into bands of about `BAND` tiles."""
    batch, height, width = maps.shape[:3]
    step = TILE * dilation
    images = max(1, BAND * TILE * TILE // (height * width))
    rows = min(height, max(1, BAND * TILE * TILE // (width * step)) * step)
    for i in range(0, batch, images):
        for first in range(0, height, rows):
            yield _Band(slice(i, i + images), first, min(rows, height - first), dilation)


def _pad(x: Tensor, dilation: int) -> Tensor:
    """(B, C, H, W) to channels-last maps with zeros around, (B, H + 2d, W + 2d, C); `F.pad` writes every zero first."""
    maps = x.permute(0, 2, 3, 1)
    padded = maps.new_empty(maps.shape[0], maps.shape[1] + 2 * dilation, maps.shape[2] + 2 * dilation, maps.shape[3])
    for axis in (1, 2):
        padded.narrow(axis, 0, dilation).zero_()
        padded.narrow(axis, -dilation, dilation).zero_()
    padded[:, dilation:-dilation, dilation:-dilation] = maps
    return padded


def convolve_transformed(x: Tensor, kernels: Tensor, bias: Tensor | None, dilation: int = 1) -> Tensor:
    """Convolve with kernels that are transformed already; see `convolve_by_winograd`.

    Args:
        x: (B, C, H, W), H and W multiples of 4 * dilation.
        kernels: (36, C, O), from `transform_kernels`.
        bias: (O).
        dilation: d.

    Returns:
        (B, O, H, W), channels-last.
    """
    padded = _pad(x, dilation)
    out = x.new_empty(x.shape[0], x.shape[2], x.shape[3], kernels.shape[2])
    for band in _bands(out, dilation):
        tiles = band.tiles(out)
        sums = torch.bmm(band.patches(padded), kernels).view(PATCH * PATCH, -1)
        pixels = (_transforms().of_result @ sums).view(tiles.shape)
        tiles.copy_(pixels) if bias is None else torch.add(pixels, bias, out=tiles)
    return out.permute(0, 3, 1, 2)


def _gradient_of_weight(grad: Tensor, x: Tensor, dilation: int) -> Tensor:
    """Return the derivative by the taps, (O, C, 3, 3), for a gradient (B, O, H, W) by the result."""
    padded, grad = _pad(x, dilation), grad.permute(0, 2, 3, 1)
    kernels = x.new_empty(PATCH * PATCH, grad.shape[3], x.shape[1])
    for i, band in enumerate(_bands(grad, dilation)):
        numbers = _transforms().of_result.T @ band.tiles(grad).reshape(TILE * TILE, -1)
        numbers = numbers.view(PATCH * PATCH, -1, grad.shape[3])
        kernels.baddbmm_(numbers.mT, band.patches(padded), beta=min(i, 1))  # 0: what was there is not read
    taps = _transforms().of_kernel.T @ kernels.flatten(1)
    return taps.view(TAPS, TAPS, -1, x.shape[1]).permute(2, 3, 0, 1)


@torch.library.custom_op("sgdnet::winograd", mutates_args=())
def _winograd(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """Convolve (B, C, H, W); the result is channels-last."""
    return convolve_transformed(x, transform_kernels(weight), bias, dilation)


@torch.library.custom_op("sgdnet::winograd_backward", mutates_args=())
def _winograd_backward(
    grad: Tensor, x: Tensor, weight: Tensor, dilation: int, for_x: bool, for_weight: bool
) -> tuple[Tensor, Tensor]:
    """Convolve the gradient with the reflected kernels; what is not asked for is empty."""
    grad = grad.contiguous(memory_format=torch.channels_last)
    grad_x, grad_weight = grad.new_empty(0), grad.new_empty(0)
    if for_x:
        grad_x = convolve_transformed(grad, transform_kernels(weight.flip(2, 3)).mT, None, dilation)
    if for_weight:
        grad_weight = _gradient_of_weight(grad, x, dilation)
    return grad_x, grad_weight


@_winograd.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    shape = (x.shape[0], weight.shape[0], x.shape[2], x.shape[3])
    return x.new_empty(shape).contiguous(memory_format=torch.channels_last)


@_winograd_backward.register_fake
def _(grad: Tensor, x: Tensor, weight: Tensor, dilation: int, for_x: bool, for_weight: bool) -> tuple[Tensor, Tensor]:
    grad_x = torch.empty_like(x, memory_format=torch.channels_last) if for_x else grad.new_empty(0)
    taps = weight.new_empty(TAPS, TAPS, *weight.shape[:2]).permute(2, 3, 0, 1)
    return grad_x, taps if for_weight else grad.new_empty(0)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None, int], output: Tensor) -> None:
    """Keep what the plain convolution keeps."""
    x, weight, _, ctx.dilation = inputs
    ctx.save_for_backward(x, weight)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
    """Compute the gradients that are asked for."""
    for_x, for_weight, for_bias, _ = ctx.needs_input_grad
    grad_x, grad_weight = _winograd_backward(grad, *ctx.saved_tensors, ctx.dilation, for_x, for_weight)
    grad_bias = grad.sum((0, 2, 3)) if for_bias else None
    return grad_x if for_x else None, grad_weight if for_weight else None, grad_bias, None


_winograd.register_autograd(_differentiate, setup_context=_keep)


def pays(x: Tensor, weight: Tensor, dilation: int) -> bool:
    """Whether this form fits a map (B, C, H, W) and kernels (O, C, k, k), and is faster than oneDNN's on a CPU."""
    batch, channels, height, width = x.shape
    step = TILE * dilation
    fits = weight.shape[2] == TAPS and height % step == 0 and width % step == 0
    large = batch * height * width >= PIXELS and min(channels, weight.shape[0]) >= CHANNELS
    last = x.is_contiguous(memory_format=torch.channels_last)
    return fits and large and last and x.dtype == torch.float32


def convolve_by_winograd(x: Tensor, weight: Tensor, bias: Tensor | None = None, dilation: int = 1) -> Tensor:
    """Convolve with zero padding, "same" size, stride 1; differentiable once.

    Args:
        x: (B, C, H, W), float32, H and W multiples of 4 * dilation.
        weight: (O, C, 3, 3).
        bias: (O).
        dilation: d.

    Returns:
        (B, O, H, W), channels-last.
    """
    result: Tensor = _winograd(x, weight, bias, dilation)
    return result
