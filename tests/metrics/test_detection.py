"""Lesion-wise detection against hand-worked pictures."""

import numpy as np
import pytest

from custom_networks.metrics.instances import detect


def squares(*corners: tuple[int, int], side: int = 4) -> np.ndarray:
    mask = np.zeros((32, 32), bool)
    for row, column in corners:
        mask[row : row + side, column : column + side] = True
    return mask


def test_found_missed_and_false():
    truth = squares((0, 0), (10, 10))
    prediction = squares((0, 0), (20, 20), (20, 28))
    assert detect(prediction, truth) == {"lesions_true": 2, "lesions_detected": 1, "lesions_false": 2}


@pytest.mark.parametrize(("minimum", "detected"), [(0.6, 1), (0.601, 0), (0.1, 1)])
def test_the_overlap_decides(minimum, detected):
    """Shifted by one of four columns: 12 of 20 pixels are shared."""
    row = detect(squares((0, 1)), squares((0, 0)), minimum)
    assert (row["lesions_detected"], row["lesions_false"]) == (detected, 1 - detected)


def test_each_matches_one_at_most():
    """One prediction over two true lesions finds one of them; as many pairs as can be are made."""
    truth = np.zeros((8, 8), int)
    truth[:4], truth[4:] = 1, 2
    assert detect(np.ones((8, 8), bool), truth, 0.3)["lesions_detected"] == 1
    prediction = np.zeros((8, 8), int)
    prediction[:6], prediction[6:] = 1, 2
    assert detect(prediction, truth, 0.3)["lesions_detected"] == 2


def test_nothing_there_and_touching_corners():
    empty = np.zeros((8, 8), bool)
    assert set(detect(empty, empty).values()) == {0}
    assert detect(squares(), squares((0, 0), (4, 4)))["lesions_true"] == 1
