"""Outlines as GeoJSON, a file for each image."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from custom_networks.array_types import Spacing
from custom_networks.prediction.objects import Object, rings
from custom_networks.prediction.result import PredictedCase, Volume
from custom_networks.prediction.tracing import Region


def geojson_file(case: PredictedCase) -> bytes:
    """Encode the objects as a FeatureCollection of polygons, in pixels from the image's left upper corner."""
    return _collection(_features(case))


def geojson_volume(volume: Volume) -> bytes:
    """Encode the objects of all slices, each with the number of its slice from 0."""
    return _collection([feature for i, one in enumerate(volume.slices) for feature in _features(one, slice=i)])


def _collection(features: list[dict[str, Any]]) -> bytes:
    numbered = [{"type": "Feature", "id": number, **feature} for number, feature in enumerate(features, start=1)]
    return json.dumps({"type": "FeatureCollection", "features": numbered}).encode()


def write_traced(
    path: Path,
    regions: Iterable[Region],
    enlargement: tuple[float, float],
    spacing: Spacing | None,
    names: Mapping[int, str],
) -> None:
    """Write the regions of a slide, one at a time.

    Args:
        path: the file.
        regions: of its mask.
        enlargement: pixels of level 0 that a pixel of the mask has, across and down.
        spacing: millimetres a pixel of level 0; None where unknown.
        names: of the classes; empty for one without a name.
    """
    pixel = enlargement[0] * enlargement[1]
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for number, region in enumerate(regions, start=1):
            rings = [np.round(ring * enlargement, 2).tolist() for ring in region.rings]
            area: dict[str, float] = {"area_px": round(region.area * pixel, 2)}
            if spacing is not None:
                area["area_um2"] = round(region.area * pixel * spacing[0] * spacing[1] * 1e6, 3)
            named = {"class": region.category, "classification": {"name": names[region.category]}} if names else {}
            feature = {
                "type": "Feature",
                "id": number,
                "geometry": {"type": "Polygon", "coordinates": rings},
                "properties": {"object": number, **named, **area},
            }
            file.write(("" if number == 1 else ",") + "\n" + json.dumps(feature))
        file.write("]}\n")


def _features(case: PredictedCase, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "geometry": {"type": "Polygon", "coordinates": [ring.tolist() for ring in rings(found)]},
            "properties": {
                **more,
                "object": found.number,
                **_class(found, case),
                "area_px": int(found.mask.sum()),
            },
        }
        for found in case.objects
    ]


def _class(found: Object, case: PredictedCase) -> dict[str, Any]:
    """Class of an object, its name where QuPath looks for it; nothing where there is one class."""
    if not case.names:
        return {}
    return {"class": found.category, "classification": {"name": case.names[found.category]}}
