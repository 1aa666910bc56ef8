"""Outlines and measurements against shapes whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from prediction_fixtures import disc
from scipy.ndimage import label as regions
from skimage.draw import polygon2mask
from skimage.measure import perimeter_crofton

from custom_networks.prediction.objects import Object, area, components, measure_object, objects, perimeter, rings

MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def whole(mask: np.ndarray) -> Object:
    return Object(1, 0, 0, mask)


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_polygons_hold_the_pixels_but_half_a_pixel_a_ring(mask: np.ndarray) -> None:
    found = list(objects(components(mask)))
    assert sum(int(one.mask.sum()) for one in found) == mask.sum()
    for one in found:
        outer, *holes = rings(one)
        outside, count = regions(~np.pad(one.mask, 1), structure=np.ones((3, 3)))
        assert len(holes) == count - 1
        filled = (outside != outside[0, 0]).sum()
        assert area(outer) == pytest.approx(filled - 0.5)
        assert sum(area(hole) for hole in holes) == pytest.approx(-(filled - one.mask.sum() - 0.5 * len(holes)))
        height, width = one.mask.shape
        low, high = outer.min(0), outer.max(0)
        np.testing.assert_allclose([*low, *high], [one.column, one.row, one.column + width, one.row + height])


@settings(max_examples=40, deadline=None)
@given(MASKS)
def test_polygons_hold_the_right_pixels(mask: np.ndarray) -> None:
    for one in objects(components(mask)):
        covered = np.zeros(mask.shape, bool)
        for ring in rings(one):
            covered ^= polygon2mask(mask.shape, ring[:-1, ::-1] - 0.5)
        expected = np.zeros(mask.shape, bool)
        expected[one.row : one.row + one.mask.shape[0], one.column : one.column + one.mask.shape[1]] = one.mask
        np.testing.assert_array_equal(covered, expected)


def test_a_square_has_eight_corners_cut() -> None:
    (ring,) = rings(Object(1, 5, 10, np.ones((4, 4), bool)))
    assert len(ring) == 9
    assert (ring[0] == ring[-1]).all()


def test_a_disc() -> None:
    row = measure_object(whole(disc((121, 121), (60, 60), 50)))
    assert row["area_px"] == pytest.approx(np.pi * 50**2, rel=0.005)
    assert row["perimeter_px"] == pytest.approx(2 * np.pi * 50, rel=0.01)
    assert row["diameter_px"] == pytest.approx(100, rel=0.005)
    assert row["longest_diameter_px"] == pytest.approx(101, abs=0.6)
    assert row["asymmetry"] < 0.01
    assert row["border_irregularity"] == pytest.approx(1, abs=0.02)
    assert row["area_mm2"] is row["perimeter_mm"] is row["diameter_mm"] is row["longest_diameter_mm"] is None


def test_millimetres_of_pixels_that_are_not_square() -> None:
    """An ellipse in pixels that is a disc of 10 mm radius in the world."""
    rows, columns = np.indices((120, 240))
    mask = ((rows - 60) * 0.2) ** 2 + ((columns - 120) * 0.1) ** 2 <= 10**2
    row = measure_object(whole(mask), (0.2, 0.1))
    assert row["area_mm2"] == pytest.approx(np.pi * 100, rel=0.005)
    assert row["perimeter_mm"] == pytest.approx(20 * np.pi, rel=0.02)
    assert row["diameter_mm"] == pytest.approx(20, rel=0.005)
    assert row["longest_diameter_mm"] == pytest.approx(20, abs=0.25)
    assert row["border_irregularity"] == pytest.approx(1, abs=0.03)
    assert row["longest_diameter_px"] == pytest.approx(201, abs=1)


def test_square_pixels_scale_all_lengths() -> None:
    mask = disc((80, 80), (40, 40), 30)
    row = measure_object(whole(mask), (0.05, 0.05))
    assert row["area_mm2"] == pytest.approx(row["area_px"] * 0.0025)
    for name in ("perimeter", "diameter", "longest_diameter"):
        assert row[f"{name}_mm"] == pytest.approx(0.05 * row[f"{name}_px"])


@settings(max_examples=40, deadline=None)
@given(MASKS)
def test_perimeter_is_that_of_scikit_image_where_pixels_are_square(mask: np.ndarray) -> None:
    assert perimeter(mask, (0.5, 0.5)) == pytest.approx(0.5 * perimeter_crofton(np.pad(mask, 1), directions=4))


def test_asymmetry_and_irregularity_tell_shapes_apart() -> None:
    rectangle = np.ones((20, 60), bool)
    assert measure_object(whole(rectangle))["asymmetry"] == 0
    wedge = np.tri(60, 60, dtype=bool)
    wedge[:, 30:] = False
    assert measure_object(whole(wedge))["asymmetry"] > 0.1
    star = disc((101, 101), (50, 50), 25)
    for angle in np.arange(6) * np.pi / 3:
        star |= disc((101, 101), (50 + 30 * np.sin(angle), 50 + 30 * np.cos(angle)), 10)
    assert measure_object(whole(star))["border_irregularity"] > 1.4
    longest = measure_object(whole(rectangle))["longest_diameter_px"]
    assert np.hypot(19, 60) <= longest <= np.hypot(20, 60)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 1)])
def test_the_smallest_objects_have_finite_figures(shape: tuple[int, int]) -> None:
    row = measure_object(whole(np.ones(shape, bool)), (0.1, 0.1))
    assert all(np.isfinite(value) for value in row.values())
