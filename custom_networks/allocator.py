"""Memory between the steps of a CPU run.

glibc hands large freed blocks back to the system, which hands them out again page by page, zeroed: for the maps of a
network, in every step. Kept, they cost nothing; the process then holds its highest use until it ends.
"""

from __future__ import annotations

import ctypes
import platform

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of <malloc.h>
_NEVER = 2**31 - 1


def keep_freed_memory(device: torch.device | str = "cpu") -> bool:
    """Let this process keep what it frees.

    Args:
        device: where the network runs; a GPU has an allocator of its own, which keeps memory by itself.

    Returns:
        Whether it does from now on: on a CPU, with a C library that can (glibc alone).
    """
    if torch.device(device).type != "cpu" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_THRESHOLD, _NEVER)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
