"""MONAI's own checks and exports take the bundle as it is, and so does its federated-learning client."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import torch
from conftest import BUNDLE, CONFIGS, SMALL
from monai.bundle import ckpt_export, verify_metadata, verify_net_in_out
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject
from networks import TOY_OVERRIDES, toy_network
from requirement_lists import pinned

from custom_networks import load_checkpoint

META, INFERENCE = str(CONFIGS / "metadata.json"), str(CONFIGS / "inference.json")
REQUIRED = [
    *("schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version", "task", "description"),
    *("required_packages_version", "authors", "copyright", "network_data_format"),
]
TENSOR = ("type", "format", "num_channels", "spatial_shape", "dtype", "value_range")


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    """What MONAI's general schema asks for, written here so that no network is needed."""
    tensors = {"type": "object", "additionalProperties": {"type": "object", "required": TENSOR}}
    content = {
        "type": "object",
        "required": REQUIRED,
        "properties": {
            "supported_apps": {"type": "object"},
            "required_packages_version": {"type": "object"},
            "network_data_format": {
                "type": "object",
                "required": ["inputs", "outputs"],
                "properties": {"inputs": tensors, "outputs": tensors},
            },
        },
    }
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(content))
    return path


def test_metadata_meets_the_schema(schema: Path) -> None:
    verify_metadata(meta_file=META, filepath=str(schema))


def test_a_gap_in_the_metadata_would_be_seen(schema: Path) -> None:
    metadata = json.loads(Path(META).read_text())
    del metadata["network_data_format"]["inputs"]["image"]["dtype"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(metadata, json.loads(schema.read_text()))


def test_metadata_agrees_with_package_and_requirements() -> None:
    metadata = json.loads(Path(META).read_text())
    assert metadata["version"] in metadata["changelog"]
    assert f'version = "{metadata["version"]}"' in (BUNDLE.parent / "pyproject.toml").read_text()
    expected = {"monai": metadata["monai_version"], "torch": metadata["pytorch_version"]}
    expected |= {"numpy": metadata["numpy_version"], **metadata["required_packages_version"]}
    versions = pinned("requirements.txt")
    assert {name: versions[name] for name in expected} == expected


def test_network_takes_and_gives_what_the_metadata_says() -> None:
    verify_net_in_out("network_def", meta_file=META, config_file=INFERENCE, device="cpu")


def test_exported_torchscript_equals_the_network(trained: Path, tmp_path: Path) -> None:
    best, exported = trained / "models" / "model.pt", tmp_path / "model.ts"
    ckpt_export(
        "network_def",
        filepath=str(exported),
        ckpt_file=str(best),
        meta_file=META,
        config_file=INFERENCE,
        key_in_ckpt="",
        checkpoint=str(best),
    )
    network = toy_network()
    load_checkpoint(network, best)
    image = torch.randn(2, 3, 64, 128)
    with torch.no_grad():
        difference = (torch.jit.load(exported)(image) - network.eval()(image)).abs().max()
    assert difference < 1e-4


@pytest.mark.slow
def test_federated_client_trains_two_rounds_and_evaluates(dataset: Path, tmp_path: Path) -> None:
    knobs = {
        **SMALL,
        "dataset_dir": str(dataset),
        "output_dir": str(tmp_path / "run"),
        "model_path": str(tmp_path / "models" / "model.pt"),
        "tracking_uri": "",
        **TOY_OVERRIDES,
    }
    evaluation = {**knobs, "output_dir": str(tmp_path / "eval")}
    client = MonaiAlgo(str(BUNDLE), send_weight_diff=False, train_kwargs=knobs, eval_kwargs=evaluation)
    client.initialize(extra={ExtraItems.CLIENT_NAME: "clinic"})
    before = copy.deepcopy(client.get_weights().weights)
    for _ in range(2):
        weights = copy.deepcopy(client.get_weights().weights)
        client.train(data=ExchangeObject(weights=weights), extra={})
    after = copy.deepcopy(client.get_weights().weights)
    assert any((torch.as_tensor(before[name]) != torch.as_tensor(after[name])).any() for name in before)
    metrics = client.evaluate(data=ExchangeObject(weights=after), extra={}).metrics
    assert set(metrics) >= {"val_mean_dice", "val_hd95", "val_misses"}
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 3
    client.finalize()
