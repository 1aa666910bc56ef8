"""The threshold that suits labelled images best, and where the weights keep it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_networks.errors import UserError
from custom_networks.files import write_json
from custom_networks.weights.reading import record_of, trained_threshold
from custom_networks.weights.record import THRESHOLD

CANDIDATES = np.round(np.arange(0.05, 1, 0.05), 2)
THRESHOLD_JSON = "threshold.json"
"""File of a choice, in the evaluation's folder."""


def dice_by_threshold(probability: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Dice of an image at each of `CANDIDATES`; 1 where truth and mask are both empty.

    Args:
        probability: (H, W).
        truth: (H, W).
    """
    passed = np.digitize(probability.ravel(), CANDIDATES.astype(probability.dtype))  # how many candidates it reaches
    both = [np.bincount(one, minlength=len(CANDIDATES) + 1) for one in (passed, passed[truth.ravel()])]
    predicted, hit = (np.cumsum(counts[::-1])[::-1][1:] for counts in both)
    total = predicted + np.count_nonzero(truth)
    return np.where(total > 0, 2 * hit / np.maximum(total, 1), 1.0)


def best_threshold(
    samples: Iterable[tuple[NDArray[np.float32], NDArray[np.bool_]]], split: str
) -> tuple[float, dict[str, Any]]:
    """Choose the threshold of the best mean Dice; of equal ones that nearest to 0.5.

    Args:
        samples: probability and truth of each image, (H, W) both.
        split: that they come from.

    Returns:
        The threshold, and the content of `threshold.json`: it and all that was tried.

    Raises:
        UserError: for another split than validation.
    """
    if split != "validation":
        raise UserError(f"--tune_threshold with --split {split}: it is chosen on the validation split alone")
    means = np.mean([dice_by_threshold(*sample) for sample in samples], axis=0)
    order = np.lexsort((np.abs(CANDIDATES - THRESHOLD), -means))
    tried = [{"threshold": float(one), "dice": float(mean)} for one, mean in zip(CANDIDATES, means, strict=True)]
    best = float(CANDIDATES[order[0]])
    return best, {"version": 1, "threshold": best, "split": split, "tried": tried}


def check_tunable(checkpoint: str | Path, label_kind: str, threshold: float | None = None) -> None:
    """Refuse instances, which the watershed cuts out, weights without a record, and a threshold that is given, too."""
    if label_kind == "instances":
        raise UserError("--tune_threshold: instances are cut out by the watershed; tune it with --tune_watershed true")
    if not Path(checkpoint).with_suffix(".json").is_file():
        raise UserError(
            f"--tune_threshold: {checkpoint} has no .json beside it to keep the threshold; give model.pt of a run"
        )
    if threshold not in (None, trained_threshold(checkpoint)):
        raise UserError(f"--threshold {threshold} with --tune_threshold true: it is given or chosen; leave one out")


def record_threshold(checkpoint: str | Path, threshold: float) -> None:
    """Write the threshold into the record beside the weights, for all that predict with them."""
    record = record_of(checkpoint).model_copy(update={"threshold": threshold})
    write_json(Path(checkpoint).with_suffix(".json"), record.as_dict())
