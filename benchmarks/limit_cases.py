"""How near every stage of SGD-Net is to the limit of the machine it runs on.

A stage has two floors: its multiply-accumulates at the rate of the machine's fastest convolution or matrix product,
whichever is faster, and the bytes that it must move at the rate of a large copy. The larger of both is the least time
that the machine could take. Ceilings, stages and whole networks of one form take turns in one process, so that a
machine that slows down slows all of them.
"""

from __future__ import annotations

import contextlib
import copy
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import training_cases
from benchmarks.ceilings import CONVOLUTION, COPY, PRODUCT, Ceiling, measure_ceilings, rate, types
from benchmarks.macs import counting_macs
from benchmarks.measure import NO_TIME, Call, Row, Settings, Unavailable, summarize, time_interleaved
from benchmarks.network_cases import OpenVINO, picture, write_onnx
from benchmarks.networks import sgdnet
from benchmarks.stages import Forward, ForwardBackward, Stages, Step, record
from custom_networks.network.optimized import FoldedSGDNet
from custom_networks.network.sgdnet import SGDNet

FORWARD, BOTH = "forward", "forward+backward"
SUM, NETWORK = "sum of the stages", "network"
WORST = 3
KINDS = {FORWARD: Forward, BOTH: ForwardBackward}


@dataclass(frozen=True)
class Form:
    """One way to run the network.

    Attributes:
        name: what the lines are called.
        passes: `FORWARD` or `BOTH`.
        dtype: that most is computed in.
        optimised: whether it is what `optimize_for_inference` gives.
        channels_last: whether weights and image are channels-last.
        step: the case of `training_cases` that is this form with loss and optimiser, if any.
    """

    name: str
    passes: str
    dtype: torch.dtype
    optimised: bool = False
    channels_last: bool = False
    step: str = ""

    def context(self, device: str) -> Any:
        """What a pass runs in: autocast where a network is trained in another type than float32's."""
        if self.optimised or self.dtype == torch.float32 or device == "meta":
            return contextlib.nullcontext()
        return torch.autocast(device, self.dtype)

    def build(self, base: SGDNet, device: str) -> nn.Module:
        """Copy the network, on the CPU, to a device, which may be meta."""
        if self.optimised:
            return base.optimize_for_inference(dtype=self.dtype, packed=device != "cuda").to(device)
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        network = copy.deepcopy(base).train(self.passes == BOTH)
        return network.to(device, memory_format=layout)  # type: ignore[call-overload, no-any-return]

    def image(self, size: int, batch: int, device: str) -> Tensor:
        """Make its input."""
        image = torch.zeros(batch, 3, size, size, device="meta") if device == "meta" else picture(size, batch, device)
        return image.contiguous(memory_format=torch.channels_last if self.channels_last else torch.contiguous_format)


FORMS = (
    Form("SGD-Net", FORWARD, torch.float32),
    Form("optimised", FORWARD, torch.float32, optimised=True),
    Form("optimised", FORWARD, torch.bfloat16, optimised=True),
    Form("contiguous", BOTH, torch.float32, step="SGD-Net"),
    Form("channels-last", BOTH, torch.float32, channels_last=True, step="SGD-Net, channels-last"),
    Form(
        "channels-last",
        BOTH,
        torch.bfloat16,
        channels_last=True,
        step="SGD-Net, channels-last, bfloat16 autocast",
    ),
)
ON_A_GPU = tuple(form for form in FORMS if form.dtype == torch.bfloat16)
"""Those that count there, where minutes are few."""


def calls_of(
    form: Form, base: SGDNet, size: int, batch: int, device: str
) -> tuple[nn.Module, dict[str, Forward | ForwardBackward]]:
    """Make the network of a form, and the call of each stage and of the whole, `NETWORK`, last."""
    network, image = form.build(base, device), form.image(size, batch, device)
    inner = network.network if form.optimised else network
    assert isinstance(inner, SGDNet)
    context = partial(form.context, device)

    def run() -> None:
        with torch.set_grad_enabled(form.passes == BOTH), context():
            network(image)

    stages: Stages = record(inner, run)
    stages[NETWORK] = [Step(network, network, (image,), (image,))]
    return network, {name: KINDS[form.passes](steps, context) for name, steps in stages.items()}


def count_stages(form: Form, base: SGDNet, size: int, batch: int) -> dict[str, int]:
    """Multiply-accumulates of each stage and of the whole network, counted on the meta device."""
    network, calls = calls_of(form, base, size, batch, "meta")
    counts: dict[str, int] = {}
    for name, call in calls.items():
        with counting_macs(network) as counted:
            call()
            counts[name] = counted()
    return counts


def limits_of(ceilings: Sequence[Ceiling], samples: dict[str, list[float]], statistic: str) -> dict[str, float]:
    """Rates of the fastest of each kind, G a second, by "median_ms" or "min_ms" of samples named by the kind."""
    return {ceiling.kind: rate(ceiling, summarize(samples[ceiling.kind])[statistic]) for ceiling in ceilings}


def floors(macs: float, moved: float, limits: dict[str, float]) -> tuple[float, float]:
    """Least milliseconds for so many multiply-accumulates, and for so many bytes."""
    arithmetic = max(limits[kind] for kind in (CONVOLUTION, PRODUCT) if kind in limits)
    return macs / arithmetic / 1e6, moved / limits[COPY] / 1e6


