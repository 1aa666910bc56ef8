"""The phantoms are the same bytes everywhere, look like the task, cannot be solved by a threshold, and write safely."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb2lab
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.morphology import dilation, disk, erosion

from custom_networks.data.phantoms import AREA_RANGE, draw_phantom, drawing, write_phantoms
from custom_networks.data.phantoms.lesion import one_piece, opacity_of
from custom_networks.errors import UserError

Mask = NDArray[np.bool_]
SIZE = 128
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def series() -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    return [draw_phantom(0, index, SIZE) for index in range(64)]


@pytest.fixture(scope="module")
def bands(series) -> list[tuple[NDArray[np.float64], Mask, Mask, Mask]]:
    """Per phantom: CIELAB picture, lesion, a rim 4 to 12 pixels outside it, and the two pixels around the outline."""
    out = []
    for image, mask in series:
        lesion = mask > 0
        rim = dilation(lesion, disk(12)) & ~dilation(lesion, disk(4))
        out.append((rgb2lab(image), lesion, rim, dilation(lesion, disk(1)) & ~erosion(lesion, disk(1))))
    return out


def _dice(a: Mask, b: Mask) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def _hashes(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# The same everywhere


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "here", count=3, size=64, seed=5)
    code = "from custom_networks.data.phantoms import write_phantoms; write_phantoms('there', 3, 64, 5)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path, timeout=120)
    assert len(_hashes(tmp_path / "here")) == 6
    assert _hashes(tmp_path / "here") == _hashes(tmp_path / "there")


def test_a_phantom_depends_on_its_seed_and_index_alone(tmp_path: Path) -> None:
    few = _hashes(write_phantoms(tmp_path / "few", count=2, size=64))
    more = _hashes(write_phantoms(tmp_path / "more", count=5, size=64))
    assert {name: more[name] for name in few} == few
    assert len(set(more.values())) == 10
    backwards = [draw_phantom(0, index, 64)[0] for index in (4, 1)]
    np.testing.assert_array_equal(backwards[1], np.asarray(Image.open(tmp_path / "few/images/phantom_001.png")))
    assert not np.array_equal(backwards[1], draw_phantom(1, 1, 64)[0])


def test_global_random_state_is_neither_read_nor_touched() -> None:
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    first = draw_phantom(2, 7, 64)[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # type: ignore[index]  # noqa: NPY002
    np.random.seed(4)  # noqa: NPY002
    np.testing.assert_array_equal(draw_phantom(2, 7, 64)[0], first)


@pytest.mark.parametrize("index", [pytest.param(0, marks=pytest.mark.slow), 2, 24])
def test_the_scene_is_the_same_at_every_size(series, index: int) -> None:
    big = draw_phantom(0, index, 2 * SIZE)[1].reshape(SIZE, 2, SIZE, 2).mean(axis=(1, 3)) >= 128
    assert _dice(big, series[index][1] > 0) > 0.97


# What the masks are


def test_masks_are_binary_and_in_one_piece_without_holes(series) -> None:
    for image, mask in series:
        assert image.shape == (SIZE, SIZE, 3)
        assert mask.shape == (SIZE, SIZE)
        assert image.dtype == mask.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 255}
        assert label(mask > 0, connectivity=1).max() == 1
        outside = label(np.pad(mask == 0, 1, constant_values=True), connectivity=2)
        assert outside.max() == 1


def test_the_mask_is_where_the_lesion_is_at_least_half_opaque(monkeypatch) -> None:
    seen = []
    draw = opacity_of
    monkeypatch.setattr(drawing, "opacity_of", lambda *rest: seen.append(draw(*rest)) or seen[-1])
    for index in range(12):
        mask = draw_phantom(0, index, SIZE)[1]
        np.testing.assert_array_equal(seen[index] > 0.5, mask > 0)


def test_specks_are_dropped_and_holes_are_filled() -> None:
    drawn = np.zeros((12, 12), dtype=bool)
    drawn[2:8, 0:7] = True
    whole = drawn.copy()
    drawn[4, 3] = False  # a hole
    drawn[8, 7] = drawn[10, 10] = True  # specks, one of them touching by a corner
    np.testing.assert_array_equal(one_piece(drawn), whole)


def test_lesions_are_small_and_large_and_some_touch_the_edge(series) -> None:
    areas = np.array([(mask > 0).mean() for _, mask in series])
    assert areas.min() > 0.9 * AREA_RANGE[0]
    assert areas.max() < 1.1 * AREA_RANGE[1]
    assert (areas < 0.04).sum() >= 8
    assert (areas > 0.25).sum() >= 8
    edges = [max(mask[0].max(), mask[-1].max(), mask[:, 0].max(), mask[:, -1].max()) for _, mask in series]
    assert 3 <= np.count_nonzero(edges) <= 24


def test_outlines_are_not_ellipses(series) -> None:
    fits = []
    for _, mask in series:
        region = regionprops((mask > 0).astype(np.uint8))[0]
        row, column = np.mgrid[:SIZE, :SIZE]
        y, x = row - region.centroid[0], column - region.centroid[1]
        cosine, sine = np.cos(region.orientation), np.sin(region.orientation)
        along, across = (y * cosine + x * sine), (x * cosine - y * sine)
        ellipse = (along / region.axis_major_length) ** 2 + (across / region.axis_minor_length) ** 2 <= 0.25
        fits.append(_dice(ellipse, mask > 0))
    assert np.median(fits) < 0.95
    assert min(fits) < 0.88


@pytest.mark.parametrize("layer", ["add_hairs", "add_ruler", "add_bubbles", "add_light"])
def test_what_lies_over_the_lesion_does_not_change_the_mask(monkeypatch, series, layer: str) -> None:
    monkeypatch.setattr(drawing, layer, lambda rng, picture, *rest: picture)
    changed = 0
    for index in range(8, 20):
        image, mask = draw_phantom(0, index, SIZE)
        np.testing.assert_array_equal(mask, series[index][1])
        changed += not np.array_equal(image, series[index][0])
    assert changed > 0, f"{layer} drew nothing in twelve pictures"


# What a network has to learn


def test_no_threshold_solves_the_task(series) -> None:
    """Measured: 0.50 for the best single grey threshold, 0.71 for Otsu's, 0.80 for the best one of each picture."""
    pairs = [(image.mean(axis=2), mask > 0) for image, mask in series]
    best = max(np.mean([_dice(grey < level, lesion) for grey, lesion in pairs]) for level in range(4, 252, 4))
    otsu = np.mean([_dice(grey < threshold_otsu(grey), lesion) for grey, lesion in pairs])
    assert 0.3 < best < 0.65
    assert 0.5 < otsu < 0.8


