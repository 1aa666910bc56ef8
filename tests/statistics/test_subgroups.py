"""Subgroups: how values become subgroups, their summaries, and which are weaker than the rest."""

import numpy as np
import pandas as pd
import pytest

from custom_networks.statistics import size_classes, subgroup_differences, subgroups_of, summarise_subgroups
from custom_networks.statistics.subgroups import weakness_sentences

FRAME = pd.DataFrame(
    {"dice": [0.9, 0.8, 0.7, 0.6, 0.0, 1.0], "missed": [0, 0, 0, 0, 1.0, 0], "sex": ["f", "m", None, "f", "m", "f"]},
    index=list("abcdef"),
)


def test_subgroups_hold_every_image_once():
    table = summarise_subgroups(FRAME, "sex", resamples=100)
    dice = table.xs("dice", level="metric")
    assert dice["images"].to_dict() == {"f": 3, "m": 2, "unknown": 1}
    assert dice.loc["m", "mean"] == pytest.approx(0.4)
    assert dice.loc["m", "missed"] == 1


def test_only_the_metrics_that_are_asked_for():
    table = summarise_subgroups(FRAME.assign(hd95=3.0), "sex", ["hd95"], resamples=100)
    assert set(table.index.get_level_values("metric")) == {"hd95"}


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


@pytest.mark.parametrize("missing", [None, np.nan, ""])
def test_numbers_with_gaps_or_as_text_are_numbers(missing):
    ages = pd.Series([*map(str, range(20, 60)), missing], dtype=object)
    assert subgroups_of(ages).cat.categories.tolist() == [
        "20 to 29.75", "29.75 to 39.5", "39.5 to 49.25", "49.25 to 59", "unknown",
    ]  # fmt: skip


def test_stated_edges():
    named = subgroups_of(pd.Series([29, 30, 69, 70, None]), [30, 70])
    assert named.tolist() == ["below 30", "30 to 70", "30 to 70", "70 and above", "unknown"]


def test_dates_are_cut_in_time():
    days = pd.date_range("2019-01-01", periods=41, freq="10D")
    text = pd.Series([*days.strftime("%Y-%m-%d"), None])
    assert subgroups_of(text).cat.categories.tolist()[0] == "2019-01-01 to 2019-04-11"
    numbers = pd.Series([*days.strftime("%Y%m%d").astype(int), np.nan])  # differ in the sixth digit and beyond
    assert subgroups_of(numbers).value_counts().tolist() == [11, 10, 10, 10, 1]
    moments = pd.Series(pd.date_range("2019-01-01 08:00", periods=20, freq="min").strftime("%Y-%m-%dT%H:%M:%S"))
    assert len(subgroups_of(moments).cat.categories) == 4


def test_truth_values_and_text_stay_as_they_are():
    assert subgroups_of(pd.Series([True, False] * 10)).cat.categories.tolist() == ["False", "True"]
    assert subgroups_of(pd.Series(list("abcdefghijklmn"))).nunique() == 14


def patients(seed, count=60):
    """A table in which no subgroup differs: sites of whole patients, sizes of images, ages."""
    random = np.random.default_rng(seed)
    patient = np.repeat(np.arange(count), random.integers(1, 4, count))
    images = len(patient)
    dice = np.clip(random.beta(8, 2, count)[patient] + random.normal(0, 0.03, images), 0, 1)
    columns = {
        "dice": dice,
        "group": [f"patient {number}" for number in patient],
        "site": random.choice(list("AABC"), count)[patient],
        "size": random.choice(["small", "medium", "large"], images),
        "age": random.integers(20, 90, count)[patient],
    }
    return pd.DataFrame(columns, index=[str(number) for number in range(images)])


COLUMNS = {"site": (), "size": (), "age": ()}


def test_noise_is_named_no_more_often_than_five_percent():
    """100 sets without any difference: the family of all subgroups errs about as often as it may."""
    found = [subgroup_differences(patients(seed), COLUMNS, resamples=300, seed=seed) for seed in range(100)]
    different = np.mean([any(row["p_holm"] < 0.05 for row in rows) for rows in found])
    weaker = np.mean([any(row["weaker"] for row in rows) for rows in found])
    assert 0.01 <= different <= 0.10
    assert weaker <= 0.05


