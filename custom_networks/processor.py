"""What this processor can do, asked in one place.

oneDNN may be missing (many builds for Arm), switched off (`torch.backends.mkldnn.flags`) or limited
(`ONEDNN_MAX_CPU_ISA`). It has bfloat16 convolutions from AVX-512 on only, and emulates them, slower than float32, on
processors without the instructions (AVX512_BF16 or AMX). What chooses between forms of a computation asks here.
"""

from __future__ import annotations

import logging
import os
from functools import cache

import torch

logger = logging.getLogger(__name__)

BFLOAT16_LIMITS = ("DEFAULT", "ALL", "AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX512_CORE_AMX", "AVX10")
"""How values of `ONEDNN_MAX_CPU_ISA` begin that leave oneDNN bfloat16 instructions; the variable is read as it does."""


@cache
def _packs(dtype: torch.dtype) -> bool:
    """Try a small packed convolution: the builds and processors that cannot do it raise, or lack the operators."""
    if not torch.backends.mkldnn.is_available():
        return False
    try:
        weight, image = torch.ones(4, 4, 1, 1, dtype=dtype), torch.ones(1, 4, 2, 2, dtype=dtype)
        geometry = ([0, 0], [1, 1], [1, 1], 1)
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *geometry, [1, 4, 2, 2])
        result = torch.ops.mkldnn._convolution_pointwise(image, packed, None, *geometry, "none", [], "none")
    except (AttributeError, RuntimeError):
        return False
    return bool((result == 4).all())


def packs(dtype: torch.dtype) -> bool:
    """Whether oneDNN convolves with packed weights of this type here; False while it is switched off."""
    return bool(torch.backends.mkldnn.enabled) and _packs(dtype)


def bfloat16_pays() -> bool:
    """Whether convolutions in bfloat16 are faster than in float32: oneDNN has them, the processor the instructions."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() or "DEFAULT"
    instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return packs(torch.bfloat16) and instructions and limit.startswith(BFLOAT16_LIMITS)


@cache
def _say(sentence: str) -> None:
    logger.warning(sentence)


def computes_in_bfloat16(wanted: bool) -> bool:
    """Decide whether a CPU computes in bfloat16.

    Args:
        wanted: whether mixed precision was asked for.

    Returns:
        True where it was and it pays; where it was and does not pay, a sentence says so, once in a process.
    """
    if wanted and not bfloat16_pays():
        _say("amp: bfloat16 is not faster than float32 on this processor; float32 is used")
        return False
    return wanted
