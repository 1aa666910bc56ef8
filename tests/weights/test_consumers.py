"""Whatever reads weights runs the network that they were trained with, with no further argument."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import BUNDLE, CONFIGS
from monai.bundle import ConfigParser
from networks import TOY
from pipelines import training_config
from toy_weights import write_record, write_weights

from custom_networks import SGDNet, load_checkpoint
from custom_networks.configuration.inference import load_source
from custom_networks.errors import UserError
from custom_networks.export import export_model, write_archive
from custom_networks.files import sha256
from custom_networks.prediction import SGDNetPredictor
from custom_networks.prediction.reading import read_file
from custom_networks.statistics import read_per_image

Run = Callable[..., tuple[int, str, str]]
TABLE_6 = [
    {"edge_operator": "scharr"},
    {"edge_operator": "laplacian"},
    {"edge_operator": "none"},
    {"edge_operator": "learnable"},
    {"edge_reading": "depthwise"},
    {"local_input": "raw"},
]
"""What loads into the default network without a missing key, and the learnable row of the table."""

VARIANT = {**TOY, "edge_operator": "laplacian", "edge_reading": "depthwise", "local_input": "raw"}


@pytest.mark.parametrize("arguments", TABLE_6, ids=lambda arguments: "-".join(*arguments.items()))
def test_every_consumer_rebuilds_the_network(arguments: dict[str, str], tmp_path: Path) -> None:
    path = write_weights(tmp_path / "model.pt", {**TOY, **arguments})
    with torch.device("meta"):
        expected = SGDNet(**{**TOY, **arguments})
        evaluated = training_config("evaluate.json", checkpoint=str(path)).get_parsed_content("network_def")
        parser = ConfigParser(ConfigParser.load_config_file(str(CONFIGS / "inference.json")))
        parser["checkpoint"] = str(path)
        inferred = parser.get_parsed_content("network_def")
    source = load_source(BUNDLE, path, None)  # of `export`, `package`, `predict` and the API
    for network in (evaluated, inferred, source.network):
        assert network.arguments == expected.arguments
        assert str(network) == str(expected)


@pytest.fixture(scope="module")
def variant(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights with every branch in use whose record says that their network is a variant."""
    path = tmp_path_factory.mktemp("variant") / "model.pt"
    path.symlink_to(checkpoint)
    with torch.device("meta"):
        network = SGDNet(**VARIANT)
    write_record(path, network, image_size=64)
    return path


@pytest.fixture(scope="module")
def reference(variant: Path) -> SGDNet:
    network = SGDNet(**VARIANT)
    load_checkpoint(network, variant)
    return network.eval()


def test_prediction_export_and_archive_are_of_that_network(
    variant: Path, checkpoint: Path, reference: SGDNet, pictures: Path, tmp_path: Path
) -> None:
    picture = sorted(pictures.iterdir())[0]
    image = torch.from_numpy(load_source(BUNDLE, variant, None).prepare(picture))[None]
    with torch.no_grad():
        expected = torch.sigmoid(reference(image))[0, 0].T.numpy()
    ours, theirs = (SGDNetPredictor.from_bundle(BUNDLE, path, device="cpu") for path in (variant, checkpoint))
    square = ours.prepare(read_file(picture))
    predicted, other = (predictor.compute([square])[0].get()[0].T.numpy() for predictor in (ours, theirs))
    np.testing.assert_allclose(predicted, expected, atol=1e-3)
    assert np.abs(other - expected).max() > 0.01  # the default network differs on these weights
    exported = export_model(BUNDLE, "torchscript", variant, tmp_path / "model.ts")
    with torch.no_grad():
        scripted = torch.sigmoid(torch.jit.load(exported.files[0])(image))[0, 0].T.numpy()
    np.testing.assert_allclose(scripted, expected, atol=1e-4)
    with zipfile.ZipFile(write_archive(BUNDLE, tmp_path / "a.zip", variant)) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("models/model.json"))
        assert json.loads(archive.read(name))["network"]["edge_operator"] == "laplacian"


def test_evaluation_is_of_that_network(
    sgdnet: Run, variant: Path, checkpoint: Path, ellipses: Path, tmp_path: Path
) -> None:
    figures = []
    for number, path in enumerate((variant, checkpoint)):
        words: tuple[Any, ...] = ("evaluate", "--datalist", ellipses, "--split", "test", "--checkpoint", path)
        words += ("--num_workers", 0, "--device", "cpu", "--cases", 0, "--output_dir", tmp_path / str(number))
        code, _, error = sgdnet(*words)
        assert code == 0, error
        figures.append(read_per_image(tmp_path / str(number))["brier"].to_numpy())
    assert np.abs(figures[0] - figures[1]).max() > 1e-4
    words = (*words[:5], "--checkpoint", variant, "--output_dir", tmp_path / "other")
    code, _, error = sgdnet(*words, "--network_def#edge_operator", "sobel")
    assert code == 1
    assert "trained with edge_operator 'laplacian', and the network is to have edge_operator 'sobel'" in error


def test_a_damaged_record_stops_every_consumer(sgdnet: Run, pictures: Path, tmp_path: Path) -> None:
    path = write_weights(tmp_path / "model.pt")
    path.with_suffix(".json").write_text('{"version": 2, "network": 3, "normalization": null}')
    for words in (
        ("predict", pictures, "--output", tmp_path / "out"),
        ("export", "--output", tmp_path / "model.onnx"),
        ("package", "--output", tmp_path / "a.zip"),
    ):
        code, _, error = sgdnet(*words, "--checkpoint", path)
        assert code == 1
        assert 'model.json: "network": ' in error.splitlines()[-1]
    with pytest.raises(UserError, match=r'model\.json: "network": '):
        SGDNetPredictor.from_bundle(BUNDLE, path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.json", "model.pt"]


def flip(path: Path) -> None:
    """Change some bytes in the middle of a file; its length stays."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(range(256)))


def test_weights_with_other_bytes_stop_every_consumer(
    sgdnet: Run, pictures: Path, ellipses: Path, tmp_path: Path
) -> None:
    path = write_weights(tmp_path / "model.pt", TOY)
    beside = path.with_suffix(".json")
    beside.write_text(json.dumps({**json.loads(beside.read_text()), "sha256": sha256(path)}))
    SGDNetPredictor.from_bundle(BUNDLE, path)
    flip(path)
    for words in (
        ("predict", pictures, "--output", tmp_path / "out"),
        ("export", "--output", tmp_path / "model.onnx"),
        ("package", "--output", tmp_path / "a.zip"),
        ("evaluate", "--datalist", ellipses, "--split", "test", "--num_workers", 0, "--output_dir", tmp_path / "eval"),
    ):
        code, _, error = sgdnet(*words, "--checkpoint", path)
        assert code == 1
        assert "model.pt: " in error.splitlines()[-1]
        assert "sha256 differs" in error.splitlines()[-1], words
    assert {each.name for each in tmp_path.iterdir()} <= {"model.json", "model.pt", "out", "eval"}
    assert not list(tmp_path.glob("*/*.*"))
