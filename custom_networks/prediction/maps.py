"""Maps of a batch: normalisation, an engine's logits as probabilities, test-time augmentation.

Symbols: B batch, X and Y the sides of the network's square, x (width) before y (height) as the bundle reads pictures.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from custom_networks.prediction.cuda_graph import CudaGraph
from custom_networks.prediction.engine import Engine, EngineJob
from custom_networks.prediction.geometry import VIEWS
from custom_networks.prediction.transfer import Arriving, Transfer
from custom_networks.weights.normalization import Normalization

CLASS = "class_"  # with its number, the map of a class


class MapSource(ABC):
    """Compute the maps of batches on a device.

    Args:
        device: where.
    """

    def __init__(self, device: torch.device) -> None:
        self.transfer = Transfer(device)

    @property
    @abstractmethod
    def channels(self) -> tuple[str, ...]:
        """Names of the maps: probability of the foreground, then those of its classes, edge and uncertainty if any."""

    @abstractmethod
    def compute(self, images: Tensor) -> Tensor:
        """Compute the maps (B, K, X, Y), float32, of images (B, 3, X, Y), uint8, all on the device."""

    @torch.inference_mode()
    def start(self, images: Tensor) -> Arriving:
        """Begin to compute the maps of a batch; a GPU works on while the caller does.

        Args:
            images: (B, 3, X, Y), uint8, on the CPU.

        Returns:
            (B, K, X, Y), float32, in the order of `channels`. Probability and edge are means over the views,
            uncertainty is the standard deviation of the views' probabilities.
        """
        with self.transfer.current():
            return self.transfer.to_host(self.compute(self.transfer.to_device(images)))

    def __call__(self, images: Tensor) -> Tensor:
        """Compute the maps of a batch, as `start`."""
        return self.start(images).get()


class NetworkMaps(MapSource):
    """Compute the maps of one network.

    Args:
        engine: makes the logits.
        job: of the engine.
        normalization: of the network's images.
        tta: one of `VIEWS`.
        cuda_graphs: whether a GPU replays the network as recorded graphs.
    """

    def __init__(
        self, engine: Engine, job: EngineJob, normalization: Normalization, tta: str = "none", cuda_graphs: bool = False
    ) -> None:
        super().__init__(job.device)
        self.engine, self.edge, self.outputs = engine, job.edge, job.outputs
        self.views = VIEWS[tta]
        self.mean, self.std = (
            torch.tensor(values, dtype=torch.float32, device=job.device)[:, None, None]
            for values in (normalization.mean, normalization.std)
        )
        recorded = cuda_graphs and job.device.type == "cuda"
        self.maps: Callable[[Tensor], Tensor] = CudaGraph(self._maps) if recorded else self._maps

    @property
    def channels(self) -> tuple[str, ...]:
        """See `MapSource`."""
        classes = [f"{CLASS}{number}" for number in range(1, self.outputs)]
        more = [*(["edge"] if self.edge else []), *(["uncertainty"] if len(self.views) > 1 else [])]
        return ("probability", *classes, *more)

    def compute(self, images: Tensor) -> Tensor:
        """See `MapSource`."""
        normalised = (images.float() - self.mean) / self.std
        views = [view.undo(self.maps(view.apply(normalised))) for view in self.views]
        if len(views) == 1:
            return views[0]
        spread = torch.stack([view[:, :1] for view in views]).std(0, correction=0)
        return torch.cat([torch.stack(views).mean(0), spread], 1)

    def _maps(self, normalised: Tensor) -> Tensor:
        """Probabilities, and edges, of one view."""
        logits = self.engine(normalised)
        if self.outputs == 1:
            return torch.sigmoid(logits)
        classes = torch.softmax(logits[:, : self.outputs], 1)
        return torch.cat([1 - classes[:, :1], classes[:, 1:], torch.sigmoid(logits[:, self.outputs :])], 1)