def test_lesions_can_be_told_from_the_skin_around_them(bands) -> None:
    """Median colour inside against that of the rim, in CIELAB units (measured: 29 on average, 8 at least)."""
    contrast = [np.linalg.norm(np.median(lab[lesion], 0) - np.median(lab[rim], 0)) for lab, lesion, rim, _ in bands]
    assert np.mean(contrast) > 20
    assert min(contrast) > 5
    assert np.count_nonzero(np.array(contrast) < 16) >= 5, "no faint lesions"


def test_lesions_have_several_colours(bands) -> None:
    spread = [np.linalg.norm(lab[lesion].std(axis=0)) for lab, lesion, _, _ in bands]
    skin = [np.linalg.norm(lab[rim].std(axis=0)) for lab, _, rim, _ in bands]
    assert np.median(spread) > 1.5 * np.median(skin)


def test_some_borders_are_sharp_and_some_are_faint(bands) -> None:
    """The gradient on the outline, as a share of the step from lesion to skin."""
    sharpness = []
    for lab, lesion, rim, edge in bands:
        step = abs(np.median(lab[lesion][:, 0]) - np.median(lab[rim][:, 0]))
        if step > 12:  # clear enough to measure
            slope = np.hypot(*np.gradient(lab[..., 0]))
            sharpness.append(float(np.median(slope[edge])) / step)
    assert len(sharpness) > 30
    assert np.quantile(sharpness, 0.9) > 2 * np.quantile(sharpness, 0.1)


