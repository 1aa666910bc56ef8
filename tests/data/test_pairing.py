"""Pairs found in folders, and every way a user can get it wrong."""

import time
import unicodedata
from pathlib import Path

import pytest
from empty_files import error_of, names, touch

from custom_networks.data import pairing
from custom_networks.data.pairing import find_pairs

# --------------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize("masks", ["masks", "labels", "Masks"])
def test_two_folders(tmp_path, masks):
    touch(tmp_path, "images/b.jpg", "images/a é 1.PNG", "images/c.tiff")
    touch(tmp_path, f"{masks}/a é 1.png", f"{masks}/b_segmentation.png", f"{masks}/c_MASK.bmp")
    pairs = find_pairs(tmp_path)
    assert names(pairs) == [("a é 1.PNG", "a é 1.png"), ("b.jpg", "b_segmentation.png"), ("c.tiff", "c_MASK.bmp")]
    assert all(Path(path).is_absolute() and Path(path).exists() for pair in pairs for path in pair.values())


@pytest.mark.parametrize("suffix", ["_segmentation", "_mask", "_lesion", "_Mask"])
def test_one_folder(tmp_path, suffix):
    touch(tmp_path, "b c.jpg", f"b c{suffix}.png", "a.webp", f"a{suffix}.tif")
    assert names(find_pairs(tmp_path)) == [("a.webp", f"a{suffix}.tif"), ("b c.jpg", f"b c{suffix}.png")]


def test_an_image_name_may_itself_end_in_a_suffix(tmp_path):
    touch(tmp_path / "beside", "left_lesion.jpg", "left_lesion_mask.png")
    assert names(find_pairs(tmp_path / "beside")) == [("left_lesion.jpg", "left_lesion_mask.png")]
    touch(tmp_path / "apart", "images/left_lesion.jpg", "masks/left_lesion.png")
    assert names(find_pairs(tmp_path / "apart")) == [("left_lesion.jpg", "left_lesion.png")]


def test_other_files_are_passed_over(tmp_path):
    touch(tmp_path, "images/a.png", "masks/a.png", "README.md", "overview.png", "types/a.csv")
    touch(
        tmp_path, "images/._a.png", "images/Thumbs.db", "images/.DS_Store", "images/notes.txt", "images/sub.png/x.png"
    )
    assert names(find_pairs(tmp_path)) == [("a.png", "a.png")]


def test_accents_match_however_they_are_encoded(tmp_path):
    touch(tmp_path, f"images/{unicodedata.normalize('NFC', 'é')}.png", f"masks/{unicodedata.normalize('NFD', 'é')}.png")
    assert len(find_pairs(tmp_path)) == 1


def test_relative_home_and_linked_folders(tmp_path, monkeypatch):
    real = touch(tmp_path / "real", "a.png", "a_mask.png")
    (tmp_path / "link").symlink_to(real)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for given_dir, expected in (("real", "real"), ("~/real", "real"), ("link", "link"), ("link/../real/", "real")):
        assert find_pairs(given_dir)[0]["image"] == str(tmp_path / expected / "a.png")


def test_twenty_thousand_files_list_fast(tmp_path, monkeypatch):
    stems = [f"ISIC_{number:07d}" for number in range(10_000)]
    listing = {"images": [f"{stem}.jpg" for stem in stems], "masks": [f"{stem}_segmentation.png" for stem in stems]}
    touch(tmp_path, "images/x.jpg", "masks/x.png")
    scan = pairing._scan

    def padded(folder):  # the names only: writing the files would take longer than the test
        subfolders, pictures = scan(folder)
        return subfolders, pictures + [folder / name for name in listing.get(folder.name, [])]

    monkeypatch.setattr(pairing, "_scan", padded)
    start = time.perf_counter()
    assert len(find_pairs(tmp_path)) == 10_001
    assert time.perf_counter() - start < 3


# --------------------------------------------------------------------------------------------- folder errors


