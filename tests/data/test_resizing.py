"""Resizing: no frame around the image, Pillow's values, and a way back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CONFIGS
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from PIL import Image
from pipelines import compose, save, training_config

from custom_networks.data.resizing import Resized, resized


@pytest.mark.parametrize("size", [(1024, 768), (257, 130), (60, 300), (64, 64)])
def test_a_constant_image_stays_constant_in_both_configurations(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = save(tmp_path / "a.png", np.full((size[1], size[0], 3), 200, np.uint8))
    mask = save(tmp_path / "m.png", np.full((size[1], size[0]), 255, np.uint8))
    training = compose(training_config(image_size=64), "load")({"image": picture, "label": mask})
    assert training["image"].unique().tolist() == [200]
    assert training["label"].unique().tolist() == [1]
    parser = ConfigParser(ConfigParser.load_config_file(str(CONFIGS / "inference.json")))
    parser.update({"image_size": 64, "checkpoint": "none"})
    inference = parser.get_parsed_content("preprocessing")({"image": picture})["image"]
    assert torch.equal(inference, inference[:, :1, :1].expand_as(inference))
    assert inference.shape == (3, 64, 64)


@settings(max_examples=30, deadline=None)
@given(
    before=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    after=st.tuples(st.integers(2, 90), st.integers(2, 90)),
    seed=st.integers(0, 99),
)
def test_equals_pillow_to_a_rounding(before: tuple[int, int], after: tuple[int, int], seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, before, np.uint8)
    ours = resized(torch.from_numpy(pixels)[None], after)[0]
    theirs = np.asarray(Image.fromarray(pixels).resize(after[::-1], Image.Resampling.BILINEAR))
    assert np.abs(ours.numpy() - theirs).max() < 1.01
    assert (ours.min(), ours.max()) >= (pixels.min() - 1e-3, 0)
    assert ours.max() <= pixels.max() + 1e-3


@pytest.mark.parametrize("mode", ["bilinear", "nearest-exact"])
def test_inverse_gives_size_and_affine_back(mode: str) -> None:
    affine = torch.diag(torch.tensor([0.5, 0.25, 1.0, 1.0], dtype=torch.float64))
    ramp = torch.arange(40.0)[:, None].expand(40, 90)[None].clone()
    transform = Resized("image", (64, 64), mode)
    small = transform({"image": MetaTensor(ramp, affine=affine)})
    assert small["image"].shape == (1, 64, 64)
    assert small["image"].affine[0, 0] == pytest.approx(0.5 * 40 / 64)
    back = transform.inverse(small)["image"]
    assert back.shape == ramp.shape
    assert (back - ramp).abs().max() < (0.7 if mode == "bilinear" else 1.01)
    torch.testing.assert_close(back.affine, affine)
    assert not back.applied_operations
