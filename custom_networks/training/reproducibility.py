"""Seeds, and what a GPU may trade for speed: choice of algorithms by trial, TF32, or the same numbers each time."""

from __future__ import annotations

import os

import torch
from monai.utils import set_determinism

from custom_networks.flags import flag

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def set_reproducibility(
    seed: int, deterministic: bool | str = False, cudnn_benchmark: bool | str = True, tf32: bool | str = True
) -> None:
    """Set seeds and torch's switches, for the whole process.

    On a CPU the same seed gives the same numbers anyway.

    Args:
        seed: of Python, NumPy and torch.
        deterministic: whether a GPU, too, repeats to the bit: slower, without `cudnn_benchmark`, and torch refuses an
            operation that has no such form.
        cudnn_benchmark: whether cuDNN tries out its algorithms for each shape.
        tf32: whether matrix products and convolutions in float32 take 10-bit mantissas on GPUs that can.
    """
    repeats, fast = bool(flag(deterministic)), bool(flag(tf32))
    if repeats:
        os.environ.setdefault(WORKSPACE, ":4096:8")  # read when cuBLAS starts
    set_determinism(seed, use_deterministic_algorithms=repeats)
    torch.backends.cudnn.deterministic = repeats
    torch.backends.cudnn.benchmark = bool(flag(cudnn_benchmark)) and not repeats
    torch.backends.cudnn.allow_tf32 = fast
    torch.backends.cuda.matmul.allow_tf32 = fast
