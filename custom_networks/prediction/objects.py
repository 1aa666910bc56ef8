"""The objects of a mask: connected regions, or instances cut by the watershed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from skimage.measure import label

from custom_networks.metrics.watershed import WatershedParameters, split_instances
from custom_networks.prediction.result import Prediction


@dataclass(frozen=True)
class Object:
    """One object of a mask.

    Attributes:
        number: from 1.
        row: of its bounding box in the image.
        column: of its bounding box in the image.
        mask: (h, w) boolean, within the bounding box.
        category: its class, from 1.
    """

    number: int
    row: int
    column: int
    mask: NDArray[np.bool_]
    category: int = 1


def components(mask: NDArray[np.bool_] | NDArray[np.uint8]) -> NDArray[np.integer]:
    """Number the regions (H, W) of a mask, or of each class, whose pixels touch by their sides, from 1."""
    return label(mask, connectivity=1)


def instances(prediction: Prediction, parameters: WatershedParameters) -> NDArray[np.int32]:
    """Cut the foreground of a prediction into instances (H, W), with its edge map where it has one.

    Where the mask was cleaned, what it dropped has no instance, and what it filled is barely foreground.
    """
    probability, threshold = prediction.probability, np.float32(parameters.threshold)
    if not np.array_equal(prediction.mask, probability >= threshold):
        probability = np.where(prediction.mask, np.maximum(probability, threshold), np.float32(0))
    return split_instances(probability, prediction.edge, parameters)


def objects(labels: NDArray[np.integer], classes: NDArray[np.uint8] | None = None, before: int = 0) -> Iterator[Object]:
    """List the objects of a label map.

    Args:
        labels: (H, W), 0 being background.
        classes: (H, W); an object is of the class that most of its pixels have.
        before: number after which those of the objects go on.

    Yields:
        The objects, all of class 1 without `classes`.
    """
    for number, box in enumerate(find_objects(labels), start=1):
        if box is not None:
            mask = labels[box] == number
            category = 1 if classes is None else int(np.bincount(classes[box][mask]).argmax())
            yield Object(before + number, box[0].start, box[1].start, mask, category)
