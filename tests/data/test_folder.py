"""Pairs found in folders and datalists, how they are split, and every way a user can get it wrong."""

import json
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from custom_networks.data import folder as folder_module
from custom_networks.data.pairing import find_pairs
from custom_networks.data.splitting import load_datalist, load_test_list
from custom_networks.errors import UserError


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def names(pairs):
    return [(Path(pair["image"]).name, Path(pair["label"]).name) for pair in pairs]


def error_of(function, *args, **kwargs):
    with pytest.raises(UserError) as caught:
        function(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


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
    scan = folder_module._scan

    def padded(folder):  # the names only: writing the files would take longer than the test
        subfolders, pictures = scan(folder)
        return subfolders, pictures + [folder / name for name in listing.get(folder.name, [])]

    monkeypatch.setattr(folder_module, "_scan", padded)
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

    monkeypatch.setattr(folder_module.os, "scandir", refuse)
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


# --------------------------------------------------------------------------------------------- seeded folds


def many(tmp_path, count):
    return touch(tmp_path, *(f"{part}/p {number:02d}.png" for part in ("images", "masks") for number in range(count)))


def test_folds_of_a_folder(tmp_path):
    pairs = find_pairs(many(tmp_path, 11))
    splits = [load_datalist(tmp_path, fold=fold) for fold in range(5)]
    assert sorted(len(validation) for _, validation in splits) == [2, 2, 2, 2, 3]
    assert sorted((item["image"] for _, validation in splits for item in validation)) == [
        item["image"] for item in pairs
    ]
    for training, validation in splits:
        assert sorted(training + validation, key=lambda item: item["image"]) == pairs
    assert load_datalist(tmp_path, fold=2) == splits[2]
    assert load_datalist(tmp_path, fold=2, seed=1) != splits[2]


def test_the_split_is_pinned(tmp_path):
    """The same files must fall into the same folds on every machine and in every release."""
    validation = load_datalist(many(tmp_path, 10), fold=0, folds=5, seed=0)[1]
    assert names(validation) == [
        ("p 02.png", "p 02.png"),
        ("p 06.png", "p 06.png"),
    ]  # RandomState(0) deals 2 8 4 9 1 6 7 3 0 5


@settings(max_examples=60, deadline=None)
@given(count=st.integers(2, 40), folds=st.integers(2, 10), seed=st.integers(0, 2**32 - 1))
def test_split_rules(count, folds, seed):
    items = [{"image": f"{number}.png", "label": f"{number}_mask.png"} for number in range(count)]
    if count < folds:
        with pytest.raises(UserError, match=f"{count} pairs? cannot be dealt into {folds} folds"):
            folder_module._deal(items, 0, folds, seed, Path("d"))
        return
    splits = [folder_module._deal(items, fold, folds, seed, Path("d")) for fold in range(folds)]
    sizes = [len(validation) for _, validation in splits]
    assert max(sizes) - min(sizes) <= 1
    assert sorted(int(item["image"][:-4]) for _, validation in splits for item in validation) == list(range(count))
    for fold, (training, validation) in enumerate(splits):
        assert [item for item in items if item in validation] == validation
        assert [item for item in items if item not in validation] == training
        assert folder_module._deal(items, fold, folds, seed, Path("d")) == (training, validation)


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        ({"fold": 5}, "fold is 5, but there are 5 folds; set fold from 0 to 4"),
        ({"fold": -1}, "set fold from 0 to 4"),
        ({"fold": "1"}, "set fold from 0 to 4"),
        ({"folds": 1}, "folds is 1; set it to 2 or more"),
        ({"folds": 7}, "6 pairs cannot be dealt into 7 folds; set folds to 6 or add pairs"),
        ({"seed": -1}, "the seed of the folds is -1; set it from 0"),
    ],
)
def test_wrong_fold_settings(tmp_path, arguments, fix):
    message = error_of(load_datalist, many(tmp_path, 6), **arguments)
    assert str(tmp_path) in message
    assert fix in message


def test_one_pair_cannot_be_split(tmp_path):
    assert "1 pair cannot be dealt into 5 folds; add pairs" in error_of(load_datalist, many(tmp_path, 1))


# --------------------------------------------------------------------------------------------- datalists


def item(number, **more):
    return {"image": f"images/p {number:02d}.png", "label": f"masks/p {number:02d}.png", **more}


