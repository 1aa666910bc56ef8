"""The simulated user marks the error that it should."""

from __future__ import annotations

import numpy as np
import pytest
from prediction_fixtures import disc

from custom_networks.interactive.simulation import Error, box_around, click_in, largest_error, scribble_in

RNG = np.random.default_rng(0)


def bar(height: int = 5) -> np.ndarray:
    mask = np.zeros((40, 60), bool)
    mask[20 : 20 + height, 10:50] = True
    return mask


def test_a_perfect_mask_has_no_error() -> None:
    assert largest_error(bar(), bar()) is None


def test_the_widest_error_is_marked_in_its_middle() -> None:
    truth = disc((60, 60), (20, 20), 8)
    prediction = disc((60, 60), (45, 45), 4)
    error = largest_error(prediction, truth)
    assert error is not None
    assert error.positive
    assert click_in(error).tolist() == [[20, 20]]
    assert np.array_equal(error.depth > 0, truth)
    other = largest_error(truth, prediction)
    assert other is not None
    assert not other.positive


def test_the_border_of_the_image_counts_as_outside() -> None:
    error = largest_error(np.zeros((21, 21), bool), np.ones((21, 21), bool))
    assert error is not None
    assert click_in(error).tolist() == [[10, 10]]


def test_random_clicks_lie_deep_in_the_error() -> None:
    error = largest_error(np.zeros((60, 60), bool), disc((60, 60), (30, 30), 20))
    assert error is not None
    clicks = np.concatenate([click_in(error, RNG) for _ in range(50)])
    assert len(np.unique(clicks, axis=0)) > 20
    assert (np.hypot(*(clicks - 30).T) <= 11).all()


def test_the_scribble_follows_the_centre_line() -> None:
    error = largest_error(np.zeros((40, 60), bool), bar())
    assert error is not None
    stroke = scribble_in(error)
    assert set(stroke[:, 0].tolist()) <= {21, 22, 23}
    assert np.ptp(stroke[:, 1]) >= 34
    assert (np.abs(np.diff(stroke, axis=0)).max(1) == 1).all()


@pytest.mark.parametrize("shape", ["bar", "disc", "pixel", "ring"])
def test_random_scribbles_stay_in_the_error(shape: str) -> None:
    pixel = np.zeros((40, 60), bool)
    pixel[3, 4] = True
    outer, inner = disc((40, 60), (20, 30), 15), disc((40, 60), (20, 30), 9)
    mask = {"bar": bar(), "disc": outer, "pixel": pixel, "ring": outer & ~inner}[shape]
    error = largest_error(np.zeros_like(mask), mask)
    assert error is not None
    for _ in range(20):
        stroke = scribble_in(error, RNG)
        assert len(stroke) >= 1
        assert (error.depth[tuple(stroke.T)] > 0).all()


def test_the_box_is_exact_or_moved_a_little() -> None:
    low, high = box_around(bar())
    assert [*low, *high] == [20, 10, 25, 50]
    moved = np.array([np.concatenate(box_around(bar(), RNG)) for _ in range(50)])
    assert np.abs(moved - [20, 10, 25, 50]).max(0).tolist() <= [1, 4, 1, 4]
    assert len(np.unique(moved, axis=0)) > 10
    assert box_around(np.zeros((4, 4), bool)) is None


def test_a_region_of_two_pixels_can_be_scribbled() -> None:
    depth = np.zeros((5, 5))
    depth[2, 2:4] = 1
    assert len(scribble_in(Error(depth, True))) in (1, 2)
