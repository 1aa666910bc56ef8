"""Each overlay of configs/baselines/ trains, has the parameters that it is said to have, and comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONFIGS
from monai.bundle import ConfigParser
from networks import toy_network
from toy_weights import write_record

from custom_networks.baselines import Baseline
from custom_networks.configuration.merged import read_config
from custom_networks.weights import trained_network

NAMES = sorted(path.stem for path in (CONFIGS / "baselines").glob("*.json"))
PARAMETERS = {
    "attention_unet": 31_740_337,
    "cto": 59_773_653,
    "dynunet": 33_461_059,
    "flexible_unet": 23_653_745,
    "levit_unet": 50_524_657,
    "segresnet": 6_299_073,
    "swin_unetr": 25_139_275,
    "transunet": 105_322_001,
    "unet": 7_783_425,
    "unet_plus_plus": 9_119_332,
    "unet_v2": 25_128_553,
    "vm_unet_v2": 17_950_809,
}
OUTPUTS = {"cto": 4, "dynunet": 3}
"""Maps in `train()`, where they are more than one."""


SMALL: dict[str, dict[str, Any]] = {
    "attention_unet": {"channels": [4, 8, 8, 8, 8]},
    "dynunet": {"filters": [4, 4, 8, 8, 8, 8, 8]},
    "flexible_unet": {"backbone": "resnet10", "decoder_channels": [8, 8, 8, 8, 8]},
    "levit_unet": {"channels": [64, 64, 96], "heads": [2, 2, 3], "depths": [1, 1, 1], "widths": [8, 8, 8, 8]},
    "segresnet": {"init_filters": 8},
    "swin_unetr": {"feature_size": 12},
    "transunet": {"hidden": 24, "layers": 1, "heads": 2, "mlp": 24},
    "unet": {"features": [4, 4, 8, 8, 8, 4]},
    "unet_plus_plus": {"features": [4, 4, 8, 8, 8, 4]},
    "unet_v2": {"depths": [1, 1, 1, 1]},
    "vm_unet_v2": {"depths": [1, 1, 1, 1], "channels": 16},
}
"""Options that make them small; CTO has none."""
BOTH = [
    *(pytest.param(name, SMALL[name], id=f"{name}-small") for name in NAMES if name in SMALL),
    *(pytest.param(name, {}, id=name, marks=pytest.mark.slow) for name in NAMES),
]
UNUSED = {"unet_plus_plus": {"final_conv_0_1", "final_conv_0_2", "final_conv_0_3"}}
"""Parts of MONAI's that only its deep supervision uses."""


def parser_of(name: str, **overrides: Any) -> ConfigParser:
    parser = ConfigParser(read_config([CONFIGS / "train.json", CONFIGS / "baselines" / f"{name}.json"]))
    parser.update({"device": "cpu", "bundle_root": str(CONFIGS.parent), **overrides})
    return parser


def place_of(name: str) -> torch.device:
    """Where a network can be built for its shapes alone; MONAI's SwinUNETR reads numbers of a tensor."""
    return torch.device("cpu" if name == "swin_unetr" else "meta")


def test_every_overlay_is_counted() -> None:
    assert sorted(PARAMETERS) == NAMES


@pytest.mark.parametrize(("name", "options"), BOTH)
def test_it_trains_a_step_and_comes_back(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    smaller = {f"network_def#options#{each}": value for each, value in options.items()}
    parser = parser_of(name, class_count=2, **{"loss#softmax": True}, **smaller)
    network = parser.get_parsed_content("network_def")
    assert isinstance(network, Baseline)
    image = torch.randn(2, 3, 64, 70)  # no multiple of anything
    outputs = network.train()(image)
    maps = outputs if isinstance(outputs, list) else [outputs]
    channels = [2] * OUTPUTS.get(name, 1)
    assert [len(one[0]) for one in maps] == (channels if name != "cto" else [2, 2, 2, 1])
    assert all(one.shape[2:] == (64, 70) for one in maps)
    labels = (image[:, :1] > 0).float()
    parser.get_parsed_content("loss")(outputs, labels).backward()
    idle = [key for key, each in network.named_parameters() if each.grad is None]
    assert {key.split(".")[1] for key in idle} == UNUSED.get(name, set())
    assert all(each.grad.isfinite().all() for each in network.parameters() if each.grad is not None)
    with torch.no_grad():
        assert network.eval()(image).shape == (2, 2, 64, 70)

    write_record(tmp_path / "model.pt", network, image_size=64)
    with place_of(name):
        again = trained_network(tmp_path / "model.pt")
    shapes = {key: each.shape for key, each in again.state_dict().items()}
    assert shapes == {key: each.shape for key, each in network.state_dict().items()}


@pytest.mark.parametrize("name", NAMES)
def test_parameters(name: str) -> None:
    with place_of(name):
        network = parser_of(name).get_parsed_content("network_def")
    assert sum(each.numel() for each in network.parameters()) == PARAMETERS[name]
    assert network.arguments["out_channels"] == 1


def test_the_edge_map_of_one_that_has_it() -> None:
    with torch.device("meta"):
        assert not toy_network(refinement="none").has_edge
        network = Baseline("custom_networks.baselines.CTO", size_factor=64)
        image = torch.zeros(1, 3, 64, 70)
        assert network.has_edge
        assert network.eval().with_edge(image).shape == (1, 2, 64, 70)
        assert network.maps(image).edge.shape == (1, 1, 64, 70)
