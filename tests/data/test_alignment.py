"""Image and mask stay aligned to half a pixel from the files to the batch, through `train.json` as it stands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CONFIGS
from monai.transforms import Compose
from pipelines import compose, save, training_config

SIZES = [(64, 64), (63, 91), (187, 301), (301, 187), (50, 71), (640, 480), (1023, 257), (128, 129)]
SIDE = 128
HALF_PIXEL = 0.5
MOVES = ("RandFlip", "RandRotate")
SPATIAL = ("Resize", "Rand", "Spatial", "Flip", "Rotate", "Zoom", "Affine", "Crop", "Pad")


def disc(size: tuple[int, int], centre: tuple[float, float], radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw a disc at a centre and with a radius given as shares of the size (H, W).

    Returns an image (H, W, 3) whose grey levels are each pixel's share of the disc, and the mask above one half.
    """
    fine = 8
    rows, columns = (np.arange(side * fine) / (side * fine) for side in size)
    inside = ((rows[:, None] - centre[0]) ** 2 + (columns[None] - centre[1]) ** 2) < radius**2
    share = inside.reshape(size[0], fine, size[1], fine).mean(axis=(1, 3))
    return np.repeat((255 * share).round().astype(np.uint8)[..., None], 3, 2), ((share > 0.5) * 255).astype(np.uint8)


def centre_of(mass: torch.Tensor) -> torch.Tensor:
    """Centroid of (X, Y), in pixels."""
    mass = mass.double()
    grid = torch.stack(torch.meshgrid(*(torch.arange(float(side)) for side in mass.shape), indexing="ij"))
    return (grid * mass).sum((1, 2)) / mass.sum()


@pytest.fixture(scope="module")
def pipeline() -> Compose:
    return compose(training_config(image_size=SIDE), "load", "train#augment")


def write_disc(folder: Path, size: tuple[int, int], centre: tuple[float, float], radius: float) -> dict[str, str]:
    image, mask = disc(size, centre, radius)
    return {"image": save(folder / "a.png", image), "label": save(folder / "m.png", mask)}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]} rows, {size[1]} columns")
@pytest.mark.parametrize("centre", [(0.43, 0.57), (0.6137, 0.3791)])
def test_disc_is_its_own_mask(
    tmp_path: Path, pipeline: Compose, size: tuple[int, int], centre: tuple[float, float]
) -> None:
    """The centroids agree with each other and, before any move, with where the disc was drawn."""
    item = write_disc(tmp_path, size, centre, radius=0.2)
    resized = compose(training_config(image_size=SIDE), "load")(item)
    drawn = torch.tensor([centre[1] * SIDE - 0.5, centre[0] * SIDE - 0.5], dtype=torch.float64)  # (column, row)
    for key in ("image", "label"):
        assert (centre_of(resized[key][0]) - drawn).abs().max() < HALF_PIXEL, key
    moved = 0
    for seed in range(12):
        pipeline.set_random_state(seed)
        result = pipeline(item)
        image, label = result["image"].as_tensor(), result["label"].as_tensor()
        assert image.shape[1:] == label.shape[1:] == (SIDE, SIDE)
        assert set(label.unique().tolist()) <= {0.0, 1.0}
        assert (centre_of(image[0]) - centre_of(label[0])).abs().max() < HALF_PIXEL
        overlap = (image[0] > 127.5) & (label[0] > 0)
        assert 2 * overlap.sum() / ((image[0] > 127.5).sum() + (label[0] > 0).sum()) > 0.96
        moved += int(not torch.equal(label, resized["label"].as_tensor().float()))
    assert moved > 6


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]} rows, {size[1]} columns")
def test_edge_through_the_border_is_reflected_alike(tmp_path: Path, pipeline: Compose, size: tuple[int, int]) -> None:
    """A half plane fills the corners that a rotation opens: image and mask agree there too, to the edge's width."""
    levels = np.zeros(size, np.uint8)
    levels[:, int(0.37 * size[1]) :] = 255
    image = save(tmp_path / "a.png", np.repeat(levels[..., None], 3, 2))
    item = {"image": image, "label": save(tmp_path / "m.png", levels)}
    for seed in range(12):
        pipeline.set_random_state(seed)
        result = pipeline(item)
        differ = (result["image"].as_tensor()[0] > 127.5) != (result["label"].as_tensor()[0] > 0)
        # half a pixel along an edge of SIDE pixels, and of the reflections that start where it meets the border
        assert differ.sum() <= HALF_PIXEL * 2 * SIDE
        corners = [differ[row, column] for row in (0, -1) for column in (0, -1)]
        assert not any(corners)


def test_each_spatial_transform_is_one_call_for_both(tmp_path: Path, pipeline: Compose) -> None:
    """What moves pixels names both keys, once, and MONAI records the same moves on both."""
    config = json.loads((CONFIGS / "train.json").read_text())
    spatial = [
        step
        for step in config["load"] + config["train"]["augment"] + config["normalize"]
        if step["_target_"].rpartition(".")[2].startswith(SPATIAL)
    ]
    names = ["custom_networks.data.Resized", "RandFlipd", "RandFlipd", "RandRotated"]
    assert [step["_target_"] for step in spatial] == names
    assert all(step["keys"] == ["image", "label"] for step in spatial)
    resize, *_, rotation = spatial
    assert resize["mode"] == ["bilinear", "nearest-exact"]
    assert rotation["mode"] == ["bilinear", "nearest"]
    item = write_disc(tmp_path, (90, 70), (0.5, 0.5), 0.2)
    for seed in range(6):
        pipeline.set_random_state(seed)
        result = pipeline(item)
        image, label = (
            [
                (operation["class"], operation.get("do_transforms"), operation.get("extra_info", {}).get("rot_mat"))
                for operation in result[key].applied_operations
                if operation["class"].startswith(("Resize", *MOVES))
            ]
            for key in ("image", "label")
        )
        assert len(image) == 4
        for ours, theirs in zip(image, label, strict=True):
            assert ours[:2] == theirs[:2]
            np.testing.assert_array_equal(ours[2], theirs[2])
