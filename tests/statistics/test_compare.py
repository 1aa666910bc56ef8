"""Two runs: tests against hand-worked examples and SciPy, refusals, the `sgdnet compare` verb."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import wilcoxon

from custom_networks.errors import UserError
from custom_networks.statistics import read_per_image
from custom_networks.statistics.bootstrap import ClusterSample
from custom_networks.statistics.compare import (
    BETTER,
    CONFLICT,
    NOTHING,
    ONE_TEST,
    _verdict,
    aligned,
    compare_misses,
    tail,
)
from custom_networks.statistics.compare import compare as compare_runs
from custom_networks.statistics.compare_runs import comparison_text
from custom_networks.statistics.paired_tests import bootstrap_p, holm, mcnemar_p, rank_biserial
from custom_networks.statistics.ranking import rank_runs


def run(seed=0, count=40, gain=0.0):
    random = np.random.default_rng(seed)
    base = np.random.default_rng(99).beta(8, 2, count)
    dice = np.clip(base + random.normal(gain, 0.02, count), 0, 1)
    hd95 = 40 * (1 - dice) + random.normal(0, 0.5, count)
    return pd.DataFrame({"dice": dice, "hd95": hd95}, index=pd.Index([f"{i:03d}" for i in range(count)], name="id"))


def compare(a, b, names=("A", "B"), **options):
    """Table of one pair, indexed by metric."""
    return compare_runs(aligned(dict(zip(names, (a, b), strict=True))), **options).droplevel(["a", "b"])


def write(folder: Path, frame: pd.DataFrame) -> Path:
    folder.mkdir(parents=True)
    frame.to_csv(folder / "per_image.csv")
    return folder


def test_holm_by_hand():
    """0.01 x 4, 0.02 x 3, 0.03 x 2 (raised to 0.06), 0.04 (raised to 0.06)."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9, 0.005]) == pytest.approx([1.0, 1.0, 0.015])
    assert holm([0.03, np.nan, 0.02]) == pytest.approx([0.04, np.nan, 0.04], nan_ok=True), "NaN is no test"


@settings(max_examples=60, deadline=None)
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_none_and_bonferroni_and_keeps_the_order(p):
    corrected = holm(p)
    assert (corrected >= np.array(p)).all()
    assert (corrected <= np.minimum(np.array(p) * len(p), 1) + 1e-12).all()
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()


def test_rank_biserial_by_hand():
    """Ranks of |1 -2 3 -0|: 1, 2, 3; (1 + 3 - 2) / 6."""
    assert rank_biserial(np.array([1.0, -2.0, 3.0, 0.0])) == pytest.approx(2 / 6)
    assert rank_biserial(np.zeros(3)) == 0
    assert rank_biserial(np.array([0.5, 2.0])) == 1


def test_bootstrap_p_by_hand():
    """One of ten differs by 1: the mean is 0.1, and of a resample Bin(10, 0.1) / 10; as far as zero are all but 0.1."""
    sample = ClusterSample(np.r_[1.0, np.zeros(9)])
    assert bootstrap_p(sample, 4000, 0) == pytest.approx(1 - 10 * 0.1 * 0.9**9, abs=0.03)


def test_against_scipy_and_by_hand():
    a, b = run(1), run(2, gain=0.02)
    row = compare(a, b, resamples=500).loc["dice"]
    difference = b["dice"] - a["dice"]
    test = wilcoxon(b["dice"], a["dice"])
    assert row["wilcoxon_p"] == pytest.approx(test.pvalue)
    assert row["rank_biserial"] == pytest.approx(1 - 2 * test.statistic / (40 * 41 / 2)), "SciPy gives the smaller sum"
    assert row["difference"] == pytest.approx(difference.mean())
    assert row["cohen_dz"] == pytest.approx(difference.mean() / difference.std(ddof=1))
    assert row["ci_low"] < row["difference"] < row["ci_high"]
    assert (row["pairs"], row["units"], row["undefined"]) == (40, 40, 0)


def test_a_better_run_is_named_whatever_the_direction():
    table = compare(run(1), run(2, gain=0.05), ("old", "new"), resamples=500)
    assert table["better"].tolist() == ["new", "new"]
    assert table["difference"]["dice"] > 0 > table["difference"]["hd95"]
    assert table["bootstrap_p"].tolist() == pytest.approx([1 / 501] * 2)


