"""Tables over all images, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from custom_networks.prediction.objects import measure_object
from custom_networks.prediction.result import PredictedCase

OutputRow = dict[str, Any]


def measurement_rows(case: PredictedCase) -> list[OutputRow]:
    """Measure the objects of an image, a row for each, with its class where there are several."""
    spacing = case.prediction.image.spacing
    return [
        {
            "object": found.number,
            **({"class": found.category, "class_name": case.names[found.category]} if case.names else {}),
            **measure_object(found, spacing),
        }
        for found in case.objects
    ]


def measurements_file(images: Sequence[tuple[OutputRow, Sequence[OutputRow]]], _: Mapping[int, str]) -> bytes:
    """Encode the measurements of all images; see `coco_file` for the argument."""
    return csv_file([{"image": row["image"], **object_} for row, objects in images for object_ in objects])


def csv_file(rows: Sequence[OutputRow]) -> bytes:
    """Encode rows as CSV, with the columns of all of them in the order of their first appearance."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row)) or ["image"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
