"""Outlines as GeoJSON, a file for each image."""

from __future__ import annotations

import json

from custom_networks.prediction.outputs.case import Case
from custom_networks.prediction.polygons import rings


def geojson_file(case: Case) -> bytes:
    """Encode the objects as a FeatureCollection of polygons, in pixels from the image's left upper corner."""
    features = [
        {
            "type": "Feature",
            "id": found.number,
            "geometry": {"type": "Polygon", "coordinates": [ring.tolist() for ring in rings(found)]},
            "properties": {"object": found.number, "area_px": int(found.mask.sum())},
        }
        for found in case.objects
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()
