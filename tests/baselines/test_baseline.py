"""A baseline through the commands, its arguments, and what a record of one may say."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_weights import write_record

from custom_networks.baselines import Baseline
from custom_networks.errors import UserError
from custom_networks.weights import load_checkpoint, trained_network

Run = Callable[..., tuple[int, str, str]]
UNET = "monai.networks.nets.BasicUNet"
SMALL = {"spatial_dims": 2, "features": [4, 4, 4, 4, 4, 4], "norm": "batch"}


def small(**arguments: Any) -> Baseline:
    return Baseline(**{"architecture": UNET, "size_factor": 16, "options": SMALL, **arguments})


def test_more_maps_than_the_loss_takes_are_refused() -> None:
    options = {"spatial_dims": 2, "features": [4, 4, 4, 4, 4, 4], "deep_supervision": True}
    network = Baseline("monai.networks.nets.BasicUNetPlusPlus", size_factor=16, options=options)
    with pytest.raises(UserError, match="BasicUNetPlusPlus: gives 4 maps in training, but the loss takes 3"):
        network.train()(torch.zeros(1, 3, 32, 32))


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Weights, and their record beside them."""
    torch.manual_seed(0)
    network = small()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    write_record(tmp_path / "model.pt", network, image_size=64)
    return tmp_path / "model.pt"


def change(record: Path, **changes: Any) -> None:
    beside = record.with_suffix(".json")
    content = json.loads(beside.read_text())
    content["network"] |= changes
    beside.write_text(json.dumps(content))


