"""The row of an image: what it holds, what it refuses, how fast it is."""

import time
import tracemalloc

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from custom_networks.metrics import FLAGS, METRICS, measure

TRUTH = np.zeros((24, 32), np.uint8)
TRUTH[4:12, 6:20] = 255
PROBABILITY = np.clip(gaussian_filter(TRUTH / 255.0, 2), 0, 1)
INSTANCE_METRICS = ("pq", "sq", "dq", "aji")
OF_PROBABILITIES = ("auroc", "ece", "border_ece", "brier")


def test_columns_of_a_mask_a_probability_and_an_edge_map():
    edge = np.zeros(TRUTH.shape)
    of_mask, of_probability = measure(TRUTH, TRUTH), measure(PROBABILITY, TRUTH)
    everything = measure(PROBABILITY, TRUTH, edge=edge)
    assert list(everything) == [*METRICS, *FLAGS]
    assert [name for name in everything if name not in INSTANCE_METRICS] == list(of_probability)
    assert [name for name in of_probability if name not in OF_PROBABILITIES] == list(of_mask)
    assert all(isinstance(value, float) for value in everything.values())


def test_half_is_foreground():
    assert measure(np.where(TRUTH > 0, 0.5, 0.49), TRUTH)["dice"] == 1
    assert measure(np.where(TRUTH > 0, 0.5, 0.49), TRUTH, threshold=0.6)["missed"] == 1


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int64])
def test_types_of_masks(dtype):
    mask = (TRUTH > 0).astype(dtype)
    assert measure(mask, TRUTH)["iou"] == 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_types_of_probabilities(dtype):
    row = measure(PROBABILITY.astype(dtype), TRUTH)
    assert row == pytest.approx(measure(PROBABILITY, TRUTH), abs=2e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((PROBABILITY[:-1], TRUTH), r"\(23, 32\) and truth \(24, 32\)"),
        ((PROBABILITY * 20 - 10, TRUTH), "apply the sigmoid"),
        ((np.where(TRUTH > 0, np.nan, PROBABILITY), TRUTH), "between 0 and 1"),
        ((PROBABILITY, TRUTH / 255.0), "threshold it first"),
        ((PROBABILITY, TRUTH, (0.0, 1.0)), "above 0"),
        ((TRUTH, TRUTH, None, PROBABILITY), "probabilities"),
        ((PROBABILITY, TRUTH, None, PROBABILITY[1:]), "shape"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        measure(*arguments)


def lesions(count, seed=0):
    """Pairs of smooth lesions of 256 x 256 pixels."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        field = gaussian_filter(random.normal(size=(256, 256)), 24)
        probability = 1 / (1 + np.exp(-field / field.std() * 4))
        truth = gaussian_filter(random.normal(size=(256, 256)), 2) * 0.2 + field / field.std() > 0
        yield probability.astype(np.float32), truth


def test_a_thousand_masks_take_less_than_a_minute():
    """Twenty here; the limit has a factor of two to spare on a core that others use too."""
    pairs = list(lesions(20))
    start = time.process_time()
    for probability, truth in pairs:
        measure(probability, truth)
    assert (time.process_time() - start) / len(pairs) < 0.06


def test_memory_stays_flat():
    probability, truth = next(lesions(1))
    measure(probability, truth)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(30):
        measure(probability, truth)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 100_000
    assert peak - before < 12 * truth.size * 8
