"""OpenVINO: a `.xml` and a `.bin` for Intel and AMD processors; bfloat16 and int8 where they compute in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from custom_networks.export.format import INPUT, KEPT, METADATA, Compute, ExportJob, Format, Images, Metadata
from custom_networks.export.onnx_graph import trace_onnx
from custom_networks.export.quantise import quantise

HINTS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "int8": "f32"}
"""What OpenVINO computes in, asked for as the file is compiled.

For int8 it is what the rest of the graph computes in: float32, as where the stages to leave alone are chosen.
"""
PLACE = ["sgdnet", METADATA]


@lru_cache(maxsize=1)
def openvino_core() -> Any:
    """OpenVINO, once for the process.

    Its CPU plugin replaces the stack on which the thread that loads it handles signals. Unloaded by another thread, it
    takes that stack away, and the next signal (Ctrl-C, the end of a child process) ends the process without a word.
    """
    import openvino

    return openvino.Core()


def write_openvino(job: ExportJob, path: Path) -> None:
    """Convert the ONNX graph; its weights take half the room unless they are float32 or int8."""
    import openvino

    graph = path.with_suffix(".onnx")
    trace_onnx(job, graph, torch.float32)
    if job.precision == "int8":
        job.metadata[KEPT] = quantise(graph, job, INPUT, float_outputs=True)
    model = openvino_core().read_model(str(graph))  # unlike convert_model, it sends no figures of its use anywhere
    model.set_rt_info(json.dumps(job.metadata), PLACE)
    try:
        openvino.save_model(model, str(path), compress_to_fp16=job.precision in ("float16", "bfloat16"))
    except RuntimeError as error:  # of C++ streams, which do not tell why
        raise OSError("the disk did not take all of it") from error
    graph.unlink()


def open_openvino(path: Path, threads: int) -> Compute:
    """Compile the file for the CPU, in the precision that it was exported for, anew for every shape that comes.

    With its shape fixed the graph runs a quarter to a third faster: what follows from shapes is computed once, and
    memory is laid out ahead. A compiled graph holds its weights, hence no more than two are kept. The file is read
    once, its weights by the pages that are needed, so that what replaces it later does not count.
    """
    core = openvino_core()
    read = core.read_model(str(path))
    settings = {
        "INFERENCE_PRECISION_HINT": HINTS[metadata_of(read)["precision"]],
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }

    @lru_cache(maxsize=2)
    def compiled(*shape: int) -> Callable[[Images], Any]:
        model = read.clone()
        model.reshape(list(shape))
        return core.compile_model(model, "CPU", settings)

    def run(images: Images) -> Images:
        return compiled(*images.shape)(images)[0].copy()

    return run


def metadata_of(model: object) -> Metadata:
    """Read what `write_openvino` put into a model."""
    return json.loads(model.get_rt_info(PLACE).astype(str))  # type: ignore[attr-defined]


def openvino_metadata(path: Path) -> Metadata:
    """Read what `write_openvino` put into a file."""
    return metadata_of(openvino_core().read_model(str(path)))


OPENVINO = Format(
    summary="OpenVINO, for Intel and AMD processors",
    name="model.xml",
    precisions=("float32", "float16", "bfloat16", "int8"),
    sizes="multiples of 64",
    packages=("onnx", "onnxruntime", "openvino"),
    write=write_openvino,
    open=open_openvino,
    metadata=openvino_metadata,
    beside=(".bin",),
)
