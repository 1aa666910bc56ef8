"""ONNX: any batch, height and width in multiples of 64; runs in ONNX Runtime, and from there nearly anywhere.

By tracing: the exporter of torch.export needs onnxscript and cannot keep height and width dynamic here. TensorRT goes
as far as it can without a GPU: the graph that an engine is built from, verified, and the two commands that build it.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import torch

from custom_networks.export.format import (
    DTYPES,
    INPUT,
    KEPT,
    METADATA,
    OUTPUT,
    Compute,
    ExportJob,
    Format,
    Images,
    Metadata,
    example,
)
from custom_networks.export.quantise import quantise
from custom_networks.network.optimized import FoldedSGDNet

OPSET = 18
AXES = {0: "batch", 2: "x", 3: "y"}


def trace_onnx(job: ExportJob, path: Path, dtype: torch.dtype) -> None:
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


def add_metadata(path: Path, metadata: Metadata) -> None:
    """Put the metadata into the file's own properties."""
    import onnx

    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {METADATA: json.dumps(metadata)})
    onnx.save(model, str(path))


def write_onnx(job: ExportJob, path: Path) -> None:
    """Trace, quantise where asked for, add the metadata."""
    trace_onnx(job, path, DTYPES.get(job.precision, torch.float32))
    if job.precision == "int8":
        job.metadata[KEPT] = quantise(path, job, INPUT)
    add_metadata(path, job.metadata)


def open_onnx(path: Path, threads: int) -> Compute:
    """Load the file into ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(images: Images) -> Images:
        return session.run([OUTPUT], {INPUT: images})[0]

    return run


def onnx_metadata(path: Path) -> Metadata:
    """Read what `write_onnx` put in."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    return json.loads({entry.key: entry.value for entry in model.metadata_props}[METADATA])


ONNX = Format(
    summary="ONNX, for ONNX Runtime and nearly any other engine",
    name="model.onnx",
    precisions=("float32", "float16", "int8"),
    sizes="multiples of 64",
    packages=("onnx", "onnxruntime"),
    write=write_onnx,
    open=open_onnx,
    metadata=onnx_metadata,
)


FLAGS = {"float32": "", "float16": " --fp16", "bfloat16": " --bf16"}
LARGEST_BATCH = 16


def write_tensorrt_graph(job: ExportJob, path: Path) -> None:
    """Write the float32 graph; the builder of the engine turns it into the precision asked for.

    An engine holds for one kind of GPU and one version of TensorRT, so it is built where it will run.
    """
    trace_onnx(job, path, torch.float32)
    add_metadata(path, job.metadata)


def tensorrt_commands(path: Path, metadata: Metadata) -> str:
    """Say which commands build the engine."""
    side = metadata["preprocessing"]["size"]
    shapes = [f"{name}Shapes={INPUT}:{batch}x3x{side}x{side}" for name, batch in (("min", 1), ("opt", 4))]
    shapes.append(f"maxShapes={INPUT}:{LARGEST_BATCH}x3x{side}x{side}")
    engine = path.with_suffix(".plan")
    return "\n".join(
        [
            "No engine was built: that needs a GPU. On the machine with the GPU, one of",
            f"  trtexec --onnx={path} --saveEngine={engine}{FLAGS[metadata['precision']]} "
            + " ".join(f"--{shape}" for shape in shapes),
            "  python -m monai.bundle trt_export --net_id network_def --filepath models/model_trt.ts "
            "--ckpt_file models/model.pt --meta_file configs/metadata.json --config_file configs/inference.json "
            f"--precision {'fp16' if metadata['precision'] == 'float16' else 'fp32'} "
            f'--input_shape "[1,3,{side},{side}]" --dynamic_batchsize "[1,4,{LARGEST_BATCH}]"',
            "The second, run in the bundle's folder, makes what configs/inference_trt.json loads.",
        ]
    )


TENSORRT = replace(
    ONNX,
    summary="the ONNX graph and the commands that make a TensorRT engine of it on a GPU",
    name="model_trt.onnx",
    precisions=tuple(FLAGS),
    write=write_tensorrt_graph,
    remains=tensorrt_commands,
)
