"""Whether an exported file computes what the network computes: its probabilities, and above all its masks.

A mean over pixels says little of a small lesion: a file that finds nothing at all differs little from one that finds a
thirtieth of the image. Masks are therefore compared by their Dice, image by image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from custom_networks.errors import UserError
from custom_networks.export.format import Compute, DiceLimits, Images
from custom_networks.metrics.decision import class_probabilities, decide
from custom_networks.metrics.overlap import confusion
from custom_networks.metrics.overlap import dice as dice_of_counts
from custom_networks.network.segmenter import Segmenter

LARGEST = {"float32": 1e-3}
"""Largest difference of a pixel's probability that passes; other precisions round single pixels further."""
MEAN = {"float32": 1e-4, "float16": 0.01, "bfloat16": 0.02, "int8": 0.03}
"""Mean difference of the probabilities of an image that passes."""
IN_A_BATCH = 3
"""Images that are also run as a batch."""


@dataclass(frozen=True)
class Agreement:
    """How far an exported file is from the network in PyTorch, float32.

    Attributes:
        largest: difference of a probability.
        mean: difference of the probabilities, of the worst image.
        dice: of the masks, image by image.
        foreground: how many of the images have any in PyTorch.
    """

    largest: float
    mean: float
    dice: tuple[float, ...]
    foreground: int

    @property
    def mean_dice(self) -> float:
        """Mean Dice over the images."""
        return float(np.mean(self.dice))

    @property
    def worst(self) -> int:
        """Which image has the least Dice."""
        return int(np.argmin(self.dice))

    def __str__(self) -> str:
        return (
            f"largest difference of a probability {self.largest:.1e}, mean {self.mean:.1e}; Dice of the masks "
            f"{self.mean_dice:.4f} in the mean, {min(self.dice):.4f} at worst"
        )


def probabilities(logits: Images) -> Images:
    """Probabilities of logits, (B, classes, X, Y) in and out."""
    return class_probabilities(torch.from_numpy(logits)).numpy()


def class_map(probability: Images, threshold: float) -> NDArray:
    """Number of the class at each pixel, (1, X, Y), 0 for background, of probabilities (classes, X, Y)."""
    return decide(torch.from_numpy(probability), threshold).numpy()


def dice_by_class(one: NDArray, other: NDArray) -> list[float]:
    """Dice of each class that either of two maps of class numbers has; 0 where the other lacks it."""
    classes = sorted({*np.unique(one), *np.unique(other)} - {0})
    return [dice_of_counts(confusion(one == kind, other == kind)) for kind in classes]


def mask_dice(first: Images, second: Images, threshold: float) -> float:
    """Dice of the masks of an image.

    Args:
        first: probabilities (classes, X, Y).
        second: others of the same shape.
        threshold: probability from which a pixel is foreground.

    Returns:
        Of several classes the mean of those that either has; 0 where one mask is empty and the other is not, 1 where
        both are.
    """
    return float(np.mean(dice_by_class(class_map(first, threshold), class_map(second, threshold)) or [1.0]))


def together(images: Sequence[Images], any_size: bool) -> Images:
    """Make what is run besides single images: a batch of some, longer than wide where sizes are free."""
    batch = np.stack(images[:IN_A_BATCH])
    return np.concatenate([batch, batch[:, :, :64]], axis=2) if any_size else batch


def compare_file(
    run: Compute, network: Segmenter, images: Sequence[Images], any_size: bool, threshold: float
) -> Agreement:
    """Compare a file with the network: each image alone, some as a batch, one of another size.

    Args:
        run: the file, opened.
        network: in `eval()`, float32.
        images: normalised, (3, X, Y), X and Y multiples of 64.
        any_size: whether the file takes other sizes too.
        threshold: probability from which a pixel is foreground.

    Returns:
        The differences; not a number where the file gives none.

    Raises:
        UserError: for outputs of another shape.
    """
    largest, foreground = 0.0, 0
    means: list[float] = []
    scores: list[float] = []
    for batch in [*(image[None] for image in images), together(images, any_size)]:
        with torch.no_grad():
            expected = probabilities(network(torch.from_numpy(batch)).numpy())
        got = probabilities(run(batch))
        if got.shape != expected.shape:
            raise UserError(f"an input of shape {batch.shape} gives {got.shape} instead of {expected.shape}")
        difference = np.abs(got - expected)
        largest = float(np.fmax(largest, np.nan_to_num(difference.max(), nan=np.inf)))
        means += difference.mean(axis=(1, 2, 3)).tolist()
        if len(scores) < len(images):
            scores.append(mask_dice(got[0], expected[0], threshold))
            foreground += bool(class_map(expected[0], threshold).any())
    return Agreement(largest, float(np.max(means)), tuple(scores), foreground)


def check_probabilities(agreement: Agreement, precision: str) -> None:
    """Refuse a file whose probabilities differ too much for its precision.

    Args:
        agreement: with PyTorch.
        precision: of the file.

    Raises:
        UserError: with the figures.
    """
    for what, value, limit in (
        ("largest", agreement.largest, LARGEST.get(precision)),
        ("mean", agreement.mean, MEAN[precision]),
    ):
        if limit is not None and not value <= limit:  # so that not-a-number is refused
            raise UserError(
                f"the {precision} file differs from PyTorch: {what} difference of the probabilities {value:.1e}, at "
                f"most {limit:.0e} passes; {_advice(precision)}"
            )


def _advice(precision: str) -> str:
    more = ", give --calibration more images like yours" if precision == "int8" else ""
    return f"nothing was written; export another --precision{more}"


def check_agreement(
    agreement: Agreement, precision: str, limits: DiceLimits | None = None, names: Sequence[str] | None = None
) -> None:
    """Refuse a file that differs too much.

    Args:
        agreement: with PyTorch.
        precision: of the file.
        limits: of Dice; None takes the defaults.
        names: of the images, for the message.

    Raises:
        UserError: with the figures; also where no image has any foreground that a file below float32 could lose.
    """
    limits = limits or DiceLimits()
    check_probabilities(agreement, precision)
    if precision != "float32" and not agreement.foreground:
        raise UserError(
            f"the {precision} file cannot be checked: PyTorch itself finds nothing on any of {len(agreement.dice)} "
            "images, so that nothing could be lost; nothing was written, give --validation a folder of images with "
            "foreground"
        )
    if agreement.mean_dice < limits.mean or min(agreement.dice) < limits.worst:
        worst = f" ({names[agreement.worst]})" if names else ""
        raise UserError(
            f"the {precision} file's masks differ from PyTorch's: Dice {agreement.mean_dice:.4f} in the mean of "
            f"{len(agreement.dice)} images ({limits.mean:g} at least passes), {min(agreement.dice):.4f} at worst{worst}"
            f" ({limits.worst:g} at least); {_advice(precision)}, or lower --least_mean_dice and --least_dice"
        )