@pytest.mark.slow
def test_skin_runs_evenly_from_very_light_to_very_dark(bands) -> None:
    """Individual typology angle of the skin around the lesion: every one of the six classes has its share."""
    skin = np.array([np.median(lab[rim], axis=0) for lab, _, rim, _ in bands])
    angle = np.degrees(np.arctan2(skin[:, 0] - 50, skin[:, 2]))
    counts = np.histogram(angle, [-90, -30, 10, 28, 41, 55, 95])[0]
    assert counts.sum() == 64
    assert counts.min() >= 3
    assert counts.max() <= 20
    assert np.ptp(skin[:, 0]) > 50


# What is on the disk


def test_pngs_hold_the_drawn_pixels_and_no_metadata(tmp_path: Path) -> None:
    assert write_phantoms(str(tmp_path), count=1, size=64, seed=3) == tmp_path
    for kind, mode, drawn in zip(("images", "masks"), ("RGB", "L"), draw_phantom(3, 0, 64), strict=True):
        path = tmp_path / kind / "phantom_000.png"
        with Image.open(path) as picture:
            assert picture.mode == mode
            assert picture.info == {}
            np.testing.assert_array_equal(np.asarray(picture), drawn)


def test_only_the_phantoms_are_left(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "a/b", count=2, size=64)
    names = {f"{kind}/phantom_00{index}.png" for kind in ("images", "masks") for index in (0, 1)}
    assert set(_hashes(tmp_path / "a/b")) == names


def test_a_failed_write_leaves_no_half_file(tmp_path: Path, monkeypatch) -> None:
    def fail(self: Path, target: Path) -> Path:
        assert self.parent == target.parent, "renaming across folders is not atomic"
        raise OSError("disk is full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(UserError, match="disk is full"):
        write_phantoms(tmp_path, count=1, size=64)
    assert _hashes(tmp_path) == {}


def test_a_second_run_touches_nothing(tmp_path: Path) -> None:
    write_phantoms(tmp_path, count=2, size=64)
    files = sorted(tmp_path.rglob("*.png"))
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files]
    write_phantoms(tmp_path, count=2, size=64)
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files] == before


def test_a_broken_off_run_is_completed(tmp_path: Path) -> None:
    whole = _hashes(write_phantoms(tmp_path / "whole", count=2, size=64))
    broken = write_phantoms(tmp_path / "broken", count=2, size=64)
    (broken / "masks/phantom_001.png").unlink()
    (broken / "images/phantom_000.png").write_bytes(b"\x89PNG half")
    (broken / "images/.phantom_001.png-0123456789abcdef").write_bytes(b"killed")
    write_phantoms(broken, count=2, size=64)
    assert _hashes(broken) == whole


@pytest.mark.parametrize("kind", ["images", "masks"])
@pytest.mark.parametrize("stranger", ["ISIC_0000000.jpg", "phantom_002.png"])
def test_a_folder_with_other_files_is_refused(tmp_path: Path, kind: str, stranger: str) -> None:
    (tmp_path / kind).mkdir()
    (tmp_path / kind / stranger).write_bytes(b"mine")
    with pytest.raises(UserError) as error:
        write_phantoms(tmp_path, count=2, size=64)
    assert str(tmp_path / kind) in str(error.value)
    assert stranger in str(error.value)
    assert "choose another" in str(error.value)
    assert "\n" not in str(error.value)
    assert list(_hashes(tmp_path)) == [f"{kind}/{stranger}"]
    assert (tmp_path / kind / stranger).read_bytes() == b"mine"


@pytest.mark.parametrize("place", ["out", "out/images"])
def test_a_file_in_the_folders_place_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("mine")
    with pytest.raises(UserError, match=r"out.images cannot be made, a file is in its place; remove it"):
        write_phantoms(tmp_path / "out", count=1, size=64)
    assert (tmp_path / place).read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "use at least 1"),
        ({"count": -3}, "use at least 1"),
        ({"size": 63}, "use at least 64"),
        ({"seed": -1}, "use 0 or more"),
    ],
)
def test_arguments_that_draw_nothing_are_refused(tmp_path: Path, arguments: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        write_phantoms(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("seed", "index", "size"), [(-1, 0, 64), (0, -1, 64), (0, 0, 63)])
def test_draw_refuses_what_it_cannot_draw(seed: int, index: int, size: int) -> None:
    with pytest.raises(UserError):
        draw_phantom(seed, index, size)
