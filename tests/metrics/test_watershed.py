"""Instances cut out of a probability and an edge map."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from custom_networks.metrics import WatershedParameters, match_instances, split_instances, tune


def touching_discs(gap=16, shape=(48, 64)):
    """Two discs of radius 9 that overlap, the map of their edges, and their instance map."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    distances = np.stack([np.hypot(rows - 24, columns - 24), np.hypot(rows - 24, columns - 24 - gap)])
    truth = (distances.argmin(0) + 1) * (distances.min(0) <= 9)
    inside = truth > 0
    edges = (np.abs(distances[0] - distances[1]) < 3.2) & inside | (np.abs(distances.min(0) - 9) < 1.5)
    probability = np.where(inside, 0.95, 0.02).astype(np.float32)
    return probability, gaussian_filter(edges * np.float32(0.95), 0.5), truth


def test_the_edge_map_parts_what_the_probability_cannot():
    probability, edge, truth = touching_discs()
    assert split_instances(probability).max() == 1
    labels = split_instances(probability, edge)
    assert labels.max() == 2
    assert match_instances(labels, truth).pq > 0.9


def test_every_foreground_pixel_belongs_to_an_instance():
    probability, edge, _ = touching_discs()
    labels = split_instances(probability, edge, WatershedParameters(min_area=0))
    assert ((labels > 0) == (probability >= 0.5)).all()


def test_foreground_without_a_marker_is_kept():
    """A pale object, below the marker threshold everywhere, is not lost."""
    probability = np.zeros((30, 40), np.float32)
    probability[5:12, 5:12], probability[18:26, 20:30] = 0.55, 0.95
    labels = split_instances(probability)
    assert labels.max() == 2
    assert ((labels > 0) == (probability > 0.5)).all()


def test_specks_are_dropped_and_ids_have_no_gaps():
    probability = np.zeros((40, 40), np.float32)
    probability[1:3, 1:3] = probability[10:20, 10:20] = probability[25:35, 25:35] = 1
    assert np.unique(split_instances(probability)).tolist() == [0, 1, 2]
    assert split_instances(probability, parameters=WatershedParameters(min_area=4)).max() == 3


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_nothing_and_everything(value):
    labels = split_instances(np.full((20, 20), value, np.float32), np.zeros((20, 20)))
    assert labels.max() == value


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), sigma=st.floats(0.5, 4))
def test_ids_are_complete_within_the_foreground(seed, sigma):
    random = np.random.default_rng(seed)
    probability, edge = (gaussian_filter(random.random((40, 40)), sigma) for _ in range(2))
    probability = (probability - probability.min()) / np.ptp(probability)
    labels = split_instances(probability, edge, WatershedParameters(min_area=0, min_marker_area=0))
    assert ((labels > 0) == (probability >= 0.5)).all()
    assert np.unique(labels[labels > 0]).tolist() == list(range(1, labels.max() + 1))


def test_tuning_finds_what_separates():
    probability, edge, truth = touching_discs()
    best, table = tune([(probability, edge, truth)], {"edge_weight": (0.0, 0.7), "smoothing": (0.5, 1.0)})
    assert best.edge_weight == 0.7
    assert len(table) == 4
    rows = {(row["edge_weight"], row["smoothing"]): row["pq"] for row in table}
    assert rows[0.0, 1.0] < rows[0.7, 1.0]
    assert match_instances(split_instances(probability, edge, best), truth).pq == max(rows.values())


def test_tuning_needs_instances():
    probability, edge, truth = touching_discs()
    with pytest.raises(ValueError, match="no true instance"):
        tune([(probability, edge, truth * 0)])


@pytest.mark.parametrize(
    ("name", "value"), [("threshold", 1.2), ("edge_weight", -0.1), ("smoothing", -1), ("min_area", -3)]
)
def test_impossible_parameters(name, value):
    with pytest.raises(ValueError, match=name):
        WatershedParameters(**{name: value})
