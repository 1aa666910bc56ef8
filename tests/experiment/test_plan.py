"""Plans: what they say, the order of their runs, and each mistake in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from custom_networks.bundle_files import config_file, default_bundle
from custom_networks.errors import UserError
from custom_networks.experiment.cell import identity
from custom_networks.experiment.plan import command_words, duration, read_plan, read_tests, seconds_of

ROWS = """
title: T
rows:
  - {name: A, overlays: [ablations/res2net.json]}
  - {name: B, knobs: {learning_rate: 1e-3}}
  - {name: C, cited: the paper, published: {dice: 81.57}}
"""
SHIPPED = sorted((default_bundle() / "configs" / "tables").glob("*.yaml"))


def written(folder: Path, text: str) -> Path:
    path = folder / "plan.yaml"
    path.write_text(text)
    return path


def test_all_rows_of_a_fold_come_before_the_next_fold_and_seed(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, ROWS + "folds: [0, 1]\nseeds: [3, 4]\n"))
    names = [cell.name for cell in plan.cells()]
    assert names == [f"{row}_fold{fold}_seed{seed}" for seed in (3, 4) for fold in (0, 1) for row in ("a", "b")]
    assert plan.compared == "B"  # the last that runs


def test_knobs_of_a_row_win_over_the_command_line_which_wins_over_the_plan(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, ROWS + "knobs: {learning_rate: 1.0, image_size: 64, max_epochs: 2}\n"))
    first, second = plan.cells({"image_size": 128})
    assert first.knobs == {"learning_rate": 1.0, "image_size": 128, "max_epochs": 2, "fold": 0, "seed": 0}
    assert second.knobs["learning_rate"] == 0.001  # text in YAML 1.1, a number for a training


def test_an_identity_tells_results_apart_and_not_machines(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, ROWS))
    one, other = plan.cells({"num_workers": 3, "device": "cpu", "cache_dir": "x"})
    assert identity(one) == identity(plan.cells()[0])
    assert len({identity(one), identity(other), identity(plan.cells({"max_epochs": 7})[0])}) == 3


@pytest.mark.parametrize("own", ["knobs: {datalist: b.json}", "overlays: [data_isic2018.json]"])
def test_a_row_with_data_of_its_own_is_refused(tmp_path: Path, own: str) -> None:
    plan = read_plan(written(tmp_path, f"title: T\nrows: [{{name: A, {own}}}, {{name: B}}]\n"))
    with pytest.raises(UserError, match=r"^A: data.*: all rows are on one data set"):
        identity(plan.cells()[0])
    assert identity(plan.cells({"datalist": "a.json"})[1]) == identity(plan.cells({"datalist": "b.json"})[1])


def test_an_overlay_that_sets_a_fold_is_refused(tmp_path: Path) -> None:
    overlay = tmp_path / "second.json"
    overlay.write_text('{"fold": 1}')
    plan = read_plan(written(tmp_path, f"title: T\nrows: [{{name: A, overlays: ['{overlay}']}}]\n"))
    with pytest.raises(UserError, match=r"^A: fold: belongs to each run of the plan"):
        identity(plan.cells()[0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title: [", "no YAML"),
        ("title: T\nrows: []\n", "rows"),
        ("title: T\nrowz: []\nrows: [{name: A}]\n", "did you mean 'rows'"),
        ("title: T\nrows: [{name: A, overlay: [x]}]\n", "did you mean 'overlays'"),
        ("title: T\nrows: [{name: A}, {name: A}]\n", "'A' stands twice"),
        ("title: T\nrows: [{name: A b}, {name: a-b}]\n", "'a-b' stands twice"),
        ("title: T\nrows: [{name: A}]\nreference: B\n", "no row that runs is called 'B'"),
        ("title: T\nrows: [{name: A}]\nmetrics: [dicee]\n", "did you mean 'dice'"),
        ("title: T\nrows: [{name: A, cited: x, knobs: {seed: 1}}]\n", "is not run"),
        ("title: T\nrows: [{name: A, cited: x}]\n", "nothing to run"),
        ("title: T\nrows: [{name: A, knobs: {seed: 1}}]\n", 'rows[0]": seed: belongs to each run of the plan'),
        ("title: T\nknobs: {fold: 1}\nrows: [{name: A}]\n", "fold: belongs to each run of the plan"),
        ("title: T\nknobs: {output_dir: x}\nrows: [{name: A}]\n", "output_dir: belongs to each run of the plan"),
        ("title: T\nmetrics: [dice, dice]\nrows: [{name: A}]\n", "'dice' stands twice"),
        ("title: 2024-01-01\nrows: [{name: A}]\n", "date"),
        ("version: 9\ntitle: T\nrows: [{name: A}]\n", "version"),
        ("", "plan"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        read_plan(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_plans_name_overlays_that_are_there(path: Path) -> None:
    plan = read_plan(f"tables/{path.name}")
    assert plan.cells()
    for row in plan.rows:
        for name in row.overlays:
            assert config_file(default_bundle(), name).is_file(), name
    assert len({identity(cell) for cell in plan.cells()}) == len(plan.cells())  # no two rows are the same run


def test_a_misspelt_plan_of_the_bundle_is_told_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"studdy\.yaml: no such file; did you mean 'study\.yaml'"):
        read_plan("tables/studdy.yaml")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "mine.yaml").write_text("rows: []")
    with pytest.raises(UserError, match=r"^tables/minne\.yaml: no such file; did you mean 'mine\.yaml'"):
        read_plan("tables/minne.yaml")


def test_every_ablation_stands_in_a_plan() -> None:
    named = {name for path in SHIPPED for row in read_plan(path).rows for name in row.overlays}
    folder = default_bundle() / "configs"
    assert SHIPPED
    assert {str(path.relative_to(folder)) for path in (folder / "ablations").glob("*.json")} <= named


def test_times_and_test_sets() -> None:
    assert [seconds_of(text) for text in ("90s", "40m", "2.5h", "1d")] == [90, 2400, 9000, 86400]
    assert [duration(seconds) for seconds in (5, 600, 7200, 400_000)] == ["5 s", "10 min", "2.0 h", "4.6 days"]
    assert read_tests("ph2=a/b.json,other=c.json") == {"ph2": "a/b.json", "other": "c.json"}
    for wrong in ("40", "m", "-3m", "3 weeks"):
        with pytest.raises(UserError, match="must be a time"):
            seconds_of(wrong)
    for wrong in ("ph2", "ph2=", "Ph 2=x", "validation=x", "training=x", "a=x,a=y"):
        with pytest.raises(UserError, match="--test"):
            read_tests(wrong)


def test_flags_are_written_as_a_command_line_takes_them() -> None:
    words = command_words({"a": True, "b": None, "c": [1, 2], "d": "x y", "e": 0.5})
    assert list(words) == ["--a", "true", "--b", "null", "--c", "[1, 2]", "--d", "x y", "--e", "0.5"]
