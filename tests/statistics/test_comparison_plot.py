"""What the pictures of a comparison show is what the tables say."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from custom_networks.statistics.compare_runs import ranking_text
from custom_networks.statistics.comparison_plot import bland_altman, plot_comparison, plot_ranking
from custom_networks.statistics.ranking import rank_runs

A = pd.DataFrame({"dice": [0.5, 0.7, 0.9], "iou": [0.4, 0.5, 0.6], "hd95": [9.0, 7.0, 2.0]}, index=list("xyz"))
B = pd.DataFrame({"dice": [0.6, 0.7, 0.7], "iou": [0.4, 0.5, 0.5], "hd95": [8.0, 7.0, 4.0]}, index=list("xyz"))


def points(axes):
    (drawn,) = axes.collections
    return np.asarray(drawn.get_offsets())


def test_bland_altman():
    """Differences 0.1, 0, -0.2 against means; lines at 0, at their mean and 1.96 standard deviations beside it."""
    axes = Figure().subplots()
    bland_altman(axes, A["dice"], B["dice"], "mean", "B - A")
    assert points(axes) == pytest.approx(np.array([[0.55, 0.1], [0.7, 0], [0.8, -0.2]]))
    mean, reach = -0.1 / 3, 1.96 * np.std([0.1, 0, -0.2], ddof=1)
    assert [line.get_ydata()[0] for line in axes.lines] == pytest.approx([0, mean, mean - reach, mean + reach])
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert named == ["mean difference -0.0333", "limits of agreement -0.333, +0.266"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("mean", "B - A")


def test_image_by_image():
    table = pd.DataFrame(index=["dice", "iou", "hd95"])
    rows = np.reshape(plot_comparison(A, B, table, ("old", "new")).axes, (-1, 2))
    assert [axes.get_title() for axes in rows[:, 1]] == ["Dice, Bland-Altman", "HD95, Bland-Altman"]
    scatter, difference = rows[1]
    assert points(scatter) == pytest.approx(np.stack([A["hd95"], B["hd95"]], axis=1))
    assert scatter.lines[0].get_slope() == 1
    assert scatter.lines[0].get_xy1() == pytest.approx((6, 6))
    assert (scatter.get_xlabel(), scatter.get_ylabel()) == ("HD95, A: old", "HD95, B: new")
    assert points(difference)[:, 1].tolist() == [-1, 0, 2]


def test_without_a_metric_that_is_always_drawn_the_first_four():
    names = ["iou", "sensitivity", "specificity", "precision", "asd"]
    frame = pd.DataFrame({name: [0.1, 0.2] for name in names})
    figure = plot_comparison(frame, frame, pd.DataFrame(index=names), ("old", "new"))
    assert len(figure.axes) == 8


def test_ranks():
    base = pd.DataFrame({"dice": np.linspace(0.5, 0.9, 12)}, index=[str(i) for i in range(12)])
    frames = {"worse": base - 0.1, "better": base}
    boxes, shares = plot_ranking(frames, rank_runs(frames, ["dice"], resamples=100)).axes
    assert [label.get_text() for label in boxes.get_xticklabels()] == ["better", "worse"]
    assert [label.get_text() for label in shares.get_yticklabels()] == ["better", "worse"]
    assert [label.get_text() for label in shares.get_xticklabels()] == ["1", "2"]
    assert shares.images[0].get_array().tolist() == [[1, 0], [0, 1]]
    assert [(text.get_position(), text.get_text()) for text in shares.texts] == [
        ((0, 0), "100%"), ((1, 0), "0%"), ((0, 1), "0%"), ((1, 1), "100%"),
    ]  # fmt: skip
    medians = [
        line.get_ydata()[0] for line in boxes.lines if len(set(line.get_ydata())) == 1 and len(line.get_ydata()) == 2
    ]
    assert pytest.approx(0.7) in medians
    few = {name: frame[:9] for name, frame in frames.items()}
    assert {text.get_text() for text in plot_ranking(few, rank_runs(few, ["dice"])).axes[1].texts} == {""}


def test_a_name_is_no_formula():
    """What Matplotlib cannot read between two dollars ended in a ValueError when the picture was drawn."""
    names = ("a $x_{2$", "costs $5 and $6")
    base = pd.DataFrame({"dice": np.linspace(0.5, 0.9, 12)}, index=[str(i) for i in range(12)])
    frames = {names[0]: base, names[1]: base - 0.1}
    pair = plot_comparison(base, base - 0.1, pd.DataFrame(index=["dice"]), names)
    for figure in (pair, plot_ranking(frames, rank_runs(frames, ["dice"], resamples=100))):
        figure.savefig(io.BytesIO(), format="png", dpi=20)


def test_without_a_value_in_every_run_there_is_no_rank():
    frames = {name: pd.DataFrame({"hd95": [np.nan] * 12}, index=[str(i) for i in range(12)]) for name in "ab"}
    ranking = rank_runs(frames, ["hd95"])
    assert ranking["rank"].isna().all()
    assert ranking_text(ranking).splitlines()[1].split() == ["HD95", "a", "nan", "too", "few", "groups"]
