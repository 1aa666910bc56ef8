"""The metrics a second time, slowly: literal definitions, and what published packages make of the same masks.

Each function takes boolean masks, probabilities or instance maps as `custom_networks.metrics` does. The literal ones
decide empty masks by plain ifs; the packages are only asked where both masks are present.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist, directed_hausdorff

Mask = Any
Spacing = tuple[float, float]


def border_points(mask: Mask, spacing: Spacing) -> np.ndarray:
    """(N, 2) positions of foreground pixels with a 4-neighbour in the background or outside, by loops."""
    height, width = mask.shape

    def background(i: int, j: int) -> bool:
        return not (0 <= i < height and 0 <= j < width and mask[i, j])

    return np.array(
        [
            (i * spacing[0], j * spacing[1])
            for i in range(height)
            for j in range(width)
            if mask[i, j] and any(background(i + y, j + x) for y, x in ((0, 1), (1, 0), (0, -1), (-1, 0)))
        ]
    )


def nearest_distances(a: Mask, b: Mask, spacing: Spacing) -> tuple[np.ndarray, np.ndarray]:
    """Nearest distances both ways, from the full matrix of pairs."""
    pairs = cdist(border_points(a, spacing), border_points(b, spacing))
    return pairs.min(1), pairs.min(0)


def of_borders(
    formula: Callable[[np.ndarray, np.ndarray], float], missed: float | None, agreed: float
) -> Callable[[Mask, Mask, Spacing], float]:
    """Make a literal metric: `missed` where one mask is empty (None: the diagonal), `agreed` where both are."""

    def metric(a: Mask, b: Mask, spacing: Spacing) -> float:
        if not a.any() and not b.any():
            return agreed
        if not a.any() or not b.any():
            diagonal = math.sqrt((a.shape[0] * spacing[0]) ** 2 + (a.shape[1] * spacing[1]) ** 2)
            return diagonal if missed is None else missed
        return formula(*nearest_distances(a, b, spacing))

    return metric


def hd(a: Mask, b: Mask, spacing: Spacing) -> float:
    """SciPy's directed Hausdorff distance, both ways."""
    points = [border_points(mask, spacing) for mask in (a, b)]
    return max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])


hd95_literal = of_borders(lambda p, t: max(np.percentile(p, 95), np.percentile(t, 95)), None, 0.0)
assd_literal = of_borders(lambda p, t: float(np.concatenate([p, t]).mean()), None, 0.0)


def nsd_literal(a: Mask, b: Mask, spacing: Spacing, tolerance: float) -> float:
    """Share of all border pixels within the tolerance."""
    return of_borders(lambda p, t: float((np.concatenate([p, t]) <= tolerance + 1e-9).mean()), 0.0, 1.0)(a, b, spacing)


def boundary_f_literal(a: Mask, b: Mask, spacing: Spacing, tolerance: float) -> float:
    """F of the two shares, from their counts."""

    def f(p: np.ndarray, t: np.ndarray) -> float:
        precision, recall = ((d <= tolerance + 1e-9).mean() for d in (p, t))
        return float(2 / (1 / precision + 1 / recall)) if precision and recall else 0.0

    return of_borders(f, 0.0, 1.0)(a, b, spacing)


def boundary_iou_literal(a: Mask, b: Mask, width: int) -> float:
    """Bands by `width` erosions with a 3 x 3 square on a padded mask, as in the paper's code."""
    if not a.any() and not b.any():
        return 1.0
    bands = []
    for mask in (a, b):
        padded = np.pad(mask, 1)
        bands.append(padded & ~binary_erosion(padded, np.ones((3, 3)), iterations=width))
    return float((bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum())


def ece_literal(probability: np.ndarray, truth: Mask, bins: int = 15) -> float:
    """Bin by bin, with a mask for each."""
    total = 0.0
    for index in range(bins):
        inside = np.minimum(np.floor(probability.astype(np.float64) * bins), bins - 1) == index
        if inside.any():
            total += inside.mean() * abs(probability[inside].astype(np.float64).mean() - truth[inside].mean())
    return total


def border_ece_literal(probability: np.ndarray, truth: Mask, width: int) -> float | None:
    """The same over the pixels whose square window holds object and background; None where there is none."""
    reach = range(2 * width + 1)
    height, wide = truth.shape
    padded = np.pad(truth, width, mode="edge")
    windows = np.stack([padded[y : y + height, x : x + wide] for y in reach for x in reach])
    band = windows.any(axis=0) & ~windows.all(axis=0)
    return ece_literal(probability[band], truth[band]) if band.any() else None


def instance_pairs(prediction: np.ndarray, truth: np.ndarray) -> dict[tuple[int, int], tuple[int, int]]:
    """Intersection and union in pixels of every true and predicted instance, pair by pair."""
    return {
        (t, p): (int(((truth == t) & (prediction == p)).sum()), int(((truth == t) | (prediction == p)).sum()))
        for t in ids(truth)
        for p in ids(prediction)
    }


def ids(labels: np.ndarray) -> list[int]:
    """Instance ids of a map."""
    return [int(value) for value in np.unique(labels) if value]


def pq_counts_literal(prediction: np.ndarray, truth: np.ndarray) -> tuple[int, int, int, float]:
    """TP, FP, FN and the sum of matched IoU."""
    ious = [i / u for i, u in instance_pairs(prediction, truth).values() if i / u > 0.5]
    return len(ious), len(ids(prediction)) - len(ious), len(ids(truth)) - len(ious), sum(ious)


def pq_literal(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Sum IoU / (TP + FP/2 + FN/2); 1 without any instance."""
    tp, fp, fn, iou_sum = pq_counts_literal(prediction, truth)
    return iou_sum / (tp + fp / 2 + fn / 2) if tp + fp + fn else 1.0


def aji_literal(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Algorithm 1 of Kumar et al. 2017; 1 without any instance.

    Of predictions with equal IoU the one with the smallest id is taken.
    """
    pairs, used = instance_pairs(prediction, truth), set()
    intersection = union = 0
    for t in ids(truth):
        candidates = [(i / u, -p) for p in ids(prediction) for i, u in [pairs[t, p]] if i]
        if not candidates:
            union += int((truth == t).sum())
            continue
        best = -max(candidates)[1]
        used.add(best)
        intersection += pairs[t, best][0]
        union += pairs[t, best][1]
    union += sum(int((prediction == p).sum()) for p in ids(prediction) if p not in used)
    return intersection / union if union else 1.0
