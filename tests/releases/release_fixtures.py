"""Weights of the toy network, as a training leaves them, and a release of them."""

from __future__ import annotations

from pathlib import Path

import torch
from networks import toy_network
from toy_weights import write_record

from custom_networks.files import sha256, write_json
from custom_networks.releases.packing import pack_weights
from custom_networks.typed_files import read_model
from custom_networks.weights.record import WeightsRecord

ABOUT = {"name": "toy", "license": "CC-BY-NC-4.0", "data": "phantoms", "data_license": "CC0-1.0", "description": ""}


def write_trained(folder: Path, seed: int = 0, **settings: object) -> Path:
    """Write `model.pt` and `model.json` of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    network = toy_network()
    path = folder / "model.pt"
    torch.save(network.state_dict(), path)
    write_record(path, network, metrics={"epoch": 3.0, "val_mean_dice": 0.5}, image_size=64, **settings)
    record = read_model(path.with_suffix(".json"), WeightsRecord)
    write_json(path.with_suffix(".json"), record.model_copy(update={"sha256": sha256(path)}).as_dict())
    return path


def make_release(folder: Path, **about: str) -> Path:
    """Make a release of toy weights; returns its folder."""
    pack_weights(write_trained(folder / "run"), folder / "release", {**ABOUT, **about})
    return folder / "release"
