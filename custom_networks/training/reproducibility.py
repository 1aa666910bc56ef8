"""Seeds, and what a GPU may trade for speed: choice of algorithms by trial, TF32, or the same numbers each time."""

from __future__ import annotations

import os

import torch
from monai.utils import set_determinism

from custom_networks.flags import flag

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def set_gpu_math(cudnn_benchmark: bool | str = True, tf32: bool | str = True) -> None:
    """Set what a GPU may trade for speed, for the whole process.

    Args:
        cudnn_benchmark: whether cuDNN tries out its algorithms for each shape.
        tf32: whether matrix products and convolutions in float32 take 10-bit mantissas on GPUs that can.
    """
    torch.backends.cudnn.benchmark = bool(flag(cudnn_benchmark))
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = bool(flag(tf32))


def set_seed(seed: int, deterministic: bool | str = False) -> None:
    """Seed the whole process; call it after `set_gpu_math`.

    On a CPU the same seed gives the same numbers anyway.

    Args:
        seed: of Python, NumPy and torch.
        deterministic: whether a GPU, too, repeats to the bit: slower, without cuDNN's choice by trial, and torch
            refuses an operation that has no such form.
    """
    repeats = bool(flag(deterministic))
    if repeats:
        os.environ.setdefault(WORKSPACE, ":4096:8")  # read when cuBLAS starts
        torch.backends.cudnn.benchmark = False
    benchmark = torch.backends.cudnn.benchmark
    set_determinism(seed, use_deterministic_algorithms=repeats)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = repeats, benchmark
