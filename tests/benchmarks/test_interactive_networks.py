"""What the interactive network is compared with works, and obeys the same rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.interactive_networks import EarlyGuidance, RandomWalker, early_basic_unet, early_sgdnet
from benchmarks.networks import sgdnet
from custom_networks.interactive import Guidance, InteractivePredictor
from custom_networks.network.interactive import GUIDANCE_MAPS
from custom_networks.weights.normalization import ISIC


@pytest.mark.slow
@torch.no_grad()
def test_early_fusion_starts_as_the_automatic_network(tmp_path: Path) -> None:
    automatic = sgdnet()
    torch.save(automatic.state_dict(), tmp_path / "model.pt")
    early = early_sgdnet(tmp_path / "model.pt").eval()
    image = torch.rand(1, 3, 64, 64)
    expected = automatic(image)
    found = early.answer(early.embed(image), torch.ones(1, GUIDANCE_MAPS, 64, 64))
    assert (found - expected).abs().amax() <= 1e-4 * expected.abs().amax()


def test_early_guidance_has_a_predictor() -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    for network in (EarlyGuidance(nn.Conv2d(7, 1, 3, padding=1)), early_basic_unet()):
        predictor = InteractivePredictor.of_network(network, ISIC, 64, "cpu")
        answer = predictor.answer(predictor.embed(image), Guidance(foreground=[(7, 9)]))
        assert answer.mask[9, 7]
        assert not answer.edge.any()


def test_the_random_walker_finds_a_disc_from_one_click() -> None:
    rows, columns = np.indices((100, 140))
    disc = (rows - 50) ** 2 + (columns - 70) ** 2 <= 30**2
    image = np.where(disc[..., None], np.uint8(60), np.uint8(200)).repeat(3, axis=2)
    walker = RandomWalker(64)
    state = walker.embed(image)
    assert not walker.answer(state).mask.any()
    mask = walker.answer(state, Guidance(foreground=[(70, 50)])).mask
    assert (mask & disc).sum() > 0.95 * (mask | disc).sum()
    corrected = walker.answer(state, Guidance(foreground=[(70, 50)], background=[(71, 50)])).mask
    assert corrected[50, 70]
    assert not corrected[50, 71]
