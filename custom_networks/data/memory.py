"""How much memory this process may still take."""

from __future__ import annotations

import os
from pathlib import Path

UNLIMITED = 2**60  # version 1 of the control groups writes "no limit" as a number near 2^63


def free_memory(root: str | Path = "/") -> int | None:
    """Bytes of memory that are free: the machine's, or what a container's control group leaves, if that is less.

    Args:
        root: folder that holds `proc` and `sys`.

    Returns:
        Bytes; None where the system does not tell.
    """
    root = Path(root)
    found = [size for size in (_machine(root), _control_groups(root)) if size is not None]
    return min(found) if found else None


def _machine(root: Path) -> int | None:
    """Memory that Linux calls available; elsewhere half of all there is."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):  # Windows
        return None


def _control_groups(root: Path) -> int | None:
    """Least of what this process's control group and those around it leave, versions 2 and 1; None without a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    left = []
    for line in lines:
        _, _, controllers_and_path = line.partition(":")
        controllers, _, path = controllers_and_path.partition(":")
        if controllers == "":
            mount, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            mount = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = mount / path.lstrip("/")
        folders = [folder, *folder.parents]
        left += [_left(group, *names) for group in folders if group == mount or mount in group.parents]
    limits = [size for size in left if size is not None]
    return min(limits) if limits else None


def _left(group: Path, limit_name: str, usage_name: str, reclaimable_name: str) -> int | None:
    """Limit less usage of one control group; file cache that is not in use counts as free."""
    try:
        limit = int((group / limit_name).read_text())  # "max" is no number
        usage = int((group / usage_name).read_text())
    except (OSError, ValueError):
        return None
    if limit >= UNLIMITED:
        return None
    try:
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        usage -= int(statistics.get(reclaimable_name, 0))
    except (OSError, ValueError):
        pass
    return max(0, limit - usage)
