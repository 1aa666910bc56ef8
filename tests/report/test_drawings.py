"""Charts and panels: well-formed SVG that shows the figures it was given."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from custom_networks.evaluation.case_maps import case_maps
from custom_networks.network.segmenter import SGDNetMaps
from custom_networks.report import svg
from custom_networks.report.panels import boundary_error, case_panels, contours, outlines

FLOATS = st.floats(-1e6, 1e6)


def elements(markup: str, kind: str, css: str = "") -> list[ElementTree.Element]:
    root = ElementTree.fromstring(f"<div>{markup}</div>")
    return [node for node in root.iter(kind) if css in ("", node.get("class"))]


@given(FLOATS, FLOATS)
def test_ticks_are_few_and_within(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    found = svg.ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1)
    assert 1 <= len(found) <= 8 or high - low < 1e-6
    assert all(low - slack <= tick <= high + slack for tick in found)


@given(st.lists(FLOATS | st.just(math.nan), max_size=30))
def test_histograms_are_well_formed(values: list[float]) -> None:
    drawn = svg.histogram("Dice & co <1>", values, "Dice")
    known = [value for value in values if not math.isnan(value)]
    assert bool(drawn) == bool(known)
    if known:
        assert elements(drawn, "rect", "bar")
        assert len(elements(drawn, "path", "median")) == 1


def test_the_median_line_stands_at_the_median() -> None:
    drawn = svg.histogram("Dice", [0.0, 0.5, 1.0], "Dice", unit_range=True)
    (line,) = elements(drawn, "path", "median")
    middle = svg.LEFT + (svg.WIDTH - svg.LEFT - svg.RIGHT) / 2
    assert (line.get("d") or "").startswith(f"M{middle:.1f} ")


def test_curves_differ_by_dash_and_name_themselves() -> None:
    series = {"loss": [(1.0, 3.0), (2.0, 2.0)], "edge <3>": [(1.0, 1.0), (2.0, math.nan)], "none": []}
    drawn = svg.curves("Loss", series, "epoch", "loss", mark=2)
    lines = [
        node
        for node in elements(drawn, "path")
        if (node.get("class") or "").startswith("line ") and node.get("d") != "M0 5H26"
    ]
    assert len({line.get("stroke-dasharray") for line in lines}) == 2
    assert "edge &lt;3&gt;" in drawn
    assert "none" not in drawn
    assert len(elements(drawn, "path", "mark")) == 1
    assert not svg.curves("empty", {"a": []}, "x", "y")


def test_perfect_calibration_lies_on_the_diagonal() -> None:
    curve = [{"probability": p, "observed": p, "pixels": 10.0} for p in (0.0, 0.5, 1.0)]
    bins = elements(svg.reliability("Reliability", curve), "circle", "bin")
    xs, ys = ([float(node.get(name) or "nan") for node in bins] for name in ("cx", "cy"))
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.11)
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.11)


def square(side: int, low: int, high: int) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[low:high, low:high] = True
    return mask


def test_outlines_run_between_the_pixels() -> None:
    (line,) = contours(square(8, 2, 5))
    assert line.min() == 2
    assert line.max() == 5
    assert outlines(square(8, 0, 8)).endswith("Z")  # closed although it fills the picture
    assert outlines(np.zeros((4, 4), bool)) == ""


@pytest.mark.parametrize(
    ("error", "name", "words"),
    [(5.0, "outside", "up to 5 px outside"), (-5.0, "inside", "5 px inside"), (0, "right", "100%")],
)
def test_the_border_is_drawn_by_its_error(error: float, name: str, words: str) -> None:
    drawn, caption = boundary_error(square(16, 4, 12), np.full((16, 16), error), 2.0)
    assert {node.get("class") for node in elements(drawn, "path")} == {name}
    assert words in caption
    assert boundary_error(np.zeros((4, 4), bool), np.zeros((4, 4)), 2.0)[1].endswith("nothing predicted")


def test_a_case_shows_the_whole_image_and_the_part_around_the_border() -> None:
    picture = np.zeros((128, 128, 3), np.uint8)
    truth, prediction = square(128, 40, 60), square(128, 42, 62)
    panels = case_panels(3, case_maps(picture, truth, prediction))
    assert [panel.title.split(":")[0].split(",")[0] for panel in panels] == [
        "whole image",
        "around the border",
        "truth solid",
        "boundary error",
    ]
    assert "54 x 54 pixels, at full resolution" in panels[1].title
    assert len(elements(panels[0].drawing, "rect", "frame")) == 1
    assert elements(panels[2].drawing, "use")[0].get("href") == "#picture3"
    maps = SGDNetMaps([], torch.zeros(1, 1, 128, 128), torch.rand(1, 16, 32, 32))
    assert len(case_panels(0, case_maps(picture, truth, prediction, maps))) == 6
