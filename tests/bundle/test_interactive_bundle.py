"""The interactive configurations from end to end: trained from automatic weights, evaluated, used in inference."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import BUNDLE, CONFIGS, bundle_command, run_python
from monai.bundle import ConfigWorkflow
from networks import TOY, toy_network
from PIL import Image
from toy_weights import write_record

from custom_networks.interactive import InteractivePredictor
from custom_networks.weights import takes_clicks
from custom_networks.weights.normalization import IMAGENET

FILES = "['configs/train.json','configs/train_interactive.json']"


@pytest.fixture(scope="module")
def automatic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Automatic weights of the toy network, of another normalisation than the usual one."""
    path = tmp_path_factory.mktemp("automatic") / "model.pt"
    torch.manual_seed(0)
    network = toy_network()
    torch.save(network.state_dict(), path)
    write_record(path, network, IMAGENET, image_size=64)
    return path


@pytest.fixture(scope="module")
def trained_interactive(automatic: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interactive")
    command = bundle_command(FILES, folder, dataset, automatic=automatic, max_epochs=1, rounds=2, tracking_uri="")
    result = run_python(command)
    assert result.returncode == 0, result.stderr[-3000:]
    return folder / "models" / "model.pt"


def test_the_training_follows_the_automatic_weights(automatic: Path, trained_interactive: Path) -> None:
    before, after = (torch.load(path, weights_only=True) for path in (automatic, trained_interactive))
    assert takes_clicks(trained_interactive)
    assert torch.equal(before["encoder.conv1.0.weight"], after["encoder.conv1.0.weight"])
    assert not torch.equal(before["decoder.reduce.0.0.weight"], after["decoder.reduce.0.0.weight"])
    record = json.loads(trained_interactive.with_suffix(".json").read_text())
    assert record["normalization"]["name"] == IMAGENET.name
    assert record["network"]["encoder_width"] == TOY["encoder_width"]
    assert record["settings"]["rounds"] == 2
    assert InteractivePredictor(trained_interactive, "cpu").side == 64


def test_evaluate_measures_clicks_and_scribbles(
    sgdnet: Callable[..., tuple[int, str, str]], trained_interactive: Path, dataset: Path, tmp_path: Path
) -> None:
    words = ["--checkpoint", trained_interactive, "--dataset_dir", dataset, "--output_dir", tmp_path / "out"]
    code, out, err = sgdnet("evaluate", *words, "--clicks", 2, "--scribbles", 1, "--device", "cpu")
    assert code == 0, err
    assert "clicks not honoured: 0 in 4 answers" in out
    content = json.loads((tmp_path / "out" / "interactive.json").read_text())
    assert content["clicks"]["images"] == 2
    assert content["scribbles"]["limit"] == 1


def test_inference_honours_guidance_files(trained_interactive: Path, dataset: Path, tmp_path: Path) -> None:
    name = sorted((dataset / "images").iterdir())[0].stem
    marks = {"foreground": [[2, 3]], "background": [[40, 41]]}
    (tmp_path / f"{name}.json").write_text(json.dumps(marks))
    overrides = {"bundle_root": str(BUNDLE), "checkpoint": str(trained_interactive), "device": "cpu"}
    overrides |= {"dataset_dir": str(dataset), "output_dir": str(tmp_path / "masks"), "guidance_dir": str(tmp_path)}
    files = [str(CONFIGS / file) for file in ("inference.json", "inference_interactive.json")]
    workflow = ConfigWorkflow(files, workflow_type="infer", **overrides)
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    masks = {path.stem: np.asarray(Image.open(path)) for path in (tmp_path / "masks").iterdir()}
    assert len(masks) == 10
    assert masks[name][3, 2] == 255
    assert masks[name][41, 40] == 0


def test_automatic_weights_of_another_architecture_are_told(automatic: Path, dataset: Path, tmp_path: Path) -> None:
    overrides = {"automatic": automatic, "network_def#encoder_width": 16, "tracking_uri": ""}
    result = run_python(bundle_command(FILES, tmp_path, dataset, **overrides))
    assert result.returncode != 0
    assert "trained with encoder_width 8, and the network is to have encoder_width 16" in result.stderr
