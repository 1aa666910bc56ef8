"""Seeds, and what a GPU may trade for speed: choice of algorithms by trial, TF32, or the same numbers each time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from monai.utils import set_determinism

from custom_networks.flags import flag

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def set_reproducibility(settings: Mapping[str, Any]) -> None:
    """Set seeds and torch's switches, for the whole process.

    On a CPU the same seed gives the same numbers anyway. On a GPU only `deterministic` does, which is slower, switches
    cuDNN's choice by trial off and lets torch refuse an operation that has no such form.

    Args:
        settings: `seed` of Python, NumPy and torch; `deterministic`; `cudnn_benchmark`, whether cuDNN tries out its
            algorithms for each shape; `tf32`, whether matrix products and convolutions in float32 take 10-bit
            mantissas on GPUs that can.
    """
    deterministic = bool(flag(settings.get("deterministic", False)))
    if deterministic:
        os.environ.setdefault(WORKSPACE, ":4096:8")  # read when cuBLAS starts
    if "seed" in settings:
        set_determinism(settings["seed"], use_deterministic_algorithms=deterministic)
    tf32 = bool(flag(settings.get("tf32", True)))
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = bool(flag(settings.get("cudnn_benchmark", True))) and not deterministic
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
