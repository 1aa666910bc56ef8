"""A run is made again from what it left: the same figures, the same weights."""

from __future__ import annotations

from pathlib import Path

import torch
from conftest import run_python

from custom_networks.run.record import read_metrics


def figures(run: Path) -> list[dict[str, float]]:
    rows = read_metrics(run / "metrics.csv")
    for row in rows:
        row.pop("images_per_second")
    return rows


def test_from_its_configuration(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "again"
    places = {"output_dir": run, "model_path": tmp_path / "published.pt", "tracking_uri": ""}
    words = [word for name, value in places.items() for word in (f"--{name}", str(value))]
    config = trained / "run" / "config.json"
    result = run_python(["-m", "custom_networks.cli", "train", "--config_file", str(config), *words], cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    assert figures(run) == figures(trained / "run")
    first, second = (torch.load(folder / "model.pt", weights_only=True) for folder in (trained / "run", run))
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
