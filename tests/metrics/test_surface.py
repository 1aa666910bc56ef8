"""Borders and the distances between them: by hand, and laws that hold for any pair of masks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt

from custom_networks.metrics import surface
from custom_networks.metrics.image_metrics import measure
from custom_networks.metrics.surface import band_width, boundary_iou, inner_band

SIZES = st.tuples(st.integers(1, 14), st.integers(1, 14))
PAIRS = SIZES.flatmap(lambda size: st.tuples(arrays(bool, size), arrays(bool, size)))
UNIT = ("dice", "iou", "sensitivity", "specificity", "precision", "nsd", "boundary_iou", "boundary_f")
LENGTHS = ("hd", "hd95", "assd")


def square(top, left, side, shape=(40, 40)):
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_border_of_a_square_is_its_frame():
    frame = square(3, 3, 5)
    frame[4:7, 4:7] = False
    assert (surface.border(square(3, 3, 5)) == frame).all()


def test_the_image_frame_is_border():
    assert surface.border(np.ones((4, 5), bool)).sum() == 14


def test_concentric_squares():
    """Frames of 9 x 9 (32 pixels) and 5 x 5 (16 pixels), 2 apart on the sides, 2 sqrt 2 at the corners."""
    distances = surface.border_distances(square(10, 10, 9), square(12, 12, 5))
    assert distances.to_prediction.tolist() == [2.0] * 16
    # of the outer frame 20 pixels face the inner one, 8 lie one pixel off, 4 are the corners
    outer = sorted([2.0] * 20 + [math.sqrt(5)] * 8 + [math.sqrt(8)] * 4)
    assert sorted(distances.to_truth.tolist()) == pytest.approx(outer)
    assert surface.hausdorff(distances) == pytest.approx(math.sqrt(8))
    assert surface.average_distance(distances) == pytest.approx((sum(outer) + 32) / 48)
    assert surface.normalised_surface_dice(distances, 2.0) == pytest.approx(36 / 48)
    assert surface.boundary_f(distances, 2.0) == pytest.approx(2 * (20 / 32) / (1 + 20 / 32))


def test_spacing_of_rows_and_columns():
    a, b = square(5, 5, 1), square(8, 9, 1)
    assert surface.hausdorff(surface.border_distances(a, b, (2.0, 0.5))) == pytest.approx(math.hypot(6, 2))


def test_a_shift_within_the_tolerance_is_forgiven_at_any_spacing():
    """3 pixels of 0.1 mm are 0.30000000000000004 mm and must count as 3 pixels."""
    for spacing in (None, (0.1, 0.1), (0.7, 0.7)):
        row = measure(square(10, 10, 9), square(10, 13, 9), spacing, tolerance=3.0)
        assert row["nsd"] == row["boundary_f"] == 1.0
        assert measure(square(10, 10, 9), square(10, 14, 9), spacing, tolerance=3.0)["nsd"] < 1


def test_band_of_a_square():
    inner = square(14, 14, 12)
    assert (inner_band(square(10, 10, 20), 4) == (square(10, 10, 20) & ~inner)).all()
    assert band_width((256, 256)) == 7
    assert boundary_iou(square(10, 10, 20), inner, width=4) == 0.0, "the bands touch and do not overlap"


def test_the_band_of_an_axis_aligned_shape_is_euclidean():
    mask = square(0, 5, 20)
    assert (inner_band(mask, 3) == (mask & (distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1] <= 3))).all()


@settings(max_examples=80, deadline=None)
@given(pair=PAIRS)
def test_bounds_symmetry_and_order(pair):
    a, b = pair
    row, swapped = measure(a, b), measure(b, a)
    diagonal = math.hypot(*a.shape)
    for name in UNIT:
        assert math.isnan(row[name]) or 0 <= row[name] <= 1
    for name in LENGTHS:
        assert 0 <= row[name] <= diagonal
    assert row["hd95"] <= row["hd"]
    assert row["assd"] <= row["hd"]
    assert row["iou"] <= row["dice"]
    for name in ("dice", "iou", "nsd", "boundary_iou", "boundary_f", *LENGTHS):
        assert row[name] == pytest.approx(swapped[name])
    if a.any() and b.any():
        assert row["sensitivity"] == pytest.approx(swapped["precision"])


@settings(max_examples=50, deadline=None)
@given(mask=SIZES.flatmap(lambda size: arrays(bool, size)))
def test_a_mask_agrees_with_itself(mask):
    row = measure(mask, mask)
    assert all(row[name] == 0 for name in LENGTHS)
    assert all(row[name] == 1 or math.isnan(row[name]) for name in UNIT)


@settings(max_examples=50, deadline=None)
@given(pair=PAIRS, factor=st.sampled_from([0.05, 0.1, 3.0]))
def test_scaling_the_pixel_scales_lengths_and_nothing_else(pair, factor):
    pixels, millimetres = measure(*pair), measure(*pair, (factor, factor))
    for name in pixels:
        expected = pixels[name] * factor if name in LENGTHS else pixels[name]
        assert millimetres[name] == pytest.approx(expected, nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(pair=PAIRS, tolerances=st.tuples(st.floats(0, 20), st.floats(0, 20)))
def test_a_larger_tolerance_forgives_more(pair, tolerances):
    low, high = sorted(tolerances)
    strict, lenient = (measure(*pair, tolerance=limit) for limit in (low, high))
    assert strict["nsd"] <= lenient["nsd"]
    assert strict["boundary_f"] <= lenient["boundary_f"] + 1e-12


@settings(max_examples=50, deadline=None)
@given(pair=PAIRS, margin=st.integers(1, 9))
def test_background_around_the_image_changes_no_distance_between_masks(pair, margin):
    """The crop to the masks' box is exact."""
    a, b = pair
    if a.any() and b.any():
        row, padded = measure(a, b), measure(np.pad(a, margin), np.pad(b, margin))
        for name in (*LENGTHS, "nsd", "boundary_f"):
            assert row[name] == padded[name]


@settings(max_examples=50, deadline=None)
@given(pair=PAIRS)
def test_turning_and_mirroring_change_nothing(pair):
    a, b = pair
    row, turned = measure(a, b), measure(np.rot90(a)[::-1], np.rot90(b)[::-1])
    assert row == pytest.approx(turned, nan_ok=True)
