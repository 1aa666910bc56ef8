"""What is listed for an evaluation, and each mistake told in one sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from evaluation_fixtures import write_set

from custom_networks.errors import UserError
from custom_networks.evaluation import evaluation_set
from custom_networks.evaluation.columns import subgroup_edges


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of no network, whose record each test writes."""
    path = tmp_path / "weights" / "model.pt"
    path.parent.mkdir()
    torch.save({}, path)
    return path


def tell_training(weights: Path, **settings: Any) -> None:
    """As records were before they held the images."""
    weights.with_suffix(".json").write_text(json.dumps({"settings": settings}))


def rewrite(datalist: Path, **changes: Any) -> dict[str, Any]:
    content = {**json.loads(datalist.read_text()), **changes}
    datalist.write_text(json.dumps(content))
    return content


def test_columns_of_the_datalist_are_kept(weights: Path, ellipses: Path) -> None:
    found = evaluation_set(ellipses.parent, ellipses, weights, "test")
    assert [row["id"] for row in found.columns.values()] == [f"case {number}" for number in range(6)]
    assert next(iter(found.columns.values()))["datalist_dice"] == 1
    assert any("datalist_*: dice" in note for note in found.notes)
    assert found.about["licence"] == "none needed"


def test_a_datalist_of_tests_alone_says_which_split(weights: Path, ellipses: Path) -> None:
    with pytest.raises(UserError, match="all in the test list; use --split test"):
        evaluation_set(ellipses.parent, ellipses, weights)


def test_labels_that_are_missing_lead_to_predict(weights: Path, tmp_path: Path) -> None:
    datalist = write_set(tmp_path / "set")
    items = [{"image": item["image"]} for item in json.loads(datalist.read_text())["test"]]
    rewrite(datalist, test=items)
    with pytest.raises(UserError, match=r'none of the items of "test" has a "label".*sgdnet predict'):
        evaluation_set(tmp_path / "set", datalist, weights, "test")
    shutil.rmtree(tmp_path / "set" / "masks")
    with pytest.raises(UserError, match=r"6 images and no masks.*sgdnet predict"):
        evaluation_set(tmp_path / "set", None, weights)


def test_no_image_at_all(weights: Path, tmp_path: Path) -> None:
    datalist = write_set(tmp_path / "set")
    rewrite(datalist, test=[])
    with pytest.raises(UserError, match=r'"test" must be a list of at least one pair'):
        evaluation_set(tmp_path / "set", datalist, weights, "test")


def test_an_image_that_changed_is_named(weights: Path, tmp_path: Path) -> None:
    datalist = write_set(tmp_path / "set")
    picture = tmp_path / "set" / "images" / "4.png"
    shutil.copy(tmp_path / "set" / "images" / "0.png", picture)
    with pytest.raises(UserError, match=r"4\.png: not the file that .*datalist\.json was written for"):
        evaluation_set(tmp_path / "set", datalist, weights, "test")


def test_an_image_of_another_size_than_its_mask(weights: Path, tmp_path: Path) -> None:
    datalist = write_set(tmp_path / "set")
    shutil.copy(tmp_path / "set" / "masks" / "1.png", tmp_path / "set" / "masks" / "0.png")
    with pytest.raises(UserError, match=r"0\.png"):
        evaluation_set(tmp_path / "set", datalist, weights, "test")


def test_an_image_listed_twice(weights: Path, tmp_path: Path) -> None:
    datalist = write_set(tmp_path / "set")
    items = json.loads(datalist.read_text())["test"]
    rewrite(datalist, test=[*items, items[0]])
    with pytest.raises(UserError, match=r"0\.png: listed more than once"):
        evaluation_set(tmp_path / "set", datalist, weights, "test")


def test_an_earlier_record_tells_by_fold_what_was_trained_on(weights: Path, dataset: Path) -> None:
    tell_training(weights, dataset_dir=str(dataset), fold=3, seed=0, image_size=64)
    with pytest.raises(UserError, match="trained with fold 3, so fold 0 would measure"):
        evaluation_set(dataset, None, weights, fold=0)
    assert len(evaluation_set(dataset, None, weights, fold=3, image_size=64).items) == 2
    everything = evaluation_set(dataset, None, weights, "all", fold=0, image_size=128)
    assert len(everything.items) == 10
    assert any("trained at 64 pixels" in note for note in everything.notes)
    assert any("no estimate of quality" in note for note in everything.notes)


def test_spacing_counts_where_every_image_has_it(weights: Path, tmp_path: Path) -> None:
    datalist = write_set(tmp_path / "set")
    items = json.loads(datalist.read_text())["test"]
    rewrite(datalist, test=[{**item, "spacing": [0.5, 0.25]} for item in items])
    assert set(evaluation_set(tmp_path, datalist, weights, "test").spacing.values()) == {(0.5, 0.25)}
    rewrite(datalist, test=[{**items[0], "spacing": [0.5, 0.25]}, *items[1:]])
    found = evaluation_set(tmp_path, datalist, weights, "test")
    assert found.spacing == {}
    assert any("5 of 6 images have no pixel spacing" in note for note in found.notes)
    rewrite(datalist, test=[{**items[0], "spacing": [0, 1]}, *items[1:]])
    with pytest.raises(UserError, match=r'"test\[0\]\.spacing\[0\]": input should be greater than 0'):
        evaluation_set(tmp_path, datalist, weights, "test")


def test_impossible_knobs(weights: Path, ellipses: Path) -> None:
    with pytest.raises(UserError, match=r"--split tests: must be one of .*did you mean 'test'"):
        evaluation_set(ellipses.parent, ellipses, weights, "tests")
    expected = {"size": (), "site": (), "age": (30, 60)}
    assert subgroup_edges(("size", "site", "age:30:60"), ["site", "age"]) == expected
    assert subgroup_edges("size, site, age:30:60", ["site", "age"]) == expected
    for wrong in ("age:60:30", "age:old", "age:nan", "age:"):
        with pytest.raises(UserError, match="edges must be rising numbers, as in age:30:60"):
            subgroup_edges(wrong, ["age"])
    with pytest.raises(UserError, match="--subgroups sight: no such column; did you mean 'site'"):
        subgroup_edges("sight", ["site"])
