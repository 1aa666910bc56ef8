"""Copies are found whatever was done to them, and unrelated lesions are not."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from exhaustive_duplicates import every_near_duplicate
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from custom_networks.data import neighbours
from custom_networks.data.duplicates import (
    THUMBNAIL,
    find_near_duplicates,
    near_duplicate_thumbnails,
    thumbnail,
    thumbnail_store,
)
from custom_networks.data.registration import correlation, register
from custom_networks.errors import UserError


def lesion(seed: int, side: int = 200) -> Image.Image:
    """A dark blob in the centre of skin, each with a texture of its own."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side - 0.5
    angle = np.arctan2(y, x)
    edge = 0.25 + 0.05 * np.sin(generator.integers(2, 6) * angle + generator.uniform(0, 6))
    inside = 1 / (1 + np.exp((np.hypot(x, y) - edge) * 40))
    texture = sum(
        ndimage.gaussian_filter(generator.standard_normal((side, side)), scale) * scale * weight
        for scale, weight in ((4, 60), (10, 60))
    )
    grey = 190 - 110 * inside + texture * (0.3 + inside)
    return Image.fromarray(np.clip(grey[..., None] * [1, 0.8, 0.7], 0, 255).astype(np.uint8))


def recompressed(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=40)
    return Image.open(buffer).convert("RGB")


def recoloured(picture: Image.Image) -> Image.Image:
    levels = np.asarray(picture) / 255
    return Image.fromarray(np.clip(255 * levels**1.3 * [0.9, 1.1, 0.8], 0, 255).astype(np.uint8))


DATA = Path(os.environ.get("SGDNET_RESEARCH_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
KNOWN = {
    ("0012290", "0013594"),
    ("0012672", "0012673"),
    ("0012887", "0012989"),
    ("0013109", "0013163"),
    ("0015986", "0015987"),
}
CHANGES = {
    "recompressed": recompressed,
    "smaller": lambda picture: picture.resize((96, 80)),
    "darker": lambda picture: picture.point([int(level * 0.7) for level in range(256)] * 3),
    "recoloured": recoloured,
    "cropped": lambda picture: picture.crop((8, 4, 196, 194)),
    "flipped": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned": lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    "tilted": lambda picture: picture.rotate(3, Image.Resampling.BICUBIC).crop((10, 10, 190, 190)),
}


@pytest.fixture(scope="module")
def lesions() -> list[Image.Image]:
    return [lesion(seed) for seed in range(24)]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_and_nothing_else(lesions: list[Image.Image], change: str) -> None:
    copies = [CHANGES[change](picture) for picture in lesions[:6]]
    found = near_duplicate_thumbnails(np.stack([thumbnail(picture) for picture in [*lesions, *copies]]))
    assert {(i, j) for i, j, _ in found} == {(number, len(lesions) + number) for number in range(6)}
    assert all(0.82 <= value <= 1.001 for _, _, value in found)


def test_different_lesions_are_not_duplicates() -> None:
    stack = np.stack([thumbnail(lesion(seed)) for seed in range(100, 220)])
    assert near_duplicate_thumbnails(stack) == []


def test_the_same_black_frame_makes_no_duplicate(lesions: list[Image.Image]) -> None:
    y, x = np.mgrid[:200, :200] - 99.5
    outside = np.hypot(x, y) > 98
    framed = [Image.fromarray(np.where(outside[..., None], 0, np.asarray(picture))) for picture in lesions]
    assert near_duplicate_thumbnails(np.stack([thumbnail(picture) for picture in framed])) == []


@pytest.mark.parametrize("count", [0, 1, 3])
def test_pictures_without_structure_are_in_no_pair(count: int) -> None:
    flat = np.full((count, THUMBNAIL, THUMBNAIL), 200, np.uint8)
    assert near_duplicate_thumbnails(flat) == []


def test_files(lesions: list[Image.Image], tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("a.png", "b.png", "c.jpg")]
    for path, picture in zip(paths, (lesions[0], lesions[1], lesions[0]), strict=True):
        picture.save(path)
    assert [(i, j) for i, j, _ in find_near_duplicates(paths)] == [(0, 2)]
    assert find_near_duplicates([]) == []
    with pytest.raises(UserError, match="no such file"):
        find_near_duplicates([str(tmp_path / "missing.png")])


@settings(max_examples=12, deadline=None)
@given(order=st.permutations(range(8)), brightness=st.floats(0.7, 1.2))
def test_the_order_of_the_files_does_not_matter(order: list[int], brightness: float) -> None:
    pictures = [lesion(seed) for seed in range(7)]
    pictures.append(pictures[2].point([min(255, int(level * brightness)) for level in range(256)] * 3))
    stack = np.stack([thumbnail(pictures[index]) for index in order])
    found = near_duplicate_thumbnails(stack)
    assert [{order[i], order[j]} for i, j, _ in found] == [{2, 7}]
    assert all(i < j for i, j, _ in found)


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.floats(-0.06, 0.06)] * 4), st.tuples(*[st.floats(-3, 3)] * 2))
def test_registration_recovers_a_known_map(linear: tuple[float, ...], shift: tuple[float, ...]) -> None:
    generator = np.random.default_rng(3)
    moving = ndimage.gaussian_filter(generator.standard_normal((64, 64)), 4).astype(np.float32)
    matrix = np.eye(2) + np.reshape(linear, (2, 2))
    centre = np.full(2, 31.5)
    fixed = ndimage.affine_transform(moving, matrix, centre - matrix @ centre + shift, order=1, mode="nearest").astype(
        np.float32
    )
    found = register(fixed[None], moving[None], np.zeros((1, 6), np.float32), steps=20)
    assert correlation(fixed[None], moving[None], found)[0] > 0.97
    a, b, c, d, e, f = found[0]
    assert np.allclose([a, b, d, e], linear, atol=0.02)
    assert np.allclose([c, f], shift, atol=0.4)


