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
    """

    number: int
    row: int
    column: int
    mask: NDArray[np.bool_]


def components(mask: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Number the regions (H, W) of a mask whose pixels touch by their sides, from 1."""
    return label(mask, connectivity=1)


def instances(prediction: Prediction, threshold: float) -> NDArray[np.int32]:
    """Cut the foreground of a prediction into instances (H, W), with its edge map where it has one."""
    parameters = WatershedParameters(threshold=threshold)
    return split_instances(prediction.probability, prediction.edge, parameters)


def objects(labels: NDArray[np.integer]) -> Iterator[Object]:
    """List the objects of a label map (H, W), 0 being background."""
    for number, box in enumerate(find_objects(labels), start=1):
        if box is not None:
            yield Object(number, box[0].start, box[1].start, labels[box] == number)
