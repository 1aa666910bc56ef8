"""`sgdnet evaluate --predictions`: masks of other programs and of readers, measured without a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluation_fixtures import ellipse, write_set
from PIL import Image

from custom_networks.metrics import measure
from custom_networks.statistics import read_per_image

Run = Callable[..., tuple[int, str, str]]
SIZE = (48, 40)  # width and height


def shifted(mask: np.ndarray, columns: int) -> np.ndarray:
    return np.roll(mask, columns, axis=1)


@pytest.fixture
def truths() -> dict[str, np.ndarray]:
    return {f"case{number:02d}": ellipse(SIZE, 0.1 + 0.02 * number) for number in range(12)}


def write(folder: Path, arrays: dict[str, np.ndarray], scale: int = 255, suffix: str = "") -> Path:
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        Image.fromarray((array * scale).astype(np.uint8)).save(folder / f"{name}{suffix}.png")
    return folder


def evaluated(sgdnet: Run, folder: Path, *words: object) -> tuple[pd.DataFrame, dict, str]:
    code, out, err = sgdnet("evaluate", *words, "--output_dir", folder)
    assert code == 0, err
    return read_per_image(folder), json.loads((folder / "summary.json").read_text()), out


@pytest.mark.parametrize(("scale", "suffix"), [(255, ""), (1, ""), (255, "_0000"), (255, "_mask")])
def test_masks_of_any_program(sgdnet: Run, tmp_path: Path, truths, scale: int, suffix: str) -> None:
    labels = write(tmp_path / "labels", truths, scale=1)  # as nnU-Net has them
    found = {name: shifted(mask, 2) for name, mask in truths.items()}
    predictions = write(tmp_path / "predictions", found, scale, suffix)
    frame, about, out = evaluated(sgdnet, tmp_path / "eval", "--predictions", predictions, "--labels", labels)
    assert list(frame.index) == list(truths)
    for name, mask in truths.items():
        expected = measure(found[name], mask)
        assert frame.loc[name, ["dice", "hd95"]].tolist() == pytest.approx([expected["dice"], expected["hd95"]])
    assert "auroc" not in frame.columns
    assert about["detection"]["detected"] == int((frame["iou"] >= 0.5).sum())
    assert "12 images (all labels)" in out
    assert (tmp_path / "eval" / "area.png").is_file()


def test_probability_maps_have_the_metrics_of_probabilities(sgdnet: Run, tmp_path: Path, truths) -> None:
    labels = write(tmp_path / "labels", truths)
    maps = write(tmp_path / "maps", {name: 0.2 + 0.6 * shifted(mask, 1) for name, mask in truths.items()})
    frame, about, out = evaluated(sgdnet, tmp_path / "eval", "--predictions", maps, "--labels", labels)
    assert frame["auroc"].between(0.5, 1).all()
    assert about["calibration"]["border_ece"] > 0
    assert "those near the border" in out


def test_a_wide_map_on_which_nothing_is_likely_finds_nothing(sgdnet: Run, tmp_path: Path, truths) -> None:
    """Values up to 200 of 65535 are no probability of 0.8, whatever the largest value of their own file."""
    labels, maps = write(tmp_path / "labels", truths), tmp_path / "maps"
    maps.mkdir()
    for number, (name, mask) in enumerate(truths.items()):
        values = np.where(mask, 60000 if number else 200, 3).astype(np.uint16)
        Image.fromarray(values).save(maps / f"{name}.png")
    frame, _, _ = evaluated(sgdnet, tmp_path / "eval", "--predictions", maps, "--labels", labels)
    assert frame["missed"].tolist() == [1] + [0] * 11
    assert frame["dice"].tolist() == [0] + [1] * 11


def test_a_map_whose_largest_level_is_one_is_no_mask(sgdnet: Run, tmp_path: Path, truths) -> None:
    labels, maps = write(tmp_path / "labels", truths), tmp_path / "maps"
    maps.mkdir()
    for number, (name, mask) in enumerate(truths.items()):
        Image.fromarray(np.where(mask, 204 if number else 1, 0).astype(np.uint8)).save(maps / f"{name}.png")
    frame, _, _ = evaluated(sgdnet, tmp_path / "eval", "--predictions", maps, "--labels", labels)
    assert frame["dice"].tolist() == [0] + [1] * 11


def test_instances_and_classes(sgdnet: Run, tmp_path: Path) -> None:
    truth = np.zeros((12, 40, 48), int)
    truth[:, 4:14, 4:14], truth[:, 20:30, 20:30] = 1, 2
    found = truth.copy()
    found[:6, 20:30, 20:30] = 0
    arrays = [{f"{number:02d}": each for number, each in enumerate(part)} for part in (truth, found)]
    folders = write(tmp_path / "labels", arrays[0], 1), write(tmp_path / "found", arrays[1], 1)
    words = ("--predictions", folders[1], "--labels", folders[0])
    frame, about, _ = evaluated(sgdnet, tmp_path / "a", *words, "--label_kind", "instances")
    assert frame["pq"].tolist() == pytest.approx([2 / 3] * 6 + [1] * 6)
    assert about["instances"]["pooled"]["pq_plus"] == pytest.approx(18 / (18 + 3))
    assert frame["instances_fn"].sum() == 6
    frame, about, _ = evaluated(sgdnet, tmp_path / "b", *words, "--label_kind", "classes", "--classes", 3)
    assert frame["dice_2"].tolist() == [0] * 6 + [1] * 6
    assert {row["class"] for row in about["per_class"]} == {"1", "2"}
    code, _, error = sgdnet(
        "evaluate", *words, "--label_kind", "classes", "--classes", 2, "--output_dir", tmp_path / "d"
    )
    assert code == 1
    assert "00.png: holds class 2, but the classes are 0 to 1" in error
    code, _, error = sgdnet("evaluate", *words, "--output_dir", tmp_path / "c")
    assert code == 1
    assert "none above 2; if these are classes or instances" in error


def test_a_second_reader_is_the_ceiling(sgdnet: Run, tmp_path: Path, truths) -> None:
    labels = write(tmp_path / "reader_a", truths)
    reader = write(tmp_path / "reader_b", {name: shifted(mask, 1) for name, mask in truths.items()})
    network = write(tmp_path / "network", {name: shifted(mask, 3) for name, mask in truths.items()})
    words = ("--labels", labels, "--reader", reader)
    frame, about, out = evaluated(sgdnet, tmp_path / "eval", "--predictions", network, *words)
    alone, _, _ = evaluated(sgdnet, tmp_path / "readers", "--predictions", reader, "--labels", labels)
    assert frame["reader_dice"].tolist() == alone["dice"].tolist()
    assert about["reader"]["hd95"]["mean"] == pytest.approx(alone["hd95"].mean())
    assert about["reader"]["dice"]["mean"] > frame["dice"].mean()
    assert "what two readers agree on" in out


def test_a_datalist_gives_groups_and_columns(sgdnet: Run, tmp_path: Path) -> None:
    datalist = write_set(tmp_path / "set")
    items = json.loads(datalist.read_text())
    for number, item in enumerate(items["test"]):
        item["group"] = number // 2  # integers, as JSON has them
    datalist.write_text(json.dumps(items))
    words = ("--predictions", tmp_path / "set" / "masks", "--datalist", datalist, "--subgroups", "site,size")
    frame, about, _ = evaluated(sgdnet, tmp_path / "eval", *words)
    assert frame["dice"].tolist() == [1] * 6
    assert frame["group"].tolist() == list("001122")
    assert about["groups"] == 3
    assert about["metrics"]["dice"]["groups"] == 3
    assert about["metrics"]["dice"]["ci_low"] is None
    assert set(about["subgroups"]) == {"site", "size"}


def test_rows_are_there_before_any_statistics(sgdnet: Run, tmp_path: Path, truths, monkeypatch) -> None:
    def broken(*args: object, **options: object) -> None:
        raise MemoryError("the statistics fail")

    monkeypatch.setattr("custom_networks.evaluation.results.summarise", broken)
    labels = write(tmp_path / "labels", truths)
    with pytest.raises(MemoryError):
        sgdnet("evaluate", "--predictions", labels, "--labels", labels, "--output_dir", tmp_path / "eval")
    assert len(read_per_image(tmp_path / "eval")) == 12


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--labels", "few"), "5 pictures"),
        (("--labels", "more"), "extra.png: no prediction of this name"),
        (("--labels", "small"), "48 x 40 pixels, and its label has 24 x 20"),
        ((), "needs either --labels"),
        (("--labels", "labels", "--lables", "x"), "did you mean 'labels'?"),
        (("--labels", "nowhere"), "no such folder"),
        (("--labels", "labels", "--seed", "soon"), "--seed soon: must be a whole number"),
        (("--labels", "labels", "--detection_iou", "0"), "--detection_iou 0"),
        (("--labels", "labels", "--subgroups", "sise"), "did you mean 'size'?"),
    ],
)
def test_mistakes_are_one_sentence(sgdnet: Run, tmp_path: Path, truths, monkeypatch, words, sentence: str) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "labels", truths)
    write(tmp_path / "few", dict(list(truths.items())[:7]))
    write(tmp_path / "more", {**truths, "extra": truths["case00"]})
    write(tmp_path / "small", {name: mask[::2, ::2] for name, mask in truths.items()})
    code, out, error = sgdnet("evaluate", "--predictions", "labels", *words, "--output_dir", "eval")
    if words == ("--labels", "few"):  # further predictions are a note, not an error
        assert (code, sentence in out) == (0, True)
        return
    assert code == 1
    assert sentence in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "eval").exists()
