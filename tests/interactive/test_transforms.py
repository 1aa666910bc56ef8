"""Guidance files in the bundle's inference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from monai.data import MetaTensor

from custom_networks.errors import UserError
from custom_networks.interactive.guidance import BACKGROUND, FOREGROUND
from custom_networks.interactive.transforms import AddGuidanced, HonourGuidanced, read_guidance


def item(folder: Path) -> dict:
    meta = {"filename_or_obj": str(folder / "a.jpg"), "spatial_shape": (128, 96)}
    return {"image": MetaTensor(torch.rand(3, 64, 64), meta=meta), "pred": MetaTensor(torch.zeros(1, 128, 96))}


def test_marks_lie_beside_the_image(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"foreground": [[64, 48]], "background": [[0, 95]]}))
    before = item(tmp_path)
    image = AddGuidanced("image", tmp_path)(before)["image"]
    assert image.shape == (7, 64, 64)
    assert torch.equal(image[:3].as_tensor(), before["image"].as_tensor())
    assert image[3 + FOREGROUND].as_tensor().nonzero().float().mean(0).tolist() == [32, 32]
    assert image[3 + BACKGROUND, 0, 63] == 1
    assert image.meta["filename_or_obj"] == before["image"].meta["filename_or_obj"]


def test_masks_honour_the_marks(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        json.dumps({"foreground": [[64, 48]], "background_scribbles": [[[60, 0], [60, 95]]]})
    )
    mask = HonourGuidanced("pred", guidance_dir=tmp_path)(item(tmp_path))["pred"]
    assert mask.shape == (1, 128, 96)
    assert mask[0, 64, 48] == 1
    assert mask[0, 60].sum() == 0


@pytest.mark.parametrize("folder", [None, "", "elsewhere"])
def test_without_a_file_there_is_no_guidance(folder: str | None, tmp_path: Path) -> None:
    where = tmp_path / folder if folder else folder
    assert read_guidance(where, tmp_path / "a.jpg").is_empty
    assert not AddGuidanced("image", where)(item(tmp_path))["image"][3:].any()


def test_marks_outside_the_image_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"foreground": [[128, 4]]}))
    with pytest.raises(UserError, match="outside the image of 128 x 96"):
        AddGuidanced("image", tmp_path)(item(tmp_path))
