"""Every kind of data set on a tiny tree in its original layout, through the command."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trees
from PIL import Image

from custom_networks.data.formats import nifti
from custom_networks.data.prepare import Settings, prepare_dataset
from custom_networks.data.splitting import load_datalist, load_test_list

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def prepared(sgdnet: Run, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run `sgdnet prepare` into tmp_path / "out"; returns the datalist."""

    def run(kind: str, source: Path, *words: object) -> dict[str, Any]:
        output = tmp_path / "out"
        code, out, err = sgdnet("prepare", kind, source, "--output", output, "--near_duplicates", "false", *words)
        assert code == 0, err
        content = json.loads((output / "datalist.json").read_text())
        assert f"{len(content['training'])} training" in out
        for items in (content[name] for name in ("training", "validation", "test") if name in content):
            for item in items:
                path = output / item["image"]
                assert not Path(item["image"]).is_absolute()
                assert hashlib.sha256(path.read_bytes()).hexdigest() == item["sha256"]
                assert Image.open(path).size == Image.open(output / item["label"]).size
        return content

    return run


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


def test_isic2018_gives_five_folds_of_the_training_set(tmp_path: Path, prepared: Any, sgdnet: Run) -> None:
    source = trees.isic2018(tmp_path / "isic é 2018", {"Training": 20, "Validation": 2, "Test": 3})
    content = prepared("isic2018", source)
    assert sorted(item["fold"] for item in content["training"]) == sorted(list(range(5)) * 4)
    assert ids(content["test"]) == ["ISIC_0000022", "ISIC_0000023", "ISIC_0000024"]
    assert "validation" not in content
    output = tmp_path / "out"
    training, validation = load_datalist(tmp_path / "elsewhere", output / "datalist.json", fold=3)
    assert (len(training), len(validation)) == (16, 4)
    assert len(load_test_list(output, output / "datalist.json")) == 3
    card = (output / "data_card.md").read_text()
    for expected in (
        "CC BY-NC",
        "arXiv:1902.03368",
        "| training | 20 |",
        "| fold 4 | 4 |",
        "| test | 3 |",
        "40 x 30 (23)",
    ):
        assert expected in card
    assert "2 images of the official validation list left out" in card


def test_isic2018_official_lists_from_zip_archives(tmp_path: Path, prepared: Any) -> None:
    source = trees.isic2018(tmp_path / "zips", {"Training": 3, "Validation": 2, "Test": 1})
    for folder in sorted(source.iterdir()):
        trees.zipped(folder)
    content = prepared("isic2018", source, "--split", "official")
    assert [len(content[name]) for name in ("training", "validation", "test")] == [3, 2, 1]
    assert all("fold" not in item for item in content["training"])
    stored = np.asarray(Image.open(tmp_path / "out" / content["training"][2]["label"]))
    assert (stored == 255).sum() == 9
    assert set(np.unique(stored)) == {0, 255}


def test_isic2016_keeps_its_test_set_or_takes_ph2(tmp_path: Path, prepared: Any, sgdnet: Run) -> None:
    source = trees.isic2016(tmp_path / "isic2016", {"Training": 10, "Test": 2})
    external = trees.ph2(tmp_path / "PH2Dataset", ["IMD002", "IMD003"])
    code, _, err = sgdnet("prepare", "ph2", external, "--output", tmp_path / "ph2", "--near_duplicates", "false")
    assert code == 0, err
    content = prepared("isic2016", source)
    assert ids(content["test"]) == ["ISIC_0000010", "ISIC_0000011"]
    assert sorted(item["fold"] for item in content["training"]) == sorted(list(range(5)) * 2)
    content = prepared("isic2016", source, "--test_datalist", tmp_path / "ph2" / "datalist.json", "--overwrite", "true")
    assert ids(content["test"]) == ["IMD002", "IMD003"]
    assert {item["source"] for item in content["test"]} == {"ph2"}
    assert len(load_test_list(tmp_path / "out", tmp_path / "out" / "datalist.json")) == 2


