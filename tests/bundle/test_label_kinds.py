"""Instances and classes through the bundle: one epoch, and what it measures."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import CONFIGS
from networks import TOY_WORDS
from pipelines import training_config, write_nuclei

TERMS = ("loss", "segmentation_fine", "edge", "val_mean_dice", "val_mean_iou", "val_hd95", "val_misses")


def post(parser: object, item: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return parser.get_parsed_content("validate#postprocessing")(item)  # type: ignore[attr-defined, no-any-return]


def test_metrics_see_the_foreground_of_instances() -> None:
    label = torch.tensor([[[0.0, 1, 7, 40000]]])
    result = post(training_config(), {"pred": torch.tensor([[[-1.0, 2, -0.1, 0.1]]]), "label": label})
    assert result["label"].tolist() == [[[0, 1, 1, 1]]]
    assert result["pred"].tolist() == [[[0, 1, 0, 1]]]


@pytest.mark.parametrize("channels", [1, 2])
def test_metrics_see_a_mask_of_each_class_without_the_background(channels: int) -> None:
    """Logits of three classes at four pixels; the label's last channel holds the classes."""
    logits = torch.tensor([[[3.0, 0, 0, 0]], [[0, 3, 3, 0]], [[0, 0, 0, 3]]])
    label = torch.tensor([[[0.0, 9, 8, 7]], [[0, 1, 2, 2]]])[-channels:]
    result = post(training_config("multi_class.json", classes=3), {"pred": logits, "label": label})
    assert result["pred"].tolist() == [[[0, 1, 1, 0]], [[0, 0, 0, 1]]]
    assert result["label"].tolist() == [[[0, 1, 0, 0]], [[0, 0, 1, 1]]]


@pytest.mark.parametrize("overlay", [None, "multi_class.json"])
def test_nuclei_train(sgdnet: Callable[..., tuple[int, str, str]], tmp_path: Path, overlay: str | None) -> None:
    """One epoch: object or background with the data on the device, classes with the ordinary loader."""
    datalist = write_nuclei(tmp_path / "set")
    extra = ["--config_file", str(CONFIGS / overlay)] if overlay else ["--data_on_device", "true"]
    code, output, error = sgdnet(
        *("train", "--dataset_dir", tmp_path / "set", "--datalist", datalist, "--max_epochs", 1),
        *("--image_size", 64, "--batch_size", 4, "--num_workers", 0, "--tracking", "false", "--device", "cpu"),
        *("--output_dir", tmp_path / "run", "--model_path", tmp_path / "model.pt", *extra, *TOY_WORDS),
    )
    assert code == 0, error
    assert ("4 decoded images kept in memory" if overlay else "all images kept on cpu") in output
    assert "grey-valued" not in output
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert all(float(row[name]) == float(row[name]) for name in TERMS)
    assert (tmp_path / "run" / "sheet.png").is_file()
    heads = torch.load(tmp_path / "model.pt", weights_only=True)["heads.0.weight"]
    assert len(heads) == (3 if overlay else 1)
    recorded = json.loads((tmp_path / "model.json").read_text())["classes"]
    assert recorded == ({"1": "round", "2": "long"} if overlay else {})


def test_masks_with_classes_are_one_sentence(
    sgdnet: Callable[..., tuple[int, str, str]], dataset: Path, tmp_path: Path
) -> None:
    words = [
        "--cache",
        "none",
        "--output_dir",
        tmp_path / "run",
        "--config_file",
        CONFIGS / "multi_class.json",
        "--classes",
        3,
    ]
    code, _, error = sgdnet("train", "--dataset_dir", dataset, "--image_size", 64, *words)
    assert code == 1
    assert error.splitlines()[-1].startswith("Error: 3 classes, but the labels are masks")
    assert not (tmp_path / "run").exists()
