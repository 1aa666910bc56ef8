"""The network's form on a CPU follows what the processor can do."""

from __future__ import annotations

import pytest
import torch
from networks import toy_network

from custom_networks.prediction.engine import Engine
from custom_networks.processor import bfloat16_pays
from custom_networks.weights.normalization import ISIC


@pytest.mark.parametrize("onednn", [True, False])
def test_amp_is_bfloat16_where_that_pays_and_float32_elsewhere(onednn: bool) -> None:
    torch.manual_seed(0)
    network, images = toy_network(), torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.backends.mkldnn.flags(enabled=onednn):
        engine, exact = (Engine(network, ISIC, "cpu", amp, edge=True) for amp in (True, False))
        assert engine.dtype == (torch.bfloat16 if bfloat16_pays() else torch.float32)
        maps, expected = engine(images), exact(images)
    assert maps.dtype == torch.float32
    assert (maps - expected).abs().max() <= (0 if engine.dtype == torch.float32 else 0.05)