@pytest.mark.parametrize("pack", [False, True])
def test_ph2_in_its_original_tree(tmp_path: Path, prepared: Any, pack: bool) -> None:
    source = trees.ph2(tmp_path / "PH2Dataset", ["IMD002", "IMD003", "IMD004"])
    content = prepared("ph2", trees.zipped(source / "PH2 Dataset images") if pack else source)
    assert ids(content["test"]) == ["IMD002", "IMD003", "IMD004"]
    assert content["training"] == []
    assert [item["diagnosis"] for item in content["test"]] == ["common nevus", "atypical nevus", "melanoma"]


def test_conic_is_split_by_slide_and_never_read_whole(tmp_path: Path, prepared: Any) -> None:
    source = trees.conic(tmp_path / "conic", 60)
    content = prepared("conic", source)
    lists = [content[name] for name in ("training", "validation", "test")]
    assert sum(map(len, lists)) == 60
    assert all(abs(len(items) - size) <= 3 for items, size in zip(lists, (42, 6, 12), strict=True))
    slides = [{item["slide"] for item in items} for items in lists]
    assert not slides[0] & slides[1] | slides[0] & slides[2] | slides[1] & slides[2]
    assert content["label_kind"] == "instances"
    assert content["classes"]["6"] == "connective"
    labels, images = np.load(source / "labels.npy"), np.load(source / "images.npy")
    for item in lists[1]:
        number = int(item["id"].removeprefix("conic_"))
        for key, expected in (
            ("image", images[number]),
            ("label", labels[number, ..., 0]),
            ("types", labels[number, ..., 1]),
        ):
            assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / item[key])), expected)
        assert item["epithelial"] == number % 4


def test_consep_keeps_tiles_together(tmp_path: Path, prepared: Any) -> None:
    content = prepared("consep", trees.consep(tmp_path / "consep", {"train": 5, "test": 2}), "--image_size", 12)
    assert len(content["test"]) == 4
    folds = {(item["tile"], item["fold"]) for item in content["training"]}
    assert len(folds) == 5
    label = Image.open(tmp_path / "out" / content["training"][0]["label"])
    assert label.size == (12, 12)
    assert np.unique(np.asarray(label)).tolist() == [0, 1, 700]
    assert np.unique(np.asarray(Image.open(tmp_path / "out" / content["test"][0]["types"]))).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "names", [("images/{}.jpg", "masks/{}.png"), ("{}.webp", "{}_lesion.tif"), ("{}.bmp", "{}_mask.png")]
)
def test_your_own_folder(tmp_path: Path, prepared: Any, names: tuple[str, str]) -> None:
    source = tmp_path / "mine"
    for number in range(6):
        name = f"patient{number // 2} left é {number}"
        trees.save(trees.picture(number), source / names[0].format(name))
        trees.save(trees.square(9), source / names[1].format(name))
    content = prepared("folder", source, "--group_by", "^(patient[0-9]+) ", "--folds", 3)
    assert {item["group"] for item in content["training"]} == {"patient0", "patient1", "patient2"}
    assert len({(item["group"], item["fold"]) for item in content["training"]}) == 3
    assert not (tmp_path / "out" / "images").exists()


