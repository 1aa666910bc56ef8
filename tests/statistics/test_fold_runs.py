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
    assert "2 runs, the same images in every run; sd" in out
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
        (["p", "again", "q"], "a is in"),
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
    write(tmp_path / "again", ["a", "b"], [0.7, 0.6])
    write(tmp_path / "overlap", ["b", "e"], [0.5, 0.6])
    write(tmp_path / "metric", ["f"], [0.5], unit="mm")
    code, _, err = sgdnet("folds", *names)
    assert code == 1
    assert len(err.strip().splitlines()) == 1
    assert sentence in err
    assert not (tmp_path / "folds").exists()


def test_instances_are_pooled_over_the_folds(sgdnet: Run, tmp_path: Path) -> None:
    """PQ of all instances together is not the mean of the images': 3 of 4 found in one, 1 of 1 in the other."""
    counts = {"instances_fp": 0, "aji_intersection": 1, "aji_union": 2}
    runs = [
        write(tmp_path / "p", ["a"], [0.5], instances_tp=3, instances_fn=1, instances_iou_sum=2.4, **counts),
        write(tmp_path / "q", ["b"], [0.7], instances_tp=1, instances_fn=0, instances_iou_sum=0.9, **counts),
    ]
    code, out, err = sgdnet("folds", *runs, "--output_dir", tmp_path / "cv")
    assert code == 0, err
    pooled = json.loads((tmp_path / "cv" / "folds.json").read_text())["instances"]
    assert pooled["pq"] == pytest.approx(3.3 / 4.5)
    assert pooled["aji"] == pytest.approx(0.5)
    assert "Instances of all folds together: PQ 0.7333" in out


GOOD = "id,dice,missed,unit\na,0.5,0,px\nb,0.6,0,px\n"
TABLES = {
    "empty": "",
    "only a header": "id,dice\n",
    "infinite": GOOD.replace("0.5", "inf"),
    "overflow": GOOD.replace("0.5", "1e999"),
    "text": GOOD.replace("0.5", "[0.5]"),
    "flag": GOOD.replace(",0,px", ",yes,px"),
    "a column twice": GOOD.replace("missed", "dice"),
    "ragged": GOOD + "c,0.5\n",
    "too long": GOOD + "c,0.5,0,px,9\n",
    "an open quote": GOOD + '"c,0.5,0,px\n',
    "without id": GOOD.replace("id,", "name,"),
    "without a name": GOOD.replace("a,", ","),
    "latin": "id,dice\nä,0.5\n".encode("latin-1"),
    "binary": bytes(range(256)) * 4,
    "json": '{"dice": 0.5}',
    "html": "<html><body>moved</body></html>",
}
SUMMARIES = {
    "cut off": '{"checkpoint": {"training": ',
    "a list": "[]",
    "null": "null",
    "checkpoint null": '{"checkpoint": null}',
    "training a list": '{"checkpoint": {"training": []}}',
    "fold as text": '{"checkpoint": {"training": {"settings": {"fold": "one"}}}}',
    "infinite": '{"checkpoint": {"training": {"settings": {"fold": Infinity}}}}',
    "nested": "[" * 100_000,
    "binary": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("verb", ["compare", "folds"])
@pytest.mark.parametrize("name", TABLES)
def test_a_malformed_table_is_one_sentence(sgdnet: Run, tmp_path: Path, verb: str, name: str) -> None:
    for folder, content in (("p", GOOD), ("q", TABLES[name])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "per_image.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, err = sgdnet(verb, tmp_path / "p", tmp_path / "q", "--output_dir", tmp_path / "out")
    assert code == 1, out
    assert len(err.strip().splitlines()) == 1
    assert str(tmp_path / "q" / "per_image.csv") in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_malformed_summary_is_one_sentence(sgdnet: Run, tmp_path: Path, name: str) -> None:
    runs = [write(tmp_path / "p", ["a"], [0.5]), write(tmp_path / "q", ["b"], [0.7])]
    content = SUMMARIES[name]
    (tmp_path / "q" / "summary.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, _, err = sgdnet("folds", *runs, "--output_dir", tmp_path / "out")
    assert code == 1
    assert len(err.strip().splitlines()) == 1
    assert str(tmp_path / "q" / "summary.json") in err
    assert not (tmp_path / "out").exists()
