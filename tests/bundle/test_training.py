"""The job itself: `python -m monai.bundle run training`, what it leaves, and how it goes on after a kill."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from conftest import bundle_command, run_python
from mlflow.tracking import MlflowClient
from PIL import Image

from custom_networks import SGDNet, load_checkpoint

TERMS = {"loss", "segmentation_fine", "segmentation_middle", "segmentation_coarse", "edge"}
METRICS = {"val_mean_dice", "val_mean_iou", "val_hd95", "val_misses"}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "run" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_epoch_has_its_row(trained: Path) -> None:
    table = rows(trained)
    assert [row["epoch"] for row in table] == ["1", "2", "3"]
    assert set(table[0]) >= TERMS | METRICS | {"learning_rate", "images_per_second"}
    first = {name: float(value) for name, value in table[0].items()}
    segmentation = sum(first[f"segmentation_{scale}"] for scale in ("fine", "middle", "coarse"))
    assert first["loss"] == pytest.approx(segmentation + 3 * first["edge"], rel=1e-5)
    rates = [float(row["learning_rate"]) for row in table]
    assert rates == pytest.approx([1e-4 * (1 - epoch / 3) ** 0.9 for epoch in range(3)])


def test_best_weights_load_and_carry_their_normalization(trained: Path) -> None:
    best = trained / "run" / "model.pt"
    published = trained / "models" / "model.pt"
    assert published.read_bytes() == best.read_bytes()
    load_checkpoint(SGDNet(), published)
    about = json.loads(published.with_suffix(".json").read_text())
    assert about["normalization"]["name"].startswith("ISIC")
    assert about["settings"]["image_size"] == 64
    best_epoch = max(rows(trained), key=lambda row: float(row["val_mean_dice"]))
    assert about["metrics"]["epoch"] == int(best_epoch["epoch"])
    leftovers = [path.name for path in (trained / "run").iterdir() if path.name.startswith(".")]
    assert not leftovers


def test_summary_says_where_everything_lies(trained: Path) -> None:
    printed = (trained / "stdout.txt").read_text()
    for text in ("Dice", "IoU", "HD95", "model.pt", "metrics.csv", "sheet.png", "mlflow ui --backend-store-uri"):
        assert text in printed
    sheet = Image.open(trained / "run" / "sheet.png")
    assert sheet.width > 700
    assert sheet.getextrema()[0] == (0, 255)


def test_mlflow_has_knobs_curves_and_artifacts(trained: Path) -> None:
    client = MlflowClient(f"sqlite:///{trained / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("sgdnet").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["image_size"] == "64"
    assert run.data.params["learning_rate"] == "0.0001"
    assert len(run.data.params["git_commit"]) >= 7
    assert set(run.data.metrics) >= TERMS | METRICS | {"learning_rate", "images_per_second"}
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in history] == [1, 2, 3]
    names = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert names == {"settings.json", "config.json", "metrics.csv", "sheet.png"}
    config = json.loads((trained / "run" / "config.json").read_text())
    assert config["max_epochs"] == 3
    assert config["network_def"]["_target_"] == "custom_networks.SGDNet"


def test_misspelt_override_of_the_plain_bundle_command_is_refused(dataset: Path, tmp_path: Path) -> None:
    result = run_python(bundle_command("configs/train.json", tmp_path, dataset, max_epoch=1))
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1] == "Error: --max_epoch: no such setting; did you mean 'max_epochs'?"
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_multi_gpu_overlay_without_torchrun_is_one_sentence(dataset: Path, tmp_path: Path) -> None:
    files = "['configs/train.json','configs/multi_gpu_train.json']"
    result = run_python(bundle_command(files, tmp_path, dataset))
    assert result.returncode == 1
    assert "torchrun --nproc_per_node" in result.stderr.splitlines()[-1]