def test_no_such_folder(tmp_path):
    touch(tmp_path, "ph2/a.png", "isic/a.png")
    assert f"{tmp_path / 'ph1'}: no such folder; did you mean 'ph2'?" in error_of(find_pairs, tmp_path / "ph1")
    assert "no such folder; give the folder that holds images/" in error_of(find_pairs, tmp_path / "zzzz")
    assert "no such folder; give the folder" in error_of(find_pairs, tmp_path / "no" / "where")
    assert "dataset_dir is empty; give the folder" in error_of(find_pairs, "")
    assert "~no_such_user/data: no such folder; give the folder" in error_of(find_pairs, "~no_such_user/data")


def test_a_file_is_no_folder(tmp_path):
    assert "a.png: this is a file; give the folder" in error_of(find_pairs, touch(tmp_path, "a.png") / "a.png")


def test_a_closed_folder(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(pairing.os, "scandir", refuse)
    assert f"{tmp_path}: cannot be listed (Permission denied); check its permissions" in error_of(find_pairs, tmp_path)


@pytest.mark.parametrize(
    ("files", "asked", "fix"),
    [
        (["notes.txt"], "", "give a folder that holds images/ and masks/"),
        (["a.png", "b.png"], "", "or NAME.jpg beside NAME_mask.png"),
        (["images/a.png"], "", "masks/ is missing beside images/; add 'masks'"),
        (["images/a.png", "Mask/a.png"], "", "masks/ is missing beside images/; rename 'Mask' to 'masks'"),
        (["image/a.png", "labels/a.png"], "", "images/ is missing beside labels/; rename 'image' to 'images'"),
        (["images/a.png", "masks/a.png"], "images", "give the folder above it"),
        (["train/images/a.png", "train/masks/a.png"], "", "train'?"),
    ],
)
def test_no_pairs(tmp_path, files, asked, fix):
    touch(tmp_path, *files)
    message = error_of(find_pairs, tmp_path / asked)
    assert message.startswith(f"{tmp_path / asked}: no image and mask pairs; ")
    assert fix in message


def test_empty_images_folder(tmp_path):
    touch(tmp_path, "images/a.dcm", "masks/a.png")
    assert f"{tmp_path / 'images'}: no pictures in it; put .png" in error_of(find_pairs, tmp_path)


def test_both_masks_and_labels(tmp_path):
    touch(tmp_path, "images/a.png", "masks/a.png", "labels/a.png")
    assert "both masks/ and labels/ are there; rename the one" in error_of(find_pairs, tmp_path)


def test_image_without_mask(tmp_path):
    touch(tmp_path / "apart", "images/a.png", "images/b é.png", "images/c.png", "masks/a.png")
    message = error_of(find_pairs, tmp_path / "apart")
    assert f"{tmp_path / 'apart/images/b é.png'}: no mask for this image (and 1 more); add it as" in message
    assert str(tmp_path / "apart/masks/b é.png") in message
    touch(tmp_path / "beside", "a.png", "a_mask.png", "b.png")
    message = error_of(find_pairs, tmp_path / "beside")
    assert f"{tmp_path / 'beside/b.png'}: no mask for this image; add it as {tmp_path / 'beside/b_mask.png'}" in message


def test_mask_without_image(tmp_path):
    touch(tmp_path / "apart", "images/a.png", "masks/a.png", "masks/b.png", "masks/c.png")
    message = error_of(find_pairs, tmp_path / "apart")
    assert f"{tmp_path / 'apart/masks/b.png'}: no image for this mask (and 1 more); add the image" in message
    touch(tmp_path / "beside", "a.png", "a_mask.png", "b_mask.png")
    assert "b_mask.png: no image for this mask; add" in error_of(find_pairs, tmp_path / "beside")


@pytest.mark.parametrize(
    ("files", "first", "second"),
    [
        (["images/a.png", "images/a.jpg", "masks/a.png"], "a.jpg", "images/a.png"),
        (["images/a.png", "masks/a.png", "masks/a_mask.png"], "a.png", "masks/a_mask.png"),
        (["a.png", "a.JPG", "a_mask.png"], "a.JPG", "a.png"),
        (["a.png", "a_mask.png", "a_lesion.png"], "a_lesion.png", "a_mask.png"),
    ],
)
def test_two_files_of_one_name(tmp_path, files, first, second):
    message = error_of(find_pairs, touch(tmp_path, *files))
    assert f"{tmp_path / second}: {first} has the same name" in message
    assert "remove one" in message
