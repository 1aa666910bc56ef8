"""Training, validation and test pairs of folders and datalists, and every way a user can get it wrong."""

import json
from pathlib import Path

import pytest
from empty_files import error_of, names, touch
from PIL import Image

from custom_networks.data.datalist import Datalist
from custom_networks.data.pairing import find_pairs
from custom_networks.data.splitting import load_datalist, load_test_list


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
        ('{"training": [\n  {"image": "a.png",}\n]}', ("not valid JSON (", "line 2", "write a MONAI datalist")),
        ({"train": [item(0)]}, ('"training" is missing', "rename 'train' to 'training'")),
        ([item(0)], ("input should be an object", "write a MONAI datalist")),
        ({"training": []}, ('"training" must be a list of at least one pair',)),
        ({"training": [item(0)], "validation": []}, ('"validation" must be a list of at least one pair',)),
        ({"training": [item(0), "a.png"]}, ('"training[1]": input should be an object', "write a MONAI datalist")),
        ({"training": [{"images": "a", "label": "b"}]}, ('"training[0].image" is missing', "rename 'images'")),
        ({"training": [item(0), {"image": "a.png"}]}, ('"training[1]" has no "label"', "add 'label'")),
        ({"training": [{"image": ["a"], "label": "b"}]}, ('"training[0].image": input should be a valid string',)),
        ({"training": [{"image": "", "label": "b"}]}, ('"training[0].image": string should have at least 1',)),
        ({"training": [item(0, fold="0")]}, ("\"training[0].fold\": input should be a valid integer, got '0'",)),
        ({"training": [item(0, group=1.5)]}, ('"training[0].group": input should be a valid string, got 1.5',)),
        ({"training": [item(0, spacing=[1])]}, ('"training[0].spacing": list should have at least 2 items',)),
        ({"training": [item(0, spacing=[0, 1])]}, ('"training[0].spacing[0]": input should be greater than 0',)),
        ({"training": [item(0, fold=0), item(1)]}, ("images/p 01.png", 'has no "fold"', "give every item one")),
        ({"training": [item(0, fold=3), item(1, fold=5)]}, ("fold 0 has no items", "set fold to one that has: 3, 5")),
        ({"training": [item(0, fold=0)]}, ("every item is in fold 0", "use at least two folds")),
        ({"training": [item(0)], "label_kind": "masks"}, ("\"label_kind\": input should be 'mask'",)),
        ({"training": [item(0)], "classes": ["a"]}, ('"classes": input should be an object',)),
        ({"training": [item(0)], "datalist_version": 2}, ("written in version 2 of this file",)),
    ],
)
def test_bad_datalist(tmp_path, content, words):
    listed = write(many(tmp_path, 2), content)
    message = error_of(load_datalist, tmp_path, listed)
    assert all(word in message for word in (str(listed), *words))


def test_datalist_that_cannot_be_read(tmp_path):
    write(tmp_path, {}, "datalist.json")
    message = error_of(load_datalist, tmp_path, tmp_path / "data_list.json")
    assert "data_list.json: no such file; did you mean 'datalist.json'?" in message
    assert "write a MONAI datalist" in error_of(load_datalist, tmp_path, tmp_path / "no/where.json")
    assert "is a folder" in error_of(load_datalist, tmp_path, tmp_path)
    Image.new("L", (9, 9), 200).save(tmp_path / "x.jpg")
    assert "x.jpg: not a text file in UTF-8" in error_of(load_datalist, tmp_path, tmp_path / "x.jpg")


@pytest.mark.parametrize("as_number", [False, True])
def test_no_group_of_a_datalist_is_torn_apart(tmp_path, as_number):
    """Four images of each of seven patients, in whatever order, whose groups JSON may hold as whole numbers."""
    many(tmp_path, 28)
    listed = [item(number, group=number % 7 if as_number else f"p{number % 7}") for number in range(28)]
    validated = {}
    for order in (listed, listed[::-1]):
        path = write(tmp_path, {"training": order})
        for fold in range(5):
            training, validation = load_datalist(tmp_path, path, fold=fold)
            patients = [{int(Path(pair["image"]).stem[2:]) % 7 for pair in pairs} for pairs in (training, validation)]
            assert not patients[0] & patients[1]
            assert len(validation) == 4 * len(patients[1])
            assert validated.setdefault(fold, patients[1]) == patients[1]
    assert sorted(patient for patients in validated.values() for patient in patients) == list(range(7))
    path = write(tmp_path, {"training": [item(number, group=number % 3) for number in range(28)]})
    assert "3 groups cannot be dealt into 5 folds; set folds to 3" in error_of(load_datalist, tmp_path, path)


def test_columns_of_a_datalist(tmp_path):
    many(tmp_path, 2)
    path = write(tmp_path, {"training": [item(0, group=7, age=41, note=None)], "test": ["images/p 01.png"]})
    columns = Datalist.read(path).columns(tmp_path)
    assert columns[str(tmp_path / "images" / "p 00.png")].columns() == item(0, group="7", age=41)
    assert columns[str(tmp_path / "images" / "p 01.png")].label is None


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