@pytest.mark.slow
def test_the_index_finds_what_comparing_every_pair_finds() -> None:
    """Hard copies among many pictures, some below the threshold, in a random order."""
    generator = np.random.default_rng(0)
    pictures = [lesion(number, 96) for number in range(160)]
    changes = list(CHANGES.values())[::-1]
    copies = [
        changes[number % len(changes)](picture.resize((200, 200))) for number, picture in enumerate(pictures[:80])
    ]
    twice = [changes[number % 3](changes[3 + number % 4](each)) for number, each in enumerate(copies[:40])]
    stack = np.stack([thumbnail(picture) for picture in [*pictures, *copies, *twice]])
    stack = stack[generator.permutation(len(stack))]
    expected = every_near_duplicate(stack)
    found = near_duplicate_thumbnails(stack)
    assert len(expected) > 60
    assert {(i, j) for i, j, _ in found} == set(expected)
    assert all(value == pytest.approx(expected[i, j], abs=1e-5) for i, j, value in found)


def test_few_pictures_have_the_neighbours_that_the_index_finds(
    lesions: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = np.stack([thumbnail(picture) for picture in [*lesions[:6], *map(recoloured, lesions[:6])]])
    assert len(stack) <= neighbours.FEW
    found = near_duplicate_thumbnails(stack)
    monkeypatch.setattr(neighbours, "FEW", 0)
    assert found == near_duplicate_thumbnails(stack)
    assert len(found) >= 6


def test_the_same_files_give_the_same_pairs_in_the_same_order(lesions: list[Image.Image]) -> None:
    stack = np.stack([thumbnail(picture) for picture in [*lesions, *map(recoloured, lesions)]])
    assert near_duplicate_thumbnails(stack) == near_duplicate_thumbnails(stack)


def test_many_equal_pictures_are_each_paired_with_the_first(lesions: list[Image.Image]) -> None:
    """More of them than an index lists as neighbours, so that their own copies do not hide a changed one."""
    stack = np.stack([thumbnail(picture) for picture in [lesions[3], *lesions[5:], *[lesions[3]] * 200]])
    changed = np.concatenate([stack, thumbnail(recompressed(lesions[3]))[None]])
    pairs = {(i, j) for i, j, _ in near_duplicate_thumbnails(changed)}
    start = 1 + len(lesions[5:])
    assert pairs == {(0, copy) for copy in range(start, start + 201)}


def test_a_store_of_thumbnails_keeps_what_is_put_in() -> None:
    store = thumbnail_store(5)
    store[3] = 7
    assert store.shape == (5, THUMBNAIL, THUMBNAIL)
    assert store.sum() == 7 * THUMBNAIL**2
    assert thumbnail_store(0).shape == (0, THUMBNAIL, THUMBNAIL)


@pytest.mark.data
def test_the_known_pairs_of_isic_2018_and_no_false_alarm() -> None:
    """44 pairs, each looked at side by side; none within PH2, between the two sets, or within CoNSeP."""
    isic = sorted(map(str, (DATA / "isic2018_task1_256" / "images").glob("*.jpg")))
    ph2 = sorted(map(str, (DATA / "ph2" / "images").glob("*.*")))
    if len(isic) != 2594 or len(ph2) != 200:
        pytest.skip(f"no research images in {DATA}; name their folder in SGDNET_RESEARCH_DATA")
    number = [Path(path).stem.removeprefix("ISIC_") for path in [*isic, *ph2]]
    found = {(number[i], number[j]) for i, j, _ in find_near_duplicates([*isic, *ph2])}
    assert found >= KNOWN
    assert len(found) == 44
    assert all(other in number[: len(isic)] for _, other in found)
