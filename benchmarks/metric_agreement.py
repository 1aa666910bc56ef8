"""Each metric against independent implementations: `python -m benchmarks.metric_agreement [--count N]`.

Prints a Markdown table: metric, implementation, largest difference, number of cases. The cases are random masks of
several densities and shapes, half of them with pixels of 0.5 x 2 mm, and every pair of the degenerate ones (empty,
full, one pixel, a line, chequers, a ring, discs at the frame).
"""

from __future__ import annotations

import argparse
import importlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks import metric_oracles as literal
from custom_networks.metrics import match_instances, measure
from custom_networks.metrics.surface import band_width, boundary_iou

TOLERANCE = 2.0
Spacing = tuple[float, float]


@dataclass(frozen=True)
class Sample:
    """One case: masks, a probability, instance maps, spacing in mm."""

    prediction: np.ndarray
    truth: np.ndarray
    probability: np.ndarray
    predicted_instances: np.ndarray
    true_instances: np.ndarray
    spacing: Spacing  # of rows and of columns

    @property
    def limit(self) -> float:
        """Tolerance in mm."""
        return TOLERANCE * math.sqrt(self.spacing[0] * self.spacing[1])


def samples(count: int = 200, seed: int = 0) -> Iterator[Sample]:
    """Yield every pair of the degenerate masks, then `count` random pairs."""
    random = np.random.default_rng(seed)
    fixed = degenerate_masks()
    for a in fixed:
        for b in fixed:
            yield sample(a, b, (1.0, 1.0), random)
    for index in range(count):
        size = tuple(random.integers(1, 24, 2))
        a, b = (random_mask(random, size) for _ in range(2))
        yield sample(a, b, ((1.0, 1.0), (0.5, 2.0))[index % 2], random)


def degenerate_masks() -> list[np.ndarray]:
    """Masks of 12 x 9 pixels: empty, full, corner, line, chequers, ring, two discs that touch the frame."""
    rows, columns = np.mgrid[:12, :9]
    distance = np.hypot(rows - 5, columns - 4)
    return [
        np.zeros((12, 9), bool),
        np.ones((12, 9), bool),
        (rows == 0) & (columns == 0),
        rows == 6,
        (rows + columns) % 2 == 0,
        (distance < 4) & (distance > 2),
        (np.hypot(rows, columns - 2) < 3) | (np.hypot(rows - 10, columns - 8) < 3),
    ]


