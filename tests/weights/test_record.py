"""The record of weights: found, checked, and told in one sentence where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toy_weights import write_record

from custom_networks.errors import UserError
from custom_networks.weights import record_of, setting_of, trained_classes, trained_normalization, trained_size
from custom_networks.weights.normalization import IMAGENET, ISIC
from custom_networks.weights.reading import UNKNOWN

BLOCK = nn.Conv2d(1, 1, 1)


@pytest.mark.parametrize("name", ["model.pt", "last.pt"])
def test_the_record_beside_a_runs_weights_serves_both_its_files(tmp_path: Path, name: str) -> None:
    write_record(tmp_path / "model.pt", BLOCK, image_size=128, fold=3)
    assert trained_size(tmp_path / name) == 128
    assert setting_of(tmp_path / name, "fold", 0) == 3
    assert setting_of(tmp_path / name, "seed", 7) == 7


def test_last_pt_holds_its_own(tmp_path: Path) -> None:
    content = write_record(tmp_path / "model.pt", BLOCK, image_size=128, **{"loss#edge_weight": 1.0})
    torch.save({"network": BLOCK.state_dict(), "record": content}, tmp_path / "elsewhere.pt")
    (tmp_path / "model.json").unlink()
    assert record_of(tmp_path / "elsewhere.pt").settings == {"image_size": 128, "loss#edge_weight": 1.0}


def test_other_weights_in_the_folder_have_no_record(tmp_path: Path) -> None:
    write_record(tmp_path / "model.pt", BLOCK, image_size=128)
    torch.save(BLOCK.state_dict(), tmp_path / "other.pt")
    assert record_of(tmp_path / "other.pt") is UNKNOWN
    assert trained_size(tmp_path / "other.pt") == 256


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    metrics = {"val_mean_dice": 0.5, "val_hd95": float("nan"), "epoch": 2}
    write_record(tmp_path / "model.pt", BLOCK, IMAGENET, {"1": "round"}, metrics=metrics, device=torch.device("cpu"))
    record = record_of(tmp_path / "model.pt")
    assert record.version == 2
    assert record.normalization == IMAGENET
    assert record.metrics["val_mean_dice"] == 0.5
    assert record.metrics["val_hd95"] != record.metrics["val_hd95"]
    assert record.settings == {"device": "cpu"}
    assert record.software is not None
    assert record.software.sgdnet is not None


def test_a_record_is_read_anew_when_it_changes(tmp_path: Path) -> None:
    write_record(tmp_path / "model.pt", BLOCK, image_size=128)
    assert trained_size(tmp_path / "model.pt") == 128
    write_record(tmp_path / "model.pt", BLOCK, image_size=64)
    assert trained_size(tmp_path / "model.pt") == 64


def test_the_earlier_form_is_version_1(tmp_path: Path) -> None:
    about = {"normalization": IMAGENET.as_dict(), "classes": {"1": "round"}, "metrics": {}, "settings": {"fold": 2}}
    (tmp_path / "model.json").write_text(json.dumps(about))
    record = record_of(tmp_path / "model.pt")
    assert (record.version, record.network, record.data) == (1, None, None)
    assert trained_normalization(tmp_path / "model.pt") == IMAGENET
    assert setting_of(tmp_path / "model.pt", "fold", 0) == 2


def test_without_a_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save({"heads.0.weight": torch.zeros(3, 64, 1, 1)}, tmp_path / "model.pt")
    assert trained_classes(tmp_path / "model.pt") == {1: "1", 2: "2"}
    assert trained_normalization(tmp_path / "model.pt") == ISIC
    assert "model.pt: no .json tells how images were normalised" in caplog.text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"model\.json: not valid JSON"),
        ("{", r"model\.json: not valid JSON"),
        ("[]", r"model\.json: input should be an object, got \[\]"),
        ('{"settings": 3}', r'model\.json: "settings": '),
        (
            '{"settings": {"image_size": "big"}}',
            r'model\.json: "settings": image_size must be a whole number, got \'big\'',
        ),
        ('{"classes": {"one": "round"}}', r'model\.json: "classes": must map class numbers'),
        ('{"normalization": {"name": "x", "mean": [1, 2], "std": [1, 2, 3]}}', r'model\.json: "normalization\.mean'),
        ('{"normalization": {"name": "x", "mean": [1, 2, 3], "std": [1, 0, 3]}}', r"std must be above 0"),
        ('{"normalization": {"name": "x", "mean": [1, NaN, 3], "std": [1, 1, 3]}}', r'"normalization'),
        ('{"normalization": {"name": "x", "mean": [1, 2, 3], "std": [1, Infinity, 3]}}', r'"normalization'),
        ('{"normalization": {"name": "x", "mean": [1, 2, 3], "std": [1, NaN, 3]}}', r'"normalization'),
        ('{"normalization": {"name": "x", "mean": [1, 2, 3], "std": [1, "1", 3]}}', r'"normalization\.std'),
        ('{"settings": ' + "[" * 100_000, r"model\.json: not valid JSON"),
        ('{"version": 2, "network": {}, "normaliz', r"model\.json: not valid JSON"),
        ('{"version": 2, "normalization": null}', r'model\.json: "network" is missing'),
        ('{"version": 2, "network": ["sobel"], "normalization": null}', r'model\.json: "network": '),
        ('{"version": "2"}', r"model\.json: written in version '2' of this file"),
        (
            '{"version": 3}',
            r"model\.json: written in version 3 of this file; this sgdnet reads 1 or 2; update the package, or ",
        ),
    ],
)
def test_a_damaged_record_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(UserError, match=sentence) as caught:
        record_of(tmp_path / "model.pt")
    assert "\n" not in str(caught.value)


def test_a_damaged_record_inside_last_pt(tmp_path: Path) -> None:
    content: dict[str, Any] = {"version": 2, "network": {}, "normalization": None, "settings": {"fold": None}}
    torch.save({"network": {}, "record": content}, tmp_path / "last.pt")
    with pytest.raises(UserError, match=r'last\.pt: "settings": fold must be a whole number, got None'):
        record_of(tmp_path / "last.pt")
