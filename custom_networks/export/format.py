"""What every format shares: the job it is given, what it offers in return, what its files say about themselves.

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

from custom_networks.configuration.inference import TrainedSource
from custom_networks.errors import UserError
from custom_networks.files import sha256
from custom_networks.network.sgdnet import SGDNet
from custom_networks.software import installed

INPUT, OUTPUT, METADATA = "image", "logits", "metadata"
KEPT = "kept_in_floating_point"
"""Where the metadata of an int8 file lists the stages that are not quantised."""
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
PRECISIONS = (*DTYPES, "int8")

Images = NDArray[np.float32]
Compute = Callable[[Images], Images]
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
        beside: endings of further files that belong to the file, of its name.
    """

    summary: str
    name: str
    precisions: tuple[str, ...]
    sizes: str
    packages: tuple[str, ...]
    write: Callable[[ExportJob, Path], None]
    open: Callable[[Path, int], Compute]
    metadata: Callable[[Path], Metadata]
    remains: Callable[[Path, Metadata], str] | None = None
    beside: tuple[str, ...] = ()

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


PACKAGES = ("torch", "monai", "numpy", "onnx", "onnxruntime", "openvino")
LICENCE = "Apache-2.0; weights also under the terms of the data they were trained on"


def export_metadata(source: TrainedSource, name: str, precision: str, sizes: str) -> Metadata:
    """What an exported file says about itself, so that it can be used with nothing else at hand.

    Args:
        source: what is exported.
        name: of the format.
        precision: of the weights.
        sizes: what X and Y may be, in words.

    Returns:
        What JSON can hold: licence, input, preprocessing, output, versions.
    """
    data_format: dict[str, Any] = source.about["network_data_format"]
    channels = source.network.out_channels
    activation = "sigmoid" if channels == 1 else "softmax"
    side = source.image_size
    named = {"0": "background", **{str(number): name for number, name in source.classes.items()}}
    classes = named if source.classes else {}
    decision = "; foreground where those of all classes but 0 add up to the threshold, there the most probable class"
    return {
        "name": source.about["name"],
        "version": source.about["version"],
        "description": source.about["description"],
        "intended_use": source.about["intended_use"],
        "licence": LICENCE,
        "format": name,
        "precision": precision,
        "checkpoint_sha256": sha256(source.checkpoint),
        "input": {
            "name": INPUT,
            "dtype": "float32",
            "axes": ["batch", "channel", "x", "y"],
            "sizes": f"x = y = {side}" if sizes == "fixed" else f"x and y: {sizes}",
        },
        "preprocessing": {
            "colour": "RGB, 0 to 255, upright as EXIF says, transparent parts on white",
            "bit_depth": source.bit_depth,
            "grey_in_16_bits": "values * 255 / (2^bit_depth - 1); without bit_depth the least of 8, 10, 12, 14 and 16 "
            "that holds the image's values",
            "resize": f"to {side} x {side} pixels, bilinear, anti-aliased as Pillow does it on floating-point bands, "
            "rounded to whole numbers once",
            "size": side,
            "mean": list(source.normalization.mean),
            "std": list(source.normalization.std),
            "order": "subtract mean, divide by std, put the channel first, x (width) before y (height)",
        },
        "output": {
            "name": OUTPUT,
            "dtype": "float32",
            "axes": ["batch", "class", "x", "y"],
            "meaning": f"logits; {activation} makes probabilities of them{decision if classes else ''}",
            "activation": activation,
            "threshold": source.threshold,
            "classes": classes or data_format["outputs"]["pred"]["channel_def"],
        },
        "versions": installed(PACKAGES),
    }
