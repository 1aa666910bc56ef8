"""What the writers of outputs are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from custom_networks.metrics.watershed import WatershedParameters
from custom_networks.prediction.objects import Object, components, instances, objects
from custom_networks.prediction.result import Prediction, confidence
from custom_networks.weights.segments import SegmentCode


@dataclass
class PredictedCase:
    """A predicted image.

    Args:
        source: file of the image.
        name: of its files below the output folder, without ending.
        prediction: of it.
        watershed: how its objects are cut out as instances; None makes connected regions its objects.
        names: of the classes, where there are several.
        codes: of the classes in DICOM; a class without one is a lesion.
        above: the slice before it in a volume, from which the numbers of objects go on.
    """

    source: Path
    name: str
    prediction: Prediction
    watershed: WatershedParameters | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    codes: Mapping[int, SegmentCode] = field(default_factory=dict)
    above: PredictedCase | None = None

    @cached_property
    def last(self) -> int:
        """Number of the last object of this slice and those above; 0 where there is none."""
        return self._before + int(self._own_labels.max(initial=0))

    @property
    def labels(self) -> NDArray[np.integer]:
        """Number of the object at each pixel (H, W), 0 for background."""
        labels = self._own_labels
        return np.where(labels > 0, labels.astype(np.int64) + self._before, 0) if self._before else labels

    @property
    def _before(self) -> int:
        """Number of the last object above."""
        return self.above.last if self.above is not None else 0

    @cached_property
    def _own_labels(self) -> NDArray[np.integer]:
        """Number of the object at each pixel (H, W), from 1 in each slice."""
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
        return list(objects(self._own_labels, self.prediction.classes, self._before))


@dataclass
class Volume:
    """A predicted volume.

    Args:
        source: its file.
        name: of its files below the output folder, without ending.
        slices: each a case of its own.
        axis: of the array of NIfTI along which they are counted.
        series: files of a DICOM series.
    """

    source: Path
    name: str
    slices: list[PredictedCase]
    axis: int
    series: Sequence[Path] = ()

    @property
    def confidence(self) -> float:
        """Of all slices together."""
        probability = np.stack([one.prediction.probability for one in self.slices])
        return confidence(probability, np.stack([one.prediction.mask for one in self.slices]))
