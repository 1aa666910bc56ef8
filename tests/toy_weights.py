"""Files of weights that take no room: every tensor repeats one number, and the record says what a training's would."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from custom_networks import SGDNet
from custom_networks.weights import About, Normalization
from custom_networks.weights.normalization import ISIC


def write_record(
    path: Path,
    network: nn.Module,
    normalization: Normalization | None = ISIC,
    classes: Mapping[str, str] | None = None,
    items: list[dict[str, Any]] | None = None,
    datalist: Path | None = None,
    started_from: Path | None = None,
    metrics: Mapping[str, float] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Write the record that a training writes beside weights; returns its content."""
    about = About(normalization, classes or {}, items or [], datalist, started_from=started_from)
    content = about.record(network, settings, metrics or {}).as_dict()
    path.with_suffix(".json").write_text(json.dumps(content))
    return content


def write_weights(path: Path, arguments: Mapping[str, Any] | None = None, **record: Any) -> Path:
    """Write weights of an architecture, of 0.01 each (variances of 1), and their record."""
    with torch.device("meta"):
        network = SGDNet(**(arguments or {}))
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {}
    for name, tensor in network.state_dict().items():
        value = 1.0 if name.endswith("running_var") else 0.01
        state[name] = (
            torch.full((1,), value).to(tensor.dtype).expand(tensor.shape)
            if tensor.ndim
            else tensor.new_zeros([], device="cpu")
        )
    torch.save(state, path)
    write_record(path, network, **record)
    return path