def with_floors(row: Row, limits: dict[str, dict[str, float]]) -> Row:
    """Add floors and ratios to a stage's row, which has `gmacs`, `moved_mib` and times."""
    amounts = 1e9 * row["gmacs"], 2**20 * row["moved_mib"]
    row["arithmetic_ms"], row["memory_ms"] = floors(*amounts, limits["median_ms"])
    row["floor_ms"] = max(row["arithmetic_ms"], row["memory_ms"])
    row["least_floor_ms"] = max(floors(*amounts, limits["min_ms"]))
    return with_ratios(row)


def with_ratios(row: Row) -> Row:
    """Add what relates times to floors."""
    row["ratio"] = row["median_ms"] / row["floor_ms"]
    row["least_ratio"] = row["min_ms"] / row["least_floor_ms"]
    row["above_ms"] = row["median_ms"] - row["floor_ms"]
    return row


def summed(rows: Sequence[Row]) -> Row:
    """Add up the stages."""
    keys = ("gmacs", "moved_mib", "arithmetic_ms", "memory_ms", "floor_ms", "least_floor_ms", "median_ms", "min_ms")
    return with_ratios({key: sum(row[key] for row in rows) for key in keys})


def whole_calls(form: Form, base: SGDNet, size: int, batch: int, device: str) -> tuple[dict[str, Call], list[Row]]:
    """Calls that are held against the floor of the whole network, and rows of those that cannot be had here."""
    if form.step:
        return {"training step": training_cases.build(form.step, size, batch, device)}, []
    if not form.optimised or device != "cpu":
        return {}, []
    try:
        with tempfile.TemporaryDirectory() as folder:
            file, image = str(Path(folder) / "sgdnet.onnx"), picture(size, batch, "cpu")
            write_onnx(FoldedSGDNet(base, torch.float32), image, file)
            return {"OpenVINO": OpenVINO(file, image, form.dtype)}, []
    except (Unavailable, ImportError) as error:
        return {}, [{"name": "OpenVINO", "error": str(error)}]


def measure_form(
    form: Form, base: SGDNet, size: int, batch: int, ceilings: Sequence[Ceiling], settings: Settings
) -> list[Row]:
    """Measure the stages of one form, their sum, the network, and what else is held against its floor."""
    counts = count_stages(form, base, size, batch)
    _, calls = calls_of(form, base, size, batch, settings.device)
    whole, rows_without = whole_calls(form, base, size, batch, settings.device)
    ceiling_calls = {ceiling.kind: ceiling.call for ceiling in ceilings}
    samples = time_interleaved({**ceiling_calls, **calls, **whole}, settings)
    limits = {statistic: limits_of(ceilings, samples, statistic) for statistic in ("median_ms", "min_ms")}
    rows: list[Row] = []
    for name, call in calls.items():
        if name != NETWORK:
            amounts = {"gmacs": counts[name] / 1e9, "moved_mib": call.moved_bytes() / 2**20}
            rows.append(with_floors({"name": name, "stage": True, **amounts, **summarize(samples[name])}, limits))
    total = summed(rows)
    rows.append({"name": SUM, **total})
    for name in (NETWORK, *whole):
        floor = {key: total[key] for key in ("floor_ms", "least_floor_ms")}
        gmacs = {"gmacs": counts[NETWORK] / 1e9} if name == NETWORK else {}
        rows.append(with_ratios({"name": name, **gmacs, **floor, **summarize(samples[name])}))
    rates = {f"{kind}_per_s": value for kind, value in limits["median_ms"].items()}
    return [*({**row, **rates} for row in rows), *rows_without]


def worst(rows: Sequence[Row]) -> list[Row]:
    """Name the stages of one form that lose most milliseconds above their floor."""
    stages = sorted((row for row in rows if row.get("stage")), key=lambda row: -row["above_ms"])
    return stages[:WORST]


def run(
    settings: Settings,
    size: int = 256,
    batch: int = 1,
    forms: Sequence[Form] = FORMS,
) -> Row:
    """Measure ceilings, then every form; a form that fails keeps a row with the reason."""
    size = 64 if settings.quick else size
    torch.backends.cudnn.benchmark = True  # the ceiling is what cuDNN can do at best; shapes are fixed
    base = sgdnet()
    result: Row = {"ceilings": [], "stages": [], "worst": []}
    fastest: dict[torch.dtype, list[Ceiling]] = {}
    for dtype in (*types(settings.device), torch.int8):
        print(f"  ceilings, {dtype}", file=sys.stderr, flush=True)
        rows, fastest[dtype] = measure_ceilings(settings, dtype)
        result["ceilings"] += rows
    for form in forms:
        if form.dtype not in fastest:
            continue
        about = {"form": form.name, "pass": form.passes, "dtype": str(form.dtype).removeprefix("torch.")}
        about |= {"size": size, "batch": batch}
        print(f"  {' '.join(map(str, about.values()))}", file=sys.stderr, flush=True)
        try:
            if time.monotonic() > settings.deadline:
                raise Unavailable(NO_TIME)
            rows = measure_form(form, base, size, batch, fastest[form.dtype], settings)
        except Exception as error:  # out of memory, say
            rows = [{"name": NETWORK, "error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}]
        result["stages"] += [{**about, **row} for row in rows]
        named = worst(rows)
        if named:
            words = [f"{row['name']} ({row['above_ms']:.1f} ms above its floor, {row['ratio']:.1f} x)" for row in named]
            result["worst"].append({**about, "stages": "; ".join(words)})
    for row in result["worst"]:
        print(f"worst, {row['pass']}, {row['form']}, {row['dtype']}: {row['stages']}", flush=True)
    return result
