"""PQ and AJI by hand, pooled as the CoNIC challenge pools them, and laws."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

sys.path.append(str(Path(__file__).resolve().parents[2]))  # benchmarks/ is not installed

from benchmarks.metric_oracles import aji_literal, pq_counts_literal
from custom_networks.metrics import InstanceCounts, PooledPanopticQuality, match_instances

MAPS = st.tuples(*[arrays(np.uint16, (9, 8), elements=st.sampled_from([0, 0, 1, 4, 900]))] * 2)


def nuclei(*squares, shape=(20, 20)):
    """Squares (id, top, left, side)."""
    labels = np.zeros(shape, np.int32)
    for value, top, left, side in squares:
        labels[top : top + side, left : left + side] = value
    return labels


TRUTH = nuclei((1, 0, 0, 4), (2, 10, 10, 4))
PREDICTION = nuclei((5, 0, 1, 4), (6, 10, 12, 4), (7, 16, 0, 2))


def test_by_hand():
    """One pair at IoU 12/20, one at 8/24 that does not match, one false alarm of 4 pixels."""
    counts = match_instances(PREDICTION, TRUTH)
    assert counts == InstanceCounts(tp=1, fp=2, fn=1, iou_sum=0.6, aji_intersection=20, aji_union=48)
    assert counts.row() == pytest.approx({"pq": 0.6 / 2.5, "sq": 0.6, "dq": 1 / 2.5, "aji": 20 / 48})


def test_exactly_half_is_no_match():
    assert match_instances(nuclei((1, 0, 0, 2)), nuclei((1, 0, 0, 2), (1, 0, 2, 2))).tp == 0


def test_touching_nuclei_merged_count_as_one_found_and_one_lost():
    """AJI takes the merged one for both true nuclei."""
    truth = nuclei((1, 0, 0, 6), (2, 0, 6, 3))
    assert match_instances((truth > 0).astype(int), truth) == InstanceCounts(1, 0, 1, 36 / 45, 36 + 9, 45 + 45)


@settings(max_examples=80, deadline=None)
@given(maps=MAPS)
def test_equals_the_literal_counts(maps):
    prediction, truth = maps
    counts = match_instances(prediction, truth)
    assert (counts.tp, counts.fp, counts.fn) == pq_counts_literal(prediction, truth)[:3]
    assert counts.iou_sum == pytest.approx(pq_counts_literal(prediction, truth)[3])
    assert counts.row()["aji"] == pytest.approx(aji_literal(prediction, truth))


@settings(max_examples=50, deadline=None)
@given(maps=MAPS)
def test_bounds_symmetry_and_identity(maps):
    prediction, truth = maps
    row, swapped = match_instances(prediction, truth).row(), match_instances(truth, prediction).row()
    assert all(0 <= value <= 1 for value in row.values())
    for name in ("pq", "sq", "dq"):
        assert row[name] == pytest.approx(swapped[name])
    assert set(match_instances(truth, truth).row().values()) == {1.0}
    assert row["pq"] == pytest.approx(row["sq"] * row["dq"])


@settings(max_examples=30, deadline=None)
@given(maps=MAPS, seed=st.integers(0, 99))
def test_ids_are_only_names(maps, seed):
    prediction, truth = maps
    names = np.concatenate([[0], np.random.default_rng(seed).permutation(901) + 1])
    renamed = match_instances(names[prediction], names[truth])
    assert renamed.pq == pytest.approx(match_instances(prediction, truth).pq, nan_ok=True)


def test_pooled_over_a_set():
    """Classes 1 and 2 occur, 3 never does; counts are added before PQ is formed."""
    types = (TRUTH == 1) * 1 + (TRUTH == 2) * 2
    predicted_types = (PREDICTION == 5) * 1 + (PREDICTION == 6) * 2 + (PREDICTION == 7) * 2
    pooled = PooledPanopticQuality({1: "neoplastic", 2: "stromal", 3: "dead"})
    pooled.add(PREDICTION, TRUTH, predicted_types, types)
    pooled.add(TRUTH, TRUTH, types, types)
    summary = pooled.summary()
    assert summary["pq_plus"] == pytest.approx((0.6 + 2) / (3 + 0.5 * 2 + 0.5 * 1))
    assert summary["pq_plus_neoplastic"] == pytest.approx(1.6 / 2)
    assert summary["pq_plus_stromal"] == pytest.approx(1 / (1 + 0.5 * 2 + 0.5 * 1))
    assert np.isnan(summary["pq_plus_dead"])
    assert summary["mpq_plus"] == pytest.approx((1.6 / 2 + 1 / 2.5) / 2)
    assert summary["classes_absent"] == 1


def test_a_class_predicted_and_never_true_counts_as_zero():
    pooled = PooledPanopticQuality({1: "a", 2: "b"})
    pooled.add(TRUTH, TRUTH, (TRUTH > 0) * 1 + (TRUTH == 2) * 1, (TRUTH > 0) * 1)
    assert pooled.summary()["mpq_plus"] == pytest.approx((1 / 1.5 + 0) / 2)


def test_images_without_nuclei_do_not_change_the_pool():
    pooled = PooledPanopticQuality()
    empty = np.zeros_like(TRUTH)
    assert np.isnan(pooled.summary()["pq_plus"])
    pooled.add(PREDICTION, TRUTH)
    before = pooled.summary()
    pooled.add(empty, empty)
    assert pooled.summary() == before


def test_classes_need_class_maps():
    with pytest.raises(ValueError, match="class maps"):
        PooledPanopticQuality({1: "a"}).add(TRUTH, TRUTH)
