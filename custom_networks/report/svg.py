"""Charts as inline SVG: curves, histograms with a box plot, a reliability diagram; readable without colour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from custom_networks.array_types import Point

WIDTH, HEIGHT = 320, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 12, 34
DASHES = ("", "6 3", "2 2", "8 2 2 2", "1 3", "10 4")
COLOURS = 6  # classes series-0 to series-5 of the style sheet


@dataclass(frozen=True)
class Frame:
    """A plotting area that maps data to the drawing's coordinates.

    Args:
        x: range of the horizontal axis.
        y: range of the vertical axis.
        bottom: space below the area, in drawing units.
    """

    x: Point
    y: Point
    bottom: float = BOTTOM

    def at(self, x: float, y: float) -> Point:
        """Place of a data point."""
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - self.bottom - up * (HEIGHT - TOP - self.bottom)

    def axes(self, x_label: str, y_label: str, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> str:
        """Lines, ticks and names of both axes."""
        x0, y0 = self.at(self.x[0], self.y[0])
        x1, y1 = self.at(self.x[1], self.y[1])
        parts = [f'<path class="axis" d="M{x0:.1f} {y1:.1f}V{y0:.1f}H{x1:.1f}"/>']
        for tick in x_ticks:
            x, _ = self.at(tick, self.y[0])
            parts.append(f'<text class="tick" x="{x:.1f}" y="{y0 + 12:.1f}" text-anchor="middle">{tick:g}</text>')
        for tick in y_ticks:
            _, y = self.at(self.x[0], tick)
            parts.append(f'<path class="grid" d="M{x0:.1f} {y:.1f}H{x1:.1f}"/>')
            parts.append(f'<text class="tick" x="{x0 - 4:.1f}" y="{y + 3:.1f}" text-anchor="end">{tick:g}</text>')
        middle = (x0 + x1) / 2
        parts.append(
            f'<text class="name" x="{middle:.1f}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>'
        )
        turned = f'transform="translate(10 {(y0 + y1) / 2:.1f}) rotate(-90)"'
        parts.append(f'<text class="name" text-anchor="middle" {turned}>{escape(y_label)}</text>')
        return "".join(parts)


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers within a range, about `count` of them."""
    span = high - low
    if span < 1e-9:  # no room for numbers of ten digits
        return [low]
    rough = span / count
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 10) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def curves(
    title: str, series: Mapping[str, Sequence[Point]], x_label: str, y_label: str, mark: float | None = None
) -> Markup:
    """Draw curves over a common axis, told apart by dashes and colour.

    Args:
        title: what a screen reader says.
        series: points of each curve by its name; curves without a finite point are left out.
        x_label: of the horizontal axis.
        y_label: of the vertical axis.
        mark: where a vertical line stands, such as the best epoch.

    Returns:
        The drawing with its legend; empty without any curve.
    """
    finite = {name: [point for point in points if all(map(math.isfinite, point))] for name, points in series.items()}
    drawn = {name: points for name, points in finite.items() if points}
    if not drawn:
        return Markup("")
    xs = [x for points in drawn.values() for x, _ in points]
    ys = [y for points in drawn.values() for _, y in points]
    pad = 0.05 * (max(ys) - min(ys)) or max(abs(ys[0]) * 0.05, 0.05)
    frame = Frame((min(xs), max(max(xs), min(xs) + 1)), (min(ys) - pad, max(ys) + pad))
    body = frame.axes(x_label, y_label, ticks(*frame.x, 5), ticks(*frame.y))
    legend = []
    if mark is not None and frame.x[0] <= mark <= frame.x[1]:
        x, bottom = frame.at(mark, frame.y[0])
        body += f'<path class="mark" d="M{x:.1f} {TOP}V{bottom:.1f}"/>'
    for index, (name, points) in enumerate(drawn.items()):
        dash, colour = DASHES[index % len(DASHES)], f"series-{index % COLOURS}"
        places = [frame.at(*point) for point in points]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        body += f'<path class="line {colour}" stroke-dasharray="{dash}" d="{path}"/>'
        if len(places) < 30:
            body += "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.8" class="dot {colour}"/>' for x, y in places)
        sample = f'<path class="line {colour}" stroke-dasharray="{dash}" d="M0 5H26"/>'
        legend.append(
            f'<li><svg viewBox="0 0 26 10" width="26" height="10" aria-hidden="true">{sample}</svg> {escape(name)}</li>'
        )
    keys = f'<ul class="legend">{"".join(legend)}</ul>' if len(drawn) > 1 else ""
    return Markup(drawing(title, body) + keys)


