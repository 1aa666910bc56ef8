"""Objects in the format of COCO, a file for all images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_networks.prediction.objects import Object, rings
from custom_networks.prediction.outputs.tables import OutputRow
from custom_networks.prediction.result import PredictedCase, Prediction

LESION = {1: "lesion"}  # where weights have no names of classes


def coco_rows(case: PredictedCase) -> list[OutputRow]:
    """Annotate the objects of an image: a polygon, or run lengths where it has holes, which polygons cannot hold."""
    shape = case.prediction.mask.shape
    rows = []
    for found in case.objects:
        outlines = rings(found)
        height, width = found.mask.shape
        segmentation: Any = [outlines[0][:-1].ravel().tolist()]
        if len(outlines) > 1:
            segmentation = {"size": list(shape), "counts": run_lengths(found, shape)}
        rows.append(
            {
                "category_id": found.category,
                "segmentation": segmentation,
                "area": int(found.mask.sum()),
                "bbox": [found.column, found.row, width, height],
                "iscrowd": 0,
                "score": round(score(found, case.prediction), 4),
            }
        )
    return rows


def score(found: Object, prediction: Prediction) -> float:
    """Mean probability within an object: of its class, or of the foreground where there is one class."""
    height, width = found.mask.shape
    box = np.s_[found.row : found.row + height, found.column : found.column + width]
    probability = prediction.class_probability.get(found.category, prediction.probability)
    return float(np.mean(probability[box], where=found.mask, dtype=np.float64))


def run_lengths(found: Object, shape: tuple[int, ...]) -> list[int]:
    """Lengths of the runs outside and inside an object by turns, down the columns of an image of `shape` (H, W)."""
    whole: NDArray[np.bool_] = np.zeros(shape, bool)
    height, width = found.mask.shape
    whole[found.row : found.row + height, found.column : found.column + width] = found.mask
    line = whole.T.ravel()
    changes = np.flatnonzero(np.diff(line)) + 1
    lengths = np.diff([0, *changes, line.size]).tolist()
    return [0, *lengths] if line[0] else lengths


def coco_file(images: Sequence[tuple[OutputRow, Sequence[OutputRow]]], names: Mapping[int, str]) -> bytes:
    """Encode the annotations of all images.

    Args:
        images: of each, the row with "image", "width" and "height" ("slices" of a volume, each of which becomes an
            image), and what `coco_rows` gave ("slice" added to those of a volume).
        names: of the classes; empty for one without a name.

    Returns:
        The JSON.
    """
    listed: list[OutputRow] = []
    annotations: list[OutputRow] = []
    for row, found in images:
        first = len(listed) + 1
        for index in range(row.get("slices", 1)):
            place = {"slice": index} if "slices" in row else {}
            size = {name: row[name] for name in ("width", "height")}
            listed.append({"id": first + index, "file_name": row["image"], **size, **place})
        for one in found:
            number, image = len(annotations) + 1, first + one.get("slice", 0)
            annotations.append({"id": number, "image_id": image, **one})
    categories = [{"id": number, "name": name} for number, name in (names or LESION).items()]
    content = {"images": listed, "annotations": annotations, "categories": categories}
    return (json.dumps(content) + "\n").encode()