def test_train_evaluate_predict(sgdnet: Run, dataset: Path, tmp_path: Path) -> None:
    common = ("--bundle_root", tmp_path / "bundle", "--num_workers", 0, "--device", "cpu")
    words = ("--dataset_dir", dataset, "--image_size", 64, "--batch_size", 4, "--max_epochs", 1, "--tracking", "false")
    toy = ("--network_def#options#features", "[4,4,4,4,4,4]")
    (tmp_path / "bundle").mkdir()
    source = Path(__file__).resolve().parents[2] / "bundle"
    for name in ("configs", "docs", "LICENSE"):
        (tmp_path / "bundle" / name).symlink_to(source / name)
    code, _, error = sgdnet("train", "--config_file", "baselines/unet.json", *common, *words, *toy)
    assert code == 0, error
    weights = tmp_path / "bundle" / "models" / "model.pt"
    assert json.loads(weights.with_suffix(".json").read_text())["network"]["architecture"] == UNET
    code, _, error = sgdnet("evaluate", *common, "--dataset_dir", dataset, "-o", tmp_path / "eval")
    assert code == 0, error
    with (tmp_path / "eval" / "per_image.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2
    code, _, error = sgdnet("predict", dataset / "images", "--checkpoint", weights, "-o", tmp_path / "masks")
    assert code == 0, error
    assert len(list((tmp_path / "masks").glob("*.png"))) == 10
    archive = tmp_path / "a.zip"
    code, _, error = sgdnet("package", "--bundle_root", tmp_path / "bundle", "-o", archive)
    assert code == 0, error
    assert any(name.endswith("configs/baselines/unet.json") for name in zipfile.ZipFile(archive).namelist())
    code, _, error = sgdnet("export", "--checkpoint", weights, "-o", tmp_path / "model.ts", "--format", "torchscript")
    assert code == 1
    assert "weights of a monai.networks.nets.BasicUNet; SGD-Net alone is exported" in error


def test_the_record_brings_it_back(record: Path) -> None:
    torch.manual_seed(0)
    network, again = small().eval(), trained_network(record).eval()
    load_checkpoint(again, record)
    image = torch.randn(1, 3, 20, 33)
    with torch.no_grad():
        expected = network(image)
        torch.testing.assert_close(again(image), expected)
        assert (
            network.optimize_for_inference(torch.bfloat16)(image) - expected
        ).abs().max() < 0.01 * expected.abs().max()


def test_padded_and_cropped_it_is_the_network_itself() -> None:
    network = small().eval()
    image = torch.randn(1, 3, 20, 33)
    padded = torch.nn.functional.pad(image, (0, 15, 0, 12), mode="replicate")
    with torch.no_grad():
        torch.testing.assert_close(network(image), network.network(padded)[:, :, :20, :33])
        torch.testing.assert_close(network.maps(image).segmentation[0], network(image))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"options": {**SMALL, "featurs": [1]}}, "has no argument 'featurs'; did you mean 'features'"),
        ({"options": {**SMALL, "features": [4]}}, "cannot be built with these arguments"),
        ({"options": {**SMALL, "features": 4}}, "cannot be built with these arguments"),
        ({"options": {**SMALL, "norm": "batchh"}}, "cannot be built with these arguments"),
        ({"size_factor": "16"}, "size_factor must be a whole number from 1 to 1024, got '16'"),
        ({"size_factor": 10**9}, "size_factor must be a whole number from 1 to 1024, got 1000000000"),
        ({"out_channels": True}, "out_channels must be a whole number from 1 to 1024, got True"),
        ({"pretrained_encoder": "a.pth"}, "has no argument 'pretrained_encoder'; leave --pretrained_encoder out"),
        ({"checkpointing": True}, "has no argument 'checkpointing'; leave --checkpointing out"),
        ({"architecture": "monai.networks.nets.BasicUnett"}, "no such network; did you mean 'BasicUnet'"),
        ({"architecture": "os.system"}, "must be a class of custom_networks.baselines or monai.networks.nets"),
        ({"architecture": "monai.networks.nets.torch.hub.load"}, "must be a class of"),
        ({"architecture": "monai.networks.nets.get_efficientnet_image_size"}, "no such network"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        small(**arguments)


def test_weights_that_an_option_loads_are_no_part_of_the_record() -> None:
    options = {"spatial_dims": 2, "backbone": "resnet18", "pretrained": False}
    network = Baseline("monai.networks.nets.FlexibleUNet", options=options)
    assert network.arguments["options"] == {"spatial_dims": 2, "backbone": "resnet18"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"architecture": "subprocess.run"}, "must be a class of"),
        ({"options": {**SMALL, "pretrained_url": "x"}}, "options.pretrained_url: no record has it"),
        ({"options": {**SMALL, "norm": "https://a/b"}}, "options.norm 'https://a/b': must be a plain word"),
        ({"options": {**SMALL, "norm": ["a", {"weights": "/tmp/a.pt"}]}}, "options.norm '/tmp/a.pt': must be a plain"),
        ({"options": [1]}, "must be names and values"),
        ({"wavelets": 1}, "network.wavelets: Baseline has no such argument; a newer sgdnet trained it"),
    ],
)
def test_a_record_names_neither_code_nor_files(record: Path, changes: dict[str, Any], sentence: str) -> None:
    change(record, **changes)
    with pytest.raises(UserError, match=re.escape(sentence)) as caught:
        trained_network(record)
    assert str(record) in str(caught.value)


def test_weights_go_into_no_other_network(record: Path) -> None:
    load_checkpoint(trained_network(record), record)
    with pytest.raises(UserError, match="trained with size_factor 16, and the network is to have size_factor 32"):
        load_checkpoint(small(size_factor=32), record)
    with pytest.raises(UserError, match="trained with out_channels 1, and the network is to have out_channels 2"):
        trained_network(record, out_channels=2)
    with pytest.raises(UserError, match="--network_def#edge_operator: Baseline has no such argument"):
        trained_network(record, edge_operator="sobel")


def test_engines_of_exported_files_refuse_it(record: Path, dataset: Path, sgdnet: Run, tmp_path: Path) -> None:
    words = ("predict", dataset / "images", "--checkpoint", record, "-o", tmp_path / "masks", "--engine")
    code, _, error = sgdnet(*words, "openvino")
    assert code == 1
    assert "--engine openvino: exports SGD-Net alone, and this is a monai.networks.nets.BasicUNet" in error
    code, _, error = sgdnet(*words, "auto")
    assert code == 0, error
