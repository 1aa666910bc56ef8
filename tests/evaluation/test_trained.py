"""No image that weights were trained on is measured unasked, whatever list, folder or name it comes under."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from evaluation_fixtures import write_set
from toy_weights import write_record, write_weights

from custom_networks.data.splitting import load_datalist
from custom_networks.errors import UserError
from custom_networks.evaluation import evaluation_set


@pytest.fixture
def weights(dataset: Path, tmp_path: Path) -> Path:
    """Weights that say they were trained on fold 0 of the phantoms."""
    path = tmp_path / "weights" / "model.pt"
    path.parent.mkdir()
    torch.save({}, path)
    training, _ = load_datalist(dataset, fold=0)
    write_record(path, torch.nn.Identity(), items=training, dataset_dir=str(dataset), fold=0, seed=0, image_size=64)
    return path


def size(dataset: Path, datalist: Path | None, weights: Path, split: str = "validation", **more: Any) -> int:
    return len(evaluation_set(dataset, datalist, weights, split, image_size=64, **more).items)


def datalist_of(folder: Path, dataset: Path, **lists: Any) -> Path:
    """Write a datalist of the phantoms into another folder."""
    path = folder / "other" / "datalist.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"training": [], **lists}))
    return path


def test_another_fold_or_seed_is_refused_and_the_right_one_named(weights: Path, dataset: Path) -> None:
    assert size(dataset, None, weights) == 2
    with pytest.raises(UserError, match=r"trained on 2 of these 2 images \(.*\.png, .*\.png\), .*; use --fold 0, or"):
        evaluation_set(dataset, None, weights, fold=1)
    with pytest.raises(UserError, match="use --seed 0, or"):
        evaluation_set(dataset, None, weights, seed=3)


def test_a_copy_of_the_folder_is_recognised(weights: Path, dataset: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    for part in ("images", "masks"):
        for path in (copy / part).iterdir():
            path.rename(path.with_name(f"renamed_{path.name}"))
    assert size(copy, None, weights) == 2
    with pytest.raises(UserError, match=r"renamed_.*use --fold 0"):
        evaluation_set(copy, None, weights, fold=1)


def test_a_list_dealt_anew_is_refused(weights: Path, dataset: Path, tmp_path: Path) -> None:
    training, validation = load_datalist(dataset, fold=0)
    dealt = [{**item, "fold": number % 2} for number, item in enumerate([*training, *validation])]
    datalist = datalist_of(tmp_path, dataset, training=dealt)
    with pytest.raises(UserError, match=r"trained on 4 of these 5 images .*, \.\.\.\), .*; give images"):
        evaluation_set(dataset, datalist, weights, fold=0)


def test_a_test_list_with_training_images_is_refused(weights: Path, dataset: Path, tmp_path: Path) -> None:
    training, validation = load_datalist(dataset, fold=0)
    datalist = datalist_of(tmp_path, dataset, test=[*validation, training[0]])
    with pytest.raises(UserError, match=f"trained on 1 of these 3 images .{training[0]['image']}"):
        evaluation_set(dataset, datalist, weights, "test")
    lists = {"training": training[1:], "validation": training[:1], "test": validation}
    datalist.write_text(json.dumps(lists))
    assert size(dataset, datalist, weights, "test") == 2
    with pytest.raises(UserError, match="use --split test, or"):
        evaluation_set(dataset, datalist, weights)


def test_asked_for_they_are_measured_with_a_note(weights: Path, dataset: Path) -> None:
    for split, images in (("training", 8), ("all", 10)):
        found = evaluation_set(dataset, None, weights, split, image_size=64)
        assert f"8 of these {images} images are among those that the weights were trained on" in found.notes[-1]


def test_other_images_pass_without_a_word(weights: Path, tmp_path: Path) -> None:
    found = evaluation_set(tmp_path / "set", write_set(tmp_path / "set"), weights, "test", image_size=64)
    assert len(found.items) == 6
    assert not any("trained on" in note for note in found.notes)


def test_a_damaged_record_stops_an_evaluation(weights: Path, dataset: Path) -> None:
    weights.with_suffix(".json").write_text("{")
    with pytest.raises(UserError, match=r"model\.json: not valid JSON"):
        evaluation_set(dataset, None, weights)


def test_weights_of_other_classes_are_refused(dataset: Path, tmp_path: Path) -> None:
    path = write_weights(tmp_path / "model.pt", {"out_channels": 3})
    with pytest.raises(UserError, match=r"tells 2 classes apart, .*multi_class\.json"):
        evaluation_set(dataset, None, path)
    with pytest.raises(UserError, match=r"has 3 outputs, and 5 classes are to be evaluated.*--classes 3"):
        evaluation_set(dataset, None, path, classes=5)
    with pytest.raises(UserError, match=r"has 1 output, and 3 classes .*; leave multi_class\.json out"):
        evaluation_set(dataset, None, write_weights(tmp_path / "one.pt"), classes=3)
