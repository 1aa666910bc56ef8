"""How an image's intensities are normalised before the network sees it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Normalization:
    """Subtract a mean and divide by a standard deviation, per channel, on the scale 0 to 255.

    Attributes:
        name: where the figures come from.
        mean: of red, green, blue.
        std: of red, green, blue.

    Raises:
        ValueError: for a mean that is not finite, or a standard deviation that is not finite and above 0.
    """

    name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (*self.mean, *self.std)):
            raise ValueError(f"mean and std must be finite numbers, got {list(self.mean)} and {list(self.std)}")
        if not all(value > 0 for value in self.std):
            raise ValueError(f"std must be above 0 in every channel, got {list(self.std)}")

    @staticmethod
    def for_training(pretrained_encoder: str | Path | None) -> Normalization:
        """Choose ImageNet's figures for an encoder that was pretrained with them, else ISIC's."""
        return IMAGENET if pretrained_encoder else ISIC

    def as_dict(self) -> dict[str, Any]:
        """Names and values."""
        return asdict(self)


ISIC = Normalization("ISIC 2018 Task 1 training set", (181.13, 146.19, 133.24), (38.35, 42.88, 46.51))
IMAGENET = Normalization("ImageNet", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
