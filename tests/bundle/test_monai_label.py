"""The bundle under MONAI Label's stock app, which reads and overrides a few ids of its files (`BundleTrainTask`).

MONAI Label itself is not needed: what it does with the files is done here in the same words.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import monai.bundle
import numpy as np
import pytest
import torch
from conftest import BUNDLE, CONFIGS
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, SaveImaged
from networks import TOY_OVERRIDES, toy_network
from PIL import Image

from custom_networks import SGDNet, load_checkpoint


def items(dataset: Path) -> list[dict[str, str]]:
    """Two pairs as MONAI Label's data store lists them."""
    names = sorted(path.name for path in (dataset / "images").iterdir())[:2]
    return [{"image": str(dataset / "images" / name), "label": str(dataset / "masks" / name)} for name in names]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the bundle without any data beside it."""
    return Path(shutil.copytree(BUNDLE, tmp_path / "app" / "model" / "sgdnet", ignore=shutil.ignore_patterns("runs")))


def stock_overrides(bundle: Path, dataset: Path) -> dict[str, Any]:
    """What `BundleTrainTask` overrides, with weights to start from where the bundle has some."""
    handlers = ConfigParser(json.loads((bundle / "configs" / "train.json").read_text())).get("train#handlers", [])
    weights = bundle / "models" / "model.pt"
    if weights.exists():
        load = {"load_path": str(weights), "load_dict": {"model": "$@network"}, "strict": False}
        handlers.insert(0, {"_target_": "CheckpointLoader", **load})
    return {
        "bundle_root": str(bundle),
        "train#trainer#max_epochs": 1,
        "train#dataset#data": items(dataset),
        "validate#dataset#data": items(dataset),
        "device": "cpu",
        "train#handlers": handlers,
    }


def test_it_trains_on_the_two_lists_that_it_hands_over(bundle: Path, dataset: Path) -> None:
    """The bundle's own data set is not looked for: there is none."""
    torch.save(toy_network().state_dict(), bundle / "models" / "model.pt")
    monai.bundle.run(
        run_id="run",
        init_id=None,
        final_id=None,
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "train.json"),
        **stock_overrides(bundle, dataset),
        # not MONAI Label's, but a test's: smaller, and without a store
        image_size=64,
        tracking_uri="",
        **TOY_OVERRIDES,
    )
    (run,) = (bundle / "runs").iterdir()
    assert len((run / "metrics.csv").read_text().splitlines()) == 2
    assert json.loads((run / "settings.json").read_text())["max_epochs"] == 1
    load_checkpoint(toy_network(), bundle / "models" / "model.pt")


def test_only_the_two_lists_ask_for_the_default_data_set() -> None:
    config = json.loads((CONFIGS / "train.json").read_text())
    parser = ConfigParser(config)
    parser.parse()
    readers = {
        id
        for id, item in parser.ref_resolver.items.items()
        if isinstance(item.get_config(), str) and "@pairs" in item.get_config()
    }
    assert readers == {"train::dataset::data", "validate::dataset::data"}


def test_learning_rate_follows_the_epochs_that_it_asks_for() -> None:
    """A schedule of another length would be over before the training, or train at rate 0."""
    parser = ConfigParser(json.loads((CONFIGS / "train.json").read_text()))
    parser["train#trainer#max_epochs"] = 300
    assert parser.get_parsed_content("lr_scheduler#max_epochs") == 300


def test_its_inference_gives_a_mask_of_the_image(bundle: Path, dataset: Path) -> None:
    """`BundleInferTask` takes the parts, drops what saves, and writes the last result itself."""
    torch.save(SGDNet().state_dict(), bundle / "models" / "model.pt")
    parser = ConfigParser(json.loads((bundle / "configs" / "inference.json").read_text()))
    parser.update({"bundle_root": str(bundle), "device": "cpu", "image_size": 64})
    shown = parser.get_parsed_content("displayable_configs")
    assert shown == {"result_extension": ".png", "result_dtype": "uint8"}
    steps = parser.get_parsed_content("postprocessing").transforms
    names = [type(step).__name__ for step in steps]
    assert names[-2:] == ["SaveImaged", "SqueezeDimd"]
    assert names.index("Invertd") < names.index("SaveImaged")
    Image.open(items(dataset)[0]["image"]).resize((90, 70)).save(bundle / "wide.png")
    data = parser.get_parsed_content("preprocessing")({"image": str(bundle / "wide.png")})
    assert data["image"].shape == (3, 64, 64)
    network = parser.get_parsed_content("network_def").eval()
    with torch.no_grad():
        logits = parser.get_parsed_content("inferer")(data["image"][None], network)
    data["pred"] = MetaTensor(logits[0], meta=data["image"].meta)
    mask = Compose([step for step in steps if not isinstance(step, SaveImaged)])(data)["pred"]
    assert tuple(mask.shape) == (90, 70), "[x, y], as clicks are"
    assert set(np.unique(np.asarray(mask))) <= {0.0, 1.0}


def test_epistemic_scoring_may_set_dropout() -> None:
    parser = ConfigParser(json.loads((CONFIGS / "inference.json").read_text()))
    parser["network_def#dropout"] = 0.3
    network = parser.get_parsed_content("network_def")
    assert {layer.p for layer in network.modules() if isinstance(layer, torch.nn.Dropout | torch.nn.Dropout2d)} == {0.3}
