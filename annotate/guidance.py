"""What an annotator has said of an image, checked: clicks, scribbles, a box, the mask so far."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from annotate.errors import Unfit
from annotate.labels import read_label

POINTS = ("foreground", "background")
STROKES = ("foreground_scribbles", "background_scribbles")


def guidance_of(said: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Check guidance against an image.

    Args:
        said: foreground, background (lists of [x, y]), foreground_scribbles, background_scribbles (lists of such
            lists), box ([x0, y0, x1, y1] or None) and previous (a label PNG in base64, or None).
        size: width and height of the image.

    Returns:
        The arguments of `custom_networks.interactive.Guidance`; empty where nothing was said.

    Raises:
        Unfit: for points outside of the image, an empty box or a mask of another size.
    """
    width, height = size

    def inside(points: Any, what: str) -> list[tuple[float, float]]:
        for point in points:
            if not (0 <= point[0] < width and 0 <= point[1] < height):
                raise Unfit(f"{what}: ({point[0]:g}, {point[1]:g}) is outside of {width} x {height} pixels")
        return [(float(point[0]), float(point[1])) for point in points]

    found: dict[str, Any] = {}
    for name in POINTS:
        if said.get(name):
            found[name] = inside(said[name], name)
    for name in STROKES:
        if said.get(name):
            found[name] = [inside(stroke, name) for stroke in said[name]]
    if said.get("box") is not None:
        x0, y0, x1, y1 = said["box"]
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise Unfit(f"box: {said['box']} must be x0 < x1 and y0 < y1 within {width} x {height} pixels")
        found["box"] = (float(x0), float(y0), float(x1), float(y1))
    if said.get("previous"):
        try:
            data = base64.b64decode(said["previous"].removeprefix("data:image/png;base64,"), validate=True)
        except (binascii.Error, ValueError):
            raise Unfit("previous: not base64") from None
        previous = read_label(data, size, 65535) > 0
        if found:  # a mask without a click says nothing new
            found["previous"] = previous
    return found
