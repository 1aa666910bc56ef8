"""The script that closes the loop runs from end to end, on phantoms and with the small network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from networks import TOY
from toy_weights import write_record

from benchmarks.annotation_loop import main
from custom_networks.network.interactive import InteractiveSGDNet


@pytest.mark.slow
def test_loop(phantoms: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = InteractiveSGDNet(**TOY)
    weights = tmp_path / "given" / "model.pt"
    weights.parent.mkdir()
    torch.save(network.state_dict(), weights)
    write_record(weights, network, image_size=64)
    words = ["--dataset_dir", str(phantoms), "--checkpoint", str(weights), "--labels", "5", "--test", "3"]
    words += ["--clicks", "2", "--epochs", "2", "--studies", str(tmp_path / "studies")]
    main([*words, "--output", str(tmp_path / "loop.json")])
    told = json.loads((tmp_path / "loop.json").read_text())
    assert (told["labels"], len(told["clicks"]), told["epochs"], told["before"]["images"]) == (5, 5, 2, 2)
    assert [(row["clicks"], row["images"]) for row in told["unseen"]] == [(0, 3), (1, 3)]
    assert len(list((tmp_path / "studies" / "annotations" / "labels").glob("*/0001.json"))) == 5
