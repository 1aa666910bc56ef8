"""Bootstrap intervals: SciPy's where nothing is grouped, right coverage of groups, degenerate samples."""

import itertools
import time
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from custom_networks.errors import UserError
from custom_networks.statistics import bootstrap_interval
from custom_networks.statistics.bootstrap import MIN_GROUPS, ClusterSample, bootstrap_intervals, check_seed


@pytest.mark.parametrize("size", [10, 60])
@pytest.mark.parametrize(("seed", "steps"), [(0, 4), (1, 8), (7, 1 << 30)])
def test_equals_scipy_number_for_number(size, seed, steps):
    """Few steps: many resamples have the very mean that was observed, which half count as below it."""
    values = (np.random.default_rng(size).beta(8, 2, size) * steps).round() / steps
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=999, method="BCa", rng=np.random.default_rng(seed)
    ).confidence_interval
    ours = bootstrap_interval(values, resamples=999, seed=seed)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_groups_of_one_are_no_groups():
    values = np.random.default_rng(1).random(20)
    names = [f"patient {index}" for index in range(20)]
    assert bootstrap_interval(values, names, resamples=500) == bootstrap_interval(values, resamples=500)


def test_copies_of_an_image_add_no_certainty():
    """Five copies of each value, grouped, give the interval of the values alone."""
    values = np.random.default_rng(2).random(20)
    names = np.repeat(np.arange(20), 5).tolist()
    grouped = bootstrap_interval(np.repeat(values, 5), names, resamples=500)
    alone = bootstrap_interval(values, resamples=500)
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high))
    naive = bootstrap_interval(np.repeat(values, 5), resamples=500)
    assert naive.high - naive.low < 0.6 * (grouped.high - grouped.low)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """300 samples of 25 patients with 1 to 4 images: 95 % within what chance allows."""
    random = np.random.default_rng(3)
    covered = 0
    for index in range(300):
        sizes = random.integers(1, 5, 25)
        names = np.repeat(np.arange(25), sizes)
        values = np.repeat(random.normal(0.8, 0.1, 25), sizes) + random.normal(0, 0.02, len(names))
        interval = bootstrap_interval(values, names.tolist(), resamples=300, seed=index)
        covered += interval.low <= 0.8 <= interval.high
    assert 0.87 <= covered / 300 <= 0.985


def test_resamples_draw_whole_groups():
    sample = ClusterSample([1, 10, 2, 20, 7], ["a", "b", "a", "b", "c"])
    groups = [(3, 2), (30, 2), (7, 1)]
    drawn = sample.replicates(200, 0)[:, 0]
    combinations = itertools.product(groups, repeat=3)
    possible = [sum(total for total, _ in each) / sum(size for _, size in each) for each in combinations]
    assert np.isclose(drawn[:, None], possible).any(1).all()
    assert len(set(drawn)) > 5
    assert sample.group_means()[:, 0].tolist() == [1.5, 15, 7]


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.floats(0, 1), min_size=4, max_size=30), groups=st.integers(2, 4))
def test_the_closed_form_is_the_plain_jackknife(values, groups):
    names = np.arange(len(values)) % groups
    plain = [np.mean(np.array(values)[names != left_out]) for left_out in range(groups)]
    assert ClusterSample(values, names.tolist()).jackknife()[:, 0] == pytest.approx(plain)


def test_the_cost_grows_with_the_images_not_their_square():
    """The plain jackknife of 50,000 images copies 2.5e9 numbers; this takes them once."""
    values = np.random.default_rng(0).beta(8, 2, 50_000)
    begin = time.process_time()
    interval = bootstrap_interval(values, resamples=100)
    assert time.process_time() - begin < 5
    assert interval.low < values.mean() < interval.high


def test_a_ratio_is_resampled_as_a_ratio():
    """Sensitivity of 30 images with several lesions each: detected over true, image by image drawn."""
    random = np.random.default_rng(4)
    true = random.integers(0, 4, 30)
    detected = random.binomial(true, 0.8)
    interval = bootstrap_interval(detected, weights=true, resamples=500)
    assert interval.groups == np.count_nonzero(true)
    assert interval.low < detected.sum() / true.sum() < interval.high


def test_columns_together_equal_columns_alone():
    table = np.random.default_rng(5).random((25, 4))
    table[3, 1] = np.nan
    together = bootstrap_intervals(table, resamples=300)
    alone = [bootstrap_interval(column, resamples=300) for column in table.T]
    assert [astuple(each) for each in together] == [pytest.approx(astuple(each)) for each in alone]


def test_nine_groups_have_no_interval():
    values = np.random.default_rng(6).random(40)
    names = [index % (MIN_GROUPS - 1) for index in range(40)]
    interval = bootstrap_interval(values, names, resamples=100)
    assert np.isnan([interval.low, interval.high]).all()
    assert interval.groups == MIN_GROUPS - 1


@pytest.mark.parametrize("values", [[], [0.5], [np.nan, 0.5]])
def test_too_few_values_have_no_interval(values):
    interval = bootstrap_interval(values, resamples=100)
    assert np.isnan(interval.low)
    assert np.isnan(interval.high)


def test_equal_values_are_a_point():
    assert bootstrap_interval([0.7] * 12, resamples=100).low == bootstrap_interval([0.7] * 12, resamples=100).high


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(0, 1), min_size=2, max_size=40), gaps=st.integers(0, 4), groups=st.integers(1, 14))
def test_within_the_data_and_deaf_to_undefined_values(values, gaps, groups):
    names = [index % groups for index in range(len(values))]
    interval = bootstrap_interval(values, names, resamples=100)
    padded = bootstrap_interval([*values, *[np.nan] * gaps], [*names, *["x"] * gaps], resamples=100)
    if min(groups, len(values)) >= MIN_GROUPS:
        assert min(values) - 1e-12 <= interval.low <= interval.high <= max(values) + 1e-12
        assert (interval.low, interval.high) == (padded.low, padded.high)
    else:
        assert np.isnan(interval.low)


@pytest.mark.parametrize("seed", [-1, True, 0.5])
def test_a_seed_that_is_no_whole_number(seed):
    with pytest.raises(UserError, match=f"--seed {seed}: must be a whole number from 0 up"):
        check_seed(seed)


def test_groups_must_fit():
    with pytest.raises(ValueError, match="one for each of 2 values"):
        bootstrap_interval([1, 2], ["a"])


def test_a_column_without_any_value_has_no_interval():
    table = np.full((12, 2), np.nan)
    table[:, 0] = np.arange(12)
    defined, undefined = bootstrap_intervals(table, resamples=100)
    assert (defined.groups, undefined.groups) == (12, 0)
    assert np.isnan(undefined.low)