def test_equal_runs_do_not_differ():
    table = compare(run(1), run(1), resamples=200)
    assert table["wilcoxon_p"].tolist() == table["bootstrap_p"].tolist() == [1, 1]
    assert table["rank_biserial"].tolist() == table["cohen_dz"].tolist() == [0, 0]
    assert table["better"].tolist() == ["", ""]


def test_swapping_the_runs_turns_the_signs():
    one, other = compare(run(1), run(2), resamples=300), compare(run(2), run(1), resamples=300)
    for name in ("difference", "rank_biserial", "cohen_dz"):
        assert one[name].to_numpy() == pytest.approx(-other[name].to_numpy())
    for name in ("wilcoxon_p", "bootstrap_p"):
        assert one[name].to_numpy() == pytest.approx(other[name].to_numpy())


def test_chance_finds_a_difference_no_more_often_than_it_may():
    """200 pairs of equal runs of 15 images: each test rejects about one in twenty."""
    random = np.random.default_rng(5)
    index = [str(i) for i in range(15)]
    p = []
    for seed in range(200):
        frames = [pd.DataFrame({"dice": random.random(15)}, index=index) for _ in range(2)]
        p.append(compare(*frames, resamples=200, seed=seed)[["wilcoxon_p", "bootstrap_p"]].iloc[0].to_numpy(float))
    share = (np.array(p) < 0.05).mean(0)
    assert (share <= 0.11).all()


def test_groups_are_the_unit():
    a, b = run(1), run(2)
    groups = [f"patient {i // 4}" for i in range(40)]
    table = compare(a.assign(group=groups), b.assign(group=groups), resamples=200)
    table_of_one = compare(a.assign(group=groups), b, resamples=200)
    pd.testing.assert_frame_equal(table, table_of_one)
    means = (b["dice"] - a["dice"]).groupby(groups).mean()
    assert table.loc["dice", "units"] == 10
    assert table.loc["dice", "wilcoxon_p"] == pytest.approx(wilcoxon(means).pvalue)


def test_different_groups_are_refused():
    a, b = run(1, 12).assign(group=list("aabbccddeeff")), run(2, 12).assign(group=list("abbccddeeffa"))
    with pytest.raises(UserError, match="A, B: the images are grouped differently; evaluate both with one datalist"):
        compare(a, b, resamples=100)


def test_a_metric_that_one_of_three_lacks_is_left_out():
    frames = {"A": run(1), "B": run(2), "C": run(3).drop(columns="hd95")}
    assert compare_runs(frames, resamples=100).index.unique("metric").tolist() == ["dice"]


def test_undefined_pairs_are_counted():
    a, b = run(1), run(2)
    a.loc["003", "dice"] = b.loc["007", "dice"] = np.nan
    row = compare(a, b, resamples=200).loc["dice"]
    assert (row["pairs"], row["undefined"], row["units"]) == (40, 2, 38)
    assert row["mean_a"] == pytest.approx(a["dice"].drop(["003", "007"]).mean())
    frames = {"A": a, "B": b}
    lines = comparison_text(compare_runs(frames, resamples=100), frames).splitlines()
    assert [(line.split()[0], "  38 (2 undefined)" in line) for line in lines[3:5]] == [("Dice", True), ("HD95", False)]


def test_the_order_of_rows_does_not_matter():
    pd.testing.assert_frame_equal(compare(run(1), run(2)[::-1], resamples=100), compare(run(1), run(2), resamples=100))


def test_different_images_are_refused_by_name():
    with pytest.raises(UserError, match=r"only A has 000, 001, 002 and 2 more; only B has 040;"):
        compare(run(1)[:-1], run(2, 41)[5:].drop("039"))


def test_the_verb(sgdnet, tmp_path):
    a, b = write(tmp_path / "unet", run(1)), write(tmp_path / "sgdnet", run(2, gain=0.03))
    code, out, err = sgdnet("compare", a, b, "--output_dir", tmp_path / "out", "--resamples", 300)
    assert code == 0, err
    assert "A: unet, B: sgdnet" in out
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    rows = {row["metric"]: row for row in content["pairs"]}
    assert rows["dice"]["better"] == "sgdnet"
    assert content["images"] == 40
    table = pd.read_csv(tmp_path / "out" / "comparison.csv", index_col="metric")
    assert table.loc["hd95", "difference"] == pytest.approx(rows["hd95"]["difference"])
    assert Image.open(tmp_path / "out" / "comparison.png").size == (1320, 1104)
    assert len(list((tmp_path / "out").iterdir())) == 3
    code, _, err = sgdnet("compare", a, b, "--output_dir", tmp_path / "out")
    assert code == 1
    assert "already there" in err


