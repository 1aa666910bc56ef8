"""Several networks as one, such as the folds of a cross-validation: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from custom_networks.configuration.inference import TrainedSource
from custom_networks.errors import UserError
from custom_networks.prediction.maps import MapSource


class Ensemble(MapSource):
    """Compute the maps of several networks and take their mean.

    Args:
        members: of the same channels, on one device.
    """

    def __init__(self, members: Sequence[MapSource]) -> None:
        super().__init__(members[0].transfer.device)
        self.members = members

    @property
    def channels(self) -> tuple[str, ...]:
        """See `MapSource`."""
        return self.members[0].channels

    def compute(self, images: Tensor) -> Tensor:
        """See `MapSource`; the uncertainty is the standard deviation over the views of all networks."""
        maps = torch.stack([member.compute(images) for member in self.members])
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
            ("an edge map", other.network.sge is not None, first.network.sge is not None),
        ):
            if fact != wanted:
                raise UserError(
                    f"{other.checkpoint}: {name} {fact}, and {first.checkpoint} {wanted}; give weights of one kind"
                )
