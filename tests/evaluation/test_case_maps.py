"""The maps of a case: the border at the picture's own resolution, and files that are not what they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt

from custom_networks.errors import UserError
from custom_networks.evaluation.case_maps import (
    CaseMaps,
    border_box,
    case_maps,
    read_case_maps,
    signed_distance,
    write_case_maps,
)
from custom_networks.network.segmenter import SGDNetMaps

MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(MASKS)
def test_signed_distance_changes_sign_with_the_mask(mask: np.ndarray) -> None:
    if mask.all() or not mask.any():
        return
    distance = signed_distance(mask)
    assert ((distance < 0) == mask).all()
    np.testing.assert_allclose(signed_distance(~mask), -distance)
    np.testing.assert_allclose(np.abs(distance[mask]) + 0.5, distance_transform_edt(mask)[mask])


def block(size: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[rows, columns] = True
    return mask


def picture(size: tuple[int, int]) -> np.ndarray:
    """Smooth colours, so that JPEG changes them little."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([255 * y / size[0], 255 * x / size[1], 128 + 0 * x], -1).astype(np.uint8)


def maps_of(size: tuple[int, int] = (300, 400)) -> CaseMaps:
    truth = block(size, slice(100, 140), slice(200, 260))
    return case_maps(picture(size), truth, np.roll(truth, 5, 1))


def test_the_part_around_the_border_is_the_original_pixel_by_pixel(tmp_path: Path) -> None:
    maps = maps_of()
    top, left, bottom, right = maps.box
    assert (top, left, bottom, right) == (84, 184, 156, 281)  # 16 pixels around both masks
    np.testing.assert_array_equal(maps.detail, picture((300, 400))[top:bottom, left:right])
    np.testing.assert_array_equal(
        maps.truth, block((300, 400), slice(100, 140), slice(200, 260))[top:bottom, left:right]
    )
    assert not maps.reduced
    assert maps.overview.shape == (192, 256, 3)
    assert maps.error[100 - top, 200 - left] == -0.5
    write_case_maps(tmp_path / "a.npz", maps)
    again = read_case_maps(tmp_path / "a.npz")
    assert (again.box, again.size) == (maps.box, (300, 400))
    np.testing.assert_array_equal(again.prediction, maps.prediction)
    assert np.abs(again.detail.astype(int) - maps.detail).max() < 12
    np.testing.assert_allclose(again.error, maps.error, rtol=1e-3)


def test_a_large_part_is_reduced_and_says_so() -> None:
    size = (1500, 3000)
    whole = block(size, slice(10, 1490), slice(10, 2990))
    maps = case_maps(picture(size), whole, ~whole)
    assert maps.reduced
    assert maps.detail.shape == (512, 1024, 3)
    assert maps.truth.shape == maps.prediction.shape == maps.error.shape == (512, 1024)


def test_masks_at_the_networks_size_are_laid_over_the_original() -> None:
    truth = block((64, 64), slice(16, 32), slice(16, 32))
    maps = case_maps(picture((256, 128)), truth, truth)
    assert maps.box == (48, 16, 144, 80)
    assert maps.truth.sum() == pytest.approx(64 * 32, rel=0.02)
    assert maps.error.min() == pytest.approx(-7.5, abs=0.6)  # measured pixels, not those of the original


def test_nothing_there_and_nothing_found_shows_the_whole_picture() -> None:
    maps = case_maps(picture((30, 40)), np.zeros((30, 40), bool), np.zeros((30, 40), bool))
    assert maps.box == (0, 0, 30, 40)
    assert maps.error.size == 0
    assert border_box(np.ones((3, 3), bool)) == (0, 0, 3, 3)


def test_maps_of_the_network_are_small() -> None:
    network = SGDNetMaps([torch.zeros(1, 1, 64, 64)], torch.zeros(1, 1, 64, 64), torch.rand(1, 16, 16, 16))
    truth = block((300, 400), slice(100, 140), slice(200, 260))
    maps = case_maps(picture((300, 400)), truth, truth, network)
    assert maps.edge.shape == maps.guidance.shape == (192, 256)
    assert np.ptp(maps.guidance.astype(int)) > 200  # stretched


def forge(path: Path, **changed: object) -> Path:
    """Write a file of maps with some arrays changed; None leaves one out."""
    write_case_maps(path, maps_of())
    with np.load(path) as stored:
        content = {name: stored[name] for name in stored.files} | changed
    np.savez_compressed(path, **{name: value for name, value in content.items() if value is not None})
    return path


@pytest.mark.parametrize(
    "changed",
    [
        {"version": None},
        {"version": 1},
        {"version": "x"},
        {"truth": None},
        {"truth": np.zeros((2, 2), bool)},
        {"prediction": np.zeros((72, 97), np.int64)},
        {"edge": np.zeros((1000, 1000), np.uint8)},
        {"error": np.full((72, 97), np.nan, np.float32)},
        {"box": [0, 0, 9999, 9999]},
        {"box": [0, 0]},
        {"size": 3},
        {"detail": np.zeros(30, np.uint8)},
        {"overview": np.array("<svg onload=alert(1)>")},
        {"overview": np.array({"an": "object"}, dtype=object)},
        {"padding": np.zeros(1 << 29, np.uint8)},
    ],
    ids=str,
)
def test_a_forged_file_is_one_sentence(tmp_path: Path, changed: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"a\.npz: missing or damaged \(.+\); evaluate the run again"):
        read_case_maps(forge(tmp_path / "a.npz", **changed))


def test_a_file_that_was_cut_off_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_case_maps(path, maps_of())
    content = path.read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match="missing or damaged"):
            read_case_maps(path)
    damaged = bytearray(content)
    damaged[len(content) // 3 : len(content) // 3 + 40] = bytes(40)
    path.write_bytes(damaged)
    with pytest.raises(UserError, match="missing or damaged"):
        read_case_maps(path)