def test_the_verb_takes_some_metrics(sgdnet, tmp_path):
    a, b = write(tmp_path / "a", run(1)), write(tmp_path / "b", run(2))
    code, _, err = sgdnet("compare", a, b, "--output_dir", tmp_path / "1", "--metrics", "dice,hd95", "--resamples", 100)
    assert code == 0, err
    assert sgdnet("compare", a, b, "--output_dir", tmp_path / "2", "--metrics", "hd95", "--resamples", 100)[0] == 0
    assert [row["metric"] for row in json.loads((tmp_path / "2" / "comparison.json").read_text())["pairs"]] == ["hd95"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "sgdnet compare: needs at least two evaluated runs, got 0"),
        (("A",), "got 1"),
        (("A", "A"), "A: named twice"),
        (("A", "nowhere"), "nowhere: no such file; run `sgdnet evaluate`"),
        (("A", "other"), "only A has 000"),
        (("A", "twice"), "001 has more than one row"),
        (("A", "words"), "000, column dice: high is no finite number"),
        (("A", "no_id"), "no column 'id'"),
        (("A", "no_metric"), "no column is named as a metric"),
        (("A", "empty"), "an empty table"),
        (("A", "network"), "A and network: measured differently, resolution original and network"),
        (("A", "same", "--metrics", "nsd"), "nsd: not a metric that all runs hold"),
        (("A", "same", "--resamples", "few"), "--resamples few"),
        (("A", "same", "--resamples", "99"), "--resamples 99: must be a whole number from 100 up"),
        (("A", "same", "--seed", "-1"), "--seed -1"),
        (("A", "same", "--margin", "0.02"), "of which metric? write --margin dice=0.02"),
        (("A", "same", "--margin", "dise=0.02"), "did you mean 'dice'?"),
        (("A", "same", "--margin", "dice=much"), "--margin dice=much: must be a number above 0, in the unit of Dice"),
        (("A", "same", "--margin", "dice=-1"), "must be a number above 0"),
        (("A", "same", "--margin", "dice=inf"), "must be a number above 0"),
        (("A", "infinite"), "000, column dice: inf is no finite number"),
        (("A", "same", "--metric", "dice"), "did you mean 'metrics'?"),
    ],
)
def test_mistakes_are_one_sentence(sgdnet, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    good = run(1).assign(resolution="original")
    write(tmp_path / "A", good)
    write(tmp_path / "network", good.assign(resolution="network"))
    write(tmp_path / "same", good)
    write(tmp_path / "infinite", good.replace({"dice": {good["dice"].iloc[0]: np.inf}}))
    write(tmp_path / "other", good[3:])
    write(tmp_path / "twice", pd.concat([good, good[1:2]]))
    write(tmp_path / "words", good.astype(object).assign(dice="high"))
    write(tmp_path / "no_id", good.rename_axis("name"))
    write(tmp_path / "no_metric", good[[]].assign(age=3))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "per_image.csv").write_bytes(b"")
    code, _, err = sgdnet("compare", *arguments)
    assert code == 1
    assert len(err.strip().splitlines()) == 1
    assert sentence in err
    assert not (tmp_path / "comparison").exists()


def test_names_that_look_like_numbers_or_gaps_stay_names(tmp_path):
    frame = run(1, 3)
    frame.index = pd.Index(["007", "NA", "1e3"], name="id")
    assert list(read_per_image(write(tmp_path / "a", frame)).index) == ["007", "NA", "1e3"]


def paired(differences, **columns):
    """Two runs whose Dice differ by these."""
    index = [f"{i:03d}" for i in range(len(differences))]
    a = pd.DataFrame({"dice": 0.8, **columns}, index=pd.Index(index, name="id"))
    return a, a.assign(dice=a["dice"] + differences)


DISASTERS = np.r_[np.linspace(0.009, 0.011, 35), np.full(5, -0.6)]


