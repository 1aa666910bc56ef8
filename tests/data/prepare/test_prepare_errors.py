"""Every mistake with `sgdnet prepare` is one sentence, exit code 1, and writes nothing."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trees

from custom_networks.data.prepare import KINDS
from custom_networks.data.prepare.tree import list_pictures
from custom_networks.errors import UserError

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "KIND is missing; write `sgdnet prepare KIND SOURCE --output OUTPUT`"),
        (("isic2018",), "SOURCE is missing"),
        (("isic2018", "."), "--output is missing"),
        (("isci2018", ".", "--output", "x"), "no such kind of data set; use isic2016"),
        (("isci2018", ".", "--output", "x"), "did you mean 'isic2018'?"),
        (("ph2", "nowhere", "--output", "x"), "nowhere: no such file or folder; give the data set: PH2"),
        (("csv", ".", "--output", "x"), "kind csv needs a CSV file"),
        (("folder", ".", "more", "--output", "x"), "more: give a name before the value"),
        (("folder", ".", "--output", "x", "--imagesize", "3"), "did you mean 'image_size'?"),
        (("folder", ".", "--output", "x", "--fit", "shrot"), "--fit shrot: must be one of short, exact; did you mean"),
        (("folder", ".", "--output", "x", "--split", "kfolds"), "did you mean 'kfold'?"),
        (("folder", ".", "--output", "x", "--folds", "1"), "--folds 1: must be a whole number from 2 up"),
        (("folder", ".", "--output", "x", "--image_size", "big"), "--image_size big: must be a whole number"),
        (("folder", ".", "--output", "x", "--fractions", "7:1"), "--fractions 7:1: give training, validation and test"),
        (("nifti", ".", "--output", "x", "--axis", "3"), "--axis 3: must be 0, 1 or 2"),
        (("folder", ".", "--output", "x", "--near_duplicates", "maybe"), "--near_duplicates maybe: must be true"),
    ],
)
def test_impossible_settings(
    tmp_path: Path, sgdnet: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = sgdnet("prepare", *words)
    assert code == 1
    assert len(err.strip().splitlines()) == 1
    assert sentence in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"csv"}))
def test_an_empty_folder(tmp_path: Path, sgdnet: Run, kind: str) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = sgdnet("prepare", kind, tmp_path / "empty", "--output", tmp_path / "out")
    assert code == 1
    assert str(tmp_path / "empty") in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def packed(path: Path, name: str, mode: int = 0o644) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = (mode | (0 if stat.S_IFMT(mode) else stat.S_IFREG)) << 16
        archive.writestr(info, b"../../secret")
    return path


@pytest.mark.parametrize(
    ("name", "mode", "sentence"),
    [
        ("../outside.png", 0o644, "would lie outside"),
        ("a/../../outside.png", 0o644, "would lie outside"),
        ("/etc/outside.png", 0o644, "would lie outside"),
        ("..\\outside.png", 0o644, "would lie outside"),
        ("C:\\outside.png", 0o644, "would lie outside"),
        ("a/link.png", stat.S_IFLNK | 0o777, "is a link"),
    ],
)
def test_archives_that_reach_outside(tmp_path: Path, name: str, mode: int, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        list_pictures(packed(tmp_path / "bad.zip", name, mode))


def test_archives_that_are_damaged(tmp_path: Path, sgdnet: Run) -> None:
    source = trees.isic2018(tmp_path / "in", {"Training": 6})
    archive = trees.zipped(source / "ISIC2018_Task1-2_Training_Input")
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-100])
    words = ("prepare", "isic2018", source, "--output", tmp_path / "out", "--near_duplicates", "false")
    assert "not a whole zip archive" in sgdnet(*words)[2]
    archive.write_bytes(whole[:900] + bytes(100) + whole[1000:])
    code, _, err = sgdnet(*words)
    assert code == 1
    assert "Training_Input.zip/" in err
    assert not (tmp_path / "out" / "datalist.json").exists()


def test_half_a_challenge(tmp_path: Path, sgdnet: Run) -> None:
    source = trees.isic2018(tmp_path / "in", {"Training": 2})
    (source / "ISIC2018_Task1_Training_GroundTruth").rename(source / "elsewhere")
    code, _, err = sgdnet("prepare", "isic2018", source, "--output", tmp_path / "out")
    assert code == 1
    assert "ISIC2018_Task1_Training_GroundTruth is missing beside" in err


@pytest.mark.parametrize(
    ("part", "sentence"),
    [("image", "ISIC_0000001.jpg: no mask for this image"), ("mask", "_segmentation.png: no image for this mask")],
)
def test_lonely_pictures(tmp_path: Path, sgdnet: Run, part: str, sentence: str) -> None:
    source = trees.isic2018(tmp_path / "in", {"Training": 3})
    folder, name = {
        "image": ("ISIC2018_Task1_Training_GroundTruth", "ISIC_0000001_segmentation.png"),
        "mask": ("ISIC2018_Task1-2_Training_Input", "ISIC_0000001.jpg"),
    }[part]
    (source / folder / name).unlink()
    code, _, err = sgdnet("prepare", "isic2018", source, "--output", tmp_path / "out")
    assert code == 1
    assert sentence in err


def test_conic_arrays_that_do_not_fit(tmp_path: Path, sgdnet: Run) -> None:
    source = trees.conic(tmp_path / "in", 6)
    words = ("prepare", "conic", source, "--output", tmp_path / "out")
    whole = (source / "labels.npy").read_bytes()
    (source / "labels.npy").write_bytes(whole[:2000])
    assert "labels.npy: not a whole NumPy array" in sgdnet(*words)[2]
    np.save(source / "labels.npy", np.zeros((5, 16, 16, 2), np.uint16))
    assert "labels.npy: shape (5, 16, 16, 2), but images want (6, 16, 16, 2)" in sgdnet(*words)[2]
    (source / "labels.npy").write_bytes(whole)
    (source / "counts.csv").write_text("neutrophil\n1\n")
    assert "counts.csv: 1 rows for 6 patches" in sgdnet(*words)[2]


def test_csv_that_does_not_fit(tmp_path: Path, sgdnet: Run) -> None:
    table = tmp_path / "list.csv"
    words = ("prepare", "csv", table, "--output", tmp_path / "out", "--near_duplicates", "false")
    trees.save(trees.picture(0), tmp_path / "a.png")
    for text, sentence in (
        ("image,mask\n", "no pairs in it"),
        ("image\na.png\n", "no pairs in it"),
        ("image,mask\na.png,b.png\n", "line 2, column 'mask': no such file as"),
        ("image,mask,split\na.png,a.png,tset\n", "line 2: split 'tset'; use one of training"),
        ("image,mask\na.png,a.png\na.png,a.png\n", "has the same id a as"),
    ):
        table.write_text(text)
        code, _, err = sgdnet(*words)
        assert code == 1
        assert sentence in err
    table.write_bytes("image,mask\né.png,a.png\n".encode("latin-1"))
    assert "not a text file in UTF-8" in sgdnet(*words)[2]


def test_nifti_masks_on_another_grid(tmp_path: Path, sgdnet: Run) -> None:
    trees.nifti(tmp_path / "in" / "a.nii.gz", np.zeros((4, 4, 4)), (1, 1, 1))
    trees.nifti(tmp_path / "in" / "a_mask.nii.gz", np.zeros((4, 4, 4), np.uint8), (1, 1, 2))
    code, _, err = sgdnet("prepare", "nifti", tmp_path / "in", "--output", tmp_path / "out")
    assert code == 1
    assert "a_mask.nii.gz: not on the grid of its image" in err
