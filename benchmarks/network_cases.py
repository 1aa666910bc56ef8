"""A forward pass: SGD-Net literally, SGD-Net in each form it can be run in, and other networks."""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.macs import count_macs, count_parameters
from benchmarks.measure import Case, Row, Settings, Unavailable, max_difference, run_cases
from benchmarks.networks import OTHERS, literal_sgdnet, made, sgdnet
from custom_networks.export.openvino_ir import HINTS, openvino_core
from custom_networks.network.optimized import FoldedSGDNet
from custom_networks.prediction.cuda_graph import record

Shape = tuple[int, int]

LITERAL = "SGD-Net, literal"
PLAIN = "SGD-Net"
CHANNELS_LAST = "SGD-Net, channels-last"
OPTIMISED = "SGD-Net, optimised"
OPTIMISED_BFLOAT16 = "SGD-Net, optimised, bfloat16"
AUTOCAST = "SGD-Net, bfloat16 autocast"
GRAPH = "SGD-Net, optimised, bfloat16, CUDA graph"
COMPILED = "SGD-Net, torch.compile"
ONNX_RUNTIME = "SGD-Net, ONNX Runtime"
OPENVINO = "SGD-Net, OpenVINO"

SHAPES: tuple[Shape, ...] = ((256, 1),)
"""Side and batch size."""
SWEEP: tuple[Shape, ...] = ((128, 1), (256, 1), (512, 1), (1024, 1), (256, 2), (256, 4), (256, 8), (256, 16))
QUICK_SWEEP: tuple[Shape, ...] = ((64, 1), (128, 1), (64, 2))
SWEPT = (LITERAL, PLAIN, CHANNELS_LAST, OPTIMISED, OPTIMISED_BFLOAT16, "CTO")


class Inference:
    """A network and its input; a call predicts.

    Args:
        network: in `eval()`, on its device.
        image: (B, 3, H, W).
        autocast: whether the call runs under bfloat16 autocast.
    """

    def __init__(self, network: nn.Module, image: Tensor, autocast: bool = False) -> None:
        self.network = network
        self.image = image
        self.autocast = autocast

    def __call__(self) -> Tensor:
        """Predict, without gradients."""
        with torch.no_grad(), torch.autocast(self.image.device.type, torch.bfloat16, enabled=self.autocast):
            return self.network(self.image)


class GraphedInference:
    """A network recorded as a CUDA graph, as `predict` runs it on a GPU; a call predicts."""

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        self.network = network
        self.image = image
        with torch.no_grad():
            self.replay = record(network, image)

    def __call__(self) -> Tensor:
        """Predict, without gradients."""
        return self.replay(self.image)


class OnnxRuntime:
    """An ONNX file under ONNX Runtime.

    Args:
        file: the model.
        image: (B, 3, H, W), of the size that was exported.
    """

    def __init__(self, file: str, image: Tensor) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise Unavailable("onnxruntime is not installed") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.feed = {"image": image.numpy()}

    def __call__(self) -> Tensor:
        """Predict."""
        return torch.from_numpy(self.session.run(None, self.feed)[0])


class OpenVINO:
    """An ONNX file under OpenVINO.

    Args:
        file: the model.
        image: (B, 3, H, W), of the size that was exported.
        dtype: that it computes in; the runtime itself would take bfloat16 where the processor has it.
    """

    def __init__(self, file: str, image: Tensor, dtype: torch.dtype = torch.float32) -> None:
        try:
            core = openvino_core()
        except ImportError:
            raise Unavailable("openvino is not installed") from None
        options: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": HINTS[str(dtype).removeprefix("torch.")],
        }
        self.model = core.compile_model(core.read_model(file), "CPU", options)
        self.image = image.numpy()

    def __call__(self) -> Tensor:
        """Predict."""
        return torch.from_numpy(self.model([self.image])[0])


def write_onnx(network: nn.Module, image: Tensor, file: str) -> None:
    """Write a network as ONNX for the size of `image`."""
    names: dict[str, Any] = {"input_names": ["image"], "output_names": ["logits"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (image,), file, dynamo=False, **names)


def picture(size: int, batch: int, device: str) -> Tensor:
    """Noise that all cases read, (batch, 3, size, size)."""
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(1)).to(device)


def exact_logits(size: int, batch: int, device: str) -> Tensor:
    """Logits of the literal network in float64: how far float32 itself is off."""
    with torch.no_grad():
        return made(literal_sgdnet, device).double().to(device)(picture(size, batch, device).double())


