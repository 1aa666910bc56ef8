"""Views of an image for test-time augmentation: flips and turns by 90 degrees, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class View:
    """A turn, then a flip.

    Args:
        turns: by 90 degrees.
        flip: whether the last axis is reversed afterwards.
    """

    turns: int
    flip: bool

    def apply(self, images: Tensor) -> Tensor:
        """Turn and flip (B, C, X, Y); X and Y must be equal for odd turns of a batch."""
        turned = torch.rot90(images, self.turns, (2, 3))
        return turned.flip(3) if self.flip else turned

    def undo(self, maps: Tensor) -> Tensor:
        """Put maps (B, C, X, Y) of the view back."""
        return torch.rot90(maps.flip(3) if self.flip else maps, -self.turns, (2, 3))


VIEWS: dict[str, tuple[View, ...]] = {
    "none": (View(0, False),),
    "flips": tuple(View(turns, flip) for turns in (0, 2) for flip in (False, True)),
    "all": tuple(View(turns, flip) for turns in range(4) for flip in (False, True)),
}
