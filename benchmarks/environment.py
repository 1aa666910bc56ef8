"""Where and with what a benchmark ran."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks.measure import Row, Settings
from custom_networks.software import commit

PACKAGES = ("torch", "monai", "numpy", "onnxruntime", "openvino", "triton")
CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def _package(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> tuple[str, list[str]]:
    """Name of the processor and those of `CPU_FLAGS` that it has."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine(), []
    fields: dict[str, str] = {}
    for line in info.read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", "").split()
    return fields.get("model name", platform.machine()), [flag for flag in CPU_FLAGS if flag in flags]


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError, AttributeError):
        name = platform.system()
    return f"{name} ({platform.platform()})"


def _memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        return None


def describe(settings: Settings) -> Row:
    """Describe machine, versions, date and commit.

    Returns:
        What JSON can hold; None where it cannot be told.
    """
    processor, flags = _processor()
    about: Row = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "device": settings.device,
        "processor": processor,
        "processor_flags": flags,
        "cores": os.cpu_count(),
        "threads": settings.threads,
        "keeps_freed_memory": settings.keep_memory,
        "memory_gib": _memory_gib(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "os": _system(),
        "python": platform.python_version(),
        "versions": {name: _package(name) for name in PACKAGES},
        "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    if settings.device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(0)
        about |= {
            "gpu": properties.name,
            "gpu_memory_gib": properties.total_memory / 2**30,
            "gpu_capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "tf32_convolutions": torch.backends.cudnn.allow_tf32,
            "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
        }
    return about
