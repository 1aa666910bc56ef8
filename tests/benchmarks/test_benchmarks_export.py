"""The table of exported files is written from real exports."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2]))  # benchmarks/ is not installed

from benchmarks import export
from benchmarks.networks import sgdnet as settled_network
from custom_networks.data.phantoms import write_phantoms


@pytest.mark.slow
def test_table_of_exports(tmp_path):
    weights = tmp_path / "weights" / "model.pt"
    weights.parent.mkdir()
    torch.save(settled_network().state_dict(), weights)
    data = write_phantoms(tmp_path / "set", count=3, size=64)
    words = ["--checkpoint", str(weights), "--images", str(data / "images"), "--masks", str(data / "masks")]
    code = export.main([*words, "--image_size", "64", "--quick", "--threads", "1", "--output", str(tmp_path)])
    shutil.rmtree(weights.parent)
    assert code == 0
    rows = json.loads((tmp_path / "export.json").read_text())["export"]["rows"]
    assert [row["name"] for row in rows] == ["PyTorch, eager", "torchscript", "onnx"]
    for row in rows:
        assert "error" not in row
        assert 280 < row["mb"] < 300
        assert 0 < row["min_ms"] <= row["median_ms"] <= row["max_ms"]
        assert row["dice"] > 0.99
        assert 0 <= row["truth_dice"] <= 1
    assert rows[0]["times_eager"] == 1
    assert "| onnx | float32 |" in (tmp_path / "export.md").read_text()
