"""Whole runs with a toy network: two at once, killed, resumed without arguments, stopped, tracked by MONAI's switch."""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from conftest import BUNDLE, bundle_command, run_python
from mlflow.tracking import MlflowClient
from networks import TOY_OVERRIDES
from warm_process import WarmProcess

KNOBS = {"max_epochs": 4, "ema_decay": 0.9, "clip_norm": 0.5, "warmup_epochs": 2, "val_interval": 3, "fold": 1}
FIGURES = {"loss", "edge", "learning_rate", "val_mean_dice", "val_hd95"}


def toy_command(folder: Path, dataset: Path, *further: str, **knobs: object) -> list[str]:
    """A run that claims its own folder in FOLDER/runs."""
    words = bundle_command("configs/train.json", folder, dataset, **TOY_OVERRIDES, **knobs, runs_dir=folder / "runs")
    at = words.index("--output_dir")
    return [*words[:at], *words[at + 2 :], *further]


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def start(words: list[str]) -> WarmProcess:
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return WarmProcess(words, BUNDLE, environment)


def wait_for_epoch(folder: Path, process: WarmProcess) -> Path:
    """Wait until the process has a `last.pt`; returns the folder of its run."""
    deadline = time.monotonic() + 200
    while True:
        found = list((folder / "runs").glob("*/last.pt"))
        if found:
            return found[0].parent
        assert process.poll() is None, process.communicate()[1][-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def statuses(folder: Path, experiment: str = "sgdnet") -> list[str]:
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    identity = client.get_experiment_by_name(experiment).experiment_id
    return sorted(run.info.status for run in client.search_runs([identity]))


@pytest.fixture(scope="module")
def pair(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of the same settings, started at once in one folder and never interrupted."""
    folder = tmp_path_factory.mktemp("pair")
    processes = [start(toy_command(folder, dataset, **KNOBS)) for _ in range(2)]
    for process in processes:
        output = process.communicate(timeout=240)
        assert process.returncode == 0, output[1][-3000:]
    return folder


def test_two_runs_at_once_have_a_folder_each_and_one_experiment(pair: Path) -> None:
    runs = list((pair / "runs").iterdir())
    assert len(runs) == 2
    assert [[row["epoch"] for row in rows(run)] for run in runs] == [["1", "2", "3", "4"]] * 2
    assert statuses(pair) == ["FINISHED", "FINISHED"]
    records = [json.loads((run / "model.json").read_text()) for run in runs]
    published = json.loads((pair / "models" / "model.json").read_text())
    assert records[0]["run_id"] != records[1]["run_id"]
    assert published["run_id"] in {record["run_id"] for record in records}
    assert not (pair / "models" / "model.previous.pt").exists()


def test_validation_stands_in_its_own_epochs(pair: Path) -> None:
    table = rows(next((pair / "runs").iterdir()))
    assert [bool(row["val_mean_dice"]) for row in table] == [False, False, True, True]


def test_a_killed_run_resumes_with_its_own_settings_as_if_never_interrupted(
    pair: Path, dataset: Path, tmp_path: Path
) -> None:
    process = start(toy_command(tmp_path, dataset, **KNOBS))
    run = wait_for_epoch(tmp_path, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(rows(run)) < 4
    assert statuses(tmp_path) == ["RUNNING"]

    bundle = ["-m", "monai.bundle", "run", "training", "--config_file", "configs/train.json", "--resume", str(run)]
    refused = run_python([*bundle, "--batch_size", "16"])
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("Error: --batch_size 16: the run to resume has 4;")
    resumed = run_python(bundle)
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    whole = next((pair / "runs").iterdir())
    for ours, theirs in zip(rows(run), rows(whole), strict=True):
        for name in FIGURES:
            assert ours[name] == theirs[name], (name, ours["epoch"])
    weights = [torch.load(each / "last.pt", weights_only=True) for each in (run, whole)]
    for part in ("network", "averaged"):
        assert all(torch.equal(tensor, weights[1][part][name]) for name, tensor in weights[0][part].items()), part
    assert statuses(tmp_path) == ["FINISHED"]

    further = run_python(["-m", "custom_networks.cli", "train", "--resume", str(run), "--max_epochs", "5"])
    assert further.returncode == 0, further.stderr[-2000:]
    assert [row["epoch"] for row in rows(run)] == ["1", "2", "3", "4", "5"]
    settings = json.loads((run / "settings.json").read_text())
    assert {name: settings[name] for name in KNOBS} == {**KNOBS, "max_epochs": 5}
    assert settings["network_def#encoder_width"] == 8


def test_sigterm_closes_the_run_as_killed(dataset: Path, tmp_path: Path) -> None:
    process = start(toy_command(tmp_path, dataset, max_epochs=50))
    wait_for_epoch(tmp_path, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert statuses(tmp_path) == ["KILLED"]


def test_a_loss_that_is_no_number_ends_with_the_images_and_code_1(dataset: Path, tmp_path: Path) -> None:
    result = run_python(toy_command(tmp_path, dataset, max_epochs=2, learning_rate=1e30))
    assert result.returncode == 1
    (sentence,) = [line for line in result.stderr.splitlines() if "not finite in step" in line]
    assert "Traceback" not in result.stderr
    assert sum(str(path) in sentence for path in (dataset / "images").iterdir()) == 4
    (run,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in run.iterdir()}.isdisjoint({"last.pt", "model.pt", "metrics.csv"})
    assert statuses(tmp_path) == ["FAILED"]


def test_monais_own_switch_tracks_beside_ours(dataset: Path, tmp_path: Path) -> None:
    result = run_python(toy_command(tmp_path, dataset, "--tracking", "mlflow", max_epochs=1))
    assert result.returncode == 0, result.stderr[-3000:]
    assert statuses(tmp_path) == ["FINISHED"]
    assert statuses(tmp_path, "monai_experiment") == ["FINISHED"]
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("monai_experiment").experiment_id])
    assert len(client.get_metric_history(run.info.run_id, "train_loss")) == 2
    assert "val_mean_dice" in run.data.metrics
