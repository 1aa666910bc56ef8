"""Metrics of instances: PQ, SQ, DQ and the aggregated Jaccard index, per image and pooled over a set.

PQ: Kirillov et al., Panoptic Segmentation, CVPR 2019; a predicted and a true instance match where their IoU is above
0.5, which makes the match unique. AJI: Kumar et al., A Dataset and a Technique for Generalized Nuclear Segmentation,
IEEE TMI 2017; a prediction may serve several true instances. Pooled as in the CoNIC challenge (Graham et al., 2021):
TP, FP, FN and matched IoU are added over all images before PQ is formed, once for all nuclei (PQ+) and once per class
(mPQ+, the mean over classes). The challenge's code adds 1e-6 to denominators and gives 0 to a class that occurs
neither in truth nor in prediction; here nothing is added and such a class is left out and named.

Detection, beside them: which true lesions are found, and what is found where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from skimage.segmentation import relabel_sequential

from custom_networks.metrics.policies import UNDEFINED, Presence, empty_worth

MATCH_IOU = 0.5
DETECTION_IOU = 0.5
LESION_COLUMNS = ("lesions_true", "lesions_detected", "lesions_false")
_NEIGHBOURS = np.ones((3, 3), int)
INSTANCE_COLUMNS = {
    **{name: f"instances_{name}" for name in ("tp", "fp", "fn", "iou_sum")},
    **{name: name for name in ("aji_intersection", "aji_union")},
}
"""Columns of a per-image table that hold the `InstanceCounts`, so that they can be pooled over images and folds."""
LabelMap = NDArray[np.integer]


@dataclass(frozen=True)
class InstanceCounts:
    """What PQ and AJI are made of; counts of images add up with `+`.

    Args:
        tp: matched pairs.
        fp: predicted instances without a match.
        fn: true instances without a match.
        iou_sum: of the IoU of the matched pairs.
        aji_intersection: pixels, numerator of AJI.
        aji_union: pixels, denominator of AJI.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    iou_sum: float = 0.0
    aji_intersection: int = 0
    aji_union: int = 0

    def __add__(self, other: InstanceCounts) -> InstanceCounts:
        return InstanceCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def case(self) -> Presence:
        """Whether there are predicted and true instances."""
        return Presence.of(self.tp + self.fp, self.tp + self.fn)

    @property
    def dq(self) -> float:
        """Detection quality TP / (TP + FP/2 + FN/2); NaN without any instance."""
        return _ratio(self.tp, self.tp + 0.5 * self.fp + 0.5 * self.fn)

    @property
    def sq(self) -> float:
        """Segmentation quality, the mean IoU of the matches; 0 where nothing matches, NaN without any instance."""
        return _ratio(self.iou_sum, self.tp) if self.tp else 0.0 * self.dq

    @property
    def pq(self) -> float:
        """Panoptic quality DQ * SQ; NaN without any instance."""
        return self.dq * self.sq

    @property
    def aji(self) -> float:
        """Aggregated Jaccard index; NaN without any instance."""
        return _ratio(self.aji_intersection, self.aji_union)

    def row(self) -> dict[str, float]:
        """PQ, SQ, DQ and AJI of one image, with the table's worth where there are no instances."""
        values = {"pq": self.pq, "sq": self.sq, "dq": self.dq, "aji": self.aji}
        worths = {name: empty_worth(name, self.case) for name in values}
        return {name: value if (worth := worths[name]) is None else worth for name, value in values.items()}


@dataclass(frozen=True)
class Overlaps:
    """Pairs of a true and a predicted instance that share pixels, and the area of each instance.

    Attributes:
        true: (P,) number of the true instance, from 0.
        predicted: (P,) number of the predicted one, from 0.
        intersection: (P,) pixels.
        union: (P,) pixels.
        true_area: (T,) pixels.
        predicted_area: (Q,) pixels.
    """

    true: LabelMap
    predicted: LabelMap
    intersection: LabelMap
    union: LabelMap
    true_area: LabelMap
    predicted_area: LabelMap

    @property
    def iou(self) -> NDArray[np.float64]:
        """(P,) of the pairs."""
        return self.intersection / self.union


def instance_overlaps(prediction: LabelMap, truth: LabelMap) -> Overlaps:
    """Find which instances of two maps (H, W) overlap; ids need not be consecutive, 0 is background."""
    predicted, _, _ = relabel_sequential(prediction)
    true, _, _ = relabel_sequential(truth)
    predicted_area, true_area = (np.bincount(labels.ravel())[1:] for labels in (predicted, true))
    both = (predicted > 0) & (true > 0)
    shape = len(true_area), len(predicted_area)
    pairs = coo_array((np.ones(np.count_nonzero(both), np.int64), (true[both] - 1, predicted[both] - 1)), shape=shape)
    pairs.sum_duplicates()
    union = true_area[pairs.row] + predicted_area[pairs.col] - pairs.data
    return Overlaps(pairs.row, pairs.col, pairs.data, union, true_area, predicted_area)