def histogram(title: str, values: Sequence[float], x_label: str, unit_range: bool = False, bins: int = 20) -> Markup:
    """Draw a histogram and, above it, a box plot: quartiles, median, and whiskers to the last within 1.5 box lengths.

    Args:
        title: what a screen reader says.
        values: numbers; NaN are left out.
        x_label: of the values.
        unit_range: whether the axis runs from 0 to 1 whatever the values.
        bins: how many.

    Returns:
        The drawing; empty without values.
    """
    known = np.asarray([value for value in values if math.isfinite(value)], float)
    if not known.size:
        return Markup("")
    low, high = (0.0, 1.0) if unit_range else (min(0.0, float(known.min())), float(known.max()) or 1.0)
    if high - low < 1e-9:  # no room for bins
        high = low + 1
    counts, edges = np.histogram(known, bins, (low, high))
    frame = Frame((low, high), (0, float(counts.max()) * 1.35))
    whole = [tick for tick in ticks(0, float(counts.max())) if tick == int(tick)]
    body = frame.axes(x_label, "images", ticks(low, high), whole)
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            (x0, y0), (x1, y1) = frame.at(left, 0), frame.at(right, count)
            size = f'width="{max(x1 - x0 - 0.6, 0.6):.1f}" height="{y0 - y1:.1f}"'
            body += f'<rect class="bar" x="{x0:.1f}" y="{y1:.1f}" {size}/>'
    first, median, third = np.quantile(known, [0.25, 0.5, 0.75])
    reach = 1.5 * (third - first)
    inside = known[(known >= first - reach) & (known <= third + reach)]
    a, b, c, d, e = (frame.at(float(value), 0)[0] for value in (inside.min(), first, median, third, inside.max()))
    y = TOP + 8.0
    body += f'<path class="box" d="M{a:.1f} {y}H{b:.1f}M{d:.1f} {y}H{e:.1f}M{a:.1f} {y - 4}v8M{e:.1f} {y - 4}v8"/>'
    body += f'<rect class="box" x="{b:.1f}" y="{y - 6}" width="{d - b:.1f}" height="12"/>'
    body += f'<path class="median" d="M{c:.1f} {y - 8}v16"/>'
    for value in known[(known < first - reach) | (known > third + reach)]:
        body += f'<circle class="outlier" cx="{frame.at(float(value), 0)[0]:.1f}" cy="{y}" r="1.8"/>'
    return Markup(drawing(title, body))


def reliability(title: str, curve: Sequence[Mapping[str, float]]) -> Markup:
    """Draw a reliability diagram.

    Args:
        title: what a screen reader says.
        curve: rows of `Calibration.curve()`: probability, observed, pixels.

    Returns:
        The drawing: a point for each bin, its area growing with the pixels; the broken diagonal is perfect.
    """
    if not curve:
        return Markup("")
    frame = Frame((0, 1), (0, 1))
    body = frame.axes("predicted probability", "share that is true", [0, 0.25, 0.5, 0.75, 1], [0, 0.25, 0.5, 0.75, 1])
    (x0, y0), (x1, y1) = frame.at(0, 0), frame.at(1, 1)
    body += f'<path class="ideal" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>'
    places = [frame.at(row["probability"], row["observed"]) for row in curve]
    body += f'<path class="line series-0" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>'
    most = max(row["pixels"] for row in curve)
    for (x, y), row in zip(places, curve, strict=True):
        radius = 2 + 6 * math.sqrt(row["pixels"] / most)
        body += f'<circle class="bin" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'
    return Markup(drawing(title, body))


def drawing(title: str, body: str) -> str:
    """Put a body into an SVG element of the common size."""
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{body}</svg>'
