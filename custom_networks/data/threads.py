"""How many threads or processes to start."""

from __future__ import annotations

import os


def available_cores(most: int = 8) -> int:
    """Cores this process may use, `most` at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(most, cores)
