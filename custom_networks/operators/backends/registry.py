"""The backends of the dynamic convolution, in the order in which they are preferred, and the choice among them.

A new backend is a file beside this one and a line in `BACKENDS`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from custom_networks.errors import UserError, nearest
from custom_networks.operators.backends import fused as fused_backend
from custom_networks.operators.backends.fused import fused
from custom_networks.operators.backends.streaming import streaming
from custom_networks.operators.backends.tiled import tiled

Operator = Callable[[Tensor, Tensor, int, int], Tensor]
"""(x, logits, heads, kernel_size) to the result, differentiable; see `dynamic_convolution`."""

AUTO = "auto"
VARIABLE = "SGDNET_BACKEND"
TRIAL_CHANNELS, TRIAL_SIDE = 64, 16  # of a head, of the map: the network's, so that what a trial compiles is of use
TRIAL_TOLERANCE = 0.03  # of the largest value: above bfloat16's rounding, below any mistake


def _everywhere(device: torch.device, dtype: torch.dtype) -> bool:
    return True


@dataclass(frozen=True)
class Backend:
    """A way to compute the dynamic convolution.

    Attributes:
        compute: the differentiable function.
        usable: whether it is made for maps on a device and of a type.
        plain: whether it runs PyTorch's own operators alone; any other is tried on a small map before its first use.
    """

    compute: Operator
    usable: Callable[[torch.device, torch.dtype], bool] = _everywhere
    plain: bool = False


BACKENDS: dict[str, Backend] = {
    "fused": Backend(fused, fused_backend.usable),  # Triton kernels, on a CUDA GPU
    "tiled": Backend(tiled, plain=True),  # products of banded matrices, anywhere
    "streaming": Backend(streaming, plain=True),  # one tap after the other, what exporters see
}
"""By the name that arguments and `SGDNET_BACKEND` take."""

_passed: dict[str, bool] = {}
"""Results of the trials, by name of the backend."""


def check_name(name: str, source: str) -> None:
    """Check that a backend exists.

    Args:
        name: "auto" or a backend's.
        source: argument or variable that it comes from, for the message.

    Raises:
        UserError: with the names that exist and the nearest.
    """
    known = [AUTO, *BACKENDS]
    if name not in known:
        raise UserError(f"{source} must be one of {', '.join(known)}, got {name!r}{nearest(name, known)}")


# torch.compile runs this once, while it traces, and keeps the answer
@torch.compiler.assume_constant_result
def choose_backend(
    wanted: str, device: torch.device, dtype: torch.dtype, logits_dtype: torch.dtype, heads: int, kernel_size: int
) -> str:
    """Choose the backend: the one that is named, else the environment variable's, else the first that works.

    A backend that was named is not replaced: where it fails, its own error is raised. Of the others, one that is not
    plain is tried before its first use. If it fails, a warning names it once, and it is passed over from then on.

    Args:
        wanted: "auto" or a backend's name; "auto" reads `SGDNET_BACKEND`.
        device: of the map.
        dtype: of the map.
        logits_dtype: of the logits.
        heads: G, for the trial.
        kernel_size: k, for the trial.

    Returns:
        The backend's name.

    Raises:
        UserError: for a backend that does not exist, or was named and does not work on such a map.
        torch.OutOfMemoryError: where there is no memory for the trial; it counts as not tried.
    """
    check_name(wanted, "backend")
    if wanted == AUTO:
        wanted = os.environ.get(VARIABLE) or AUTO
        check_name(wanted, f"the environment variable {VARIABLE}")
    usable = [name for name, backend in BACKENDS.items() if backend.usable(device, dtype)]
    for name in usable:
        if name == wanted:
            return name
        if wanted == AUTO and (BACKENDS[name].plain or _passes(name, device, dtype, logits_dtype, heads, kernel_size)):
            return name
    kind = str(dtype).removeprefix("torch.")
    raise UserError(f"backend {wanted!r} does not work on {device} in {kind}; use one of {', '.join([AUTO, *usable])}")


def _passes(
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    logits_dtype: torch.dtype,
    heads: int,
    kernel_size: int,
) -> bool:
    """Whether a backend passed its trial; the trial is held once."""
    if name not in _passed:
        try:
            # modes of the caller (autocast, inference, fake tensors, hooks of a checkpoint) end at its thread
            with ThreadPoolExecutor(1) as thread:
                thread.submit(_try, BACKENDS[name].compute, device, dtype, logits_dtype, heads, kernel_size).result()
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a compiler or a driver may raise
            reason = (str(error).strip().splitlines() or [""])[0][:200]
            message = f"{name!r} failed at its first launch ({type(error).__name__}: {reason})"
            warnings.warn(f"dynamic convolution: backend {message}; the next one is used", RuntimeWarning, stacklevel=2)
            _passed[name] = False
        else:
            _passed[name] = True
    return _passed[name]


def _try(
    compute: Operator,
    device: torch.device,
    dtype: torch.dtype,
    logits_dtype: torch.dtype,
    heads: int,
    kernel_size: int,
) -> None:
    """Run a backend on a small map, forward and backward, and compare it with `tiled` in float32.

    Raises:
        ArithmeticError: where the numbers differ; and whatever the backend raises.
    """
    generator = torch.Generator().manual_seed(0)

    def noise(channels: int) -> Tensor:
        return torch.randn(1, channels, TRIAL_SIDE, TRIAL_SIDE, generator=generator)

    x = noise(heads * TRIAL_CHANNELS).to(device, dtype, memory_format=torch.channels_last)
    logits, grad = noise(heads * kernel_size**2).to(device, logits_dtype), noise(heads * TRIAL_CHANNELS).to(x)

    def results(operator: Operator, x: Tensor, logits: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
        leaves = (x.detach().requires_grad_(), logits.detach().requires_grad_())
        y = operator(*leaves, heads, kernel_size)
        return y.detach(), *torch.autograd.grad(y, leaves, grad)

    actual = results(compute, x, logits, grad)
    expected = results(tiled, x.float(), logits.float(), grad.float())
    for got, exact, what in zip(actual, expected, ("result", "gradient at x", "gradient at the logits"), strict=True):
        error = ((got.float() - exact).abs().max() / exact.abs().max()).item()
        if not error <= TRIAL_TOLERANCE:
            raise ArithmeticError(f"its {what} differs from that of 'tiled' by {error:.1%} of the largest value")