def test_a_weak_subgroup_is_found():
    frame = patients(1)
    frame.loc[frame["site"] == "B", "dice"] -= 0.3
    rows = subgroup_differences(frame, COLUMNS, resamples=500)
    assert [(row["column"], row["subgroup"]) for row in rows if row["weaker"]] == [("site", "B")]
    weak = next(row for row in rows if row["weaker"])
    inside = frame["site"] == "B"
    difference = frame.loc[inside, "dice"].mean() - frame.loc[~inside, "dice"].mean()
    assert weak["difference"] == pytest.approx(difference)
    assert weak["ci_low"] < difference < weak["ci_high"] < 0
    assert weak["groups"] == frame.loc[inside, "group"].nunique()
    sentences = weakness_sentences(rows)
    assert len(sentences) == 1
    assert sentences[0].startswith("Weaker than the rest: site B, mean Dice 0.53")


def test_of_a_distance_the_larger_is_weaker():
    frame = patients(1).assign(hd95=lambda table: 40 * (1 - table["dice"]))
    frame.loc[frame["site"] == "B", "hd95"] += 12
    frame.loc[frame["site"] == "C", "hd95"] -= 12
    rows = subgroup_differences(frame, COLUMNS, "hd95", resamples=300)
    assert [row["subgroup"] for row in rows if row["weaker"]] == ["B"]
    (sentence,) = weakness_sentences([row | {"weaker": False} for row in rows])
    assert "lowest observed: site B, mean HD95" in sentence


def test_a_class_without_images_is_no_subgroup():
    frame = patients(1, 20).assign(
        size=lambda table: size_classes([0.01, 0.5] * (len(table) // 2) + [0.5] * (len(table) % 2))
    )
    rows = subgroup_differences(frame, {"size": ()}, resamples=100)
    assert [row["subgroup"] for row in rows] == ["small", "large"]


def test_noise_is_the_lowest_observed():
    rows = subgroup_differences(patients(2), COLUMNS, resamples=300)
    sentence, *others = weakness_sentences(rows)
    assert not others
    lowest = min(rows, key=lambda row: row["mean"])
    assert f"(10 of 10 could be tested); lowest observed: {lowest['column']} {lowest['subgroup']}, mean" in sentence


def test_few_groups_have_no_interval_and_are_not_tested():
    frame = patients(3, 12).assign(site=lambda table: np.where(table["group"] == "patient 3", "rare", "usual"))
    frame.loc[frame["site"] == "rare", "dice"] = 0
    rows = subgroup_differences(frame, {"site": ()}, resamples=200)
    assert all(np.isnan(row["ci_low"]) and np.isnan(row["p_holm"]) and not row["weaker"] for row in rows)
    images = rows[0]["images"]
    (sentence,) = weakness_sentences(rows)
    assert "(0 of 2 could be tested); lowest observed: site rare, mean Dice 0 in " in sentence
    assert f"in {images} image{'s' * (images > 1)} of 1 group, " in sentence
    assert sentence.endswith(" against the rest (too few groups for an interval).")


@pytest.mark.parametrize("value", [0.0, 0.7, 0.75, 1.0])
def test_where_nothing_varies_nothing_is_tested(value):
    """Sums of squares that are equal but for rounding gave an interval from minus to plus infinity."""
    for row in subgroup_differences(patients(1).assign(dice=value), {"site": ()}, resamples=100):
        assert row["difference"] == pytest.approx(0, abs=1e-12)
        assert np.isnan([row["p"], row["ci_low"], row["ci_high"]]).all()


def test_the_standard_error_is_the_cluster_robust_one():
    """Against the regression on the subgroup's indicator with errors clustered by patient."""
    api = pytest.importorskip("statsmodels.api")
    frame = patients(4)
    inside = (frame["size"] == "small").astype(float).to_numpy()
    fitted = api.OLS(frame["dice"].to_numpy(), api.add_constant(inside)).fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(frame["group"])[0], "use_correction": False}
    )
    row = next(row for row in subgroup_differences(frame, {"size": ()}, resamples=4000) if row["subgroup"] == "small")
    assert row["difference"] == pytest.approx(fitted.params[1])
    half = (row["ci_high"] - row["ci_low"]) / 2
    assert half / fitted.bse[1] == pytest.approx(2.05, abs=0.15), "about the quantile of t with 59 degrees of freedom"
