"""torch.export: one graph of plain ATen operators, PyTorch's successor to TorchScript.

The batch is dynamic. Height and width are not: with symbolic sides the exporter takes minutes over the shapes of
StitchViT, and then writes guards that refuse most sizes.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch

from custom_networks.export.common import (
    DTYPES,
    INPUT,
    METADATA,
    ExportJob,
    Format,
    Images,
    Metadata,
    Run,
    write_whole,
)
from custom_networks.network.optimized import FoldedSGDNet

EXTRA = f"{METADATA}.json"


def write(job: ExportJob, path: Path) -> None:
    """Export for the square the weights were trained on."""
    side = job.image_size
    network = FoldedSGDNet(job.network, DTYPES[job.precision]).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(
            network, (torch.zeros(2, 3, side, side),), dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}}
        )
        about = {EXTRA: json.dumps(job.metadata)}
        write_whole(path, lambda file: torch.export.save(program, file, extra_files=about))


def open_(path: Path, threads: int) -> Run:
    """Load the file; `threads` are torch's own, set for the process."""
    module = torch.export.load(path).module()

    def run(images: Images) -> Images:
        with torch.no_grad():
            return module(torch.from_numpy(images)).numpy()

    return run


def metadata(path: Path) -> Metadata:
    """Read what `write` put in."""
    extra = {EXTRA: ""}
    torch.export.load(path, extra_files=extra)
    return json.loads(extra[EXTRA])


FORMAT = Format(
    summary="torch.export, for AOTInductor and whatever comes after TorchScript",
    name="model.pt2",
    precisions=("float32", "float16", "bfloat16"),
    sizes="fixed",
    packages=(),
    write=write,
    open=open_,
    metadata=metadata,
)
