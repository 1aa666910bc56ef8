"""What computes logits: PyTorch, or an exported file by another runtime. A new one is a class in the list `ENGINES`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from custom_networks.errors import UserError
from custom_networks.export.format import Format, require
from custom_networks.export.onnx_graph import ONNX
from custom_networks.export.openvino_ir import OPENVINO
from custom_networks.network.segmenter import Segmenter
from custom_networks.network.sgdnet import SGDNet
from custom_networks.precision import MixedPrecisionInferer
from custom_networks.prediction.engine_files import EngineFile

AUTO = "auto"


@dataclass(frozen=True)
class EngineJob:
    """What an engine is made of.

    Args:
        network: with its weights; it is not changed.
        device: where it runs.
        amp: whether it computes in bfloat16, if that pays there.
        edge: whether to give the edge logits too, where the network has them.
        weights: file of the weights, beside which an exported file is kept; None where there is none.
        image_size: side of the square, pixels.
    """

    network: Segmenter
    device: torch.device
    amp: bool = False
    edge: bool = False
    weights: Path | None = None
    image_size: int = 256

    def __post_init__(self) -> None:
        object.__setattr__(self, "amp", MixedPrecisionInferer(self.amp, self.device).amp)
        object.__setattr__(self, "edge", self.edge and self.network.has_edge)

    @property
    def outputs(self) -> int:
        """How many classes the network tells apart, 1 or with the background."""
        return self.network.out_channels


class Engine(ABC):
    """Compute the logits of batches.

    Args:
        job: what it is made of.

    Raises:
        UserError: where it cannot do this job, or a package is missing.
    """

    name: ClassVar[str]

    @abstractmethod
    def __init__(self, job: EngineJob) -> None: ...

    @abstractmethod
    def __call__(self, image: Tensor) -> Tensor:
        """Return the logits of the classes, then of the edge.

        Args:
            image: (B, 3, X, Y), normalised, float32, on the job's device; X and Y multiples of 64.

        Returns:
            (B, K, X, Y), float32, on the device.
        """

    @classmethod
    def refuse(cls, job: EngineJob) -> None:
        """Raise UserError where it cannot do a job, or a package is missing; by default it can do any."""
        return


class TorchEngine(Engine):
    """PyTorch: folded, channels-last, the weights in the type that is computed in; packed on a CPU."""

    name = "torch"

    def __init__(self, job: EngineJob) -> None:
        dtype = torch.bfloat16 if job.amp else torch.float32
        packed = job.device.type == "cpu"
        self.network = job.network.optimize_for_inference(dtype, job.edge, packed).to(job.device)

    def __call__(self, image: Tensor) -> Tensor:
        """See `Engine`."""
        return self.network(image)


class ExportedEngine(Engine):
    """A file of `sgdnet export`, with the edge logits, on the CPU; it is made once, see `EngineFile`."""

    format: ClassVar[Format]
    precisions: ClassVar[Mapping[bool, str]]
    """Of the file, with and without `amp`."""

    def __init__(self, job: EngineJob) -> None:
        self.refuse(job)
        self.edge, self.outputs = job.edge, job.outputs
        assert isinstance(job.network, SGDNet)
        file = EngineFile(job.network, self.name, self.format, self.precisions[job.amp], job.weights)
        self.run = file.open(job.image_size, torch.get_num_threads())
        self.temporary = file.temporary  # goes with this object

    def __call__(self, image: Tensor) -> Tensor:
        """See `Engine`."""
        logits = torch.from_numpy(self.run(image.contiguous().numpy()))
        return logits if self.edge else logits[:, : self.outputs]

    @classmethod
    def refuse(cls, job: EngineJob) -> None:
        """See `Engine`."""
        if not isinstance(job.network, SGDNet):
            what = job.network.arguments["architecture"]
            raise UserError(f"--engine {cls.name}: exports SGD-Net alone, and this is a {what}; use --engine torch")
        if job.device.type != "cpu":
            raise UserError(f"--engine {cls.name}: computes on the CPU, not on {job.device}; use --engine torch")
        if job.amp not in cls.precisions:
            raise UserError(f"--engine {cls.name}: has no bfloat16 on a CPU; use --amp false, or --engine openvino")
        require(cls.format.packages, f"--engine {cls.name}")


class OpenVINOEngine(ExportedEngine):
    """OpenVINO, for Intel and AMD processors."""

    name = "openvino"
    format = OPENVINO
    precisions: ClassVar[Mapping[bool, str]] = {False: "float32", True: "bfloat16"}


class ONNXEngine(ExportedEngine):
    """ONNX Runtime."""

    name = "onnx"
    format = ONNX
    precisions: ClassVar[Mapping[bool, str]] = {False: "float32"}


ENGINES: dict[str, type[Engine]] = {one.name: one for one in (TorchEngine, OpenVINOEngine, ONNXEngine)}
"""By name; `auto` compares the first with the first of the others that is able and right."""
