"""The table: means, intervals, tests and marks, from per-image tables whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from custom_networks.experiment.plan import ExperimentPlan, TableRow
from custom_networks.experiment.table import RunFrames, as_frame, cells, render_table, row_results
from custom_networks.statistics.paired_tests import holm

PLAN = ExperimentPlan.model_validate(
    {
        "title": "T_1",
        "reference": "Full",
        "metrics": ["dice", "hd95"],
        "folds": [0, 1],
        "seeds": [0, 1],
        "rows": [
            {"name": "Worse", "published": {"dice": 89.13}},
            {"name": "Same"},
            {"name": "Conflict"},
            {"name": "Cited", "cited": "the paper", "published": {"dice": 81.57}},
            {"name": "Never run"},
            {"name": "Full"},
        ],
    }
)


def frame(fold: int, shift: np.ndarray | float, seed: int = 0) -> pd.DataFrame:
    noise = np.random.default_rng(fold)
    base, own = noise.uniform(0.7, 0.9, 40), np.random.default_rng(100 + seed)
    dice = base + shift + own.normal(0, 0.002, 40)
    names = [f"image_{fold}_{number}" for number in range(40)]
    return pd.DataFrame({"dice": dice, "hd95": 20 - 10 * dice}, index=pd.Index(names, name="id"))


@pytest.fixture(scope="module")
def found() -> RunFrames:
    disaster = np.where(np.arange(40) % 10 == 0, -0.6, 0.01)
    return {
        "Worse": {(0, 0): frame(0, -0.05), (1, 0): frame(1, -0.05)},
        "Same": {(0, 0): frame(0, 0.0, 5)},
        "Conflict": {(0, 0): frame(0, disaster), (1, 0): frame(1, disaster)},
        "Full": {(fold, seed): frame(fold, 0.0, seed) for fold in (0, 1) for seed in (0, 1)},
    }


def test_means_are_over_images_and_deviations_over_folds(found: RunFrames) -> None:
    by_name = {each.row.name: each for each in row_results(PLAN, found)}
    full = by_name["Full"].figures["dice"]
    folds = [(found["Full"][fold, 0]["dice"].mean() + found["Full"][fold, 1]["dice"].mean()) / 2 for fold in (0, 1)]
    assert full.mean == pytest.approx(np.mean(folds))
    assert full.deviation == pytest.approx(np.std(folds, ddof=1))
    assert full.interval.low < full.mean < full.interval.high
    assert (by_name["Full"].runs, by_name["Full"].planned, by_name["Full"].images) == (4, 4, 80)
    assert np.isnan(full.difference)
    assert np.isnan(by_name["Same"].figures["dice"].deviation)  # one fold has none


def test_rows_are_tested_on_the_runs_that_both_have_with_holm_over_the_table(found: RunFrames) -> None:
    by_name = {each.row.name: each for each in row_results(PLAN, found)}
    worse = by_name["Worse"].figures
    shared = pd.concat([found["Worse"][key]["dice"] - found["Full"][key]["dice"] for key in ((0, 0), (1, 0))])
    assert worse["dice"].difference == pytest.approx(shared.mean())
    assert (worse["dice"].verdict, worse["hd95"].verdict) == ("worse", "worse")
    assert by_name["Same"].figures["dice"].verdict == ""
    assert by_name["Conflict"].figures["dice"].verdict == "conflict"
    alone = {each.row.name: each for each in row_results(PLAN, {name: found[name] for name in ("Same", "Full")})}
    uncorrected, corrected = alone["Same"].figures["dice"].p, by_name["Same"].figures["dice"].p
    assert corrected >= uncorrected
    assert holm([0.01, 0.04])[0] == pytest.approx(0.02)


def test_what_was_not_run_stays_empty(found: RunFrames) -> None:
    lines = {line[0]: line for line in cells(PLAN, row_results(PLAN, found))}
    assert lines["Never run"] == ["Never run", "", "", "", "not run"]
    assert lines["Cited"] == ["Cited", "", "", "81.57", "cited from the paper"]
    assert lines["Worse"][-1] == "2 of 4"
    assert lines["Worse"][1].endswith("] -")
    assert lines["Conflict"][1].endswith("] ?")
    assert "Full (reference)" in lines
    table = as_frame(PLAN, row_results(PLAN, found)).set_index(["row", "metric"])
    assert table.loc[("Never run", "dice"), ["mean", "ci_low", "p_holm"]].isna().all()


def test_nothing_run_is_a_table_too() -> None:
    lines = cells(PLAN, row_results(PLAN, {}))
    assert {line[-1] for line in lines[1:]} == {"not run", "cited from the paper"}
    assert "no images" in render_table(PLAN, row_results(PLAN, {}), "validation", "markdown")


def test_latex_is_escaped(found: RunFrames) -> None:
    text = render_table(PLAN, row_results(PLAN, found), "validation", "latex")
    assert r"\caption{T\_1, validation}" in text
    assert r"Dice (\%)" in text
    assert text.count(r"\\") == len(PLAN.rows) + 1
    rows = [line.count("&") for line in text.splitlines() if line.endswith(r"\\")]
    assert len(set(rows)) == 1


def test_rows_are_compared_on_the_seeds_that_both_have_a_value_of() -> None:
    """Two rows alike where both have a value, the second seed worse by 0.2; one row lacks half of its first seed."""
    base = frame(0, 0.0)[["dice"]]
    lacking = base.where(pd.Series(np.arange(40) >= 20, index=base.index), axis=0)
    plan = PLAN.model_copy(
        update={"metrics": ["dice"], "reference": "A", "rows": [TableRow(name=name) for name in "AB"]}
    )
    found = {"A": {(0, 0): base, (0, 1): base - 0.2}, "B": {(0, 0): lacking, (0, 1): base - 0.2}}
    row = row_results(plan, found)[1].figures["dice"]
    assert (row.difference, row.verdict) == (pytest.approx(0), "")


def test_measured_and_published_figures_have_one_unit() -> None:
    row = TableRow(name="A", published={"sensitivity": 91.2, "hd95": 9.5})
    plan = PLAN.model_copy(update={"metrics": ["sensitivity", "hd95"], "reference": "A", "rows": [row]})
    measured = frame(0, 0.0).assign(sensitivity=0.9, hd95=10.0)
    results = row_results(plan, {"A": {(0, 0): measured}})
    header, line = cells(plan, results, intervals=False)
    assert header[1:5] == ["Sensitivity (%)", "HD95", "Sensitivity (%), published", "HD95, published"]
    assert line[1:5] == ["90.00", "10.00", "91.20", "9.50"]
    table = as_frame(plan, results)
    assert table["mean"].tolist() == pytest.approx([0.9, 10])
    assert table["published"].tolist() == pytest.approx([0.912, 9.5])


def test_names_of_rows_are_text_in_every_form() -> None:
    rows = [TableRow(name="Good | one"), TableRow(name="[7] Bad")]
    plan = PLAN.model_copy(update={"metrics": ["dice"], "reference": "[7] Bad", "rows": rows})
    results = row_results(plan, {each.name: {(0, 0): frame(0, 0.0)} for each in rows})
    lines = render_table(plan, results, "validation", "markdown").splitlines()
    assert lines[4].startswith(r"| Good \| one | ")
    latex = render_table(plan, results, "validation", "latex")
    assert "\n{[}7] Bad" in latex  # LaTeX would read it as the argument of the row break before it