def test_many_small_gains_do_not_hide_a_few_disasters():
    a, b = paired(DISASTERS)
    row = compare(a, b, resamples=1000).loc["dice"]
    assert row["difference"] == pytest.approx(-0.066, abs=0.001)
    assert row["rank_biserial"] > 0.5
    assert row["wilcoxon_p_holm"] < 0.05
    assert (row["verdict"], row["better"]) == (CONFLICT, "")
    assert (row["better_a"], row["better_b"]) == (5, 35)
    assert [name for name, _ in tail(a, b, "dice", row)] == ["035", "036", "037", "038", "039"]
    swapped = compare(b, a, resamples=1000).loc["dice"]
    assert swapped["verdict"] == CONFLICT


def test_a_conflict_is_told_with_its_images(sgdnet, tmp_path):
    a, b = paired(DISASTERS)
    runs = write(tmp_path / "old", a), write(tmp_path / "new", b)
    code, out, err = sgdnet("compare", *runs, "--output_dir", tmp_path / "out", "--resamples", 500)
    assert code == 0, err
    assert "mean and ranks conflict" in out
    assert "new is better on 35 of 40 images" in out
    assert "035 (-0.6)" in out
    stored = json.loads((tmp_path / "out" / "comparison.json").read_text())["conflicts"][0]
    assert list(stored["tail"]) == ["035", "036", "037", "038", "039"]


@pytest.mark.parametrize(
    ("metric", "rank", "difference", "p", "expected"),
    [
        ("dice", 0.5, 0.1, (0.049, 0.049), (BETTER, "B")),
        ("dice", -0.5, -0.1, (0.049, 0.049), (BETTER, "A")),
        ("hd95", 0.5, 0.1, (0.049, 0.049), (BETTER, "A")),
        ("hd95", -0.5, -0.1, (0.049, 0.049), (BETTER, "B")),
        ("dice", 0.5, 0.1, (0.05, 0.05), (NOTHING, "")),
        ("dice", 0.5, 0.1, (0.049, 0.05), (ONE_TEST, "")),
        ("dice", 0.5, 0.1, (0.05, 0.049), (ONE_TEST, "")),
        ("dice", 0.5, -0.1, (0.05, 0.049), (CONFLICT, "")),
        ("hd95", -0.5, 0.1, (0.049, 0.05), (CONFLICT, "")),
        ("dice", 0.5, -0.1, (0.05, 0.05), (NOTHING, "")),
        ("dice", 0.5, 0.1, (0.049, np.nan), (ONE_TEST, "")),
    ],
)
def test_verdicts(metric, rank, difference, p, expected):
    row = {"rank_biserial": rank, "difference": difference, "wilcoxon_p_holm": p[0], "bootstrap_p_holm": p[1]}
    assert _verdict(pd.Series(row), ("A", "B", metric)) == expected


def test_too_few_groups_name_no_run():
    """Nine pairs: Wilcoxon's test alone reaches 5 %, and no interval says how far the mean lies."""
    a, b = paired(np.linspace(0.1, 0.12, 9))
    row = compare(a, b, resamples=200).loc["dice"]
    assert row["wilcoxon_p"] < 0.05
    assert np.isnan(row["ci_low"])
    assert row["better"] == ""


@pytest.mark.parametrize(("only_a", "only_b", "p"), [(0, 0, 1), (5, 5, 1), (0, 6, 2 / 64), (1, 9, 22 / 1024)])
def test_mcnemar_by_hand(only_a, only_b, p):
    assert mcnemar_p(only_a, only_b) == pytest.approx(p)


def test_misses_are_paired():
    a, b = paired(np.zeros(20), missed=0.0)
    a.loc[["001", "002"], "missed"] = 1
    b.loc[["002", "003", "004", "005", "006", "007", "008"], "missed"] = 1
    row = compare_misses({"A": a, "B": b}).loc[("A", "B")]
    assert row[["missed_a", "missed_b", "only_a", "only_b"]].tolist() == [2, 7, 1, 6]
    assert row["p"] == pytest.approx(mcnemar_p(1, 6))
    one_patient = {name: frame.assign(group=["p"] * 10 + list("abcdefghij")) for name, frame in (("A", a), ("B", b))}
    assert compare_misses(one_patient).loc[("A", "B"), "p"] == 1, "all misses are of one patient"


@pytest.mark.parametrize(("margin", "expected"), [(0.02, True), (0.005, False)])
def test_non_inferiority(margin, expected):
    a, b = paired(np.random.default_rng(0).normal(-0.005, 0.01, 60))
    row = compare(a, b, margins={"dice": margin}, resamples=500).loc["dice"]
    assert row["non_inferior"] == expected
    assert (row["ci_low"] > -margin) == expected


