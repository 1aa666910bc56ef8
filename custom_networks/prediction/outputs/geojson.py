"""Outlines as GeoJSON, a file for each image."""

from __future__ import annotations

import json
from typing import Any

from custom_networks.prediction.objects import Object
from custom_networks.prediction.outputs.case import PredictedCase, Volume
from custom_networks.prediction.polygons import rings


def geojson_file(case: PredictedCase) -> bytes:
    """Encode the objects as a FeatureCollection of polygons, in pixels from the image's left upper corner."""
    return _collection(_features(case))


def geojson_volume(volume: Volume) -> bytes:
    """Encode the objects of all slices, each with the number of its slice from 0."""
    return _collection([feature for i, one in enumerate(volume.slices) for feature in _features(one, slice=i)])


def _collection(features: list[dict[str, Any]]) -> bytes:
    numbered = [{"type": "Feature", "id": number, **feature} for number, feature in enumerate(features, start=1)]
    return json.dumps({"type": "FeatureCollection", "features": numbered}).encode()


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
