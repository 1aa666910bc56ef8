"""HD95 against brute force over edge pixels, and what a miss costs."""

import math

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_networks.metrics.hausdorff import HausdorffDistance95, Misses, hausdorff_distance_95

DIAGONAL = math.hypot(12, 9)


def empty():
    return torch.zeros(1, 1, 12, 9)


def pixel(i, j):
    mask = empty()
    mask[0, 0, i, j] = 1
    return mask


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 9999),
    size=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    density=st.sampled_from([0.05, 0.3, 0.7, 1.0]),
)
def test_equals_brute_force(seed, size, density):
    """Random masks, blocks of pixels among them, up to the image's border."""
    random = np.random.default_rng(seed)
    grow = int(random.integers(1, 4))
    pair = [np.kron(random.random(size) < density, np.ones((grow, grow)))[: size[0], : size[1]] for _ in range(2)]
    prediction, truth = (torch.from_numpy(mask)[None, None].float() for mask in pair)
    assert hausdorff_distance_95(prediction, truth).item() == pytest.approx(oracles.hd95(*pair), abs=1e-4)


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [
        pytest.param(pixel(2, 3), pixel(2, 3), 0, id="same"),
        pytest.param(pixel(2, 3), pixel(5, 7), 5, id="3-4-5 triangle"),
        pytest.param(empty(), empty(), 0, id="both empty"),
        pytest.param(empty(), pixel(2, 3), DIAGONAL, id="missed"),
        pytest.param(pixel(2, 3), empty(), DIAGONAL, id="false alarm"),
        pytest.param(torch.ones(1, 1, 12, 9), torch.ones(1, 1, 12, 9), 0, id="both full"),
    ],
)
def test_by_hand(prediction, truth, expected):
    assert hausdorff_distance_95(prediction, truth).item() == pytest.approx(expected)


def test_images_and_classes_stay_apart():
    prediction = torch.cat([torch.cat([pixel(0, 0), empty()], 1), torch.cat([pixel(1, 1), pixel(4, 4)], 1)])
    truth = torch.cat([torch.cat([pixel(0, 6), empty()], 1), torch.cat([empty(), pixel(4, 2)], 1)])
    assert hausdorff_distance_95(prediction, truth).tolist() == [[6, 0], [pytest.approx(DIAGONAL), 2]]


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
def test_types_of_masks(dtype):
    assert hausdorff_distance_95(pixel(2, 3).to(dtype), pixel(5, 7).to(dtype)).item() == 5


def test_mean_over_batches_of_any_size():
    metric = HausdorffDistance95()
    metric(torch.cat([pixel(0, 0), pixel(0, 0)]), torch.cat([pixel(0, 1), pixel(0, 2)]))
    metric(pixel(0, 0), pixel(0, 6))
    assert metric.aggregate().item() == 3
    metric(empty(), pixel(0, 0))
    assert metric.aggregate().item() == pytest.approx((9 + DIAGONAL) / 4)
    metric.reset()
    metric(pixel(0, 0), pixel(0, 1))
    assert metric.aggregate().item() == 1


def test_a_network_that_finds_nothing_is_not_the_best():
    metric = HausdorffDistance95()
    metric(torch.cat([empty(), empty()]), torch.cat([pixel(3, 3), pixel(4, 4)]))
    assert metric.aggregate().item() == pytest.approx(DIAGONAL)


def test_misses_are_counted():
    metric = Misses()
    metric(torch.cat([empty(), pixel(0, 0), empty()]), torch.cat([pixel(1, 1), pixel(5, 5), empty()]))
    assert metric.aggregate().item() == 1, "a wrong place is no miss, nor is an empty truth"
    metric(torch.cat([empty(), pixel(0, 0)]), torch.cat([pixel(1, 1), empty()]))
    assert metric.aggregate().item() == 2, "a false alarm is no miss"
    metric.reset()
    metric(pixel(0, 0), pixel(0, 0))
    assert metric.aggregate().item() == 0
