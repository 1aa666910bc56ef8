"""The dynamic convolution alone: its backends side by side, at the three scales of the network."""

from __future__ import annotations

import sys
import time
from functools import lru_cache, partial

import torch
from torch import Tensor

from benchmarks.ceilings import copy_rate
from benchmarks.literal import unfold
from benchmarks.measure import Call, Case, Row, Settings, Unavailable, max_difference, run_cases
from custom_networks.operators.backends.registry import BACKENDS, Operator
from custom_networks.prediction.cuda_graph import capture

Scale = tuple[int, int, int]

SCALES: tuple[Scale, ...] = ((256, 64, 64), (512, 32, 32), (1024, 16, 16))
QUICK_SCALES: tuple[Scale, ...] = ((32, 16, 16), (64, 8, 8), (128, 9, 5))
BATCHES = {"cpu": (1, 8), "cuda": (1, 16)}
HEADS = 4
KERNEL_SIZE = 7
REFERENCE = "unfold"
GRAPH = ", CUDA graph"
"""Ends the name of a case that is recorded once and replayed: what the GPU needs, without the launches from Python."""


def backends(device: str) -> list[str]:
    """Names of the reference and of the backends that work on a device in float32, the preferred one last.

    On a GPU each comes a second time, as a CUDA graph.
    """
    usable = [name for name, backend in BACKENDS.items() if backend.usable(torch.device(device), torch.float32)]
    names = [REFERENCE, *reversed(usable)]
    return [*names, *(name + GRAPH for name in names)] if device.startswith("cuda") else names


def find_backend(name: str, x: Tensor) -> Operator:
    """Look up one of `backends`.

    Raises:
        Unavailable: for a backend that does not work on maps such as `x`.
    """
    if name == REFERENCE:
        return unfold
    if not BACKENDS[name].usable(x.device, x.dtype):
        raise Unavailable(f"{name} does not work on {x.device} in {x.dtype}")
    return BACKENDS[name].compute


@lru_cache(maxsize=1)
def inputs(scale: Scale, batch: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Map, logits and gradient of the result, of numbers as in the network: the map is a layer norm's output.

    The map lies in memory as `LayerNorm2d` leaves it, channels last.
    """
    generator = torch.Generator().manual_seed(0)
    channels, height, width = scale

    def normal(number: int) -> Tensor:
        return torch.randn(batch, number, height, width, generator=generator).to(device, dtype)

    x = normal(channels).contiguous(memory_format=torch.channels_last)
    return x, 2 * normal(HEADS * KERNEL_SIZE**2), normal(channels)


def call_of(operator: Operator, tensors: tuple[Tensor, Tensor, Tensor], backward: bool) -> Call:
    """Make a call on `inputs`; it returns the result and, for `backward`, both gradients."""
    x, logits, grad = tensors

    def forward() -> tuple[Tensor, ...]:
        with torch.no_grad():
            return (operator(x, logits, HEADS, KERNEL_SIZE),)

    def forward_and_backward() -> tuple[Tensor, ...]:
        leaves = (x.detach().requires_grad_(), logits.detach().requires_grad_())
        y = operator(*leaves, HEADS, KERNEL_SIZE)
        return y.detach(), *torch.autograd.grad(y, leaves, grad)

    return forward_and_backward if backward else forward


def build(name: str, scale: Scale, batch: int, dtype: torch.dtype, device: str, backward: bool) -> Call:
    """Make the call of one case."""
    tensors = inputs(scale, batch, dtype, device)
    call = call_of(find_backend(name.removesuffix(GRAPH), tensors[0]), tensors, backward)
    return capture(call, tensors[0].device).replay if name.endswith(GRAPH) else call


def exact(scale: Scale, batch: int, dtype: torch.dtype, device: str, backward: bool) -> tuple[Tensor, ...]:
    """Compute the unfold in float32 of the numbers that the cases are given in `dtype`."""
    x, logits, grad = (tensor.float() for tensor in inputs(scale, batch, dtype, device))
    return call_of(unfold, (x, logits, grad), backward)()


def floor_ms(scale: Scale, batch: int, dtype: torch.dtype, backward: bool, gb_per_s: float) -> float:
    """Milliseconds in which a copy moves what must be read and written: map, logits, result; and their gradients."""
    channels, height, width = scale
    map_, logits = channels, HEADS * KERNEL_SIZE**2
    moved = 2 * map_ + logits
    if backward:  # reads gradient, map and logits, writes both gradients
        moved += 3 * map_ + 2 * logits
    return moved * batch * height * width * dtype.itemsize / gb_per_s / 1e6


def summarize(rows: list[Row]) -> list[Row]:
    """Sum each backend's time over the scales, and compare it with the unfold's; nothing where a scale is missing."""
    keys = ("pass", "batch", "dtype")
    groups = dict.fromkeys(tuple(row[key] for key in keys) for row in rows)
    summary = []
    for group in groups:
        of_group = [row for row in rows if tuple(row[key] for key in keys) == group]
        sums: dict[str, float] = {}
        for name in dict.fromkeys(row["name"] for row in of_group):
            chosen = [row for row in of_group if row["name"] == name]
            if any("median_ms" not in row for row in chosen):
                continue
            sums[name] = sum(row["median_ms"] for row in chosen)
            line: Row = dict(zip(keys, group, strict=True)) | {"name": name, "sum_ms": sums[name]}
            reference = REFERENCE + GRAPH if name.endswith(GRAPH) else REFERENCE
            line["times_unfold_speed"] = sums[reference] / sums[name] if reference in sums else None
            line["times_floor"] = sums[name] / sum(row["floor_ms"] for row in chosen)
            line["largest_call_mib"] = max((row["call_mib"] for row in chosen if "call_mib" in row), default=None)
            line["max_difference"] = max(row["max_difference"] for row in chosen)
            summary.append(line)
    return summary


def run(settings: Settings, dtypes: tuple[torch.dtype, ...] = (torch.float32,)) -> Row:
    """Measure every backend, scale, batch size and pass."""
    scales = QUICK_SCALES if settings.quick else SCALES
    copied = copy_rate(settings)
    rows: list[Row] = []
    for dtype in dtypes:
        for backward in (False, True):
            for batch in (1, 2) if settings.quick else BATCHES[settings.device]:
                for scale in scales:
                    if time.monotonic() > settings.deadline:
                        continue
                    shape = f"{scale[0]}@{scale[1]}x{scale[2]}"
                    about = {
                        "pass": "forward+backward" if backward else "forward",
                        "batch": batch,
                        "scale": shape,
                        "dtype": str(dtype).removeprefix("torch."),
                        "floor_ms": floor_ms(scale, batch, dtype, backward, copied),
                    }
                    print(" ".join(map(str, list(about.values())[:4])), file=sys.stderr, flush=True)
                    arguments = (scale, batch, dtype, settings.device, backward)
                    cases = [Case(name, partial(build, name, *arguments)) for name in backends(settings.device)]
                    measured, _, outputs = run_cases(cases, settings)
                    expected = exact(*arguments)
                    for row in measured:
                        if row["name"] in outputs:
                            row["max_difference"] = max_difference(outputs[row["name"]], expected)
                        rows.append(about | row)
    return {
        "copy_gb_per_s": copied,
        "heads": HEADS,
        "kernel_size": KERNEL_SIZE,
        "summary": summarize(rows),
        "rows": rows,
    }
