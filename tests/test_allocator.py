"""Memory that a process keeps between steps."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from custom_networks.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def work():
    for size in (3, 5, 7, 40):
        torch.ones(size, 2**18)
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_kept_memory_costs_no_page_faults():
    """40 MiB are 10,240 pages, handed out anew each time unless they are kept."""
    faults = {
        how: int(
            subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, check=True, text=True).stdout
        )
        for how in ("plain", "keep")
    }
    assert faults["plain"] > 10_000
    assert faults["keep"] < 1_000
