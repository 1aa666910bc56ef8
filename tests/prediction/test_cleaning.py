"""Masks are cleaned where that is asked for, and what is made of them follows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from export_fixtures import BUNDLE
from PIL import Image
from prediction_fixtures import disc, drawn

from custom_networks.errors import UserError
from custom_networks.metrics.watershed import WatershedParameters
from custom_networks.prediction import Options, SGDNetPredictor
from custom_networks.prediction.objects import clean
from custom_networks.prediction.result import instances

SHAPE = (60, 70)
RING = disc(SHAPE, (20, 20), 15) & ~disc(SHAPE, (20, 20), 5)
SMALL = disc(SHAPE, (50, 60), 3)
DIAGONAL = np.zeros(SHAPE, bool)
DIAGONAL[45, 10], DIAGONAL[46, 11] = True, True


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((False, 0, False), RING | SMALL | DIAGONAL),
        ((True, 0, False), disc(SHAPE, (20, 20), 15) | SMALL | DIAGONAL),
        ((False, 2, False), RING | SMALL),
        ((False, int(SMALL.sum()), False), RING | SMALL),
        ((False, int(SMALL.sum()) + 1, False), RING),
        ((False, 0, True), RING),
        ((True, 5000, True), np.zeros(SHAPE, bool)),
    ],
)
def test_each_does_what_it_says(options: tuple[bool, int, bool], expected: np.ndarray) -> None:
    np.testing.assert_array_equal(clean(RING | SMALL | DIAGONAL, *options), expected)


def test_an_empty_mask_stays_empty() -> None:
    assert not clean(np.zeros(SHAPE, bool), True, 3, True).any()


def test_instances_follow_the_mask() -> None:
    prediction = drawn(RING | SMALL)
    parameters = WatershedParameters(min_area=1)
    assert ((instances(prediction, parameters) > 0) == (RING | SMALL)).all()
    prediction.mask[:] = clean(RING | SMALL, True, 100, False)
    found = instances(prediction, parameters) > 0
    assert not found[SMALL].any()
    assert found[20, 20]


@pytest.mark.parametrize("options", [{"min_area": -1}, {"min_area": 1.5}, {"fill_holes": "yes"}, {"keep_largest": 1}])
def test_values_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(UserError, match=f"--{next(iter(options))}"):
        Options(**options)  # type: ignore[arg-type]


def test_the_verb_cleans_and_records_it(
    sgdnet: Callable[..., tuple[int, str, str]], checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    words = ("predict", pictures, "--output", tmp_path / "out", "--checkpoint", checkpoint, "--bundle_root", BUNDLE)
    words = (*words, "--device", "cpu")
    cleaning = ("--fill_holes", "true", "--min_area", 40, "--keep_largest", "true")
    assert sgdnet(*words, *cleaning)[0] == 0
    predictor = SGDNetPredictor.from_bundle(BUNDLE, checkpoint, device="cpu", edge=False)
    changed = 0
    for path in sorted(pictures.iterdir()):
        raw = predictor(path).mask
        mask = np.asarray(Image.open(tmp_path / "out" / f"{path.stem}.png")) > 0
        np.testing.assert_array_equal(mask, clean(raw, True, 40, True))
        changed += (mask != raw).any()
    assert changed
    code, _, err = sgdnet(*words)
    assert code == 1
    assert "fill_holes True (now False)" in err
