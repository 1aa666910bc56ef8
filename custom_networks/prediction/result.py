"""What a prediction gives: the maps of an image, and what the writers of files get of an image and of a volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from custom_networks.array_types import Map
from custom_networks.metrics.decision import most_probable
from custom_networks.metrics.watershed import WatershedParameters, split_instances
from custom_networks.prediction.maps import CLASS
from custom_networks.prediction.objects import Object, clean, components, objects
from custom_networks.prediction.options import Options
from custom_networks.prediction.reading import ReadImage
from custom_networks.weights.segments import SegmentCode


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


def prediction_of(image: ReadImage, maps: Mapping[str, Tensor], options: Options) -> Prediction:
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


def instances(prediction: Prediction, parameters: WatershedParameters) -> NDArray[np.int32]:
    """Cut the foreground of a prediction into instances (H, W), with its edge map where it has one.

    Where the mask was cleaned, what it dropped has no instance, and what it filled is barely foreground.
    """
    probability, threshold = prediction.probability, np.float32(parameters.threshold)
    if not np.array_equal(prediction.mask, probability >= threshold):
        probability = np.where(prediction.mask, np.maximum(probability, threshold), np.float32(0))
    return split_instances(probability, prediction.edge, parameters)


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
        above: the slice before it in a volume, after whose objects the numbers continue.
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
