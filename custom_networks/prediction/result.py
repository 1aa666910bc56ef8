"""What a prediction gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from custom_networks.prediction.cleaning import clean
from custom_networks.prediction.maps import CLASS
from custom_networks.prediction.options import Options
from custom_networks.prediction.reading import ReadImage

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Prediction:
    """The prediction of one image, every map of the image's own height and width.

    Attributes:
        image: what was predicted.
        mask: (H, W) boolean.
        probability: (H, W), 0 to 1.
        edge: (H, W) probability of a border; None where it was not asked for, or the network has none.
        uncertainty: (H, W) standard deviation over the views of test-time augmentation; None without it.
        confidence: 0 to 1, see `confidence`.
        review: whether a person should look at it: little confidence, or nothing found.
        classes: (H, W), the class of each foreground pixel, 0 outside the mask; None for weights of one class.
        class_probability: (H, W) of each class from 1 up; empty for weights of one class.
    """

    image: ReadImage
    mask: NDArray[np.bool_]
    probability: Map
    edge: Map | None
    uncertainty: Map | None
    confidence: float
    review: bool
    classes: NDArray[np.uint8] | None = None
    class_probability: Mapping[int, Map] = field(default_factory=dict)


def confidence(probability: NDArray[np.floating], mask: NDArray[np.bool_]) -> float:
    """Soft Dice between mask and probabilities: the Dice to be expected if the probabilities are right.

    Args:
        probability: (H, W), 0 to 1.
        mask: (H, W) boolean.

    Returns:
        2 * sum(p in the mask) / (sum(p) + pixels of the mask); 0 for an empty mask.
    """
    pixels = np.count_nonzero(mask)
    if not pixels:
        return 0.0
    inside = np.sum(probability, where=mask, dtype=np.float64)
    return float(2 * inside / (np.sum(probability, dtype=np.float64) + pixels))


def conclude(image: ReadImage, maps: Mapping[str, Tensor], options: Options) -> Prediction:
    """Make the prediction of an image's maps.

    Args:
        image: what was predicted.
        maps: (W, H) each, by the names of `MapSource.channels`.
        options: with the threshold and the limit of confidence.

    Returns:
        The prediction.
    """
    found = {name: values.T.numpy() for name, values in maps.items()}
    probability = found["probability"]
    mask = clean(probability >= options.threshold, options.fill_holes, options.min_area, options.keep_largest)
    certain = confidence(probability, mask)
    edge, uncertainty = found.get("edge"), found.get("uncertainty")
    by_class = {int(name.removeprefix(CLASS)): found[name] for name in found if name.startswith(CLASS)}
    numbers = [maps[f"{CLASS}{number}"] for number in sorted(by_class)]
    foreground = torch.from_numpy(mask).T
    classes = most_probable(numbers, foreground).T.numpy() if numbers else None
    review = certain < options.review_below
    return Prediction(image, mask, probability, edge, uncertainty, certain, review, classes, by_class)


def decide(probability: Tensor, threshold: float) -> Tensor:
    """Make a map of numbers of the probabilities of an image, for the bundle's `inference.json`.

    Args:
        probability: (1, X, Y) of the foreground, or (classes, X, Y), background first.
        threshold: probability from which a pixel is foreground.

    Returns:
        (1, X, Y), 0 or 1, or the number of the class.
    """
    if len(probability) == 1:
        return probability >= threshold
    return most_probable(list(probability[1:]), 1 - probability[0] >= threshold)[None]


def most_probable(by_class: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Number of the most probable class, from 1 up, at each pixel of a mask, and 0 outside; without a copy of all.

    Args:
        by_class: probability of each class, of the mask's shape.
        mask: boolean.

    Returns:
        The numbers, uint8.
    """
    best = torch.full_like(by_class[0], -1)
    classes = torch.zeros_like(mask, dtype=torch.uint8)
    for number, values in enumerate(by_class, start=1):
        classes[values > best] = number
        best = torch.maximum(best, values)
    classes[~mask] = 0
    return classes
