"""Dynamic convolution, eq. (3), by the Triton kernels of `fused_kernels.py`: the operator `sgdnet::fused`.

It is registered with `torch.library`. The backward pass keeps the map, the logits and their log-sum-exps.

Symbols: B batch, C channels, G heads, k kernel side, H height, W width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from custom_networks.operators.backends import fused_kernels
from custom_networks.operators.backends.fused_kernels import Launch
from custom_networks.operators.backends.streaming import check_shapes

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
CAPABILITY = (8, 0)  # of the oldest GPUs that Triton supports


def usable(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether `fused` is made for such maps: on a GPU that Triton supports, or in Triton's interpreter."""
    if not fused_kernels.AVAILABLE or dtype not in DTYPES:
        return False
    if fused_kernels.INTERPRETED:
        return device.type in ("cpu", "cuda")
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= CAPABILITY


@torch.library.custom_op("sgdnet::fused", mutates_args=())
def _fused(x: Tensor, logits: Tensor, heads: int, kernel_size: int) -> tuple[Tensor, Tensor]:
    """Return the result, of x's layout, and the log-sum-exps (B, G, H, W)."""
    check_shapes(x, logits, heads, kernel_size)
    x, logits = x.as_subclass(Tensor), logits.as_subclass(Tensor)  # MONAI's MetaTensor is none that Triton takes
    return Launch(x, heads, kernel_size).forward(x, logits)


@torch.library.custom_op("sgdnet::fused_backward", mutates_args=())
def _fused_backward(
    grad: Tensor,
    x: Tensor,
    logits: Tensor,
    log_sums: Tensor,
    heads: int,
    kernel_size: int,
    for_x: bool,
    for_logits: bool,
) -> tuple[Tensor, Tensor]:
    """Launch one kernel for each gradient that is asked for; the other gradient is empty."""
    launch = Launch(x, heads, kernel_size)
    grad_x = launch.grad_x(grad, x, logits, log_sums) if for_x else x.new_empty(0)
    return grad_x, launch.grad_logits(grad, x, logits) if for_logits else logits.new_empty(0)


@_fused.register_fake
def _(x: Tensor, logits: Tensor, heads: int, kernel_size: int) -> tuple[Tensor, Tensor]:
    check_shapes(x, logits, heads, kernel_size)
    return torch.empty_like(x), x.new_empty((x.shape[0], heads, *x.shape[2:]), dtype=torch.float32)


@_fused_backward.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    logits: Tensor,
    log_sums: Tensor,
    heads: int,
    kernel_size: int,
    for_x: bool,
    for_logits: bool,
) -> tuple[Tensor, Tensor]:
    grad_x = torch.empty_like(x) if for_x else x.new_empty(0)
    return grad_x, torch.empty_like(logits) if for_logits else logits.new_empty(0)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, int, int], output: tuple[Tensor, Tensor]) -> None:
    """Keep what the backward pass reads."""
    x, logits, ctx.heads, ctx.kernel_size = inputs
    log_sums = output[1]
    ctx.mark_non_differentiable(log_sums)
    ctx.save_for_backward(x, logits, log_sums)


def _differentiate(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, Tensor | None, None, None]:
    """Compute the gradients that are asked for."""
    for_x, for_logits = ctx.needs_input_grad[:2]
    asked = (ctx.heads, ctx.kernel_size, for_x, for_logits)
    grad_x, grad_logits = _fused_backward(grad, *ctx.saved_tensors, *asked)
    return grad_x if for_x else None, grad_logits if for_logits else None, None, None


_fused.register_autograd(_differentiate, setup_context=_keep)


def fused(x: Tensor, logits: Tensor, heads: int, kernel_size: int) -> Tensor:
    """Sum in one kernel; see `dynamic_convolution` for arguments and result, `usable` for where it works.

    Raises:
        ValueError: where the shapes do not fit.
    """
    return _fused(x, logits, heads, kernel_size)[0]
