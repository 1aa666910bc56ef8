"""Several networks as one, such as the folds of a cross-validation: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from custom_networks.configuration.inference import TrainedSource
from custom_networks.errors import UserError
from custom_networks.prediction.engine import Engine


class Ensemble:
    """Compute the maps of several engines and take their mean.

    Args:
        engines: of the same channels.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self.engines = engines
        self.channels = engines[0].channels

    def __call__(self, images: Tensor) -> Tensor:
        """Compute the maps of a batch, (B, 3, X, Y) of uint8.

        Returns:
            (B, K, X, Y), as of `Engine`; the uncertainty is the standard deviation over the views of all networks.
        """
        maps = torch.stack([engine(images) for engine in self.engines])
        mean = maps.mean(0)
        if "uncertainty" in self.channels:  # of all views: within each network, and between their means
            spread, centres = maps[:, :, -1], maps[:, :, 0]
            mean[:, -1] = (spread.square().mean(0) + centres.var(0, correction=0)).sqrt()
        return mean


def refuse_unlike(sources: Sequence[TrainedSource]) -> None:
    """Raise UserError where networks cannot be averaged: other classes, image size, bit depth or parts than the first.

    Args:
        sources: the networks.
    """
    first = sources[0]
    for other in sources[1:]:
        for name, fact, wanted in (
            ("classes", other.classes, first.classes),
            ("image_size", other.image_size, first.image_size),
            ("bit_depth", other.bit_depth, first.bit_depth),
            ("an edge map", other.network.has_edge, first.network.has_edge),
        ):
            if fact != wanted:
                raise UserError(
                    f"{other.checkpoint}: {name} {fact}, and {first.checkpoint} {wanted}; give weights of one kind"
                )
