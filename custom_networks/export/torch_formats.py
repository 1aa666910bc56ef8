"""The formats of PyTorch itself: TorchScript, and the graph of `torch.export`, its successor.

TorchScript takes any batch and any size and needs PyTorch alone to run; MONAI Deploy and Triton Inference Server read
it. `torch.export` gives one graph of plain ATen operators.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path

import torch
from torch import nn

from custom_networks.export.format import (
    DTYPES,
    INPUT,
    METADATA,
    Compute,
    ExportJob,
    Format,
    Images,
    Metadata,
    write_whole,
)
from custom_networks.network.optimized import FoldedSGDNet

EXTRA = f"{METADATA}.json"  # where MONAI's own `ckpt_export` puts it too


def write_torchscript(job: ExportJob, path: Path) -> None:
    """Compile the network, folded for inference, with its control flow, hence for any size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(FoldedSGDNet(job.network, DTYPES[job.precision]).eval())
        about = {EXTRA: json.dumps(job.metadata)}
        write_whole(path, lambda file: torch.jit.save(scripted, file, about))


def open_torchscript(path: Path, threads: int) -> Compute:
    """Load the file; `threads` are torch's own, set for the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(str(path), map_location="cpu").eval()
    return _run_of(module)


def torchscript_metadata(path: Path) -> Metadata:
    """Read what `write_torchscript` put in; nothing of a file that has none."""
    extra = {EXTRA: "{}"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.load(str(path), map_location="cpu", _extra_files=extra)
    return json.loads(extra[EXTRA])


def write_program(job: ExportJob, path: Path) -> None:
    """Export for the square the weights were trained on; the batch alone is dynamic.

    With symbolic sides the exporter takes minutes over the shapes of StitchViT, and then writes guards that refuse most
    sizes.
    """
    side = job.image_size
    network = FoldedSGDNet(job.network, DTYPES[job.precision]).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(
            network, (torch.zeros(2, 3, side, side),), dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}}
        )
        about = {EXTRA: json.dumps(job.metadata)}
        write_whole(path, lambda file: torch.export.save(program, file, extra_files=about))


def open_program(path: Path, threads: int) -> Compute:
    """Load the file; `threads` are torch's own, set for the process."""
    return _run_of(torch.export.load(path).module())


def program_metadata(path: Path) -> Metadata:
    """Read what `write_program` put in, without loading the program."""
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith(f"/extra/{EXTRA}"))
        return json.loads(archive.read(name))


def _run_of(module: nn.Module) -> Compute:
    def run(images: Images) -> Images:
        with torch.no_grad():
            return module(torch.from_numpy(images)).numpy()

    return run


TORCHSCRIPT = Format(
    summary="TorchScript, for PyTorch in Python and C++",
    name="model.ts",
    precisions=("float32", "float16", "bfloat16"),
    sizes="any",
    packages=(),
    write=write_torchscript,
    open=open_torchscript,
    metadata=torchscript_metadata,
)

TORCH_EXPORT = Format(
    summary="torch.export, for AOTInductor and whatever comes after TorchScript",
    name="model.pt2",
    precisions=("float32", "float16", "bfloat16"),
    sizes="fixed",
    packages=(),
    write=write_program,
    open=open_program,
    metadata=program_metadata,
)
