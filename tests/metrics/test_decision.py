"""From probabilities to masks: by hand, and everywhere alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from prediction_fixtures import BUNDLE

from custom_networks.export.verify import class_map
from custom_networks.metrics.decision import class_probabilities, decide, foreground
from custom_networks.prediction.choice import masks_of
from custom_networks.prediction.options import Options
from custom_networks.prediction.reading import ReadImage
from custom_networks.prediction.result import prediction_of
from custom_networks.prediction.slides import _conclude

TENTHS = st.integers(0, 10).map(lambda tenths: np.float32(tenths / 10))


def test_numbers_by_hand() -> None:
    probability = torch.tensor([[0.6, 0.5, 0.2, 0.1], [0.4, 0.2, 0.5, 0.4], [0.0, 0.3, 0.3, 0.5]])[:, None]
    assert decide(probability, 0.5).tolist() == [[[0, 2, 1, 2]]]
    assert decide(probability, 0.3).tolist() == [[[1, 2, 1, 2]]]
    assert decide(probability[:1], 0.5).tolist() == [[[1, 1, 0, 0]]]
    assert decide(probability, 0.5).dtype == torch.uint8
    equal = torch.tensor([0.2, 0.4, 0.4])[:, None, None]
    assert decide(equal, 0.5).item() == 1, "the first of equal ones"


def test_foreground_of_classes_is_all_but_the_background() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0])[None, :, None, None].bfloat16()
    expected = 1 - torch.softmax(torch.tensor([0.0, 1, 2]), 0)[0]
    assert foreground(class_probabilities(logits)).item() == pytest.approx(expected.item())
    assert foreground(class_probabilities(logits[:, 2:])).item() == pytest.approx(1 / (1 + np.exp(-2)))


@given(arrays(np.float32, st.tuples(*[st.integers(1, 4)] * 3), elements=TENTHS), st.integers(1, 9))
def test_every_reader_of_probabilities_decides_alike(values: np.ndarray, tenths: int) -> None:
    """Export, the choice of an engine, prediction of images and of slides; with ties, and pixels at the threshold."""
    limit = tenths / 10
    probabilities = torch.from_numpy(values)
    several = len(values) > 1
    names = ["probability", *(f"class_{number}" for number in range(1, len(values)))]
    maps = torch.cat([foreground(probabilities[None]), probabilities[1:]])
    expected = decide(probabilities, limit)[0].numpy()
    assert np.array_equal(class_map(values, limit)[0], expected)
    assert np.array_equal(masks_of(maps[None], names, limit)[0], expected)
    assert np.array_equal(_conclude(maps, names, limit)[0].T, expected)
    image = ReadImage(np.zeros((*expected.T.shape, 3), np.uint8))
    found = prediction_of(image, dict(zip(names, maps, strict=True)), Options(threshold=limit))
    assert np.array_equal(found.mask.T, expected > 0)
    assert found.classes is None if not several else np.array_equal(found.classes.T, expected)


def test_the_bundle_decides_so_too() -> None:
    for name in ("inference", "inference_interactive"):
        text = (BUNDLE / "configs" / f"{name}.json").read_text()
        assert "custom_networks.metrics.decide" in text
