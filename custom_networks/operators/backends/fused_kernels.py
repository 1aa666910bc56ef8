"""Dynamic convolution, eq. (3), on a GPU: one Triton kernel for the forward pass and two for the backward pass.

Source: section 3.3. As in FlashAttention (Dao et al., 2022), the backward pass keeps one log-sum-exp per pixel and
head and computes the softmax again from the logits. Nothing has K copies of the map or of a gradient.

Symbols: B batch, C channels, G heads (groups of C/G consecutive channels that share kernels), k kernel side,
K = k*k taps in row-major order, H height, W width. A program works on P pixels, a square, of one image and head:
neighbouring taps read overlapping pixels, so nearly every read but a pixel's first comes from the L1 cache.
D is its block of channels, L its block of taps, K rounded up to a power of two.

Each pass does B*C*H*W*K multiply-adds with one cached read each, which is what they wait for. Besides,

- `_forward_kernel` reads x and logits; it writes the result and B*G*H*W log-sum-exps;
- `_grad_x_kernel` reads gradient, logits and log-sum-exps; it writes dx. A pixel gathers from its neighbours what it
  gave them: no atomics;
- `_grad_logits_kernel` reads x, gradient and logits; it writes dlogits. It holds the K sums of a pixel in registers,
  (P, L). Two passes over the taps would do without, but read x twice; putting a tap's sum in its place costs P*L
  selections, which run while reads are under way.

A matrix product of the square's band of weights with its patch, as in `tiled`, would use tensor cores, but has four
times the arithmetic and would round float32 to TF32; layer norm gives float32 under autocast too. Sums are in float32
whatever the types of map and logits, which may differ. Strides are arguments: every layout is right; channels-last
and contiguous maps are read in whole sectors. Offsets are 64 bits wide: 708 channels of a 1740 x 1740 map reach 2**31.

The side of the square and the number of warps are chosen by `triton.autotune`, which times the candidates below for
each kernel size, width of a head and size class of the map. The candidates are chosen on paper and by the registers
that the compiler reports for Ada and Hopper. An H100 takes 5 times the floor in bytes (forward), 8 (with backward).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

try:
    import triton
    import triton.language as tl

    AVAILABLE = True
except ImportError:
    AVAILABLE = False

INTERPRETED = AVAILABLE and triton.knobs.runtime.interpret  # TRITON_INTERPRET=1 at import
MOST_CHANNELS = 64  # D
MOST_SUMS = 32  # of P*L, in a thread of `_grad_logits_kernel`, each a register
SQUARES = ((8, 4), (8, 2), (8, 8), (4, 2), (4, 4), (16, 8))  # side of the square of pixels, warps; the first untimed
TRIAL_MS = 5  # of warming up a candidate; it is timed four times as long
SQUARES_OF_SUMS = ((8, 4), (8, 8), (4, 2), (4, 4), (2, 4), (1, 4))


def _jit(function: Callable[..., Any]) -> Any:
    """Compile with Triton; without Triton leave a function that nobody calls."""
    return triton.jit(function) if AVAILABLE else function


def _few_sums(configs: list[Any], arguments: Mapping[str, Any], **options: Any) -> list[Any]:
    """Leave out squares whose sums do not fit into the registers, and take the largest four that do."""
    taps = {**arguments, **options}["tap_block"]
    fitting = [c for c in configs if c.kwargs["tile"] ** 2 * taps <= MOST_SUMS * 32 * c.num_warps]
    return fitting[:4] or configs[-1:]


def _tuned(squares: Sequence[tuple[int, int]], prune: Callable[..., list[Any]] | None = None) -> Callable[..., Any]:
    """Compile a kernel for several squares and warps, timed once for each key; the interpreter takes the first."""

    def decorate(function: Callable[..., Any]) -> Any:
        if not AVAILABLE:
            return function
        configs = [triton.Config({"tile": side}, num_warps=warps) for side, warps in squares]
        tuner = triton.autotune(
            configs[:1] if INTERPRETED else configs,
            key=["kernel", "head_channels", "size_class"],
            prune_configs_by={"early_config_prune": prune} if prune else None,
            do_bench=partial(triton.testing.do_bench, warmup=TRIAL_MS, rep=4 * TRIAL_MS),
            cache_results=True,
        )
        return tuner(triton.jit(function, do_not_specialize=["size_class"]))

    return decorate


@_jit
def _square(height: tl.tensor, width: tl.tensor, tile: tl.constexpr) -> tl.tuple:
    """Rows and columns of the program's pixels, 64 bits wide, and whether they are in the map; (P,) each."""
    across = tl.cdiv(width, tile)
    pixel = tl.arange(0, tile * tile)
    row = (tl.program_id(0) // across * tile + pixel // tile).to(tl.int64)
    column = (tl.program_id(0) % across * tile + pixel % tile).to(tl.int64)
    return row, column, (row < height) & (column < width)


@_jit
def _neighbours(
    row: tl.tensor, column: tl.tensor, height: tl.tensor, width: tl.tensor, tap: tl.tensor, kernel: tl.constexpr
) -> tl.tuple:
    """Rows and columns that lie one tap away from the pixels, and whether they are in the map; (P,) each."""
    row += tap // kernel - kernel // 2
    column += tap % kernel - kernel // 2
    return row, column, (row >= 0) & (row < height) & (column >= 0) & (column < width)


@_jit
def _origin(tensor: tl.tensor, strides: tl.tuple, heads: tl.tensor, channels: tl.tensor) -> tl.tensor:
    """Address of the first of the `channels` channels of the program's image and head."""
    image, head = (tl.program_id(1) // heads).to(tl.int64), (tl.program_id(1) % heads).to(tl.int64)
    return tensor + image * strides[0] + head * channels * strides[1]


@_jit
def _load(
    origin: tl.tensor, strides: tl.tuple, channel: tl.tensor, row: tl.tensor, column: tl.tensor, mask: tl.tensor
) -> tl.tensor:
    """Read the block (pixels, channels) in float32, 0 where `mask` is false."""
    pixel = row * strides[2] + column * strides[3]
    return tl.load(origin + pixel[:, None] + (channel.to(tl.int64) * strides[1])[None, :], mask=mask, other=0.0).to(
        tl.float32
    )


@_jit
def _store(
    origin: tl.tensor,
    strides: tl.tuple,
    channel: tl.tensor,
    row: tl.tensor,
    column: tl.tensor,
    mask: tl.tensor,
    value: tl.tensor,
) -> None:
    """Write the block (pixels, channels) where `mask` is true."""
    pixel = row * strides[2] + column * strides[3]
    tl.store(origin + pixel[:, None] + (channel.to(tl.int64) * strides[1])[None, :], value, mask=mask)


@_tuned(SQUARES)
def _forward_kernel(
    x: tl.tensor,
    logits: tl.tensor,
    out: tl.tensor,
    log_sums: tl.tensor,
    x_strides: tl.tuple,
    logits_strides: tl.tuple,
    out_strides: tl.tuple,
    heads: tl.tensor,
    head_channels: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    size_class: tl.tensor,
    kernel: tl.constexpr,
    tile: tl.constexpr,
    channel_block: tl.constexpr,
) -> None:
    """out[p] = sum over taps t of softmax(logits[p])[t] * x[p + t]; log_sums[p] = log sum exp(logits[p])."""
    row, column, inside = _square(height, width, tile)
    channel = tl.program_id(2) * channel_block + tl.arange(0, channel_block)
    real = (channel < head_channels)[None, :]
    x = _origin(x, x_strides, heads, head_channels)
    logits = _origin(logits, logits_strides, heads, kernel * kernel)
    logits += row * logits_strides[2] + column * logits_strides[3]
    largest = tl.full([tile * tile], float("-inf"), tl.float32)
    for tap in range(kernel * kernel):
        logit = tl.load(logits + tl.cast(tap, tl.int64) * logits_strides[1], mask=inside, other=0.0).to(tl.float32)
        largest = tl.maximum(largest, logit)
    total = tl.zeros([tile * tile], tl.float32)
    result = tl.zeros([tile * tile, channel_block], tl.float32)
    for tap in range(kernel * kernel):
        logit = tl.load(logits + tl.cast(tap, tl.int64) * logits_strides[1], mask=inside, other=0.0).to(tl.float32)
        from_row, from_column, there = _neighbours(row, column, height, width, tap, kernel)
        neighbour = _load(x, x_strides, channel, from_row, from_column, there[:, None] & real)
        weight = tl.exp(logit - largest)
        total += weight
        result += weight[:, None] * neighbour
    result /= total[:, None]
    out = _origin(out, out_strides, heads, head_channels)
    _store(out, out_strides, channel, row, column, inside[:, None] & real, result)
    if tl.program_id(2) == 0:
        log_sums += tl.program_id(1).to(tl.int64) * height * width
        tl.store(log_sums + row * width + column, largest + tl.log(total), mask=inside)


@_tuned(SQUARES)
def _grad_x_kernel(
    grad: tl.tensor,
    logits: tl.tensor,
    log_sums: tl.tensor,
    grad_x: tl.tensor,
    grad_strides: tl.tuple,
    logits_strides: tl.tuple,
    grad_x_strides: tl.tuple,
    heads: tl.tensor,
    head_channels: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    size_class: tl.tensor,
    kernel: tl.constexpr,
    tile: tl.constexpr,
    channel_block: tl.constexpr,
) -> None:
    """grad_x[p] = sum over taps t of softmax(logits[p - t])[t] * grad[p - t].

    Rounding of the log-sum-exps adds a relative error of 6e-8 times the logits' size.
    """
    row, column, inside = _square(height, width, tile)
    channel = tl.program_id(2) * channel_block + tl.arange(0, channel_block)
    real = (channel < head_channels)[None, :]
    grad = _origin(grad, grad_strides, heads, head_channels)
    logits = _origin(logits, logits_strides, heads, kernel * kernel)
    log_sums += tl.program_id(1).to(tl.int64) * height * width
    result = tl.zeros([tile * tile, channel_block], tl.float32)
    for tap in range(kernel * kernel):
        opposite = kernel * kernel - 1 - tap
        to_row, to_column, there = _neighbours(row, column, height, width, opposite, kernel)
        at = to_row * logits_strides[2] + to_column * logits_strides[3] + tl.cast(tap, tl.int64) * logits_strides[1]
        logit = tl.load(logits + at, mask=there, other=float("-inf")).to(tl.float32)
        log_sum = tl.load(log_sums + to_row * width + to_column, mask=there, other=0.0)
        gradient = _load(grad, grad_strides, channel, to_row, to_column, there[:, None] & real)
        result += tl.exp(logit - log_sum)[:, None] * gradient
    grad_x = _origin(grad_x, grad_x_strides, heads, head_channels)
    _store(grad_x, grad_x_strides, channel, row, column, inside[:, None] & real, result)


@_tuned(SQUARES_OF_SUMS, _few_sums)
def _grad_logits_kernel(
    grad: tl.tensor,
    x: tl.tensor,
    logits: tl.tensor,
    grad_logits: tl.tensor,
    grad_strides: tl.tuple,
    x_strides: tl.tuple,
    logits_strides: tl.tuple,
    grad_logits_strides: tl.tuple,
    heads: tl.tensor,
    head_channels: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    size_class: tl.tensor,
    kernel: tl.constexpr,
    tile: tl.constexpr,
    tap_block: tl.constexpr,
    channel_block: tl.constexpr,
) -> None:
    """Softmax's backward pass of grad_weights[p, t] = sum over channels of grad[p] * x[p + t]."""
    row, column, inside = _square(height, width, tile)
    grad = _origin(grad, grad_strides, heads, head_channels)
    x = _origin(x, x_strides, heads, head_channels)
    taps = tl.arange(0, tap_block)
    grad_weights = tl.zeros([tile * tile, tap_block], tl.float32)
    for first in range(0, head_channels, channel_block):
        channel = first + tl.arange(0, channel_block)
        real = (channel < head_channels)[None, :]
        gradient = _load(grad, grad_strides, channel, row, column, inside[:, None] & real)
        for tap in range(kernel * kernel):
            from_row, from_column, there = _neighbours(row, column, height, width, tap, kernel)
            neighbour = _load(x, x_strides, channel, from_row, from_column, there[:, None] & real)
            product = tl.sum(gradient * neighbour, 1)
            grad_weights += tl.where((taps == tap)[None, :], product[:, None], 0.0)
    logits = _origin(logits, logits_strides, heads, kernel * kernel)
    real_tap = (taps < kernel * kernel)[None, :]
    weights = _load(logits, logits_strides, taps, row, column, inside[:, None] & real_tap)
    weights = tl.where(real_tap, weights, float("-inf"))
    weights = tl.exp(weights - tl.max(weights, 1)[:, None])
    weights /= tl.sum(weights, 1)[:, None]
    result = weights * (grad_weights - tl.sum(weights * grad_weights, 1)[:, None])
    grad_logits = _origin(grad_logits, grad_logits_strides, heads, kernel * kernel)
    _store(grad_logits, grad_logits_strides, taps, row, column, inside[:, None] & real_tap, result)


class Launch:
    """Grids and block sizes of one call.

    Args:
        x: (B, C, H, W), read for its shape alone.
        heads: G.
        kernel_size: k.
    """

    def __init__(self, x: Tensor, heads: int, kernel_size: int) -> None:
        self.images_and_heads = x.shape[0] * heads
        self.sizes = (heads, x.shape[1] // heads, x.shape[2], x.shape[3])
        self.channel_block = min(MOST_CHANNELS, triton.next_power_of_2(self.sizes[1]))
        self.tap_block = triton.next_power_of_2(kernel_size**2)
        self.size_class = (self.images_and_heads * x.shape[2] * x.shape[3]).bit_length()
        self.options = {
            "kernel": kernel_size,
            "channel_block": self.channel_block,
            "enable_fp_fusion": True,  # multiply and add at once; Triton 3.10 no longer does by itself
        }

    def squares(self, options: Mapping[str, Any]) -> int:
        """Count the squares of a map."""
        return triton.cdiv(self.sizes[2], options["tile"]) * triton.cdiv(self.sizes[3], options["tile"])

    def grid(self, options: Mapping[str, Any]) -> tuple[int, int, int]:
        """Count squares, images times heads, blocks of channels."""
        return self.squares(options), self.images_and_heads, triton.cdiv(self.sizes[1], self.channel_block)

    def grid_of_all_channels(self, options: Mapping[str, Any]) -> tuple[int, int]:
        """Count squares, images times heads."""
        return self.squares(options), self.images_and_heads

    def forward(self, x: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the result and the (B, G, H, W) log-sum-exps."""
        heads, _, height, width = self.sizes
        out = torch.empty_like(x)
        log_sums = x.new_empty(x.shape[0], heads, height, width, dtype=torch.float32)
        arguments = (x, logits, out, log_sums, x.stride(), logits.stride(), out.stride(), *self.sizes, self.size_class)
        with torch.cuda.device_of(x):
            _forward_kernel[self.grid](*arguments, **self.options)
        return out, log_sums

    def grad_x(self, grad: Tensor, x: Tensor, logits: Tensor, log_sums: Tensor) -> Tensor:
        """Return the gradient at x."""
        grad_x = torch.empty_like(x)
        strides = (grad.stride(), logits.stride(), grad_x.stride())
        arguments = (grad, logits, log_sums, grad_x, *strides, *self.sizes, self.size_class)
        with torch.cuda.device_of(x):
            _grad_x_kernel[self.grid](*arguments, **self.options)
        return grad_x

    def grad_logits(self, grad: Tensor, x: Tensor, logits: Tensor) -> Tensor:
        """Return the gradient at the logits."""
        grad_logits = torch.empty_like(logits)
        strides = (grad.stride(), x.stride(), logits.stride(), grad_logits.stride())
        arguments = (grad, x, logits, grad_logits, *strides, *self.sizes, self.size_class)
        with torch.cuda.device_of(x):
            _grad_logits_kernel[self.grid_of_all_channels](*arguments, tap_block=self.tap_block, **self.options)
        return grad_logits
