"""The network of a record: every argument of the architecture comes back, and no other network takes the weights."""

from __future__ import annotations

import inspect
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_weights import write_weights

from custom_networks import SGDNet
from custom_networks.configuration.checking import check_overrides
from custom_networks.configuration.merged import Configuration
from custom_networks.errors import UserError
from custom_networks.network.sgdnet import TRAINING_ARGUMENTS
from custom_networks.weights import load_checkpoint, trained_network
from custom_networks.weights.record import kept_by_json


def built(checkpoint: Path, **arguments: Any) -> SGDNet:
    with torch.device("meta"):
        return trained_network(checkpoint, **arguments)


def test_a_network_tells_every_argument_of_its_architecture() -> None:
    with torch.device("meta"):
        arguments = SGDNet(edge_operator="scharr", checkpointing=True).arguments
    parameters = inspect.signature(SGDNet).parameters
    assert set(arguments) == set(parameters) - set(TRAINING_ARGUMENTS)
    defaults = kept_by_json({name: parameters[name].default for name in arguments})
    assert arguments == defaults | {"edge_operator": "scharr"}


def test_the_record_is_all_it_takes(tmp_path: Path) -> None:
    arguments = {"edge_operator": "laplacian", "edge_reading": "depthwise", "layer_scale_init": None, "out_channels": 3}
    path = write_weights(tmp_path / "model.pt", arguments)
    network = built(path, dropout=0.3, checkpointing=True)
    assert network.arguments == {**built(tmp_path / "none.pt").arguments, **arguments, "dropout": 0.3}
    assert network.checkpointing


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"edge_operator": "sobel"},
            "trained with edge_operator 'scharr', and the network is to have edge_operator 'sobel'",
        ),
        ({"out_channels": 3}, "trained with out_channels 1, and the network is to have out_channels 3"),
        (
            {"layer_scale_init": None},
            "trained with layer_scale_init 1e-06, and the network is to have layer_scale_init None",
        ),
        ({"edge_operatr": "sobel"}, "--network_def#edge_operatr: SGDNet has no such argument.*'edge_operator'"),
    ],
)
def test_other_arguments_are_refused_by_name(tmp_path: Path, given: dict[str, Any], sentence: str) -> None:
    path = write_weights(tmp_path / "model.pt", {"edge_operator": "scharr"})
    with pytest.raises(UserError, match=sentence):
        built(path, **given)
    assert built(path, edge_operator="scharr").arguments["edge_operator"] == "scharr"


def test_weights_go_into_no_other_network_though_every_key_fits(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "model.pt", {"edge_operator": "scharr"})
    with torch.device("meta"):
        default = SGDNet()
    with pytest.raises(UserError, match="trained with edge_operator 'scharr'"):
        load_checkpoint(default, path)


def test_a_network_that_this_version_cannot_build(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "model.pt")
    beside = path.with_suffix(".json")
    content = json.loads(beside.read_text())
    beside.write_text(json.dumps({**content, "network": {**content["network"], "wavelets": True}}))
    with pytest.raises(UserError, match=r"network\.wavelets: SGDNet has no such argument; a newer sgdnet"):
        built(path)
    beside.write_text(json.dumps({**content, "network": {**content["network"], "edge_operator": "sobbel"}}))
    with pytest.raises(UserError, match=r"model\.pt: no network can be built .*'sobbel'.*did you mean 'sobel'"):
        built(path)


def test_an_earlier_record_means_defaults_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_weights(tmp_path / "model.pt", {"refinement": "add", "out_channels": 3})
    path.with_suffix(".json").write_text(json.dumps({"settings": {"image_size": 64}}))
    with caplog.at_level(logging.WARNING):
        network = trained_network(path)
    assert 'no "network" in model.json tells its arguments; defaults are assumed' in caplog.text
    assert network.arguments["out_channels"] == 3
    with pytest.raises(UserError, match=r'not those of this SGDNet: keys .*; .*model\.json has no "network"'):
        load_checkpoint(network, path)
    load_checkpoint(trained_network(path, refinement="add"), path)


def test_overrides_of_the_rebuilt_network_are_known() -> None:
    config = {"network_def": {"_target_": "custom_networks.weights.trained_network"}}

    def check(*names: str) -> None:
        check_overrides(Configuration(config, dict.fromkeys(names)))

    check("network_def#edge_operator", "network_def#checkpoint")
    with pytest.raises(UserError, match="network_def has no such argument; did you mean 'edge_operator'"):
        check("network_def#edge_operatr")
