"""A predictor of small weights, made once in a session, and predictions made by hand."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_fixtures import BUNDLE
from numpy.typing import NDArray

from custom_networks.prediction import Prediction, SGDNetPredictor
from custom_networks.prediction.reading import Picture
from custom_networks.prediction.views import VIEWS


@pytest.fixture(scope="session")
def predictor(checkpoint: Path) -> SGDNetPredictor:
    """Of 64 x 64 pixels, with the edge map."""
    return SGDNetPredictor.from_bundle(BUNDLE, checkpoint, device="cpu")


def variant(predictor: SGDNetPredictor, **options: Any) -> SGDNetPredictor:
    """The same weights with other options."""
    other = copy.copy(predictor)
    other.options = replace(predictor.options, **options)
    other.engine = copy.copy(predictor.engine)
    other.engine.views = VIEWS[other.options.tta]
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
    return Prediction(Picture(pixels, spacing), mask, probability, edge, spread, 0.85, False)
