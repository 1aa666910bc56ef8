"""Whether an exported file computes what the network computes: on three images, alone, as a batch, and elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from custom_networks.errors import UserError
from custom_networks.export.common import Images, Run
from custom_networks.network.segmenter import Segmenter

LARGEST = {"float32": 1e-3}
"""Largest difference of a pixel's probability that passes; other precisions round single pixels further."""
MEAN = {"float32": 1e-4, "float16": 0.01, "bfloat16": 0.02, "int8": 0.03}
"""Mean difference of the probabilities of an image that passes."""


@dataclass(frozen=True)
class Agreement:
    """How far an exported file is from the network in PyTorch, float32.

    Attributes:
        largest: difference of a probability.
        mean: difference of the probabilities, of the worst image.
        dice: of the masks, mean over images; two empty masks agree.
        inputs: how many arrays were compared.
    """

    largest: float
    mean: float
    dice: float
    inputs: int

    def __str__(self) -> str:
        return f"largest difference of a probability {self.largest:.1e}, mean {self.mean:.1e}, Dice {self.dice:.4f}"


def probabilities(logits: Images) -> Images:
    """Sigmoid of one class, softmax of several, (B, classes, X, Y) in and out."""
    values = torch.from_numpy(logits).float()
    return (torch.sigmoid(values) if values.shape[1] == 1 else torch.softmax(values, dim=1)).numpy()


def dice(first: Images, second: Images, threshold: float = 0.5) -> float:
    """Dice of the masks of two arrays of probabilities; 1 where both are empty."""
    one, other = first >= threshold, second >= threshold
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def inputs_of(images: Sequence[Images], any_size: bool) -> list[Images]:
    """Make the inputs: each image alone, all as a batch and, where sizes are free, one that is longer than wide."""
    inputs = [image[None] for image in images] + [np.stack(images)]
    if any_size:
        wider = np.concatenate([images[0], images[0][:, :64]], axis=1)
        inputs.append(np.ascontiguousarray(wider[None]))
    return inputs


def compare(run: Run, network: Segmenter, images: Sequence[Images], any_size: bool) -> Agreement:
    """Compare a file with the network.

    Args:
        run: the file, opened.
        network: in `eval()`, float32.
        images: normalised, (3, X, Y), X and Y multiples of 64.
        any_size: whether the file takes other sizes too.

    Returns:
        The differences; not a number where the file gives none.
    """
    largest, means, scores = 0.0, [], []
    inputs = inputs_of(images, any_size)
    for batch in inputs:
        with torch.no_grad():
            expected = probabilities(network(torch.from_numpy(batch)).numpy())
        got = probabilities(run(batch))
        if got.shape != expected.shape:
            raise UserError(f"an input of shape {batch.shape} gives {got.shape} instead of {expected.shape}")
        difference = np.abs(got - expected)
        largest = float(np.fmax(largest, np.nan_to_num(difference.max(), nan=np.inf)))
        means += difference.mean(axis=(1, 2, 3)).tolist()
        scores += [dice(one, other) for one, other in zip(got, expected, strict=True)]
    return Agreement(largest, float(np.max(means)), float(np.mean(scores)), len(inputs))


def check(agreement: Agreement, precision: str) -> None:
    """Raise UserError where a file differs too much for its precision."""
    limits = (("largest", agreement.largest, LARGEST.get(precision)), ("mean", agreement.mean, MEAN[precision]))
    for what, value, limit in limits:
        if limit is not None and not value <= limit:  # so that not-a-number is refused
            raise UserError(
                f"the {precision} file differs from PyTorch: {what} difference of the probabilities {value:.1e}, at "
                f"most {limit:.0e} passes; nothing was written, export another --precision"
                + (" or give --calibration more images like yours" if precision == "int8" else "")
            )
