"""Summaries of sets, folds and subgroups."""

import numpy as np
import pandas as pd
import pytest

from custom_networks.statistics import (
    bootstrap_interval,
    size_classes,
    summarise,
    summarise_folds,
    summarise_subgroups,
)
from custom_networks.statistics.summary import subgroups_of

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
    interval = bootstrap_interval(FRAME["dice"], ["p", "p", "q", "d", "r", "s"], resamples=300)
    assert (row["ci_low"], row["ci_high"]) == (interval.low, interval.high)


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


def test_subgroups_hold_every_image_once():
    table = summarise_subgroups(FRAME, "sex", resamples=100)
    dice = table.xs("dice", level="metric")
    assert dice["images"].to_dict() == {"f": 3, "m": 2, "unknown": 1}
    assert dice.loc["m", "mean"] == pytest.approx(0.4)
    assert dice.loc["m", "missed"] == 1


def test_many_numbers_become_quarters():
    groups = subgroups_of(pd.Series([*np.arange(40.0), np.nan]))
    assert groups.value_counts().tolist() == [10, 10, 10, 10, 1]
    assert groups.cat.categories.tolist() == [
        "0 to 9.75", "9.75 to 19.5", "19.5 to 29.25", "29.25 to 39", "unknown",
    ]  # fmt: skip


def test_few_numbers_stay_as_they_are():
    assert subgroups_of(pd.Series([2, 1, 2])).tolist() == ["2", "1", "2"]


def test_subgroups_stand_in_the_order_of_their_classes():
    frame = FRAME[["dice"]].assign(size=size_classes([0.3, 0.01, 0.1, 0.4, 0.02, 0.1]))
    table = summarise_subgroups(frame, "size", resamples=100)
    assert list(dict.fromkeys(table.index.get_level_values("size"))) == ["small", "medium", "large"]
