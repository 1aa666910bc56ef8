"""Summaries of sets and of folds."""

import numpy as np
import pandas as pd
import pytest

from custom_networks.statistics import bootstrap_interval, summarise, summarise_folds
from custom_networks.statistics.bootstrap import group_key

FRAME = pd.DataFrame(
    {
        "id": list("abcdef"),
        "group": ["p", "p", "q", "", "r", "s"],
        "fold": [0, 0, 0, 1, 1, 1],
        "dice": [0.9, 0.8, 0.7, 0.6, 0.0, 1.0],
        "sensitivity": [0.9, 0.8, 0.7, 0.6, 0.0, np.nan],
        "missed": [0, 0, 0, 0, 1.0, 0],
        "false_alarm": 0.0,
        "both_empty": [0, 0, 0, 0, 0, 1.0],
        "sex": ["f", "m", None, "f", "m", "f"],
    }
).set_index("id")
FRAME["group"] = FRAME["group"].replace("", None)


def test_every_figure_of_a_row():
    table = summarise(FRAME, resamples=300)
    row = table.loc["dice"]
    assert list(table.index) == ["dice", "sensitivity"]
    assert row["mean"] == pytest.approx(4 / 6)
    assert (row["median"], row["q1"], row["q3"]) == pytest.approx((0.75, 0.625, 0.875))
    assert row["sd"] == pytest.approx(np.std(FRAME["dice"], ddof=1))
    assert (row["min"], row["max"]) == (0, 1)
    assert row["groups"] == 5, "two images are of one patient, one has none"
    assert row["mean_with_object"] == pytest.approx(3 / 5), "without the blank image f"
    assert row["mean_of_groups"] == pytest.approx((0.85 + 0.7 + 0.6 + 0.0 + 1.0) / 5)


def test_the_interval_is_that_of_the_groups():
    frame = pd.concat([FRAME.assign(group=FRAME["group"] + str(copy)) for copy in range(4)])
    frame.index = [str(number) for number in range(len(frame))]
    row = summarise(frame, resamples=300).loc["dice"]
    groups = [group if isinstance(group, str) else name for name, group in frame["group"].items()]
    interval = bootstrap_interval(frame["dice"], groups, resamples=300)
    assert (row["ci_low"], row["ci_high"], row["groups"]) == (interval.low, interval.high, 20)
    assert np.isnan(summarise(FRAME, resamples=100).loc["dice", "ci_low"]), "five groups have no interval"


@pytest.mark.parametrize(
    ("value", "key"),
    [(3, "3"), ("3", "3"), (3.0, "3"), (" 3", "3"), ("a", "a"), (2.5, "2.5"), (None, None), ("", None), (np.nan, None)],
)
def test_one_group_has_one_key_however_it_is_written(value, key):
    assert group_key(value) == key


def test_whole_numbers_are_groups():
    """JSON integers as `group`: an interval of 4 patients with 10 copies is none, as with text."""
    values = np.repeat(np.random.default_rng(0).random(12), 10)
    frame = pd.DataFrame({"dice": values, "group": np.repeat(np.arange(12), 10)}, index=[str(i) for i in range(120)])
    by_number, by_text = summarise(frame, resamples=300), summarise(frame.astype({"group": str}), resamples=300)
    pd.testing.assert_frame_equal(by_number, by_text)
    alone = summarise(frame.drop(columns="group"), resamples=300)
    width = (by_number["ci_high"] - by_number["ci_low"])["dice"]
    assert width > 2 * (alone["ci_high"] - alone["ci_low"])["dice"]


def test_nothing_is_dropped_without_being_counted():
    table = summarise(FRAME, resamples=100)
    assert table["images"].tolist() == [6, 6]
    assert table["undefined"].tolist() == [0, 1]
    assert table.loc["sensitivity", ["missed", "false_alarm", "both_empty"]].tolist() == [1, 0, 1]


def test_folds():
    table = summarise_folds(FRAME)
    means = [0.8, 1.6 / 3]
    assert table.loc["dice", ["fold 0", "fold 1"]].tolist() == pytest.approx(means)
    assert table.loc["dice", "mean"] == pytest.approx(np.mean(means))
    assert table.loc["dice", "sd"] == pytest.approx(np.std(means, ddof=1))
    assert table.loc["dice", "folds"] == 2
