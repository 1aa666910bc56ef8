"""HD95 that counts its misses, as a MONAI metric.

MONAI's metric gives NaN for an empty prediction when a percentile is asked for, and its mean drops the case: a
network that misses every lesion scores 0.0, the best there is. Here an empty prediction against a lesion, or a
prediction where there is none, costs the image's diagonal; both empty cost nothing; misses are counted beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.metrics import CumulativeIterationMetric, do_metric_reduction
from torch import Tensor

from custom_networks.metrics.surface import border_distances, hausdorff_95


def hausdorff_distance_95(prediction: Tensor, truth: Tensor) -> Tensor:
    """95th percentile of the symmetric Hausdorff distance, in pixels.

    Args:
        prediction: (B, C, H, W), 0 and 1.
        truth: (B, C, H, W), 0 and 1.

    Returns:
        (B, C): the distance; the diagonal sqrt(H^2 + W^2) where just one of the two is empty, 0 where both are.
    """
    distance = torch.empty(truth.shape[:2], dtype=torch.float32, device=truth.device)
    predicted, true = ((masks > 0).cpu().numpy() for masks in (prediction, truth))
    for b, c in np.ndindex(*truth.shape[:2]):
        distance[b, c] = hausdorff_95(border_distances(predicted[b, c], true[b, c]))
    return distance


class HausdorffDistance95(CumulativeIterationMetric):
    """Mean HD95 over images, misses at the image's diagonal; pixels."""

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: Any) -> Tensor:
        """(B, C, H, W) masks to (B, C) distances."""
        assert y is not None
        return hausdorff_distance_95(y_pred, y)

    def aggregate(self) -> Tensor:
        """Mean over all images and classes."""
        return do_metric_reduction(self.get_buffer(), "mean")[0]


class Misses(CumulativeIterationMetric):
    """Number of images whose lesion is not predicted at all."""

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: Any) -> Tensor:
        """(B, C, H, W) masks to (B, C): 1 where the truth is not empty and the prediction is."""
        assert y is not None
        return ((y_pred.flatten(2).sum(2) == 0) & (y.flatten(2).sum(2) > 0)).float()

    def aggregate(self) -> Tensor:
        """Sum over all images and classes."""
        return do_metric_reduction(self.get_buffer(), "sum")[0]
