"""What the writers of outputs are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from custom_networks.metrics.watershed import WatershedParameters
from custom_networks.prediction.objects import Object, components, instances, objects
from custom_networks.prediction.result import Prediction, confidence


@dataclass
class Case:
    """A predicted image.

    Args:
        source: file of the image.
        name: of its files below the output folder, without ending.
        prediction: of it.
        watershed: how its objects are cut out as instances; None makes connected regions its objects.
        names: of the classes, where there are several.
    """

    source: Path
    name: str
    prediction: Prediction
    watershed: WatershedParameters | None = None
    names: Mapping[int, str] = field(default_factory=dict)

    @cached_property
    def labels(self) -> NDArray[np.integer]:
        """Number of the object at each pixel (H, W), 0 for background."""
        if self.watershed is not None:
            return instances(self.prediction, self.watershed)
        classes = self.prediction.classes
        return components(self.prediction.mask if classes is None else classes)

    @property
    def classes(self) -> NDArray[np.uint8]:
        """Class of each pixel (H, W), 1 for the foreground of a single class."""
        classes = self.prediction.classes
        return self.prediction.mask.view(np.uint8) if classes is None else classes

    @cached_property
    def objects(self) -> list[Object]:
        """The objects."""
        return list(objects(self.labels, self.prediction.classes))


@dataclass
class Volume:
    """A predicted volume.

    Args:
        source: its file.
        name: of its files below the output folder, without ending.
        slices: each a case of its own.
        axis: of the array along which they are counted.
    """

    source: Path
    name: str
    slices: list[Case]
    axis: int

    @property
    def confidence(self) -> float:
        """Of all slices together."""
        probability = np.stack([one.prediction.probability for one in self.slices])
        return confidence(probability, np.stack([one.prediction.mask for one in self.slices]))
