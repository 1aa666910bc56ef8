"""Several weights as one: the mean of their probabilities, and the spread of all their views."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from export_fixtures import BUNDLE
from PIL import Image

from custom_networks.errors import UserError
from custom_networks.prediction import SGDNetPredictor
from custom_networks.prediction.ensemble import Ensemble
from custom_networks.prediction.maps import MapSource


@pytest.fixture
def weights(checkpoint: Path, tmp_path: Path) -> list[Path]:
    """Two weights whose probabilities differ."""
    state = torch.load(checkpoint, weights_only=True)
    paths = []
    for name, shift in (("one", 0.0), ("two", 0.8)):
        path = tmp_path / name / "model.pt"
        path.parent.mkdir()
        torch.save({**state, "heads.0.bias": state["heads.0.bias"] + shift}, path)
        shutil.copy(checkpoint.with_suffix(".json"), path.with_suffix(".json"))
        paths.append(path)
    return paths


@pytest.mark.parametrize("options", [{}, pytest.param({"mode": "window", "tta": "flips"}, marks=pytest.mark.slow)])
def test_probabilities_are_the_mean(weights: list[Path], pictures: Path, options: dict[str, str]) -> None:
    image = sorted(pictures.iterdir())[0]
    one, two, both = (
        SGDNetPredictor.from_bundle(BUNDLE, path, device="cpu", **options)(image) for path in (*weights, weights)
    )
    assert np.abs(one.probability - two.probability).max() > 0.05
    np.testing.assert_allclose(both.probability, (one.probability + two.probability) / 2, atol=1e-5)
    if options:
        assert both.uncertainty is not None
        assert one.uncertainty is not None
        assert both.uncertainty.mean() > one.uncertainty.mean()


class Fixed(MapSource):
    """Maps that are known: the mean and the spread of two views."""

    channels = ("probability", "uncertainty")

    def __init__(self, first: float, second: float) -> None:
        super().__init__(torch.device("cpu"))
        self.found = torch.tensor([(first + second) / 2, abs(first - second) / 2])[None, :, None, None]

    def compute(self, images: torch.Tensor) -> torch.Tensor:
        return self.found


def test_uncertainty_is_the_spread_of_all_views() -> None:
    views = (0.1, 0.3, 0.6, 0.9)
    mean, spread = Ensemble([Fixed(*views[:2]), Fixed(*views[2:])])(torch.zeros(1, 3, 1, 1)).flatten()
    assert float(mean) == pytest.approx(np.mean(views))
    assert float(spread) == pytest.approx(np.std(views))


def test_unlike_weights_are_refused(weights: list[Path], two_classes: Path) -> None:
    with pytest.raises(UserError, match=r"classes .*; give weights of one kind"):
        SGDNetPredictor.from_bundle(BUNDLE, [weights[0], two_classes], device="cpu")
    record = weights[1].with_suffix(".json")
    content = json.loads(record.read_text())
    content["settings"]["image_size"] = 128
    record.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"image_size 128, and .* 64"):
        SGDNetPredictor.from_bundle(BUNDLE, weights, device="cpu")
    content["settings"]["image_size"] = 64
    record.write_text(json.dumps({**content, "bit_depth": 12}))
    with pytest.raises(UserError, match=r"bit_depth 12, and .* None"):
        SGDNetPredictor.from_bundle(BUNDLE, weights, device="cpu")


def test_the_verb_takes_several_and_records_them(
    sgdnet: Callable[..., tuple[int, str, str]], weights: list[Path], pictures: Path, tmp_path: Path
) -> None:
    words = ("predict", pictures, "--output", tmp_path / "out", "--bundle_root", BUNDLE, "--device", "cpu")
    words = (*words, "--outputs", "probability", "--checkpoint")
    assert sgdnet(*words, ",".join(map(str, weights)))[0] == 0
    both = SGDNetPredictor.from_bundle(BUNDLE, weights, device="cpu", edge=False)
    for path in sorted(pictures.iterdir()):
        stored = np.asarray(Image.open(tmp_path / "out" / f"{path.stem}_probability.png")) / 65535
        np.testing.assert_allclose(stored, both(path).probability, atol=1e-4)
    code, _, err = sgdnet(*words, weights[0])
    assert code == 1
    assert "was predicted with checkpoint_sha256" in err
    code, _, err = sgdnet(*words, f"{weights[0]},{tmp_path / 'none.pt'}")
    assert code == 1
    assert "none.pt: no such weights" in err