def write(tmp_path, content, name="liste é.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_datalist_with_folds(tmp_path):
    many(tmp_path, 4)
    listed = write(tmp_path, {"training": [item(number, fold=number % 2, site="x") for number in range(4)]})
    training, validation = load_datalist(tmp_path, listed, fold=1)
    assert names(training) == [("p 00.png", "p 00.png"), ("p 02.png", "p 02.png")]
    assert names(validation) == [("p 01.png", "p 01.png"), ("p 03.png", "p 03.png")]
    assert validation[0] == {
        key: str(tmp_path / part / "p 01.png") for key, part in (("image", "images"), ("label", "masks"))
    }


def test_datalist_with_validation_leaves_fold_unused(tmp_path):
    many(tmp_path, 3)
    listed = write(tmp_path, {"training": [item(0, fold=0), item(1)], "validation": [item(2)]})
    training, validation = load_datalist(tmp_path, listed, fold=99)
    assert (len(training), len(validation)) == (2, 1)


def test_datalist_without_folds_is_dealt(tmp_path):
    many(tmp_path, 10)
    listed = write(tmp_path, {"training": [item(number) for number in range(10)]})
    assert load_datalist(tmp_path, listed, fold=3) == load_datalist(tmp_path, fold=3)


def test_absolute_paths_need_no_dataset_dir_and_a_byte_order_mark_is_read(tmp_path):
    many(tmp_path, 2)
    whole = [{key: str(tmp_path / path) for key, path in item(number).items()} for number in range(2)]
    listed = write(tmp_path, "\ufeff" + json.dumps({"training": whole[:1], "validation": whole[1:]}))
    assert load_datalist("/not/used", listed) == (whole[:1], whole[1:])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"training": [\n  {"image": "a.png",}\n]}', ("not valid JSON, line 2", "correct that line")),
        ({"train": [item(0)]}, ('the key "training"', "rename 'train' to 'training'")),
        ([item(0)], ('the key "training"', "add 'training'")),
        ({"training": []}, ('"training" must be a list of at least one pair',)),
        ({"training": [item(0)], "validation": []}, ('"validation" must be a list of at least one pair',)),
        ({"training": [item(0), "a.png"]}, ('item 2 of "training" is not a pair', "write {")),
        ({"training": [{"images": "a", "label": "b"}]}, ('item 1 of "training" has no "image"', "rename 'images'")),
        ({"training": [item(0), {"image": "a.png"}]}, ('item 2 of "training" has no "label"', "add 'label'")),
        ({"training": [{"image": ["a"], "label": "b"}]}, ('"image" is not a file name', "in quotes")),
        ({"training": [item(0, fold="0")]}, ("\"fold\" is '0'", "whole number")),
        ({"training": [item(0, fold=0), item(1)]}, ("images/p 01.png", 'has no "fold"', "give every item one")),
        ({"training": [item(0, fold=3), item(1, fold=5)]}, ("fold 0 has no items", "set fold to one that has: 3, 5")),
        ({"training": [item(0, fold=0)]}, ("every item is in fold 0", "use at least two folds")),
    ],
)
def test_bad_datalist(tmp_path, content, words):
    listed = write(many(tmp_path, 2), content)
    message = error_of(load_datalist, tmp_path, listed)
    assert all(word in message for word in (str(listed), *words))


def test_datalist_that_cannot_be_read(tmp_path):
    write(tmp_path, {}, "datalist.json")
    message = error_of(load_datalist, tmp_path, tmp_path / "data_list.json")
    assert "data_list.json: no such datalist file; did you mean 'datalist.json'?" in message
    assert "give a MONAI datalist" in error_of(load_datalist, tmp_path, tmp_path / "no/where.json")
    assert "give a MONAI datalist file" in error_of(load_datalist, tmp_path, tmp_path)
    Image.new("L", (9, 9), 200).save(tmp_path / "x.jpg")
    assert "x.jpg: not a text file in UTF-8; save" in error_of(load_datalist, tmp_path, tmp_path / "x.jpg")


def test_listed_file_is_missing(tmp_path):
    listed = write(many(tmp_path, 2), {"training": [item(0), item(7), item(8)]})
    message = error_of(load_datalist, tmp_path, listed)
    assert f"{tmp_path / 'images/p 07.png'}: listed in {listed}, but no such file (and 3 more); correct" in message
    assert f"relative paths start from {tmp_path}" in message
    assert "no such folder" in error_of(load_datalist, tmp_path / "gone", listed)


def test_an_image_in_both_lists(tmp_path):
    many(tmp_path, 3)
    listed = write(tmp_path, {"training": [item(0), item(1)], "validation": [item(1), item(0), item(2)]})
    message = error_of(load_datalist, tmp_path, listed)
    assert f"{tmp_path / 'images/p 01.png'}: in {listed} for training and for validation (and 1 more)" in message
    assert "keep it in one of them" in message
    listed = write(tmp_path, {"training": [item(0, fold=0), item(0, fold=1)]})
    assert "p 00.png: in" in error_of(load_datalist, tmp_path, listed)
    listed = write(tmp_path, {"training": [item(number) for number in (0, 1, 2, 1, 0)]})
    assert "p 01.png: listed twice" in error_of(load_datalist, tmp_path, listed)


def test_a_different_spelling_is_the_same_image(tmp_path):
    many(tmp_path, 1)
    other = item(0) | {"image": "masks/../images/./p 00.png"}
    listed = write(tmp_path, {"training": [item(0)], "validation": [other]})
    assert "keep it in one of them" in error_of(load_datalist, tmp_path, listed)


def test_relative_paths_start_beside_the_datalist_first(tmp_path):
    beside, elsewhere = tmp_path / "list", tmp_path / "data"
    touch(beside, "images/p 00.png", "masks/p 00.png")
    many(elsewhere, 3)
    listed = write(beside, {"training": [item(0), item(1)], "validation": [item(2)]})
    training, validation = load_datalist(elsewhere, listed)
    assert [Path(pair["image"]).parents[1] for pair in training + validation] == [beside, elsewhere, elsewhere]


def test_the_test_list(tmp_path):
    many(tmp_path, 4)
    listed = write(tmp_path, {"training": [item(0), item(1)], "test": [item(2), item(3)]})
    assert names(load_test_list(tmp_path, listed)) == [("p 02.png", "p 02.png"), ("p 03.png", "p 03.png")]
    listed = write(tmp_path, {"training": [], "test": [item(2)]})
    assert len(load_test_list(tmp_path, listed)) == 1
    listed = write(tmp_path, {"training": [item(2)], "test": [item(2)]})
    assert "for training and for testing; keep it in one" in error_of(load_test_list, tmp_path, listed)
    listed = write(tmp_path, {"training": [item(2)], "tset": [item(2)]})
    assert "under the key \"test\"; rename 'tset' to 'test'" in error_of(load_test_list, tmp_path, listed)
