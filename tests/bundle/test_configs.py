"""The configurations agree with each other, and each of their knobs is described and used."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import BUNDLE, CONFIGS
from monai.bundle import ConfigParser, ConfigWorkflow

from custom_networks.weights.record import trained_size

KNOBS = {
    *("bundle_root", "dataset_dir", "datalist", "fold", "image_size", "batch_size", "max_epochs", "learning_rate"),
    *("num_workers", "device", "amp", "seed", "pretrained_encoder", "output_dir", "resume"),
}
COMBINATIONS = {
    "train": ("train.json",),
    "evaluate": ("train.json", "evaluate.json"),
    "multi_class": ("train.json", "multi_class.json"),
    "multi_gpu": ("train.json", "multi_gpu_train.json"),
    "inference": ("inference.json",),
}


def load(name: str) -> dict[str, Any]:
    return json.loads((CONFIGS / name).read_text())


def merged(files: tuple[str, ...]) -> dict[str, Any]:
    return ConfigParser.load_config_files([str(CONFIGS / name) for name in files])


def strings(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for value in node.values() for text in strings(value)]
    if isinstance(node, list):
        return [text for value in node for text in strings(value)]
    return [node] if isinstance(node, str) else []


def test_train_has_the_promised_knobs_at_its_top() -> None:
    config = load("train.json")
    assert set(config["_knobs_"]) >= KNOBS
    names = [name for name in config if name not in ("imports", "_knobs_")]
    assert names[: len(config["_knobs_"])] == list(config["_knobs_"])


@pytest.mark.parametrize("files", COMBINATIONS.values(), ids=COMBINATIONS)
def test_every_knob_is_recorded_and_used(files: tuple[str, ...]) -> None:
    config = merged(files)
    described = set(config["_knobs_"])
    assert described <= set(config)
    assert set(config["settings"]) == set(load(files[0])["_knobs_"])
    rest = {key: value for key, value in config.items() if key not in ("settings", "_knobs_")}
    text = "\n".join(strings(rest))
    unused = [name for name in described if not re.search(rf"@{name}\b", text)]
    assert not unused, f"described, never read: {unused}"


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("data_*.json")))
def test_protocols_set_existing_knobs_to_the_papers_values(name: str, tmp_path: Path) -> None:
    overlay = load(name)
    assert set(overlay) <= set(load("train.json")["_knobs_"])
    config = merged(("train.json", name))
    parser = ConfigParser(config)
    parser["bundle_root"] = "/bundle"
    folder = parser.get_parsed_content("dataset_dir")
    assert parser.get_parsed_content("datalist") == f"{folder}/datalist.json"
    assert folder == f"/bundle/../data/{name.removeprefix('data_').removesuffix('.json')}"
    values = {key: config[key] for key in ("image_size", "batch_size", "max_epochs", "learning_rate")}
    assert values == {"image_size": 256, "batch_size": 16, "max_epochs": 50, "learning_rate": 1e-4}


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("*.json")))
def test_expressions_are_short_and_plain(name: str) -> None:
    for text in strings(load(name)):
        if text.startswith("$"):
            assert len(text) <= 80, text
            assert "lambda" not in text, text
            assert "open(" not in text, text


def image_steps(transforms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps on the image, reduced to what they do to it."""
    steps = []
    for transform in transforms:
        keys = transform["keys"]
        if "image" not in ([keys] if isinstance(keys, str) else keys):
            continue
        position = 0 if isinstance(keys, str) else keys.index("image")
        step = {
            key: value[position] if isinstance(value, list) and isinstance(keys, list) else value
            for key, value in transform.items()
            if key not in ("keys", "track_meta")
        }
        steps.append(step)
    return steps


def test_training_and_inference_see_the_same_image_and_network() -> None:
    train, inference = load("train.json"), load("inference.json")
    network = {
        key: value for key, value in train["network_def"].items() if key not in ("pretrained_encoder", "checkpointing")
    }
    assert inference["network_def"] == network
    assert image_steps(inference["preprocessing"]["transforms"]) == image_steps(train["load"] + train["normalize"])
    assert inference["inferer"] == train["inferer"]
    assert trained_size("no.pt") == train["image_size"]
    threshold = next(step["threshold"] for step in train["validate"]["postprocessing"]["transforms"][1:])
    assert inference["threshold"] == threshold


@pytest.mark.parametrize("kind", ["train", "evaluate", "inference"])
def test_check_properties_finds_nothing_missing(kind: str, dataset: Path, trained: Path) -> None:
    files = [str(CONFIGS / name) for name in COMBINATIONS[kind]]
    workflow = ConfigWorkflow(
        files,
        str(CONFIGS / "metadata.json"),
        str(CONFIGS / "logging.conf"),
        workflow_type="infer" if kind == "inference" else "train",
        bundle_root=str(BUNDLE),
        dataset_dir=str(dataset),
        image_size=64,
    )
    workflow.initialize()
    assert workflow.check_properties() == []
