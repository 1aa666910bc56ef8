"""What a machine can do at most: its fastest convolution, its fastest matrix product, its fastest copy, by type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import nn

from benchmarks.measure import Call, Row, Settings, summarize, synchronize, time_interleaved
from custom_networks.network.optimized import PackedConv2d
from custom_networks.processor import bfloat16_pays

CONVOLUTIONS = ((256, 256, 3, 64), (64, 64, 3, 64), (256, 1024, 1, 64), (1024, 4096, 1, 16), (576, 576, 3, 8))
"""Shapes of the network: channels in, channels out, side of the kernel, side of the map."""
BATCHES = {"cpu": (1, 8), "cuda": (16, 64)}
PRODUCTS = {"cpu": (1024, 2048), "cuda": (4096, 8192)}
"""Sides of square matrices."""
COPIED = {"cpu": 2**28, "cuda": 2**30}
"""Bytes of a copy, beyond any cache."""
CONVOLUTION, PRODUCT, COPY = "convolution", "product", "copy"


class Ceiling(NamedTuple):
    """One candidate.

    Attributes:
        kind: `CONVOLUTION`, `PRODUCT` or `COPY`.
        name: what is computed.
        amount: multiply-accumulates of a call; of a copy the bytes read and written.
        call: computes it.
    """

    kind: str
    name: str
    amount: int
    call: Call


def types(device: str) -> list[torch.dtype]:
    """Types that networks compute in here: float32, and bfloat16 where it pays."""
    pays = torch.cuda.is_bf16_supported() if device == "cuda" else bfloat16_pays()
    return [torch.float32, torch.bfloat16] if pays else [torch.float32]


def _convolution(shape: tuple[int, int, int, int], batch: int, device: str, dtype: torch.dtype) -> Ceiling:
    channels, out, kernel, side = shape
    layer = nn.Conv2d(channels, out, kernel, padding=kernel // 2).requires_grad_(False).to(device, dtype)
    layer = layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    packed = PackedConv2d(layer)
    packed.same_size = False  # the plain convolution, whose every multiplication the floors count
    image = torch.randn(batch, channels, side, side, device=device).to(dtype)
    image = image.contiguous(memory_format=torch.channels_last)
    name = f"{channels} to {out}, {kernel}x{kernel}, {side}x{side}, batch {batch}"
    return Ceiling(CONVOLUTION, name, image.numel() * out * kernel**2, lambda: packed(image))


def _product(side: int, device: str, dtype: torch.dtype) -> Ceiling:
    if dtype == torch.int8:
        whole = torch.randint(-100, 100, (side, side), dtype=dtype, device=device)
        return Ceiling(PRODUCT, f"{side} x {side}", side**3, lambda: torch._int_mm(whole, whole.t()))
    matrix = torch.randn(side, side, device=device).to(dtype)
    return Ceiling(PRODUCT, f"{side} x {side}", side**3, lambda: matrix @ matrix)


def _copy(size: int, device: str) -> Ceiling:
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    return Ceiling(COPY, f"{size / 2**20:g} MiB", 2 * size, lambda: target.copy_(source))


def candidates(settings: Settings, dtype: torch.dtype) -> Iterator[Ceiling]:
    """Make the candidates of one type; of int8 matrix products alone."""
    device = settings.device
    for side in (64,) if settings.quick else PRODUCTS[device]:
        yield _product(side, device, dtype)
    if dtype == torch.int8:
        return
    shapes = [(channels, out, kernel, 8) for channels, out, kernel, _ in CONVOLUTIONS[1:2]]
    for shape in shapes if settings.quick else CONVOLUTIONS:
        for batch in (1,) if settings.quick else BATCHES[device]:
            yield _convolution(shape, batch, device, dtype)
    yield _copy(2**16 if settings.quick else COPIED[device], device)


def rate(ceiling: Ceiling, milliseconds: float) -> float:
    """Say how many G multiply-accumulates or bytes a second that is."""
    return ceiling.amount / milliseconds / 1e6


def copy_rate(settings: Settings) -> float:
    """Measure a large copy; gigabytes read and written a second."""
    copy = _copy(2**16 if settings.quick else COPIED[settings.device], settings.device)
    samples = time_interleaved({COPY: copy.call}, settings)[COPY]
    return rate(copy, summarize(samples)["min_ms"])


def measure_ceilings(settings: Settings, dtype: torch.dtype) -> tuple[list[Row], list[Ceiling]]:
    """Time all candidates of a type in turns.

    Returns:
        A row for each, and of each kind the fastest by its least time.
    """
    made: dict[str, Ceiling] = {}
    rows: list[Row] = []
    type_name = str(dtype).removeprefix("torch.")
    try:
        with torch.no_grad():
            for ceiling in candidates(settings, dtype):
                ceiling.call()
                synchronize(settings.device)
                made[f"{ceiling.kind} {ceiling.name}"] = ceiling
    except RuntimeError as error:  # a type or a size that this device does not have
        rows.append({"dtype": type_name, "kind": "none", "error": str(error).splitlines()[0][:200]})
    with torch.no_grad():
        samples = time_interleaved({name: ceiling.call for name, ceiling in made.items()}, settings)
    fastest: dict[str, tuple[float, Ceiling]] = {}
    for name, ceiling in made.items():
        row: Row = {"kind": ceiling.kind, "name": ceiling.name, "dtype": type_name, **summarize(samples[name])}
        key = "gb_per_s" if ceiling.kind == COPY else "gmacs_per_s"
        row[key] = best = rate(ceiling, row["min_ms"])
        rows.append(row)
        if best > fastest.get(ceiling.kind, (0.0, ceiling))[0]:
            fastest[ceiling.kind] = best, ceiling
    return rows, [ceiling for _, ceiling in fastest.values()]
