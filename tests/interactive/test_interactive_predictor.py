"""The predictor of interactive networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import BUNDLE
from networks import TOY
from scipy import ndimage
from torch import nn
from toy_weights import write_record

from custom_networks.errors import UserError
from custom_networks.interactive import Guidance, InteractivePredictor
from custom_networks.network.interactive import InteractiveSGDNet
from custom_networks.prediction import SGDNetPredictor
from custom_networks.weights import takes_clicks
from custom_networks.weights.normalization import ISIC


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = InteractiveSGDNet(**TOY)
    for level in network.fusion.levels:
        nn.init.normal_(level.expand.weight, std=0.05)
    path = tmp_path_factory.mktemp("interactive") / "model.pt"
    torch.save(network.state_dict(), path)
    write_record(path, network, image_size=64)
    return path


@pytest.fixture(scope="module")
def predictor(weights: Path) -> InteractivePredictor:
    return InteractivePredictor(weights, "cpu")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)


def test_answers_have_the_image_s_size_and_honour_every_mark(
    predictor: InteractivePredictor, image: np.ndarray
) -> None:
    state = predictor.embed(image)
    rng = np.random.default_rng(1)
    foreground = [(int(x), int(y)) for x, y in rng.integers(0, (120, 90), (8, 2))]
    background = [(int(x), int(y)) for x, y in rng.integers(0, (120, 90), (8, 2))]
    stroke = [(5, 80), (60, 85), (110, 70)]
    answer = predictor.answer(state, Guidance(foreground, background, foreground_scribbles=[stroke]))
    for map_ in answer:
        assert map_.shape == (90, 120)
    assert answer.probability.dtype == answer.edge.dtype == np.float32
    assert answer.mask.dtype == bool
    assert all(answer.mask[y, x] for x, y in foreground)
    assert not any(answer.mask[y, x] for x, y in background)
    assert all(answer.mask[y, x] for x, y in stroke)


def test_the_previous_mask_stays_where_no_mark_touches_it(predictor: InteractivePredictor, image: np.ndarray) -> None:
    state = predictor.embed(image)
    previous = np.zeros((90, 120), bool)
    previous[20:60, 30:80] = True
    kept = predictor.answer(state, Guidance(foreground=[(40, 30)], background=[(2, 2)], previous=previous))
    assert np.array_equal(kept.mask, previous)
    changed = predictor.answer(state, Guidance(foreground=[(40, 30), (110, 80)], previous=previous))
    assert changed.mask[80, 110]
    assert changed.mask[previous].all()


class Fixed(nn.Module):
    """Answers the same disc whatever it is asked."""

    def embed(self, image: torch.Tensor) -> torch.Tensor:
        return image

    def answer(self, image: torch.Tensor, guidance: torch.Tensor) -> torch.Tensor:
        rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
        return 20 - ((rows - 32) ** 2 + (columns - 32) ** 2).sqrt()[None, None]


@pytest.mark.parametrize("positive", [True, False])
def test_no_slit_is_left_between_the_previous_mask_and_what_a_click_adds_or_removes(positive: bool) -> None:
    predictor = InteractivePredictor.of_network(Fixed(), ISIC, 64, "cpu")
    state = predictor.embed(np.zeros((150, 150, 3), np.uint8))
    whole = predictor.answer(state).mask
    previous = whole.copy()
    if positive:
        previous[:, 74:] = False
        guidance = Guidance(foreground=[(100, 75)], previous=previous)
    else:
        previous[20:131, 100:140] = True
        guidance = Guidance(background=[(135, 75)], previous=previous)
    assert (previous != whole).sum() > 2000
    mask = predictor.answer(state, guidance).mask
    assert (mask != whole).mean() < 0.01
    assert ndimage.label(mask)[1] == 1
    assert ndimage.label(~mask)[1] == 1


def test_an_image_answers_the_same_whatever_was_asked_before(
    predictor: InteractivePredictor, image: np.ndarray
) -> None:
    state = predictor.embed(image)
    first = predictor.answer(state, Guidance(foreground=[(60, 45)]))
    predictor.answer(state, Guidance(background=[(60, 45)]))
    again = predictor.answer(state, Guidance(foreground=[(60, 45)]))
    assert np.array_equal(first.probability, again.probability)
    assert 0 < state.nbytes < 20e6


def test_marks_outside_the_image_are_told(predictor: InteractivePredictor, image: np.ndarray) -> None:
    with pytest.raises(UserError, match="outside the image of 120 x 90"):
        predictor.answer(predictor.embed(image), Guidance(foreground=[(120, 3)]))


def test_weights_say_whether_they_take_clicks(weights: Path, tmp_path: Path) -> None:
    state = {name: t for name, t in torch.load(weights, weights_only=True).items() if not name.startswith("fusion.")}
    torch.save(state, tmp_path / "automatic.pt")
    (tmp_path / "automatic.json").write_text(weights.with_suffix(".json").read_text())
    assert takes_clicks(weights)
    assert not takes_clicks(tmp_path / "automatic.pt")
    assert not takes_clicks(tmp_path / "none.pt")
    with pytest.raises(UserError, match=r"automatic\.pt.*take no clicks"):
        InteractivePredictor(tmp_path / "automatic.pt", "cpu")


def test_the_automatic_predictor_takes_interactive_weights(
    predictor: InteractivePredictor, weights: Path, image: np.ndarray
) -> None:
    automatic = SGDNetPredictor.from_bundle(BUNDLE, weights, device="cpu")(image)
    interactive = predictor.answer(predictor.embed(image))
    np.testing.assert_allclose(automatic.probability, interactive.probability, atol=1e-5)
    np.testing.assert_allclose(automatic.edge, interactive.edge, atol=1e-5)
