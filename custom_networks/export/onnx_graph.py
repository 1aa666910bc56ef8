"""ONNX: any batch, height and width in multiples of 64; runs in ONNX Runtime, and from there nearly anywhere.

By tracing: the exporter of torch.export needs onnxscript and cannot keep height and width dynamic here.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch

from custom_networks.export.common import (
    DTYPES,
    INPUT,
    KEPT,
    METADATA,
    OUTPUT,
    ExportJob,
    Format,
    Images,
    Metadata,
    Run,
    example,
)
from custom_networks.export.quantise import quantise
from custom_networks.network.optimized import FoldedSGDNet

OPSET = 18
AXES = {0: "batch", 2: "x", 3: "y"}


def trace(job: ExportJob, path: Path, dtype: torch.dtype) -> None:
    """Write the folded network as an ONNX graph without metadata."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sizes are multiples of 64: the branches that tracing fixes are the same
        torch.onnx.export(
            FoldedSGDNet(job.network, dtype, job.edge).eval(),
            (example(job),),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: AXES, OUTPUT: AXES},
        )


def describe(path: Path, metadata: Metadata) -> None:
    """Put the metadata into the file's own properties."""
    import onnx

    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {METADATA: json.dumps(metadata)})
    onnx.save(model, str(path))


def write(job: ExportJob, path: Path) -> None:
    """Trace, quantise where asked for, describe."""
    trace(job, path, DTYPES.get(job.precision, torch.float32))
    if job.precision == "int8":
        job.metadata[KEPT] = quantise(path, job, INPUT)
    describe(path, job.metadata)


def open_(path: Path, threads: int) -> Run:
    """Load the file into ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(images: Images) -> Images:
        return session.run([OUTPUT], {INPUT: images})[0]

    return run


def metadata(path: Path) -> Metadata:
    """Read what `write` put in."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    return json.loads({entry.key: entry.value for entry in model.metadata_props}[METADATA])


FORMAT = Format(
    summary="ONNX, for ONNX Runtime and nearly any other engine",
    name="model.onnx",
    precisions=("float32", "float16", "int8"),
    sizes="multiples of 64",
    packages=("onnx", "onnxruntime"),
    write=write,
    open=open_,
    metadata=metadata,
)
