"""What every format shares: the job it is given, and what it has to offer in return.

Symbols: B batch, X and Y the two sides of the image as the bundle reads it, x (width) before y (height).
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray

from custom_networks.errors import UserError
from custom_networks.network.sgdnet import SGDNet

INPUT, OUTPUT, METADATA = "image", "logits", "metadata"
KEPT = "kept_in_floating_point"
"""Where the metadata of an int8 file lists the stages that are not quantised."""
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
PRECISIONS = (*DTYPES, "int8")

Images = NDArray[np.float32]
Run = Callable[[Images], Images]
Metadata = dict[str, Any]


@dataclass(frozen=True)
class DiceLimits:
    """What Dice between a file's masks and those of PyTorch in float32 passes.

    Attributes:
        mean: over the images, at least.
        worst: of each image, at least.

    Raises:
        UserError: for one that is not from 0 to 1.
    """

    mean: float = 0.99
    worst: float = 0.95

    def __post_init__(self) -> None:
        for flag, value in (("--least_mean_dice", self.mean), ("--least_dice", self.worst)):
            if not 0 <= value <= 1:
                raise UserError(f"{flag} {value:g}: must be from 0 to 1, such as 0.95")


@dataclass(frozen=True)
class ExportJob:
    """One export.

    Attributes:
        network: trained, in `eval()`.
        precision: one of `PRECISIONS`.
        image_size: side of the square the weights were trained on, pixels.
        metadata: to be written into the file; int8 adds the stages it left alone.
        calibration: normalised images (3, X, Y) that int8 is made with; empty for other precisions.
        threshold: probability from which a pixel is foreground.
        limits: of Dice that int8 is made to keep.
        edge: whether the edge logits follow those of the classes; ONNX and OpenVINO alone.
    """

    network: SGDNet
    precision: str
    image_size: int
    metadata: Metadata
    calibration: Sequence[Images] = field(default_factory=tuple)
    threshold: float = 0.5
    limits: DiceLimits = field(default_factory=DiceLimits)
    edge: bool = False


@dataclass(frozen=True)
class Format:
    """One way to write the network down.

    Attributes:
        summary: what it is for, a few words.
        name: of the file in the bundle's models/.
        precisions: those it can hold.
        sizes: what X and Y may be, in words; "fixed" where they are those of the export.
        packages: modules that must be installed besides PyTorch.
        write: writes the file and those that belong to it.
        open: makes a function of the file that takes and gives arrays (B, channels, X, Y), on so many threads.
        metadata: reads what the file says about itself.
        remains: what is left to do on another machine, in words; None where nothing is.
    """

    summary: str
    name: str
    precisions: tuple[str, ...]
    sizes: str
    packages: tuple[str, ...]
    write: Callable[[ExportJob, Path], None]
    open: Callable[[Path, int], Run]
    metadata: Callable[[Path], Metadata]
    remains: Callable[[Path, Metadata], str] | None = None

    @property
    def any_size(self) -> bool:
        """Whether X and Y may differ from those of the export."""
        return self.sizes != "fixed"


def require(packages: Sequence[str], what: str) -> None:
    """Raise UserError with the command to install what is missing."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"{what}: needs {' and '.join(missing)}; run `pip install {' '.join(missing)}`")


def write_whole(path: Path, save: Callable[[IO[bytes]], object]) -> None:
    """Write what a library saves by way of memory: PyTorch's own writer ends the process on a full disk.

    Args:
        path: the file.
        save: writes into what it is given.

    Raises:
        OSError: where the file cannot be written.
    """
    memory = io.BytesIO()
    save(memory)
    path.write_bytes(memory.getbuffer())


def example(job: ExportJob) -> torch.Tensor:
    """Return an input to trace with, (2, 3, X, Y), X and Y different so that none is taken for the other."""
    return torch.zeros(2, 3, job.image_size, job.image_size + 64)
