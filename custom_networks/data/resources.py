"""How much memory and how many cores this process may take, and threads that take one each."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Lock

import psutil

_STARTING = Lock()  # while threads start, the number that PyTorch gives to new ones is 1
UNLIMITED = 2**60  # version 1 of the control groups writes "no limit" as a number near 2^63


def free_memory(root: str | Path = "/") -> int:
    """Bytes of memory that are free: the machine's, or what a container's control group leaves, if that is less.

    Args:
        root: folder that holds `proc` and `sys`, from which the control groups are read.

    Returns:
        Bytes.
    """
    machine: int = psutil.virtual_memory().available
    of_groups = _control_groups(Path(root))
    return machine if of_groups is None else min(machine, of_groups)


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


def available_cores(most: int = 8) -> int:
    """Cores this process may use, `most` at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(most, cores)


def threads_beside_the_network(count: int, name: str) -> ThreadPoolExecutor:
    """Start threads that work while a network computes, each of them on one core.

    A thread that computes with PyTorch gets OpenMP threads of its own. With more of those than cores, OpenMP's threads
    fall asleep as soon as they wait, and the network takes a fifth longer, also while the others do nothing.

    Args:
        count: of the threads.
        name: that theirs begin with.
    """
    import torch

    started = Barrier(count + 1)

    def begin() -> None:
        torch.get_num_threads()  # the first call in a thread takes the number that all have
        torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(count, name, initializer=begin)
    with _STARTING:
        cores = torch.get_num_threads()
        try:
            for _ in range(count):
                pool.submit(int)
            started.wait()
        except BaseException:  # Ctrl-C, or no more threads: those that wait would wait for ever
            started.abort()
            raise
        finally:
            torch.set_num_threads(cores)  # the number is this thread's own, and that of threads to come
    return pool