def match_instances(prediction: LabelMap, truth: LabelMap) -> InstanceCounts:
    """Match the instances of two maps.

    Args:
        prediction: (H, W) integers, 0 is background; ids need not be consecutive.
        truth: the same.

    Returns:
        The counts of this image.
    """
    overlaps = instance_overlaps(prediction, truth)
    true_area, predicted_area = overlaps.true_area, overlaps.predicted_area
    t, p, overlap = overlaps.true, overlaps.predicted, overlaps.iou

    matched = overlap[overlap > MATCH_IOU]
    # AJI takes for each true instance the prediction of the largest IoU, of equals the smallest id: the last one here
    order = np.lexsort((-p, overlap, t))
    best = order[np.flatnonzero(np.diff(t[order], append=-1))]
    unused = np.ones(len(predicted_area), bool)
    unused[p[best]] = False
    lonely = np.ones(len(true_area), bool)
    lonely[t[best]] = False
    return InstanceCounts(
        tp=len(matched),
        fp=len(predicted_area) - len(matched),
        fn=len(true_area) - len(matched),
        iou_sum=float(matched.sum()),
        aji_intersection=int(overlaps.intersection[best].sum()),
        aji_union=int(overlaps.union[best].sum() + true_area[lonely].sum() + predicted_area[unused].sum()),
    )


class PooledPanopticQuality:
    """PQ over a whole set as in the CoNIC challenge: add the images, then read `summary`.

    Args:
        classes: class values and their names, as in a datalist; without them only all instances together are counted.
    """

    def __init__(self, classes: Mapping[int, str] | None = None) -> None:
        self.classes = dict(classes or {})
        self.binary = InstanceCounts()
        self.per_class = {value: InstanceCounts() for value in self.classes}

    def add(
        self,
        prediction: LabelMap,
        truth: LabelMap,
        prediction_types: LabelMap | None = None,
        truth_types: LabelMap | None = None,
    ) -> InstanceCounts:
        """Add an image.

        Args:
            prediction: (H, W) instance map.
            truth: (H, W) instance map.
            prediction_types: (H, W) class of each pixel; needed when there are classes.
            truth_types: the same of the truth.

        Returns:
            The counts of this image, all classes together.

        Raises:
            ValueError: when there are classes and a class map is missing.
        """
        if self.classes and (prediction_types is None or truth_types is None):
            raise ValueError("there are classes, so both class maps are needed: give prediction_types and truth_types")
        counts = match_instances(prediction, truth)
        self.binary += counts
        for value in self.classes:
            of_class = prediction * (prediction_types == value), truth * (truth_types == value)
            self.per_class[value] += match_instances(*of_class)
        return counts

    def summary(self) -> dict[str, float]:
        """PQ+, SQ+, DQ+ and AJI of the pooled counts; mPQ+ and the PQ of each class (NaN: it never occurs)."""
        whole = self.binary
        figures = {"pq_plus": whole.pq, "sq_plus": whole.sq, "dq_plus": whole.dq, "aji_pooled": whole.aji}
        if self.classes:
            qualities = [counts.pq for counts in self.per_class.values()]
            present = [quality for quality in qualities if not np.isnan(quality)]
            figures["mpq_plus"] = float(np.mean(present)) if present else UNDEFINED
            figures |= {f"pq_plus_{name}": pq for name, pq in zip(self.classes.values(), qualities, strict=True)}
            figures["classes_absent"] = float(len(qualities) - len(present))
        return figures


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else UNDEFINED


def detect(prediction: NDArray, truth: NDArray, minimum_iou: float = DETECTION_IOU) -> dict[str, int]:
    """Count the lesions of an image.

    A true and a predicted lesion match where their IoU is at least `minimum_iou`; each matches one at most, and as many
    match as can.

    Args:
        prediction: (H, W): booleans are a mask, whose regions (8 neighbours) are the lesions; integers are instances.
        truth: the same.
        minimum_iou: above 0, at most 1.

    Returns:
        `LESION_COLUMNS`: true lesions, how many of them are detected, predicted lesions without a match.
    """
    predicted, true = (label(map_, _NEIGHBOURS)[0] if map_.dtype == bool else map_ for map_ in (prediction, truth))
    overlap = instance_overlaps(predicted, true)
    iou = np.zeros((len(overlap.true_area), len(overlap.predicted_area)))
    iou[overlap.true, overlap.predicted] = overlap.iou
    matches = iou >= minimum_iou
    rows, columns = linear_sum_assignment(matches, maximize=True)
    detected = int(matches[rows, columns].sum())
    return dict(zip(LESION_COLUMNS, (iou.shape[0], detected, iou.shape[1] - detected), strict=True))
