"""`sgdnet folds`: a cross-validation from the evaluations of its folds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from custom_networks.statistics import read_per_image

Run = Callable[..., tuple[int, str, str]]


def write(folder: Path, ids: list[str], dice: list[float], fold: int | None = None, **columns: object) -> Path:
    folder.mkdir(parents=True)
    frame = pd.DataFrame({"id": ids, "unit": "px", "dice": dice, "hd95": 5.0, "missed": 0, **columns}).set_index("id")
    frame.to_csv(folder / "per_image.csv")
    if fold is not None:
        about = {"checkpoint": {"training": {"settings": {"fold": fold}}}}
        (folder / "summary.json").write_text(json.dumps(about))
    return folder


def test_folds_of_a_data_set(sgdnet: Run, tmp_path: Path) -> None:
    runs = [
        write(tmp_path / "x", ["a", "b"], [0.8, 0.6], fold=1),
        write(tmp_path / "y", ["c"], [0.9], fold=0, missed=1),
        write(tmp_path / "z", ["d"], [0.5], fold=2),
    ]
    code, out, err = sgdnet("folds", *runs, "--output_dir", tmp_path / "cv")
    assert code == 0, err
    about = json.loads((tmp_path / "cv" / "folds.json").read_text())
    row = about["metrics"]["dice"]
    assert [row[f"fold {name}"] for name in (0, 1, 2)] == pytest.approx([0.9, 0.7, 0.5])
    assert row["mean"] == pytest.approx(0.7)
    assert row["sd"] == pytest.approx(np.std([0.9, 0.7, 0.5], ddof=1))
    assert about["pooled"]["dice"]["mean"] == pytest.approx(0.7)
    assert about["pooled"]["dice"]["images"] == 4
    assert about["counts"]["0"] == {"missed": 1}
    assert "3 runs, each image in one run" in out
    pooled = read_per_image(tmp_path / "cv")
    assert pooled["fold"].to_dict() == {"a": 1, "b": 1, "c": 0, "d": 2}
    table = pd.read_csv(tmp_path / "cv" / "folds.csv", index_col="metric")
    assert table.loc["dice", "sd"] == pytest.approx(row["sd"])


def test_networks_on_one_test_set(sgdnet: Run, tmp_path: Path) -> None:
    """The same images in every run: no image may count twice, so nothing is pooled."""
    runs = [write(tmp_path / name, ["a", "b"], [0.5, dice]) for name, dice in (("p", 0.7), ("q", 0.9))]
    code, out, err = sgdnet("folds", *runs, "--output_dir", tmp_path / "cv")
    assert code == 0, err
    assert "the same images in every run" in out
    about = json.loads((tmp_path / "cv" / "folds.json").read_text())
    assert about["metrics"]["dice"]["fold q"] == pytest.approx(0.7)
    assert about["metrics"]["dice"]["mean"] == pytest.approx(0.65)
    assert "pooled" not in about
    assert not (tmp_path / "cv" / "per_image.csv").exists()


def test_a_metric_that_one_run_lacks_is_left_out(sgdnet: Run, tmp_path: Path) -> None:
    runs = [write(tmp_path / "p", ["a"], [0.5], pq=0.4), write(tmp_path / "q", ["b"], [0.7])]
    assert sgdnet("folds", *runs, "--output_dir", tmp_path / "cv")[0] == 0
    assert set(json.loads((tmp_path / "cv" / "folds.json").read_text())["metrics"]) == {"dice", "hd95"}


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["p"], "needs at least two evaluated runs, got 1"),
        (["p", "q", "p"], "p: named twice"),
        (["p", "nowhere"], "no such file; run `sgdnet evaluate`"),
        (["p", "overlap"], "b is in"),
        (["p", "metric"], "measured differently, unit px and mm"),
        (["p", "q", "--output_dir", "p"], "already there"),
    ],
)
def test_mistakes_are_one_sentence(
    sgdnet: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "p", ["a", "b"], [0.5, 0.6])
    write(tmp_path / "q", ["c"], [0.5])
    write(tmp_path / "overlap", ["b", "e"], [0.5, 0.6])
    write(tmp_path / "metric", ["f"], [0.5], unit="mm")
    code, _, err = sgdnet("folds", *names)
    assert code == 1
    assert len(err.strip().splitlines()) == 1
    assert sentence in err
    assert not (tmp_path / "folds").exists()
