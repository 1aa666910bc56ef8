"""TorchScript: any batch, any size, and PyTorch alone to run it. MONAI Deploy and Triton Inference Server read it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch

from custom_networks.export.common import DTYPES, METADATA, ExportJob, Format, Images, Metadata, Run, write_whole
from custom_networks.network.optimized import FoldedSGDNet

EXTRA = f"{METADATA}.json"  # where MONAI's own `ckpt_export` puts it too


def write(job: ExportJob, path: Path) -> None:
    """Compile the network, folded for inference, with its control flow, hence for any size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(FoldedSGDNet(job.network, DTYPES[job.precision]).eval())
        about = {EXTRA: json.dumps(job.metadata)}
        write_whole(path, lambda file: torch.jit.save(scripted, file, about))


def open_(path: Path, threads: int) -> Run:
    """Load the file; `threads` are torch's own, set for the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(str(path), map_location="cpu").eval()

    def run(images: Images) -> Images:
        with torch.no_grad():
            return module(torch.from_numpy(images)).numpy()

    return run


def metadata(path: Path) -> Metadata:
    """Read what `write` put in."""
    extra = {EXTRA: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.load(str(path), map_location="cpu", _extra_files=extra)
    return json.loads(extra[EXTRA])


FORMAT = Format(
    summary="TorchScript, for PyTorch in Python and C++",
    name="model.ts",
    precisions=("float32", "float16", "bfloat16"),
    sizes="any",
    packages=(),
    write=write,
    open=open_,
    metadata=metadata,
)
