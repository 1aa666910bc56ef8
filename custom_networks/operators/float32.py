"""Steps that are computed in float32 at least, whatever the type of the maps and under autocast too.

bfloat16 has 8 significant bits: a sum near 100 is rounded to halves. A softmax of such energies, or a difference of
such sums, is wrong by as much as it is large.
"""

from __future__ import annotations

import torch
from torch import Tensor


def widened(x: Tensor) -> Tensor:
    """Return float32 for 16-bit types; float32 and float64 stay as they are."""
    return x.float() if x.dtype == torch.bfloat16 or x.dtype == torch.float16 else x


def autocasting(x: Tensor) -> bool:
    """Whether autocast is on for the device of a tensor. Not for TorchScript."""
    device = x.device.type
    # torch.compile of torch 2.11 cannot follow the first question, and would cut the network into pieces here
    available = torch.compiler.is_compiling() or torch.amp.is_autocast_available(device)
    return available and torch.is_autocast_enabled(device)


def precise_matmul(left: Tensor, right: Tensor) -> Tensor:
    """Multiply matrices (..., M, K) and (..., K, N) in float32 at least; (..., M, N)."""
    left, right = widened(left), widened(right)
    if not torch.jit.is_scripting():  # noqa: SIM102 (TorchScript compiles what stands beside this condition)
        if autocasting(left):
            with torch.autocast(left.device.type, enabled=False):
                return left @ right
    return left @ right