@pytest.mark.parametrize(
    ("count", "margin", "sentence"),
    [
        (60, 0.02, "Dice: new is non-inferior to old by a margin of 0.02 (interval of B - A -0.0"),
        (60, 0.005, "Dice: new is not shown to be non-inferior to old by a margin of 0.005 (interval"),
        (9, 0.02, "Dice: too few groups to say whether new is non-inferior to old."),
    ],
)
def test_non_inferiority_is_told(count, margin, sentence):
    frames = dict(zip(("old", "new"), paired(np.random.default_rng(0).normal(-0.005, 0.01, count)), strict=True))
    assert sentence in comparison_text(compare_runs(frames, margins={"dice": margin}, resamples=300), frames)
    assert "inferior" not in comparison_text(compare_runs(frames, resamples=100), frames)


def test_non_inferiority_of_a_distance_turns_the_sign():
    a, b = run(1), run(1)
    b["hd95"] += np.random.default_rng(1).normal(1, 0.2, len(b))
    assert compare(a, b, margins={"hd95": 2.0}, resamples=300).loc["hd95", "non_inferior"]
    assert not compare(a, b, margins={"hd95": 0.5}, resamples=300).loc["hd95", "non_inferior"]


def test_several_runs_are_corrected_together_and_ranked(sgdnet, tmp_path):
    frames = {"worst": run(1), "good": run(2, gain=0.05), "twin": run(3, gain=0.05)}
    table = compare_runs(frames, resamples=300)
    assert len(table) == 6
    assert [*table.columns[11:15]] == ["wilcoxon_p", "wilcoxon_p_holm", "bootstrap_p", "bootstrap_p_holm"]
    assert table["wilcoxon_p_holm"].tolist() == pytest.approx(holm(table["wilcoxon_p"]).tolist())
    ranking = rank_runs(frames, ["dice"], resamples=500).loc["dice"]
    assert ranking.index[-1] == "worst"
    assert ranking.loc["worst", "rank 3"] == 1
    assert 0 < ranking.loc["twin", "rank 1"] < 1, "two equal runs change places"
    assert ranking.loc["twin", ["rank_low", "rank_high"]].tolist() == [1, 2]
    assert ranking[["rank 1", "rank 2", "rank 3"]].sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    folders = [write(tmp_path / name, frame) for name, frame in frames.items()]
    code, out, err = sgdnet("compare", *folders, "--output_dir", tmp_path / "out", "--resamples", 200)
    assert code == 0, err
    assert "95 % of ranks" in out
    assert len(pd.read_csv(tmp_path / "out" / "ranking.csv")) == 6
    pairs = json.loads((tmp_path / "out" / "comparison.json").read_text())["pairs"]
    assert {(row["a"], row["b"]) for row in pairs} == {("worst", "good"), ("worst", "twin"), ("good", "twin")}


def test_ranks_by_hand():
    """Of a distance the smallest is best; equals share the better rank; an image that one run lacks counts for none."""
    worse = pd.DataFrame({"hd95": np.arange(12.0) + 1}, index=[str(i) for i in range(12)])
    frames = {"worse": worse, "one": worse - 1, "other": worse - 1}
    frames["worse"].loc["3", "hd95"] = np.nan
    table = rank_runs(frames, ["hd95"], resamples=100).loc["hd95"]
    assert list(table.index) == ["one", "other", "worse"]
    assert table["images"].tolist() == table["groups"].tolist() == [11, 11, 11]
    assert table["mean"].tolist() == pytest.approx([63 / 11, 63 / 11, 74 / 11])
    assert table["rank"].tolist() == table["rank_low"].tolist() == table["rank_high"].tolist() == [1, 1, 3]
    assert table[["rank 1", "rank 2", "rank 3"]].to_numpy().tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1]]
    few = rank_runs({name: frame[:9] for name, frame in frames.items()}, ["hd95"], resamples=100).loc["hd95"]
    assert few["rank"].tolist() == [1, 1, 3]
    assert few[["rank_low", "rank_high", "rank 1"]].isna().all(axis=None)


def test_equal_runs_show_no_difference():
    assert compare(run(1), run(1), resamples=200)["verdict"].tolist() == [NOTHING, NOTHING]
