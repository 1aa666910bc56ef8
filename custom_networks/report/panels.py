"""A case as panels: whole image, then the border at the picture's own resolution; outlines are SVG paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray
from skimage.measure import approximate_polygon, find_contours

from custom_networks.evaluation.case_maps import CaseMaps
from custom_networks.report.received import jpeg

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


def case_panels(number: int, maps: CaseMaps, tolerance: float = TOLERANCE, unit: str = "px") -> list[Panel]:
    """Draw the panels of a case.

    Args:
        number: of the case on the page, for names within the SVG.
        maps: of the case.
        tolerance: deviation in measured pixels that counts as right.
        unit: of the deviation, for the caption.

    Returns:
        The panels that the maps give.
    """
    height, width = maps.detail.shape[:2]
    shared = f"picture{number}"
    truth, prediction = outlines(maps.truth), outlines(maps.prediction)
    whole = _picture(maps.overview) + _frame(maps)
    base = f'<image id="{shared}" href="{jpeg(maps.detail)}" width="{width}" height="{height}"/>'
    again = f'<use href="#{shared}"/>'
    both = f'{again}<path class="halo" d="{truth}"/><path class="truth" d="{truth}"/>'
    both += f'<path class="shade" d="{prediction}"/><path class="prediction" d="{prediction}"/>'
    panels = [
        Panel(f"whole image, {maps.size[1]} x {maps.size[0]} pixels", _svg("whole image", maps.overview, whole)),
        Panel(part_caption(maps), _svg("part around the border", maps.detail, base)),
        Panel("truth solid, prediction dashed", _svg("outlines of truth and prediction", maps.detail, both)),
    ]
    if maps.error.size:
        drawn, caption = boundary_error(maps.prediction, maps.error.astype(float), tolerance, unit)
        body = f'<g opacity="0.35">{again}</g><path class="reference" d="{truth}"/>{drawn}'
        panels.append(Panel(caption, _svg(caption, maps.detail, body)))
    for values, title in (
        (255 - maps.edge, "edge map, dark is edge"),
        (maps.guidance, "guidance, mean of its channels"),
    ):
        if values.size:
            panels.append(Panel(title, _svg(title, values, _picture(values, 70))))
    return panels


def part_caption(maps: CaseMaps) -> str:
    """Say which part of the picture the close panels show, and at which resolution."""
    top, left, bottom, right = maps.box
    shown = f"reduced to {maps.detail.shape[1]} x {maps.detail.shape[0]}" if maps.reduced else "at full resolution"
    return f"around the border: {right - left} x {bottom - top} pixels, {shown}"


def contours(mask: NDArray[np.bool_]) -> list[Contour]:
    """Borders of a mask (h, w) as closed polygons of (row, column), pixel centres at + 0.5."""
    padded = np.pad(np.asarray(mask, float), 1)  # so that a mask at the frame is closed
    return [np.asarray(line) - 0.5 for line in find_contours(padded, 0.5)]


def outlines(mask: NDArray[np.bool_]) -> str:
    """Path data of a mask's borders."""
    return "".join(_path(approximate_polygon(line, 0.4)) + "Z" for line in contours(mask))


def boundary_error(
    prediction: NDArray[np.bool_], error: NDArray[np.float64], tolerance: float, unit: str = "px"
) -> tuple[str, str]:
    """Draw the predicted border by its distance to the true one.

    Args:
        prediction: (h, w).
        error: (h, w) signed distance to the true border in measured pixels, positive outside the truth.
        tolerance: in the same pixels.
        unit: for the caption.

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
        f"boundary error: {share:.0%} of the predicted border within {tolerance:g} {unit}; up to "
        f"{max(values.max(), 0):.0f} {unit} outside (thick), {max(-values.min(), 0):.0f} {unit} inside (dotted)"
    )
    return "".join(parts), caption


def _runs(kinds: NDArray[np.int_], line: Contour) -> Iterator[tuple[int, Contour]]:
    """Pieces of a polygon of equal kind, each reaching the start of the next."""
    starts = np.flatnonzero(np.diff(kinds, prepend=kinds[0] + 1))
    for start, stop in zip(starts, [*starts[1:], len(kinds)], strict=True):
        yield int(kinds[start]), line[start : stop + 1]


def _path(line: Contour) -> str:
    return "M" + "L".join(f"{column:.1f} {row:.1f}" for row, column in line)


def _picture(values: NDArray[np.uint8], quality: int = 80) -> str:
    return f'<image href="{jpeg(values, quality)}" width="{values.shape[1]}" height="{values.shape[0]}"/>'


def _frame(maps: CaseMaps) -> str:
    """Rectangle of the part that the close panels show; none where they show everything."""
    top, left, bottom, right = maps.box
    if (top, left, bottom, right) == (0, 0, *maps.size):
        return ""
    scale = maps.overview.shape[0] / maps.size[0]
    x, y, width, height = (scale * value for value in (left, top, right - left, bottom - top))
    sides = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="frame-shade" {sides}/><rect class="frame" {sides}/>'


def _svg(title: str, picture: NDArray[np.uint8], body: str) -> Markup:
    height, width = picture.shape[:2]
    return Markup(
        f'<svg class="panel" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{body}</svg>'
    )
