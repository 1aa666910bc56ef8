"""What interactive SGD-Net is compared with: early fusion, MONAI's BasicUNet, and a random walker without training.

All take the guidance that `custom_networks.interactive` draws, and answer through the same rules about marks.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from monai.networks.nets import BasicUNet
from numpy.typing import NDArray
from skimage.segmentation import random_walker
from skimage.transform import resize
from torch import Tensor, nn

from custom_networks import SGDNet
from custom_networks.interactive.guidance import Guidance, Points, marked_cells
from custom_networks.interactive.merging import honour, honoured_radius
from custom_networks.network.interactive import GUIDANCE_MAPS
from custom_networks.network.weights import load_strictly, read_state_dict

IMAGE_CHANNELS = 3


class EarlyGuidance(nn.Module):
    """Any network that takes image and guidance as one input, with the interface of `InteractiveSGDNet`.

    Nothing is kept between clicks: the form that late fusion is compared with.

    Args:
        network: takes (B, 3 + 4, H, W).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def embed(self, image: Tensor) -> Tensor:
        """Return the image itself."""
        return image

    def answer(self, embedding: Tensor, guidance: Tensor) -> Tensor | list[Tensor]:
        """Segment (B, 3, H, W) with guidance (B, 4, H, W)."""
        return self.network(torch.cat([embedding, guidance.to(embedding.dtype)], dim=1))

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Segment (B, 3 + 4, H, W)."""
        return self.network(x)


def widened(
    state: dict[str, Tensor], maps: int = GUIDANCE_MAPS, name: str = "encoder.conv1.0.weight"
) -> dict[str, Tensor]:
    """Weights of an automatic `SGDNet` for one with `maps` more input channels, which start at zero.

    Args:
        state: the weights.
        maps: channels to add.
        name: of the first convolution's weights.

    Returns:
        The same weights, those of the first convolution (32, 3 + maps, 3, 3).
    """
    weight = state[name]
    return {**state, name: torch.cat([weight, weight.new_zeros((weight.shape[0], maps, *weight.shape[2:]))], dim=1)}


def early_sgdnet(automatic: str | Path | None = None) -> EarlyGuidance:
    """SGD-Net that reads the guidance at its input, from the weights of an automatic one where they are given."""
    network = SGDNet(in_channels=IMAGE_CHANNELS + GUIDANCE_MAPS)
    if automatic:
        load_strictly(network, widened(read_state_dict(automatic)), automatic, "SGDNet with early guidance")
    return EarlyGuidance(network)


def early_basic_unet() -> EarlyGuidance:
    """MONAI's BasicUNet at its default width, with the guidance at its input."""
    return EarlyGuidance(BasicUNet(spatial_dims=2, in_channels=IMAGE_CHANNELS + GUIDANCE_MAPS, out_channels=1))


class RandomWalker:
    """Grady's random walker from the marks, on the image at the network's size; no training, no memory.

    Where marks of one kind alone are there, the image's border stands in for the background, and the first answer,
    without any mark, is an empty mask.

    Args:
        side: of the square that is segmented, pixels.
        beta: how much a difference of colour holds the walker back.
    """

    def __init__(self, side: int = 128, beta: float = 130.0) -> None:
        self.side = side
        self.beta = beta

    def embed(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], tuple[int, int]]:
        """Resize (H, W, 3); returns the square and the image's width and height."""
        square = resize(image, (self.side, self.side), anti_aliasing=True)
        return square, (image.shape[1], image.shape[0])

    def answer(self, state: tuple[NDArray[np.float64], tuple[int, int]], guidance: Guidance | None = None) -> Any:
        """Segment; the answer has a `mask` (H, W)."""
        square, size = state
        guidance = guidance or Guidance()
        grid = (self.side, self.side)
        marks = (
            (guidance.foreground, guidance.foreground_scribbles),
            (guidance.background, guidance.background_scribbles),
        )
        inside, outside = (marked_cells(*each, grid=grid, size=size)[:, ::-1] for each in marks)
        labels = np.zeros(grid, np.int32)
        labels[[0, -1]] = 2
        labels[:, [0, -1]] = 2
        labels[tuple(outside.T)] = 2
        labels[tuple(inside.T)] = 1
        mask = np.zeros(grid, bool)
        if len(inside):
            mask = random_walker(square, labels, self.beta, mode="cg_j", prob_tol=0.1, channel_axis=-1) == 1
        full = resize(mask.astype(float), size[::-1], order=0) > 0.5
        at_image: list[Points] = [marked_cells(*each, grid=size, size=size)[:, ::-1] for each in marks]
        return SimpleNamespace(mask=honour(full, at_image[0], at_image[1], honoured_radius(self.side, size)))
