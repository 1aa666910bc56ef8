"""The configurations agree with each other, and each of their knobs is described and used."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import BUNDLE, CONFIGS, bundle_command, run_python
from monai.bundle import ConfigParser, ConfigWorkflow
from networks import TOY_OVERRIDES

from custom_networks import SGDNet
from custom_networks.data.phantoms import write_phantoms
from custom_networks.weights import trained_size, trained_threshold
from custom_networks.weights.record import THRESHOLD

PLAIN = ("in_channels", "out_channels", "dropout")
KNOBS = {
    *("bundle_root", "dataset_dir", "datalist", "fold", "image_size", "batch_size", "max_epochs", "learning_rate"),
    *("num_workers", "device", "amp", "seed", "pretrained_encoder", "output_dir", "resume"),
}
BASELINES = sorted(f"baselines/{path.name}" for path in (CONFIGS / "baselines").glob("*.json"))
COMBINATIONS = {
    "train": ("train.json",),
    "evaluate": ("train.json", "evaluate.json"),
    "multi_class": ("train.json", "multi_class.json"),
    "multi_gpu": ("train.json", "multi_gpu_train.json"),
    "baseline": ("train.json", BASELINES[0]),
    "inference": ("inference.json",),
    "train_interactive": ("train.json", "train_interactive.json"),
    "evaluate_interactive": ("train.json", "evaluate.json", "evaluate_interactive.json"),
    "inference_interactive": ("inference.json", "inference_interactive.json"),
}
DATA_SETS = sorted(path.name for path in CONFIGS.glob("data_*.json"))
OVERLAYS = [
    *(("train.json", name) for name in ("evaluate.json", "multi_class.json", "multi_gpu_train.json", *DATA_SETS)),
    *(("train.json", name) for name in BASELINES),
    ("inference.json", "inference_trt.json"),
    *((f"{name}.json", f"{name}_interactive.json") for name in ("train", "evaluate", "inference")),
]


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
    names = [name for name in config if name not in ("imports", "_knobs_", "_groups_")]
    assert names[: len(config["_knobs_"])] == list(config["_knobs_"])


@pytest.mark.parametrize("files", COMBINATIONS.values(), ids=COMBINATIONS)
def test_every_knob_is_described_and_used(files: tuple[str, ...]) -> None:
    config = merged(files)
    known = dict(config["_knobs_"])
    if "evaluate.json" in files:  # rebuilds the network of the weights
        known = {name: each for name, each in known.items() if name not in ("pretrained_encoder", "checkpointing")}
    for name, (reference, description) in known.items():
        assert description
        followed = ConfigParser(config).get(reference.removeprefix("@"))
        assert f"@{name}" in (reference, followed), "the value that the run takes"
        assert name in config
    rest = {key: value for key, value in config.items() if key != "_knobs_"}
    text = "\n".join(strings(rest))
    unused = [name for name in known if not re.search(rf"@{name}\b", text)]
    assert not unused, f"described, never read: {unused}"


@pytest.mark.parametrize("files", COMBINATIONS.values(), ids=COMBINATIONS)
def test_settings_are_the_values_of_all_knobs(files: tuple[str, ...], tmp_path: Path) -> None:
    parser = ConfigParser(merged(files))
    parser.update({"bundle_root": str(tmp_path), "device": "cpu", "batch_size": 3})
    settings = parser.get_parsed_content("settings")
    assert list(settings) == list(parser["_knobs_"])
    assert settings["batch_size"] == 3
    assert settings["device"] == "cpu"
    assert settings["image_size"] == 256


@pytest.mark.parametrize(("base", "name"), OVERLAYS)
def test_overlays_hold_differences_only(base: str, name: str) -> None:
    before = ConfigParser(load(base))
    same = [id for id, value in load(name).items() if not id.startswith("+") and before.get(id, ...) == value]
    assert not same, f"as in {base} already: {same}"


@pytest.mark.parametrize("name", DATA_SETS)
def test_protocols_set_the_data_set_and_leave_the_papers_values(name: str) -> None:
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
    rebuilt = ConfigParser(inference | {"checkpoint": "no.pt"})
    with torch.device("meta"):
        trained = SGDNet(**{name: value for name, value in train["network_def"].items() if name in PLAIN})
        assert rebuilt.get_parsed_content("network_def").arguments == trained.arguments
    steps = image_steps(train["load"] + train["normalize"])
    assert steps[0]["reader"].pop("depth") == "@image_depth"  # decided by the training, recorded with the weights
    predicted = image_steps(inference["preprocessing"]["transforms"])
    assert predicted[0]["reader"].pop("depth") == "@bit_depth"
    assert inference["bit_depth"] == "$custom_networks.weights.trained_depth(@checkpoint)"
    assert predicted == steps
    assert inference["inferer"] == train["inferer"]
    assert trained_size("no.pt") == train["image_size"]
    threshold = next(step["threshold"] for step in train["validate"]["postprocessing"]["transforms"][1:])
    assert trained_threshold("no.pt") == threshold == THRESHOLD
    assert inference["threshold"] == "$custom_networks.weights.trained_threshold(@checkpoint)"


@pytest.mark.parametrize("kind", ["train", "evaluate", "inference"])
def test_check_properties_finds_nothing_missing(kind: str, dataset: Path, trained: Path, tmp_path: Path) -> None:
    files = [str(CONFIGS / name) for name in COMBINATIONS[kind]]
    workflow = ConfigWorkflow(
        files,
        str(CONFIGS / "metadata.json"),
        str(CONFIGS / "logging.conf"),
        workflow_type="infer" if kind == "inference" else "train",
        bundle_root=str(BUNDLE),
        dataset_dir=str(dataset),
        output_dir=str(tmp_path / "out"),
        image_size=64,
        **({"checkpoint": str(tmp_path / "no.pt")} if kind == "evaluate" else {}),  # whatever bundle/models/ holds
    )
    workflow.initialize()
    assert workflow.check_properties() == []


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_protocol_trains_one_step(tmp_path: Path) -> None:
    """Its datalist is looked for in its folder."""
    folder = write_phantoms(tmp_path / "data", count=5, size=64)
    names = [path.name for path in sorted((folder / "images").iterdir())]
    items = [{"image": f"images/{name}", "label": f"masks/{name}", "fold": place} for place, name in enumerate(names)]
    (folder / "datalist.json").write_text(json.dumps({"training": items}))
    files = f"['configs/train.json','configs/{DATA_SETS[0]}']"
    result = run_python(bundle_command(files, tmp_path, folder, max_epochs=1, tracking_uri="", **TOY_OVERRIDES))
    assert result.returncode == 0, result.stderr[-2000:]
    assert "4 training and 1 validation pairs" in result.stdout


def test_several_processes_train_one_step(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    """One process alone, with the same wrapper and samplers; the test of two is slower."""
    environment = {"WORLD_SIZE": 1, "RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": unused_port}
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    files = "['configs/train.json','configs/multi_gpu_train.json']"
    knobs = {"max_epochs": 1, "batch_size": 8, "tracking_uri": "", **TOY_OVERRIDES}
    result = run_python(bundle_command(files, tmp_path, dataset, **knobs))
    assert result.returncode == 0, result.stderr[-2000:]
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 2


def test_inference_writes_a_mask(dataset: Path, trained: Path, tmp_path: Path) -> None:
    overrides = {"bundle_root": str(BUNDLE), "checkpoint": str(trained / "models" / "model.pt"), "device": "cpu"}
    overrides |= {"dataset_dir": str(dataset), "output_dir": str(tmp_path / "masks")}
    workflow = ConfigWorkflow(str(CONFIGS / "inference.json"), workflow_type="infer", **overrides)
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    assert len(list((tmp_path / "masks").iterdir())) == len(list((dataset / "images").iterdir()))