def random_mask(random: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Noise of pixels or blocks, from nothing to nearly everything."""
    block = int(random.integers(1, 6))
    noise = random.random(size) < random.choice([0.0, 0.05, 0.3, 0.6, 0.95])
    return np.kron(noise, np.ones((block, block)))[: size[0], : size[1]].astype(bool)


def sample(prediction: np.ndarray, truth: np.ndarray, spacing: Spacing, random: np.random.Generator) -> Sample:
    """Add a probability with ties whose threshold gives the prediction, and instances with gaps in their ids."""
    steps = random.integers(0, 8, truth.shape) / 16
    probability = np.where(prediction, 0.5 + steps, np.minimum(steps, 7 / 16))
    ids = 3 * random.integers(1, 5, truth.shape)
    coarse = np.repeat(np.repeat(ids, 4, 0), 4, 1)[: truth.shape[0], : truth.shape[1]]
    moved = np.roll(coarse, int(random.integers(0, 2)), axis=1)
    found = prediction if random.random() < 0.5 else truth  # instances of random masks hardly ever match
    return Sample(prediction, truth, probability, moved * found, coarse * truth, spacing)


Ours = Callable[[Sample], float]


@dataclass(frozen=True)
class Comparison:
    """One row: a metric, who computes it a second time, and how; `None` from `theirs` leaves a case out."""

    metric: str
    implementation: str
    theirs: Callable[[Sample], float | None]
    module: str = "numpy"
    tolerance: float = 1e-9

    def ours(self, case: Sample) -> float:
        """The value of this project."""
        if self.metric in ("pq", "sq", "dq", "aji"):
            return match_instances(case.predicted_instances, case.true_instances).row()[self.metric]
        if self.metric == "boundary_iou (width 2)":
            return boundary_iou(case.prediction, case.truth, width=2)
        return measure(case.probability, case.truth, case.spacing, tolerance=TOLERANCE)[self.metric]

    def differences(self, cases: list[Sample]) -> list[float]:
        """Difference of each case that the other implementation can do; NaN against NaN is none."""
        found = []
        for case in cases:
            theirs = self.theirs(case)
            if theirs is None:
                continue
            ours = self.ours(case)
            both_undefined = math.isnan(ours) and math.isnan(theirs)
            found.append(0.0 if both_undefined else math.inf if math.isnan(ours - theirs) else abs(ours - theirs))
        return found


def where_present(function: Callable[[Any, Any, Sample], float]) -> Callable[[Sample], float | None]:
    """Ask a package only where neither mask is empty."""

    def ask(case: Sample) -> float | None:
        if not case.prediction.any() or not case.truth.any():
            return None
        return float(function(case.prediction, case.truth, case))

    return ask


def sklearn_of(name: str, **options: Any) -> Callable[[Sample], float | None]:
    """A score of scikit-learn on the flattened masks."""

    def score(prediction: Any, truth: Any, case: Sample) -> float:
        function = getattr(importlib.import_module("sklearn.metrics"), name)
        return function(truth.ravel(), prediction.ravel(), **options)

    return where_present(score)


def sklearn_isic(case: Sample) -> float | None:
    """The ranking metric of ISIC 2018 by scikit-learn's Jaccard index."""
    overlap = sklearn_of("jaccard_score")(case)
    return overlap if overlap is None or overlap >= 0.65 else 0.0


def sklearn_auroc(case: Sample) -> float | None:
    """AUROC where both classes occur."""
    from sklearn.metrics import roc_auc_score

    if case.truth.all() or not case.truth.any():
        return None
    return float(roc_auc_score(case.truth.ravel(), case.probability.ravel()))


def sklearn_brier(case: Sample) -> float:
    """Brier score by scikit-learn."""
    from sklearn.metrics import brier_score_loss

    return float(brier_score_loss(case.truth.ravel(), case.probability.ravel(), labels=[False, True]))


def medpy_of(name: str, spaced: bool = False) -> Callable[[Sample], float | None]:
    """A function of medpy.metric.binary."""

    def value(prediction: Any, truth: Any, case: Sample) -> float:
        function = getattr(importlib.import_module("medpy.metric.binary"), name)
        return function(prediction, truth, **({"voxelspacing": case.spacing} if spaced else {}))

    return where_present(value)


def medpy_assd(prediction: Any, truth: Any, case: Sample) -> float:
    """MedPy's two directed averages, weighted by the number of border pixels."""
    from medpy.metric.binary import asd

    sizes = [len(literal.border_points(mask, case.spacing)) for mask in (prediction, truth)]
    directed = asd(prediction, truth, case.spacing), asd(truth, prediction, case.spacing)
    return float(np.average(directed, weights=sizes))


def monai_of(name: str, **options: Any) -> Callable[[Sample], float | None]:
    """A function of monai.metrics, for square pixels (with a spacing MONAI measures sub-pixel surfaces)."""

    def value(case: Sample) -> float | None:
        if case.spacing != (1.0, 1.0) or not case.prediction.any() or not case.truth.any():
            return None
        function = getattr(importlib.import_module("monai.metrics"), name)
        maps = (torch.from_numpy(mask)[None, None] for mask in (case.prediction, case.truth))
        return float(function(*maps, include_background=True, **options))

    return value


def surface_distance_of(name: str) -> Callable[[Sample], float | None]:
    """A formula of surface-distance-based-measures on brute-force distances, each border pixel weighing the same."""

    def value(prediction: Any, truth: Any, case: Sample) -> float:
        module = importlib.import_module("surface_distance")
        to_truth, to_prediction = (np.sort(d) for d in literal.nearest_distances(prediction, truth, case.spacing))
        distances = {
            "distances_gt_to_pred": to_prediction,
            "distances_pred_to_gt": to_truth,
            "surfel_areas_gt": np.ones(len(to_prediction)),
            "surfel_areas_pred": np.ones(len(to_truth)),
        }
        limit = case.limit + 1e-9
        if name == "hd":
            return module.compute_robust_hausdorff(distances, 100)
        if name == "nsd":
            return module.compute_surface_dice_at_tolerance(distances, limit)
        if name == "assd":
            averages = module.compute_average_surface_distance(distances)
            return float(np.average(averages, weights=[len(to_prediction), len(to_truth)]))
        recall, precision = module.compute_surface_overlap_at_tolerance(distances, limit)
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    return where_present(value)


def monai_pq(name: str) -> Callable[[Sample], float | None]:
    """PQ, SQ or DQ by MONAI, where it has an answer: instances in both maps, for SQ also a match."""

    def value(case: Sample) -> float | None:
        from monai.metrics.panoptic_quality import compute_panoptic_quality

        if not case.predicted_instances.any() or not case.true_instances.any():
            return None
        maps = (torch.from_numpy(labels) for labels in (case.predicted_instances, case.true_instances))
        answer = float(compute_panoptic_quality(*maps, metric_name=name, remap=True, smooth_numerator=0.0))
        return None if math.isnan(answer) else answer

    return value


def of_masks(function: Callable[..., float], *more: Callable[[Sample], Any]) -> Callable[[Sample], float]:
    """A literal metric of the masks."""
    return lambda case: function(case.prediction, case.truth, *(get(case) for get in more))


def of_instances(function: Callable[[Any, Any], float]) -> Callable[[Sample], float]:
    """A literal metric of the instance maps."""
    return lambda case: function(case.predicted_instances, case.true_instances)


def spacing_of(case: Sample) -> Spacing:
    """Spacing of a case."""
    return case.spacing


def limit_of(case: Sample) -> float:
    """Tolerance of a case, in mm."""
    return case.limit


SURFACE = "surface_distance"
MEDPY = "medpy.metric"
COMPARISONS = [
    Comparison("dice", "scikit-learn f1_score", sklearn_of("f1_score")),
    Comparison("dice", "MedPy dc", medpy_of("dc"), MEDPY),
    Comparison("iou", "scikit-learn jaccard_score", sklearn_of("jaccard_score")),
    Comparison("iou", "MedPy jc", medpy_of("jc"), MEDPY),
    Comparison("isic_jaccard", "scikit-learn jaccard_score, 0 below 0.65", sklearn_isic),
    Comparison("sensitivity", "scikit-learn recall_score", sklearn_of("recall_score")),
    Comparison(
        "specificity", "scikit-learn recall_score", sklearn_of("recall_score", pos_label=False, zero_division=np.nan)
    ),
    Comparison("precision", "scikit-learn precision_score", sklearn_of("precision_score")),
    Comparison("hd", "SciPy directed_hausdorff", where_present(lambda p, t, case: literal.hd(p, t, case.spacing))),
    Comparison("hd", "MedPy hd", medpy_of("hd", spaced=True), MEDPY),
    Comparison("hd", "surface-distance compute_robust_hausdorff", surface_distance_of("hd"), SURFACE),
    Comparison("hd95", "brute force", of_masks(literal.hd95_literal, spacing_of)),
    Comparison("hd95", "MONAI compute_hausdorff_distance", monai_of("compute_hausdorff_distance", percentile=95),
               tolerance=1e-5),
    Comparison("assd", "brute force", of_masks(literal.assd_literal, spacing_of)),
    Comparison("assd", "MedPy asd, both ways", where_present(medpy_assd), MEDPY),
    Comparison("assd", "surface-distance compute_average_surface_distance", surface_distance_of("assd"), SURFACE),
    Comparison("assd", "MONAI compute_average_surface_distance",
               monai_of("compute_average_surface_distance", symmetric=True), tolerance=1e-5),
    Comparison("nsd", "brute force", of_masks(literal.nsd_literal, spacing_of, limit_of)),
    Comparison("nsd", "surface-distance compute_surface_dice_at_tolerance", surface_distance_of("nsd"), SURFACE),
    Comparison("nsd", "MONAI compute_surface_dice", monai_of("compute_surface_dice", class_thresholds=[TOLERANCE]),
               tolerance=1e-6),
    Comparison("boundary_f", "brute force", of_masks(literal.boundary_f_literal, spacing_of, limit_of)),
    Comparison("boundary_f", "surface-distance compute_surface_overlap_at_tolerance", surface_distance_of("f"),
               SURFACE),
    Comparison("boundary_iou", "SciPy binary_erosion, repeated",
               of_masks(literal.boundary_iou_literal, lambda case: 1)),
    Comparison("boundary_iou (width 2)", "SciPy binary_erosion, repeated",
               of_masks(literal.boundary_iou_literal, lambda case: 2)),
    Comparison("auroc", "scikit-learn roc_auc_score", sklearn_auroc),
    Comparison("brier", "scikit-learn brier_score_loss", sklearn_brier),
    Comparison("ece", "bin by bin", lambda case: literal.ece_literal(case.probability, case.truth)),
    Comparison(
        "border_ece",
        "bin by bin, window by window",
        lambda case: literal.border_ece_literal(case.probability, case.truth, band_width(case.truth.shape)),
    ),
    Comparison("pq", "pair by pair", of_instances(literal.pq_literal)),
    Comparison("pq", "MONAI compute_panoptic_quality", monai_pq("pq"), tolerance=1e-5),
    Comparison("sq", "MONAI compute_panoptic_quality", monai_pq("sq"), tolerance=1e-5),
    Comparison("dq", "MONAI compute_panoptic_quality", monai_pq("rq"), tolerance=1e-5),
    Comparison("aji", "pair by pair", of_instances(literal.aji_literal)),
]  # fmt: skip


def table(count: int) -> str:
    """The Markdown table over `count` random cases and the degenerate ones."""
    cases = list(samples(count))
    lines = ["| metric | independent implementation | largest difference | cases |", "|---|---|---|---|"]
    for comparison in COMPARISONS:
        try:
            importlib.import_module(comparison.module)
        except ImportError:
            lines.append(f"| {comparison.metric} | {comparison.implementation} | not installed | 0 |")
            continue
        differences = comparison.differences(cases)
        row = comparison.metric, comparison.implementation, f"{max(differences):.1e}", len(differences)
        lines.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="random cases [1000]")
    print(table(parser.parse_args().count))