def build(name: str, size: int, batch: int, device: str, onnx_file: str | None) -> Any:
    """Make the call of one case.

    Raises:
        Unavailable: where what the case needs is not installed.
    """
    image = picture(size, batch, device)
    if name in (ONNX_RUNTIME, OPENVINO):
        if onnx_file is None:
            raise Unavailable("the export to ONNX failed")
        return (OnnxRuntime if name == ONNX_RUNTIME else OpenVINO)(onnx_file, image)
    if name == CHANNELS_LAST:
        network = made(sgdnet, device).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return Inference(network, image.contiguous(memory_format=torch.channels_last))
    if name in OTHERS:
        return Inference(made(OTHERS[name], device).eval().to(device), image)
    if name in (OPTIMISED, OPTIMISED_BFLOAT16):
        dtype = torch.bfloat16 if name == OPTIMISED_BFLOAT16 else torch.float32
        optimised = made(sgdnet, device).optimize_for_inference(dtype, packed=device == "cpu")  # type: ignore[operator]
        return Inference(optimised.to(device), image)
    if name == GRAPH:
        folded = made(sgdnet, device).optimize_for_inference(torch.bfloat16, packed=False)  # type: ignore[operator]
        return GraphedInference(folded.to(device), image)
    network = made(literal_sgdnet if name == LITERAL else sgdnet, device).to(device)
    if name == COMPILED:
        return Inference(torch.compile(network), image)  # type: ignore[arg-type]
    return Inference(network, image, autocast=name == AUTOCAST)


def names(settings: Settings) -> list[str]:
    """Names of the cases, the one that all are compared with first."""
    chosen = [LITERAL, PLAIN, CHANNELS_LAST, OPTIMISED, OPTIMISED_BFLOAT16, AUTOCAST]
    if settings.compile:
        chosen.append(COMPILED)
    if settings.device.startswith("cuda"):
        chosen.append(GRAPH)
    if settings.device == "cpu":
        chosen += [ONNX_RUNTIME, OPENVINO]
    return chosen + list(OTHERS)


def describe(call: Any, size: int) -> Row:
    """Parameters and multiply-adds of a case that holds a network."""
    network = getattr(call, "network", None)
    if network is None:
        return {}
    network = getattr(network, "_orig_mod", network)  # of torch.compile
    return {"parameters": count_parameters(network), "gmacs": count_macs(network, size) / 1e9}


def run_shape(
    chosen: Sequence[str], size: int, batch: int, settings: Settings, compare_exactly: bool = False
) -> list[Row]:
    """Measure some cases at one size and batch size, and maybe compare them with float64."""
    print(f"{size}x{size}, batch {batch}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        onnx_file = None
        if ONNX_RUNTIME in chosen:
            try:
                file = str(Path(folder) / "sgdnet.onnx")
                write_onnx(FoldedSGDNet(sgdnet(), torch.float32), picture(size, batch, "cpu"), file)
                onnx_file = file
            except Exception as error:
                print(f"  no ONNX: {error}", file=sys.stderr)
        arguments = (size, batch, settings.device, onnx_file)
        cases = [Case(name, partial(build, name, *arguments), memory_warm_up=int(name == COMPILED)) for name in chosen]
        rows, calls, outputs = run_cases(cases, settings)
    exact = exact_logits(size, batch, settings.device) if compare_exactly and outputs else None
    for row in rows:
        name = row["name"]
        row |= {"size": size, "batch": batch}
        if name in calls:
            row |= describe(calls[name], size)
            row["largest_logit"] = outputs[name].abs().max().item()
        if "median_ms" in row:
            row["images_per_s"] = 1000 * batch / row["median_ms"]
        if name in outputs and name not in OTHERS:
            if LITERAL in outputs:
                row["max_difference"] = max_difference(outputs[name], outputs[LITERAL])
            if exact is not None:
                row["max_error"] = max_difference(outputs[name], exact)
    return rows


def growth(rows: Sequence[Row]) -> list[Row]:
    """Fit how time and memory of each network grow with pixels, at batch 1, and with the batch, at the sweep's size.

    Args:
        rows: of the sweep; one without a number is left out.

    Returns:
        For each network, quantity and axis with two points or more: the points and the slope of a line in log-log.
    """
    batched = next((row["size"] for row in rows if row["batch"] > 1), None)
    found: list[Row] = []
    for name in dict.fromkeys(row["name"] for row in rows):
        for against, what in itertools.product(("pixels", "batch"), ("median_ms", "call_mib")):
            points = sorted(
                (row["size"] ** 2 if against == "pixels" else row["batch"], row[what])
                for row in rows
                if row["name"] == name
                and row.get(what, 0) > 0
                and (row["batch"] == 1 if against == "pixels" else row["size"] == batched)
            )
            if len(points) > 1:
                x, y = (list(each) for each in zip(*points, strict=True))
                slope = float(np.polyfit(np.log(x), np.log(y), 1)[0])
                about = {"name": name, "against": against, "what": what, "first": x[0], "last": x[-1]}
                found.append({**about, "slope": slope, "x": x, "y": y})
    return found


def run(settings: Settings, shapes: Sequence[Shape] = SHAPES) -> Row:
    """Measure every case at `shapes`, and with `settings.sweep` some cases over sizes and batch sizes, with slopes."""
    shapes = ((64, 1),) if settings.quick else shapes
    rows: list[Row] = []
    for size, batch in shapes:
        if time.monotonic() > settings.deadline:
            break
        exactly = batch <= 16  # of more, float64 does not fit on a GPU
        rows += run_shape(names(settings), size, batch, settings, exactly)
    result: Row = {"rows": rows}
    if settings.sweep:
        sweep = QUICK_SWEEP if settings.quick else SWEEP
        result["sweep"] = [row for size, batch in sweep for row in run_shape(SWEPT, size, batch, settings)]
        result["growth"] = growth(result["sweep"])
    return result
