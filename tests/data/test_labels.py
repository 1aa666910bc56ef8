"""Masks, instances and classes: what is read, what is refused, and that a mask trains as it always did."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pipelines import compose, nuclei, save, training_config, write_nuclei

from custom_networks import UserError
from custom_networks.data import checked_datalist
from custom_networks.data.images import binary, mask_levels, to_labels
from custom_networks.data.labels import class_count, label_kind, to_whole_numbers

VALUES = np.array([[0, 1, 7], [2, 200, 0]])
COLOURED = Image.fromarray(np.dstack([VALUES, VALUES + 1, VALUES]).astype(np.uint8))


def palette() -> Image.Image:
    picture = Image.fromarray(VALUES.astype(np.uint8), mode="P")
    picture.putpalette([value for index in range(256) for value in (255 - index, index, 9)])
    return picture


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(Image.fromarray(VALUES.astype(np.uint8)), id="8 bits"),
        pytest.param(Image.fromarray(VALUES.astype(np.uint16)), id="16 bits"),
        pytest.param(Image.fromarray(VALUES.astype(np.int32)), id="32 bits"),
        pytest.param(Image.fromarray(VALUES.astype(np.float32)), id="floating point"),
        pytest.param(Image.fromarray(np.dstack([VALUES] * 3).astype(np.uint8)), id="grey in RGB"),
        pytest.param(palette(), id="palette"),
    ],
)
def test_labels_are_the_numbers_of_the_file(picture: Image.Image) -> None:
    labels = to_labels(picture)
    assert labels.mode == "I"
    np.testing.assert_array_equal(np.asarray(labels), VALUES)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (COLOURED, "coloured; save it as one grey channel of whole numbers"),
        (Image.fromarray(np.array([[0.5, 1]], np.float32)), "not all whole numbers"),
        (Image.fromarray(np.array([[np.nan, 1]], np.float32)), "not all whole numbers"),
        (Image.fromarray(np.array([[-1, 1]], np.int32)), "labels from -1 to 1, outside"),
        (Image.fromarray(np.array([[0, 2**24 + 1]], np.int32)), "outside 0..16777216"),
        (Image.new("LA", (2, 2), (3, 100)), "partly transparent"),
    ],
)
def test_what_cannot_be_labels_is_refused(picture: Image.Image, words: str) -> None:
    with pytest.raises(UserError, match="the picture: ") as caught:
        to_labels(picture)
    assert words in str(caught.value)


@settings(max_examples=15, deadline=None)
@given(arrays.arrays(np.uint16, st.tuples(st.integers(1, 70), st.integers(1, 70))))
def test_instance_numbers_survive_the_training_pipeline(
    tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray
) -> None:
    """16-bit numbers come out as they went in, none is made up between two, and the type is no wider than needed."""
    folder = tmp_path_factory.mktemp("labels")
    item = {
        "image": save(folder / "a.png", np.zeros((*labels.shape, 3), np.uint8)),
        "label": save(folder / "m.png", labels),
    }
    config = training_config(label_kind="instances", image_size=64)
    loaded = compose(config, "load")(item)["label"]
    assert loaded.dtype == (torch.uint8 if loaded.max() <= 255 else torch.int32)
    augmented = compose(config, "load", "train#augment", "normalize")(item)["label"]
    assert augmented.dtype == torch.float32
    for result in (loaded, augmented):
        assert result.shape == (1, 64, 64)
        assert set(result.unique().tolist()) <= set(np.unique(labels).tolist())
    if labels.shape == (64, 64):
        np.testing.assert_array_equal(loaded[0].numpy().T, labels)


def test_a_mask_is_zero_and_one() -> None:
    levels = Image.fromarray(np.array([[0, 127, 128, 255]], np.uint8))
    assert np.asarray(binary(mask_levels(levels))).ravel().tolist() == [0, 0, 1, 1]


def test_whole_numbers_take_no_more_bits_than_they_need() -> None:
    assert to_whole_numbers(torch.tensor([0.0, 255.0])).dtype == torch.uint8
    wide = to_whole_numbers(torch.tensor([0.0, 256.0, 2.0**24]))
    assert wide.tolist() == [0, 256, 2**24]
    assert wide.dtype == torch.int32


def write(folder: Path, **content: object) -> Path:
    path = folder / "list.json"
    path.write_text(json.dumps({"training": [], **content}))
    return path


def test_the_kind_is_the_knobs_else_the_datalists_else_mask(tmp_path: Path) -> None:
    assert label_kind() == "mask"
    assert label_kind(None, write(tmp_path)) == "mask"
    assert label_kind(None, write(tmp_path, label_kind="instances")) == "instances"
    assert label_kind("classes", write(tmp_path, label_kind="instances")) == "classes"
    with pytest.raises(UserError, match=r"--label_kind instance: .*did you mean 'instances'"):
        label_kind("instance")
    with pytest.raises(UserError, match=r"list\.json: \"label_kind\": .*got 'class'; did you mean 'classes'"):
        label_kind(None, write(tmp_path, label_kind="class"))


def test_classes_are_counted_with_the_background(tmp_path: Path) -> None:
    assert class_count(write(tmp_path, classes={"1": "a", "4": "b"})) == 5
    assert class_count(None, 3) == 3
    for bad in (1, True, "many"):
        with pytest.raises(UserError, match="--classes"):
            class_count(None, bad)  # type: ignore[arg-type]
    with pytest.raises(UserError, match='no "classes"'):
        class_count(write(tmp_path))
    with pytest.raises(UserError, match=r'"classes\.round": a class must be a whole number'):
        class_count(write(tmp_path, classes={"round": "1"}))


def test_types_become_the_second_channel_where_classes_are_told_apart(tmp_path: Path) -> None:
    datalist = write_nuclei(tmp_path)
    one = checked_datalist(tmp_path, datalist, label_kind="instances")
    assert set(one["training"][0]) == {"image", "label"}
    several = checked_datalist(tmp_path, datalist, label_kind="instances", classes=3)
    label = several["training"][0]["label"]
    assert [Path(path).parent.name for path in label] == ["labels", "types"]
    config = training_config(label_kind="instances", image_size=64)
    loaded = compose(config, "load")(several["training"][0])["label"]
    _, labels, types = nuclei(64, 6, seed=0)
    np.testing.assert_array_equal(loaded.numpy(), np.stack([labels.T, types.T]))


def test_what_does_not_fit_the_classes_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    datalist = write_nuclei(tmp_path)
    with pytest.raises(UserError, match=r"types.0\.png: holds 2, which is no declared class"):
        checked_datalist(tmp_path, datalist, label_kind="instances", classes=2)
    with pytest.raises(UserError, match="3 classes, but the labels are masks"):
        checked_datalist(tmp_path, datalist, classes=3)
    caplog.clear()
    checked_datalist(tmp_path, datalist, label_kind="instances", classes=3)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    save(tmp_path / "types/1.png", np.zeros((32, 64), np.uint8))
    with pytest.raises(UserError, match=r"types.1\.png: the mask is 64 x 32 pixels"):
        checked_datalist(tmp_path, datalist, label_kind="instances", classes=3)
    (tmp_path / "types/1.png").unlink()
    with pytest.raises(UserError, match=r"types.1\.png: listed in .*but no such file"):
        checked_datalist(tmp_path, datalist, label_kind="instances", classes=3)
    content = json.loads(datalist.read_text())
    del content["training"][2]["types"]
    content["training"][1]["types"] = content["training"][0]["types"]
    datalist.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r'labels.2\.png: an instance map without "types"'):
        checked_datalist(tmp_path, datalist, label_kind="instances", classes=3)


def test_an_empty_label_map_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    datalist = write_nuclei(tmp_path)
    save(tmp_path / "labels/1.png", np.zeros((64, 64), np.uint16))
    caplog.set_level("WARNING")
    checked_datalist(tmp_path, datalist, label_kind="instances")
    assert [record.getMessage() for record in caplog.records] == ["empty masks (no foreground): 1, e.g. 1.png"]
