"""Frames of a DICOM file and series: in order, in one scale of grey, and faults in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicoms import change, write_dicom, write_enhanced, write_frames, write_series
from pydicom import Dataset

from custom_networks.data.formats import stored_volume
from custom_networks.data.formats.dicom_volumes import find_series, frame_count, ordered
from custom_networks.errors import UserError

SHAPE = (4, 6, 9)


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 250, SHAPE).astype(np.uint8)


def grey(paths: list[Path]) -> np.ndarray:
    return np.stack([np.asarray(one.rgb("x"))[..., 0] for one in stored_volume(paths)])


def test_frames_keep_their_order_and_spacing(tmp_path: Path, values: np.ndarray) -> None:
    enhanced = write_enhanced(tmp_path / "e.dcm", values)
    assert frame_count(enhanced) == 4
    np.testing.assert_array_equal(grey([enhanced]), values)
    assert {one.spacing for one in stored_volume([enhanced])} == {(0.5, 0.25)}
    plain = write_frames(tmp_path / "p.dcm", values, PixelSpacing=[0.1, 0.2])
    np.testing.assert_array_equal(grey([plain]), values)
    assert stored_volume([plain])[0].spacing == (0.1, 0.2)
    colours = np.stack([values, values // 2, values // 3], -1)
    found = stored_volume([write_frames(tmp_path / "c.dcm", colours)])
    np.testing.assert_array_equal(np.stack([np.asarray(one.image) for one in found]), colours)


def test_each_frame_has_its_own_window(tmp_path: Path, values: np.ndarray) -> None:
    path = write_enhanced(tmp_path / "e.dcm", values)
    groups = []
    for number in range(len(values)):
        window, group = Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = 50.0 * (number + 1), 100.0
        group.FrameVOILUTSequence = [window]
        groups.append(group)
    change(path, PerFrameFunctionalGroupsSequence=groups)
    single = [
        grey([write_frames(tmp_path / f"s{i}.dcm", values[i : i + 1], WindowCenter=50.0 * (i + 1), WindowWidth=100.0)])
        for i in range(len(values))
    ]
    np.testing.assert_array_equal(grey([path]), np.concatenate(single))
    assert not np.array_equal(single[0], single[3])


def test_a_series_follows_its_positions(tmp_path: Path, values: np.ndarray) -> None:
    files = write_series(tmp_path, values)
    assert ordered(sorted(files)) == files
    np.testing.assert_array_equal(grey(sorted(files)), values)
    assert {one.spacing for one in stored_volume(files)} == {(0.5, 0.25)}
    turned = write_series(tmp_path / "turned", values, ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])
    assert ordered(sorted(turned)) == turned[::-1]  # the slices face the other way


def test_one_scale_of_grey(tmp_path: Path) -> None:
    """Of Hounsfield units without a window, and of 16 bits: the same value is the same grey in all slices."""
    units = np.stack([np.full((4, 4), level, np.int16) for level in (-1000, 0, 1000)])
    found = grey(write_series(tmp_path / "ct", units))
    assert found[:, 0, 0].tolist() == [0, 128, 255]
    wide = np.stack([np.full((4, 4), level, np.uint16) for level in (0, 255, 4095)])
    opened = stored_volume(write_series(tmp_path / "wide", wide))
    assert {one.depth for one in opened} == {12}
    assert grey(write_series(tmp_path / "again", wide))[:, 0, 0].tolist() == [0, 16, 255]


def test_what_is_a_series(tmp_path: Path, values: np.ndarray) -> None:
    """Files of one UID of which some have positions; pictures of one series without any, or alone, are none."""
    files = write_series(tmp_path / "a", values)
    same = {"SeriesInstanceUID": "1.2.3"}
    photographs = [write_dicom(tmp_path / f"p{i}.dcm", values[0], **same) for i in range(3)]
    (tmp_path / "damaged.dcm").write_bytes(b"nothing")
    found = find_series([*files, *photographs, tmp_path / "damaged.dcm", write_enhanced(tmp_path / "e.dcm", values)])
    assert list(found.values()) == [files]
    assert find_series(files[:1]) == {}


Spoil = Callable[[list[Path]], Any]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda files: files.pop(1), "a slice of its series is missing between im006.dcm and im004.dcm, 6 mm apart"),
        (lambda files: change(files[2], Rows=3), "slices of 9 x 6 pixels, and im004.dcm slices of 9 x 3 pixels"),
        (lambda files: change(files[2], ImageOrientationPatient=[1, 0, 0, 0, 0, 1]), "two orientations, im004.dcm"),
        (lambda files: change(files[2], PixelSpacing=[1, 1]), "im004.dcm of [1.0, 1.0] mm"),
        (
            lambda files: change(files[2], ImagePositionPatient=[1, 2, 3]),
            "im005.dcm and im004.dcm of its series lie in",
        ),
        (lambda files: change(files[2], ImagePositionPatient=None), "im004.dcm of its series has no ImagePosition"),
    ],
)
def test_faults_are_one_sentence(tmp_path: Path, spoil: Spoil, words: str) -> None:
    values = np.zeros((6, 6, 9), np.uint8)
    files = write_series(tmp_path, values)
    spoil(files)
    with pytest.raises(UserError) as error:
        ordered(files)
    assert str(error.value).startswith(f"{files[0]}: ")
    assert words in str(error.value)
    assert "mend the series" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_whole_slide_in_dicom_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    path = write_frames(tmp_path / "w.dcm", values, SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6")
    with pytest.raises(UserError, match="whole slide in DICOM"):
        stored_volume([path])
