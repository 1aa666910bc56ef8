"""A predictor of small weights, made once in a session, and predictions made by hand."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from export_fixtures import BUNDLE
from networks import toy_network
from numpy.typing import NDArray
from toy_weights import write_record

from custom_networks.configuration.inference import load_source
from custom_networks.export.images import listed_images
from custom_networks.prediction import Prediction, SGDNetPredictor
from custom_networks.prediction.geometry import VIEWS
from custom_networks.prediction.reading import ReadImage


@pytest.fixture(scope="session")
def predictor(checkpoint: Path) -> SGDNetPredictor:
    """Of 64 x 64 pixels, with the edge map."""
    return SGDNetPredictor.from_bundle(BUNDLE, checkpoint, device="cpu")


@pytest.fixture(scope="session")
def two_classes(checkpoint: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that tell two classes of the same foreground apart, half of it each, with their names beside them."""
    path = tmp_path_factory.mktemp("classes") / "model.pt"
    source = load_source(BUNDLE, checkpoint, None)
    head = source.network.heads[0]
    weight, bias = head.weight.data.clone(), head.bias.data.clone()
    apart = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    head.weight.data, head.bias.data = apart.clone(), 0 * bias
    batch = torch.stack([torch.from_numpy(source.prepare(name)) for name in listed_images(pictures)])
    with torch.no_grad():
        difference = source.network(batch)
    apart, middle = apart / difference.std(), (difference.median() / difference.std())[None]
    state = torch.load(checkpoint, weights_only=True)
    state["heads.0.weight"] = torch.cat([0 * weight, weight + apart, weight - apart])
    state["heads.0.bias"] = torch.cat([0 * bias, bias - middle, bias + middle]) - torch.tensor([0, 0.7, 0.7])
    for name in ("heads.1", "heads.2"):  # not used in prediction
        for part in ("weight", "bias"):
            state[f"{name}.{part}"] = state[f"{name}.{part}"].repeat(3, *[1] * (state[f"{name}.{part}"].ndim - 1))
    torch.save(state, path)
    with torch.device("meta"):
        network = toy_network(out_channels=3)
    write_record(path, network, classes={"1": "round", "2": "long"}, image_size=source.image_size)
    return path


def variant(predictor: SGDNetPredictor, **options: Any) -> SGDNetPredictor:
    """The same weights with other options."""
    other = copy.copy(predictor)
    other.options = replace(predictor.options, **options)
    other._maps = copy.copy(predictor.maps)
    other._maps.views = VIEWS[other.options.tta]
    return other


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    """Mask of the pixels whose centres lie in a disc."""
    rows, columns = np.indices(shape)
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def drawn(mask: NDArray[np.bool_], spacing: tuple[float, float] | None = None) -> Prediction:
    """A prediction with this mask, as if the network had been fairly sure."""
    pixels = np.where(mask[..., None], np.uint8(90), np.uint8(200)).repeat(3, axis=2)
    probability = np.where(mask, np.float32(0.9), np.float32(0.1))
    edge = np.zeros(mask.shape, np.float32)
    spread = np.full(mask.shape, 0.25, np.float32)
    return Prediction(ReadImage(pixels, spacing), mask, probability, edge, spread, 0.85, False)
