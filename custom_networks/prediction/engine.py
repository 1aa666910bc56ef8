"""The network on batches: normalisation, the fast form for the device, test-time augmentation.

Symbols: B batch, X and Y the sides of the network's square, x (width) before y (height) as the bundle reads pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from custom_networks.network.segmenter import Segmenter
from custom_networks.precision import MixedPrecisionInferer
from custom_networks.prediction.cuda_graph import CudaGraph
from custom_networks.prediction.views import VIEWS
from custom_networks.weights.normalization import Normalization

CLASS = "class_"  # with its number, the map of a class


class Engine:
    """Compute probabilities, and on demand edges and the spread of the views.

    On a CPU this is `Segmenter.optimize_for_inference`; on a GPU the network itself, channels-last, images going there
    from pinned memory.

    Args:
        network: with its weights; it is not changed on a CPU.
        normalization: of its images.
        device: where it runs.
        amp: whether it computes in bfloat16, if that pays on this processor.
        tta: one of `VIEWS`.
        edge: whether to give the edge map too.
        cuda_graphs: whether a GPU replays the network as one recorded graph.

    Raises:
        UserError: where the device has no bfloat16.
    """

    def __init__(
        self,
        network: Segmenter,
        normalization: Normalization,
        device: torch.device | str = "cpu",
        amp: bool = False,
        tta: str = "none",
        edge: bool = False,
        cuda_graphs: bool = False,
    ) -> None:
        self.device = torch.device(device)
        self.views = VIEWS[tta]
        self.edge = edge and network.has_edge
        self.outputs = network.out_channels
        self.mean, self.std = (
            torch.tensor(values, dtype=torch.float32, device=self.device)[:, None, None]
            for values in (normalization.mean, normalization.std)
        )
        self.inferer = MixedPrecisionInferer(amp, self.device)
        self.dtype = torch.float32
        self.network = network.eval()
        if self.device.type == "cpu":
            self.dtype = torch.bfloat16 if self.inferer.amp else torch.float32
            self.network = cast(Segmenter, network.optimize_for_inference(self.dtype).network)
            self.inferer = MixedPrecisionInferer(False, self.device)  # the weights are in bfloat16 already
        else:
            self.network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        recorded = cuda_graphs and self.device.type == "cuda"
        self.maps: Callable[[Tensor], Tensor] = CudaGraph(self._maps) if recorded else self._maps

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the maps: probability of the foreground, then those of its classes, edge and uncertainty if any."""
        classes = [f"{CLASS}{number}" for number in range(1, self.outputs)]
        more = [*(["edge"] if self.edge else []), *(["uncertainty"] if len(self.views) > 1 else [])]
        return ("probability", *classes, *more)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Compute the maps of a batch.

        Args:
            images: (B, 3, X, Y), uint8.

        Returns:
            (B, K, X, Y), float32 on the CPU, in the order of `channels`. Probability and edge are means over the
            views, uncertainty is the standard deviation of the views' probabilities.
        """
        if self.device.type == "cuda":
            images = images.pin_memory()
        normalised = (images.to(self.device, non_blocking=True).float() - self.mean) / self.std
        views = [view.undo(self.maps(view.apply(normalised))) for view in self.views]
        maps = torch.stack(views).mean(0) if len(views) > 1 else views[0]
        if len(views) > 1:
            spread = torch.stack([view[:, :1] for view in views]).std(0, correction=0)
            maps = torch.cat([maps, spread], 1)
        return maps.float().cpu()

    def _maps(self, normalised: Tensor) -> Tensor:
        """Probabilities, and edges, of one view."""
        image = normalised.to(dtype=self.dtype, memory_format=torch.channels_last)
        logits = self.inferer(image, self.network.logits, edge=self.edge)
        if self.outputs == 1:
            return torch.sigmoid(logits)
        classes = torch.softmax(logits[:, : self.outputs], 1)
        return torch.cat([1 - classes[:, :1], classes[:, 1:], torch.sigmoid(logits[:, self.outputs :])], 1)
