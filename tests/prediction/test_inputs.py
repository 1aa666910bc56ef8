"""Which images are found, and where their results go: never outside the output folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicoms import write_dicom, write_segmentation, write_series
from PIL import Image

from custom_networks.data.pairing import MASK_SUFFIXES
from custom_networks.errors import UserError
from custom_networks.prediction.inputs import ImageSource, find_sources, inside, refuse_same_names
from custom_networks.prediction.plan import make_plan


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3)).save(path)
    return path


def names(*inputs: object, output: Path) -> list[str]:
    return [source.name for source in find_sources([str(one) for one in inputs], output)]


def test_folders_are_searched_to_the_bottom_and_keep_their_names(tmp_path: Path) -> None:
    for name in ("b.png", "a/x.jpg", "a/deep/y.tif", "a/.hidden/z.png", ".z.png"):
        picture(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("no image")
    assert names(tmp_path / "in", output=tmp_path / "out") == ["b", "a/x", "a/deep/y"]


def test_masks_in_folders_are_passed_over(tmp_path: Path) -> None:
    for name in ("set/images/1.png", "set/masks/1.png", "pairs/2.jpg", "pairs/2_mask.png", "pairs/lone_mask.png"):
        picture(tmp_path / name)
    long = [f"2{'x' * len(suffix)}" for suffix in MASK_SUFFIXES]  # no masks, though as long as one of 2.jpg
    for name in long:
        picture(tmp_path / "pairs" / f"{name}.png")
    image = write_dicom(tmp_path / "dicom" / "3.dcm", np.zeros((8, 8), np.uint8))
    write_segmentation(tmp_path / "dicom" / "3_seg.dcm", image, np.ones((1, 8, 8), bool))
    found = names(tmp_path / "set", tmp_path / "pairs", tmp_path / "dicom", output=tmp_path / "out")
    assert found == ["images/1", "2", *sorted(long), "lone_mask", "3"]


def test_a_loop_of_folders_ends(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a" / "x.png")
    (tmp_path / "in" / "a" / "up").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in" / "a" / "self").symlink_to(tmp_path / "in" / "a", target_is_directory=True)
    assert names(tmp_path / "in", output=tmp_path / "out") == ["a/x"]


def test_results_inside_the_input_are_not_predicted(tmp_path: Path) -> None:
    picture(tmp_path / "x.png")
    picture(tmp_path / "out" / "x.png")
    assert names(tmp_path, output=tmp_path / "out") == ["x"]
    assert names(tmp_path / "**" / "*.png", output=tmp_path / "out") == ["x"]


def test_patterns_files_and_folders_together_count_each_image_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/1.png", "a/2.png", "b/1.jpg"):
        picture(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert names("*/1.*", "a", "b/1.jpg", output=tmp_path / "out") == ["a/1", "b/1", "2"]
    assert names("../" + tmp_path.name + "/a/1.png", output=tmp_path / "out") == ["1"]


def test_each_link_to_a_picture_is_an_image(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    for name in ("b.png", "c.png"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "in" / "a.png")
    assert names(tmp_path / "in", output=tmp_path / "out") == ["a", "b", "c"]
    (tmp_path / "other" / "a.png").parent.mkdir()
    (tmp_path / "other" / "a.png").symlink_to(tmp_path / "in" / "a.png")
    found = names(tmp_path / "in" / "a.png", tmp_path / "other" / "a.png", tmp_path / "in", output=tmp_path / "out")
    assert found == ["a", "b", "c"], "one image whose results have one name counts once"


def test_a_series_is_found_though_one_of_its_files_was_given_before(tmp_path: Path) -> None:
    files = write_series(tmp_path / "scan", np.zeros((3, 8, 8), np.uint8))
    for file in files:
        assert names(file, tmp_path / "scan", output=tmp_path / "out") == [file.stem, "scan"]
    assert names(tmp_path / "scan", tmp_path / "scan", output=tmp_path / "out") == ["scan"]


def test_a_pattern_may_lie_below_the_output_but_not_search_it(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "images" / "a.jpg")
    assert names(tmp_path / "set" / "images" / "*.jpg", output=tmp_path / "set") == ["a"]
    with pytest.raises(UserError, match="lies in the output folder"):
        names(tmp_path / "set" / "**" / "*.jpg", output=tmp_path / "set")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [("scan.pgn", "did you mean 'scan.png'?"), ("*.tif", "no images in it"), ("empty", "no images in it")],
)
def test_nothing_found_is_said(tmp_path: Path, given: str, sentence: str) -> None:
    picture(tmp_path / "scan.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=sentence.replace("?", r"\?")):
        find_sources([str(tmp_path / given)], tmp_path / "out")
    with pytest.raises(UserError, match="no image given"):
        find_sources([], tmp_path / "out")


def test_two_images_with_one_result_are_refused() -> None:
    first, second = ImageSource(Path("a.png"), "a"), ImageSource(Path("A.jpg"), "A")
    with pytest.raises(UserError, match=r"A\.jpg: a\.png would be written as A\.png too"):
        refuse_same_names([(first, "a.png"), (second, "A.png")])
    refuse_same_names([(first, "a.png"), (first, "a.png"), (second, "b.png")])


@pytest.mark.parametrize("other", ["x.dcm", "x.nii.gz", "X.svs"])
def test_images_of_one_name_are_refused_though_their_results_end_differently(tmp_path: Path, other: str) -> None:
    """The journal knows an image by its name: they would remove each other's masks."""
    picture(tmp_path / "x.png")
    (tmp_path / other).write_bytes(b"another kind of image")
    with pytest.raises(UserError, match=r"would be written as [xX]\.\* too; rename one"):
        make_plan([str(tmp_path / "x.png"), str(tmp_path / other)], tmp_path / "out", ("mask",), settings={})


def test_results_cannot_leave_the_output_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert inside(tmp_path / "out", "new/a.png") == tmp_path / "out" / "new" / "a.png"
    for file in ("link/a.png", "../a.png", "new/../../a.png", "/etc/a.png"):
        with pytest.raises(UserError, match="lies outside"):
            inside(tmp_path / "out", file)
