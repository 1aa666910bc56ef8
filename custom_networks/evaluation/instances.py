"""Instances in an evaluation: the watershed's parameters, their tuning, and PQ pooled over the set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_networks.errors import UserError
from custom_networks.metrics.instances import InstanceCounts, PooledPanopticQuality
from custom_networks.metrics.watershed import WatershedParameters, tune


def tune_watershed(
    samples: Iterable[tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.int32]]],
    start: WatershedParameters,
    split: str,
) -> tuple[WatershedParameters, dict[str, Any]]:
    """Choose parameters on the validation split.

    Args:
        samples: (probability, edge map, true instances) of each image, all (H, W); read once.
        start: parameters that are not varied.
        split: that the samples come from.

    Returns:
        The best, and the content of `watershed.json`: these and all that was tried.

    Raises:
        UserError: for another split than validation, or no instance in it.
    """
    if split != "validation":
        raise UserError(f"--tune_watershed with --split {split}: parameters are tuned on the validation split alone")
    try:
        best, tried = tune(samples, start=start)
    except ValueError as error:
        raise UserError(f"--tune_watershed: {error}") from None
    return best, {"version": 1, "parameters": best.as_dict(), "split": split, "tried": tried}


class PooledInstances:
    """PQ over a whole set, with the class of each predicted instance by the vote of its pixels.

    Args:
        classes: names of the classes by number; empty for one class.
    """

    def __init__(self, classes: Mapping[int, str]) -> None:
        self.pooled = PooledPanopticQuality(dict(classes))

    def add(
        self,
        instances: NDArray[np.integer],
        truth: NDArray[np.int32],
        class_map: NDArray[np.integer] | None = None,
        truth_types: NDArray[np.int32] | None = None,
    ) -> InstanceCounts:
        """Add an image; all maps (H, W), `class_map` the most probable foreground class of each pixel."""
        types = majority_class(instances, class_map)[instances] if class_map is not None else None
        return self.pooled.add(instances, truth, types, truth_types)


def majority_class(labels: NDArray[np.integer], class_map: NDArray[np.integer]) -> NDArray[np.intp]:
    """Most frequent class of each instance.

    Args:
        labels: (H, W) instances numbered from 1 without gaps, 0 is background.
        class_map: (H, W) class of each pixel, from 1.

    Returns:
        (instances + 1,): class by instance number; 0 for the background.
    """
    classes = int(class_map.max()) + 1
    votes = np.bincount(labels.ravel().astype(np.int64) * classes + class_map.ravel(), minlength=classes)
    votes = np.pad(votes, (0, (-len(votes)) % classes)).reshape(-1, classes)
    winner = votes.argmax(1)
    winner[0] = 0
    return winner
