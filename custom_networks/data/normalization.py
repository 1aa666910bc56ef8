"""How an image's intensities are normalised, and how inference learns what training did."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from custom_networks.weights.record import training_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Normalization:
    """Subtract a mean and divide by a standard deviation, per channel, on the scale 0 to 255.

    Attributes:
        name: where the figures come from.
        mean: of red, green, blue.
        std: of red, green, blue.
    """

    name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @staticmethod
    def for_training(pretrained_encoder: str | Path | None) -> Normalization:
        """Choose ImageNet's figures for an encoder that was pretrained with them, else ISIC's."""
        return IMAGENET if pretrained_encoder else ISIC

    @staticmethod
    def of_checkpoint(checkpoint: str | Path) -> Normalization:
        """Read what a checkpoint was trained with from the `.json` beside it; ISIC's, with a warning, without one."""
        try:
            stored = training_of(checkpoint)["normalization"]
            return Normalization(stored["name"], tuple(stored["mean"]), tuple(stored["std"]))
        except (KeyError, TypeError):
            if Path(checkpoint).is_file():  # else the loader says that it is missing
                logger.warning("%s: no .json tells how images were normalised; ISIC's figures are used", checkpoint)
            return ISIC

    def as_dict(self) -> dict[str, Any]:
        """Return what `of_checkpoint` reads."""
        return asdict(self)


ISIC = Normalization("ISIC 2018 Task 1 training set", (181.13, 146.19, 133.24), (38.35, 42.88, 46.51))
IMAGENET = Normalization("ImageNet", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
