"""The network's form on a CPU follows what the processor can do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from networks import toy_network

from custom_networks import SGDNet
from custom_networks.prediction.engine import EngineJob, TorchEngine
from custom_networks.prediction.maps import NetworkMaps
from custom_networks.processor import bfloat16_pays
from custom_networks.weights.normalization import ISIC


def maps_of(network: SGDNet, device: str = "cpu", amp: bool = False, **more: Any) -> NetworkMaps:
    job = EngineJob(network, torch.device(device), amp, edge=True)
    return NetworkMaps(TorchEngine(job), job, ISIC, **more)


@pytest.mark.parametrize("onednn", [True, False])
def test_amp_is_bfloat16_where_that_pays_and_float32_elsewhere(onednn: bool) -> None:
    torch.manual_seed(0)
    network, images = toy_network().eval(), torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.backends.mkldnn.flags(enabled=onednn):
        rounded, exact = (maps_of(network, amp=amp) for amp in (True, False))
        assert isinstance(rounded.engine, TorchEngine)
        dtypes = {weight.dtype for weight in rounded.engine.network.parameters()}
        assert dtypes == {torch.bfloat16 if bfloat16_pays() else torch.float32}, "cast once, not at each step"
        maps, expected = rounded(images), exact(images)
    assert maps.dtype == torch.float32
    assert (maps - expected).abs().max() <= (0.05 if torch.bfloat16 in dtypes else 0)
