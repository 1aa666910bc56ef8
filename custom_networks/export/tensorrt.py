"""TensorRT, up to the last step that runs without a GPU.

An engine holds for one kind of GPU and one version of TensorRT, so it is built where it will run. What is written here
is the ONNX graph it is built from, verified, and the two commands that build it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from custom_networks.export.common import INPUT, ExportJob, Metadata
from custom_networks.export.onnx_graph import FORMAT as ONNX
from custom_networks.export.onnx_graph import describe, trace

FLAGS = {"float32": "", "float16": " --fp16", "bfloat16": " --bf16"}
LARGEST_BATCH = 16


def write(job: ExportJob, path: Path) -> None:
    """Write the float32 graph; the builder of the engine turns it into the precision asked for."""
    import torch

    trace(job, path, torch.float32)
    describe(path, job.metadata)


def remains(path: Path, metadata: Metadata) -> str:
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


FORMAT = replace(
    ONNX,
    summary="the ONNX graph and the commands that make a TensorRT engine of it on a GPU",
    name="model_trt.onnx",
    precisions=tuple(FLAGS),
    write=write,
    remains=remains,
)