def test_a_csv_file_keeps_its_columns(tmp_path: Path, prepared: Any) -> None:
    lines = ["image;mask;split;Patient"]
    for number in range(9):
        trees.save(trees.picture(number), tmp_path / "pictures" / f"{number}.png")
        trees.save(trees.square(number), tmp_path / "drawn" / f"{number}-m.png")
        lines.append(f"pictures/{number}.png;drawn/{number}-m.png;{'test' if number > 6 else 'train'};p{number // 2}")
    (tmp_path / "list é.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    content = prepared("csv", tmp_path / "list é.csv", "--group_by", "Patient", "--folds", 2)
    assert ids(content["test"]) == ["7", "8"]
    assert content["training"][0]["Patient"] == content["training"][0]["group"] == "p0"
    assert "7" not in ids(content["training"])


def test_the_group_column_of_a_csv_file_is_not_torn_and_no_column_is_lost(
    tmp_path: Path, prepared: Any, sgdnet: Run
) -> None:
    for number in range(8):
        trees.save(trees.picture(number), tmp_path / f"{number}.png")
        trees.save(trees.square(number), tmp_path / f"{number}-m.png")
    lines = ["image,label,group,fold", *(f"{number}.png,{number}-m.png,p{number // 2},1" for number in range(8))]
    (tmp_path / "folds.csv").write_text("\n".join(lines))
    (tmp_path / "list.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    content = prepared("csv", tmp_path / "list.csv", "--folds", 2)["training"]
    assert [item["group"] for item in content] == [f"p{number // 2}" for number in range(8)]
    assert len({(item["group"], item["fold"]) for item in content}) == 4
    code, _, err = sgdnet("prepare", "csv", tmp_path / "folds.csv", "--output", tmp_path / "two")
    assert code == 1
    assert "folds.csv: column 'fold' has a name that the datalist fills itself; rename it" in err
    assert not (tmp_path / "two").exists()


def test_a_table_adds_columns(tmp_path: Path, prepared: Any, sgdnet: Run) -> None:
    source = trees.isic2018(tmp_path / "isic", {"Training": 6})
    rows = ["isic_id,lesion_id,age", *(f"ISIC_{number:07d},L{number // 2},{40 + number}" for number in range(6))]
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    words = ("--table", tmp_path / "metadata.csv", "--group_by", "lesion_id", "--folds", 3)
    content = prepared("isic2018", source, *words)
    assert [item["age"] for item in content["training"]] == [str(40 + number) for number in range(6)]
    assert len({(item["group"], item["fold"]) for item in content["training"]}) == 3
    (tmp_path / "metadata.csv").write_text("\n".join(rows[:-1]))
    code, _, err = sgdnet(
        "prepare", "isic2018", source, "--output", tmp_path / "two", "--near_duplicates", "false", *words
    )
    assert code == 1
    assert "no row for ISIC_0000005" in err


def test_nifti_pictures_and_slices(tmp_path: Path, prepared: Any) -> None:
    source = tmp_path / "nifti"
    rng = np.random.default_rng(0)
    for number in range(3):
        mask = np.zeros((12, 10, 4), np.uint8)
        mask[2:6, 3:5, 1] = 3
        trees.nifti(source / "images" / f"v{number}.nii.gz", rng.normal(size=(12, 10, 4)), (0.5, 0.7, 2.0))
        trees.nifti(source / "masks" / f"v{number}.nii.gz", mask, (0.5, 0.7, 2.0))
    content = prepared("nifti", source, "--folds", 3)
    assert len(content["training"]) == 12
    assert len({(item["group"], item["fold"]) for item in content["training"]}) == 3
    item = content["training"][1]
    assert (item["id"], item["volume"], item["slice"]) == ("v0_001", "v0", 1)
    assert item["spacing"] == [0.7, 0.5]
    stored = np.asarray(Image.open(tmp_path / "out" / item["label"]))
    assert stored.shape == (10, 12)
    assert np.argwhere(stored).min(axis=0).tolist() == [3, 2]
    content = prepared("nifti", source, "--folds", 3, "--axis", 0, "--overwrite", "true")
    assert len(content["training"]) == 36
    assert content["training"][0]["spacing"] == [2.0, 0.7]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_nifti_volume_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    for number in range(4):
        values = np.random.default_rng(number).normal(size=(12, 10, 9)).astype(np.float32)
        trees.nifti(tmp_path / "in" / "images" / f"v{number}.nii.gz", values)
        trees.nifti(tmp_path / "in" / "masks" / f"v{number}.nii.gz", (values > 1).astype(np.uint8))
    decode, log = np.asanyarray, tmp_path / "log"

    def counted(
        values: Any, *more: Any, **options: Any
    ) -> Any:  # of the volumes alone; workers are forks of this process
        if type(values).__name__ == "ArrayProxy":
            with log.open("a") as file:
                file.write(".")
        return decode(values, *more, **options)

    monkeypatch.setattr(nifti.np, "asanyarray", counted)
    nifti._volume.cache_clear()
    settings = Settings("nifti", str(tmp_path / "in"), near_duplicates=False, folds=2)
    prepare_dataset(settings, tmp_path / "out", num_workers=workers, say=lambda line: None)
    assert len(list((tmp_path / "out" / "images").iterdir())) == 4 * 9
    assert len(log.read_text()) == 2 * 4
