"""AUROC, Brier score and calibration: by hand, and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from custom_networks.metrics.probability import Calibration, auroc, brier, expected_calibration_error

PAIRS = st.tuples(arrays(np.float32, (6, 7), elements=st.floats(0, 1, width=32)), arrays(bool, (6, 7)))


def test_by_hand():
    probability, truth = np.array([[0.1, 0.4, 0.35, 0.8]]), np.array([[False, False, True, True]])
    assert auroc(probability, truth) == 0.75
    assert brier(probability, truth) == pytest.approx((0.01 + 0.16 + 0.65**2 + 0.04) / 4)
    assert Calibration(bins=2).add(probability, truth).error == pytest.approx((abs(0.85 - 1) + abs(0.8 - 1)) / 4)


def test_ties_count_half():
    assert auroc(np.full((3, 3), 0.5), np.eye(3, dtype=bool)) == 0.5


def test_probabilities_that_hold_are_calibrated():
    """A quarter of the pixels at 0.25 is true, all at 1.0 are."""
    probability = np.array([[0.25] * 4 + [1.0] * 3])
    truth = np.array([[True, False, False, False, True, True, True]])
    assert expected_calibration_error(probability, truth) == 0
    assert Calibration().add(probability, truth).curve() == [
        {"probability": 0.25, "observed": 0.25, "pixels": 4.0},
        {"probability": 1.0, "observed": 1.0, "pixels": 3.0},
    ]


@settings(max_examples=60, deadline=None)
@given(pair=PAIRS)
def test_bounds_and_symmetry(pair):
    probability, truth = pair
    area = auroc(probability, truth)
    assert np.isnan(area) == (truth.all() or not truth.any())
    if not np.isnan(area):
        assert 0 <= area <= 1
        assert auroc(probability, ~truth) == pytest.approx(1 - area)
        assert auroc(np.sqrt(probability.astype(float)), truth) == pytest.approx(area), "only the order matters"
    error, score = expected_calibration_error(probability, truth), brier(probability, truth)
    assert 0 <= score <= 1
    assert 0 <= error <= np.sqrt(score) + 1e-6, "the bins' mean differences cannot exceed the root mean square"


@settings(max_examples=30, deadline=None)
@given(first=PAIRS, second=PAIRS)
def test_pooling_images_is_one_large_image(first, second):
    pooled = Calibration().add(*first).add(*second)
    joined = [np.concatenate(maps) for maps in zip(first, second, strict=True)]
    assert pooled.error == pytest.approx(expected_calibration_error(*joined))


def test_nothing_pooled_is_undefined():
    assert np.isnan(Calibration().error)
