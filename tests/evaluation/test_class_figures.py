"""Each class as a mask of its own: columns, summary, and the same figures as validation in training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from evaluation_fixtures import evaluate
from networks import toy_network
from pipelines import write_nuclei
from toy_weights import write_record

from custom_networks.evaluation.classes import class_columns, class_row, summarise_classes
from custom_networks.metrics import measure
from custom_networks.report import write_report
from custom_networks.statistics import read_per_image

CONFIGS = Path(__file__).resolve().parents[2] / "bundle" / "configs"
CLASSES = {1: "round", 2: "long"}


def test_a_class_is_a_mask_of_its_own() -> None:
    truth = np.zeros((12, 12), int)
    truth[2:6, 2:6], truth[8:11, 8:11] = 1, 2
    predicted = np.where(truth == 1, 2, 0)
    row = class_row(predicted, truth, {1: "a", 2: "b", 3: "c"})
    assert list(row) == class_columns({1: "a", 2: "b", 3: "c"})
    assert (row["pixels_true_a"], row["pixels_predicted_a"]) == (16, 0)
    assert (row["dice_a"], row["dice_b"], row["dice_c"]) == (0, 0, 1)
    assert row["hd95_a"] == pytest.approx(np.hypot(12, 12))
    assert row["hd95_b"] == pytest.approx(measure(predicted == 2, truth == 2)["hd95"])


def test_the_summary_counts_misses_of_each_class() -> None:
    truth = np.zeros((8, 8), int)
    truth[2:5, 2:5] = 1
    maps = [(truth, truth), (0 * truth, truth), (2 * truth, 0 * truth)]
    frame = pd.DataFrame([class_row(predicted, true, CLASSES) for predicted, true in maps])
    table = summarise_classes(frame, CLASSES)
    first = table.loc[("round", "dice")]
    assert first[["images", "images_with", "missed", "false_alarm", "both_empty"]].tolist() == [3, 2, 1, 0, 1]
    assert first["mean"] == pytest.approx((1 + 0 + 1) / 3)
    assert table.loc[("long", "dice"), ["images_with", "missed", "false_alarm", "both_empty"]].tolist() == [0, 0, 1, 2]


def test_several_classes_from_weights_to_page(tmp_path: Path) -> None:
    datalist = write_nuclei(tmp_path / "set")
    torch.manual_seed(0)
    weights = tmp_path / "model.pt"
    network = toy_network(out_channels=3)
    torch.save(network.state_dict(), weights)
    write_record(weights, network, image_size=64)
    folder = tmp_path / "eval"
    words = ("--datalist", datalist, "--checkpoint", weights, "--subgroups", "size", "--cases", 1)
    printed = evaluate(*words, "--config_file", CONFIGS / "multi_class.json", "--output_dir", folder)
    assert "round" in printed
    assert "images with it" in printed
    frame = read_per_image(folder)
    assert set(class_columns(CLASSES)) <= set(frame.columns)
    about = json.loads((folder / "summary.json").read_text())
    rows = {(row["class"], row["metric"]): row for row in about["per_class"]}
    assert rows["long", "dice"]["mean"] == pytest.approx(frame["dice_long"].mean())
    assert {"mpq_plus", "pq_plus_round", "pq_plus_long"} <= set(about["instances"]["pooled"])
    table = pd.read_csv(folder / "classes.csv")
    assert table.groupby("class")["metric"].count().to_dict() == {"round": 4, "long": 4}
    write_report(folder)
    assert "<h3>Classes</h3>" in (folder / "report.html").read_text(encoding="utf-8")
