"""Bootstrap intervals: SciPy's where nothing is grouped, right coverage of groups, degenerate samples."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from custom_networks.statistics import bootstrap_interval
from custom_networks.statistics.bca import ClusterSample


@pytest.mark.parametrize("statistic", [np.mean, np.median])
@pytest.mark.parametrize("size", [8, 60])
@pytest.mark.parametrize("seed", [0, 7])
def test_equals_scipy_number_for_number(statistic, size, seed):
    values = np.random.default_rng(size).beta(8, 2, size)
    theirs = stats.bootstrap(
        (values,), statistic, n_resamples=999, method="BCa", rng=np.random.default_rng(seed)
    ).confidence_interval
    ours = bootstrap_interval(values, statistic=statistic, resamples=999, seed=seed)
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
    sums = {frozenset([1, 2]), frozenset([10, 20]), frozenset([7])}
    drawn = sample.replicates(lambda values: float(values.sum()), 200, 0)
    possible = {sum(map(sum, combination)) for combination in itertools.product(sums, repeat=3)}
    assert set(drawn) <= possible
    assert len(set(drawn)) > 5
    assert sample.without(1).tolist() == [1, 2, 7]
    assert sample.group_means().tolist() == [1.5, 15, 7]


@pytest.mark.parametrize("values", [[], [0.5], [np.nan, 0.5]])
def test_too_few_values_have_no_interval(values):
    interval = bootstrap_interval(values, resamples=100)
    assert np.isnan(interval.low)
    assert np.isnan(interval.high)


def test_equal_values_are_a_point():
    assert bootstrap_interval([0.7] * 9, resamples=100).low == bootstrap_interval([0.7] * 9, resamples=100).high


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(0, 1), min_size=2, max_size=25), gaps=st.integers(0, 4), groups=st.integers(1, 6))
def test_within_the_data_and_deaf_to_undefined_values(values, gaps, groups):
    names = [index % groups for index in range(len(values))]
    interval = bootstrap_interval(values, names, resamples=100)
    padded = bootstrap_interval([*values, *[np.nan] * gaps], [*names, *["x"] * gaps], resamples=100)
    if groups > 1:
        assert min(values) - 1e-12 <= interval.low <= interval.high <= max(values) + 1e-12
        assert (interval.low, interval.high) == (padded.low, padded.high)
    else:
        assert np.isnan(interval.low)


def test_groups_must_fit():
    with pytest.raises(ValueError, match="one for each of 2 values"):
        bootstrap_interval([1, 2], ["a"])
