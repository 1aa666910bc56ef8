"""The table of engines is written from real predictions."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2]))  # benchmarks/ is not installed

from benchmarks import engine
from custom_networks.prediction.engine import ENGINES


@pytest.mark.slow
def test_table_of_engines(checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    weights = Path(shutil.copy(checkpoint, tmp_path / "model.pt"))
    shutil.copy(checkpoint.with_suffix(".json"), tmp_path)
    words = ["--checkpoint", str(weights), "--images", str(pictures), "--quick", "--threads", "1"]
    assert engine.main([*words, "--output", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "engine.json").read_text())["engine"]["rows"]
    eager, *float32 = [row for row in rows if row["precision"] == "float32"]
    assert [row["name"] for row in float32] == list(ENGINES)
    assert eager["times_eager"] == float32[0]["times_torch"] == 1
    for row in float32:
        assert row["images_per_s"] > 0
        assert row["min_dice"] > 0.999
    assert "| openvino | float32 |" in (tmp_path / "engine.md").read_text()
