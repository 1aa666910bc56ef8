"""A case as panels: image, outlines, edge map, guidance map, signed boundary error; outlines are SVG paths."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import approximate_polygon, find_contours

TOLERANCE = 2.0  # pixels within which a border counts as right in the error panel, as in NSD
Contour = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """One picture of a case.

    Attributes:
        title: below it.
        drawing: SVG.
    """

    title: str
    drawing: Markup


def jpeg(picture: NDArray[np.uint8], quality: int = 80) -> str:
    """Data URI of a picture (h, w[, 3])."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, optimize=True)
    return data_uri(buffer.getvalue(), "image/jpeg")


def data_uri(content: bytes, kind: str) -> str:
    """Data URI of a file's bytes."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def case_panels(number: int, maps: dict[str, NDArray], tolerance: float = TOLERANCE) -> list[Panel]:
    """Draw the panels of a case.

    Args:
        number: of the case on the page, for names within the SVG.
        maps: from `evaluation.pictures.read_case`.
        tolerance: deviation in measured pixels that counts as right.

    Returns:
        The panels that the maps give.
    """
    image = maps["image"]
    height, width = image.shape[:2]
    shared = f"picture{number}"
    truth, prediction = outlines(maps["truth"]), outlines(maps["prediction"])
    base = f'<image id="{shared}" href="{jpeg(image)}" width="{width}" height="{height}"/>'
    again = f'<use href="#{shared}"/>'
    both = f'{again}<path class="halo" d="{truth}"/><path class="truth" d="{truth}"/>'
    both += f'<path class="shade" d="{prediction}"/><path class="prediction" d="{prediction}"/>'
    panels = [
        Panel("image", _svg("image", width, height, base)),
        Panel("truth (solid) and prediction (dashed)", _svg("outlines of truth and prediction", width, height, both)),
    ]
    for name, title in (("edge", "edge map, dark is edge"), ("guidance", "guidance, mean of its channels")):
        if maps[name].size:
            grey = 255 - maps[name] if name == "edge" else maps[name]
            body = f'<image href="{jpeg(grey, 70)}" width="{width}" height="{height}"/>'
            panels.append(Panel(title, _svg(title, width, height, body)))
    if maps["error"].size:
        drawn, caption = boundary_error(maps["prediction"], maps["error"].astype(float), tolerance)
        truth_line = f'<path class="reference" d="{truth}"/>'
        body = f'<g opacity="0.35">{again}</g>{truth_line}{drawn}'
        panels.append(Panel(caption, _svg(caption, width, height, body)))
    return panels


def contours(mask: NDArray[np.bool_]) -> list[Contour]:
    """Borders of a mask (h, w) as closed polygons of (row, column), pixel centres at + 0.5."""
    padded = np.pad(np.asarray(mask, float), 1)  # so that a mask at the frame is closed
    return [np.asarray(line) - 0.5 for line in find_contours(padded, 0.5)]


def outlines(mask: NDArray[np.bool_]) -> str:
    """Path data of a mask's borders."""
    return "".join(_path(approximate_polygon(line, 0.4)) + "Z" for line in contours(mask))


def boundary_error(prediction: NDArray[np.bool_], error: NDArray[np.float64], tolerance: float) -> tuple[str, str]:
    """Draw the predicted border by its distance to the true one.

    Args:
        prediction: (h, w).
        error: (h, w) signed distance to the true border in measured pixels, positive outside the truth.
        tolerance: in the same pixels.

    Returns:
        SVG paths: thick solid where the prediction lies outside the truth, dotted where inside, thin where within the
        tolerance; and a caption with the figures.
    """
    lines = contours(prediction)
    if not lines:
        return "", "boundary error: nothing predicted"
    parts, found = [], []
    limit = np.array(error.shape) - 1
    for line in lines:
        rows, columns = np.clip(np.floor(line).astype(int), 0, limit).T
        values = error[rows, columns]
        found.append(values)
        kinds = np.where(values > tolerance, 1, np.where(values < -tolerance, -1, 0))
        for kind, piece in _runs(kinds, line):
            name = {1: "outside", -1: "inside", 0: "right"}[kind]
            parts.append(f'<path class="{name}" d="{_path(piece)}"/>')
    values = np.concatenate(found)
    share = float((np.abs(values) <= tolerance).mean())
    caption = (
        f"boundary error: {share:.0%} within {tolerance:g} px; up to {max(values.max(), 0):.0f} px outside (thick), "
        f"{max(-values.min(), 0):.0f} px inside (dotted)"
    )
    return "".join(parts), caption


def _runs(kinds: NDArray[np.int_], line: Contour) -> Iterator[tuple[int, Contour]]:
    """Pieces of a polygon of equal kind, each reaching the start of the next."""
    starts = np.flatnonzero(np.diff(kinds, prepend=kinds[0] + 1))
    for start, stop in zip(starts, [*starts[1:], len(kinds)], strict=True):
        yield int(kinds[start]), line[start : stop + 1]


def _path(line: Contour) -> str:
    return "M" + "L".join(f"{column:.1f} {row:.1f}" for row, column in line)


def _svg(title: str, width: int, height: int, body: str) -> Markup:
    return Markup(
        f'<svg class="panel" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{body}</svg>'
    )
