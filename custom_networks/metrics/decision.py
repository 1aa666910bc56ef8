"""From logits to probabilities, and from these to the mask: foreground, and the class of each pixel of it.

A pixel is foreground where the probability of all classes but the background is the threshold or more. There it is of
the most probable of these classes, the first of equal ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def class_probabilities(logits: Tensor) -> Tensor:
    """Sigmoid of one class, softmax of several, background first; (B, C, ...) in any precision, float32 out."""
    values = logits.detach().float()
    return torch.sigmoid(values) if values.shape[1] == 1 else torch.softmax(values, 1)


def foreground(probabilities: Tensor) -> Tensor:
    """Probability of any foreground, (B, ...), of probabilities (B, C, ...) as `class_probabilities` gives them."""
    return probabilities[:, 0] if probabilities.shape[1] == 1 else (1 - probabilities[:, 0]).clamp(0, 1)


def class_numbers(probability: Tensor, by_class: Sequence[Tensor], threshold: float) -> Tensor:
    """Number of the class at each pixel.

    Args:
        probability: of any foreground, of any shape.
        by_class: probability of each class from 1 up, of the same shape; empty where there is one class alone.
        threshold: probability from which a pixel is foreground.

    Returns:
        The numbers, 0 for background, uint8.
    """
    mask = probability >= threshold
    return most_probable(by_class, mask) if by_class else mask.to(torch.uint8)


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


def decide(probabilities: Tensor, threshold: float) -> Tensor:
    """Make a map of class numbers of the probabilities of an image, as `inference.json` does.

    Args:
        probabilities: (1, X, Y) of the foreground, or (C, X, Y), background first.
        threshold: probability from which a pixel is foreground.

    Returns:
        (1, X, Y), uint8.
    """
    return class_numbers(foreground(probabilities[None]), list(probabilities[None, 1:].unbind(1)), threshold)
