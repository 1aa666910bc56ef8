"""Small parts of an evaluation: resizing, cases, signed distances, classes of instances."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import BUNDLE
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from custom_networks.errors import UserError
from custom_networks.evaluation.instances import majority_class, tune_watershed
from custom_networks.evaluation.maps import at_size
from custom_networks.evaluation.pictures import choose_cases, resize_mask, small_size
from custom_networks.metrics import WatershedParameters
from custom_networks.metrics.watershed import watershed_parameters

MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 30), st.integers(1, 30))
def test_resizing_keeps_constants_and_bounds(h: int, w: int, height: int, width: int) -> None:
    assert at_size(torch.full((1, h, w), 0.25), (height, width)).sub(0.25).abs().max() < 1e-6
    noise = torch.rand(1, h, w)
    resized = at_size(noise, (height, width))
    assert resized.shape == (1, height, width)
    assert noise.min() - 1e-6 <= resized.min()
    assert resized.max() <= noise.max() + 1e-6


@given(MASKS)
def test_a_mask_keeps_its_own_size(mask: np.ndarray) -> None:
    shape = (int(mask.shape[0]), int(mask.shape[1]))
    assert small_size(shape) == shape
    np.testing.assert_array_equal(resize_mask(mask, shape), mask)


def test_cases_are_failures_and_ranks() -> None:
    dice = [0.9, 0.0, 0.8, 0.3, 0.7, 0.95, np.nan]
    frame = pd.DataFrame({"dice": dice, "missed": [0, 1, 0, 0, 0, 0, 0], "false_alarm": [0] * 7})
    frame["both_empty"] = 0
    assert choose_cases(frame, 1, "dice") == {1: ["missed", "worst"], 4: ["median"], 5: ["best"]}
    assert choose_cases(frame, 0, "dice") == {}
    frame.loc[5, "both_empty"] = 1
    assert choose_cases(frame, 1, "dice")[0] == ["best"], "a blank image is no best case"
    frame["both_empty"] = 0
    every = choose_cases(frame, 9, "dice")
    assert set(every) == {0, 1, 2, 3, 4, 5}
    assert next(iter(every)) == 1


def test_an_instance_has_the_class_of_most_of_its_pixels() -> None:
    labels = np.array([[1, 1, 1, 0], [2, 2, 0, 3]])
    classes = np.array([[2, 2, 1, 1], [1, 1, 2, 3]])
    assert majority_class(labels, classes)[1:].tolist() == [2, 1, 3]


def test_the_configuration_shows_the_parameters_of_the_watershed() -> None:
    config = json.loads((BUNDLE / "configs" / "evaluate.json").read_text())
    assert config["watershed"] == WatershedParameters().as_dict()


def test_watershed_parameters_are_checked(tmp_path: Path) -> None:
    assert watershed_parameters({"edge_weight": 0.3}) == WatershedParameters(edge_weight=0.3)
    with pytest.raises(UserError, match="no parameter 'edge_wait'; did you mean 'edge_weight'"):
        watershed_parameters({"edge_wait": 1})
    with pytest.raises(UserError, match="must be from 0 to 1"):
        watershed_parameters({"edge_weight": 2})
    with pytest.raises(UserError, match=r"no\.json: no such file; give the watershed\.json of a tuning"):
        watershed_parameters(str(tmp_path / "no.json"))
    with pytest.raises(UserError, match="tuned on the validation split alone"):
        tune_watershed([], WatershedParameters(), "test")
