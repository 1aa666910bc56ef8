"""Where an image lies in the square that the network sees, and the views of it.

The square is stretched as in training, or keeps the image's aspect. The views of test-time augmentation are flips and
turns by 90 degrees. Both know the way back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from custom_networks.data.resizing import resized
from custom_networks.data.sources import to_uint8

Size = tuple[int, int]


@dataclass(frozen=True)
class Placement:
    """Where an image lies in the square.

    Args:
        size: width and height of the image.
        inner: width and height that it has in the square.
        offset: of its left upper corner in the square, x and y.
        side: of the square.
    """

    size: Size
    inner: Size
    offset: Size
    side: int

    def to_square(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Resize (H, W, 3) pixels into the square, (3, side, side) uint8, x before y; the border is repeated."""
        image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 1, 0)))
        small = to_uint8(resized(image, self.inner))
        left, top = self.offset
        right, bottom = self.side - left - self.inner[0], self.side - top - self.inner[1]
        if not (left or top or right or bottom):
            return small
        return F.pad(small[None].float(), [top, bottom, left, right], mode="replicate")[0].to(torch.uint8)

    def to_image(self, maps: Tensor) -> Tensor:
        """Bring maps (K, side, side) to the image, (K, W, H)."""
        left, top = self.offset
        inner = maps[:, left : left + self.inner[0], top : top + self.inner[1]]
        return resized(inner, self.size)


def place(size: Size, side: int, keep_aspect: bool = False) -> Placement:
    """Place an image in the square.

    Args:
        size: width and height of the image.
        side: of the square.
        keep_aspect: False stretches the image over the whole square, as training does.

    Returns:
        The placement, centred.
    """
    if not keep_aspect:
        return Placement(size, (side, side), (0, 0), side)
    longest = max(size)
    inner = (max(1, round(size[0] * side / longest)), max(1, round(size[1] * side / longest)))
    return Placement(size, inner, ((side - inner[0]) // 2, (side - inner[1]) // 2), side)


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
