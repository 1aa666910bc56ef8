"""CUDA graphs: the same result on a GPU, and going on without where none can be recorded."""

from __future__ import annotations

import warnings

import pytest
import torch

from custom_networks import SGDNet
from custom_networks.prediction.cuda_graph import CudaGraph
from custom_networks.prediction.engine import Engine
from custom_networks.weights.normalization import ISIC


@pytest.mark.skipif(torch.cuda.is_available(), reason="here graphs can be recorded")
def test_without_a_gpu_it_warns_once_and_computes() -> None:
    doubled = CudaGraph(lambda given: 2 * given)
    with pytest.warns(UserWarning, match="no CUDA graph could be recorded"):
        assert doubled(torch.ones(2)).tolist() == [2, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert doubled(torch.ones(3)).tolist() == [2, 2, 2]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("amp", [False, True])
def test_replays_what_the_network_computes(amp: bool) -> None:
    torch.manual_seed(0)
    images = [torch.randint(0, 256, (batch, 3, 64, 64), dtype=torch.uint8) for batch in (2, 2, 1)]
    plain, replayed = (
        Engine(SGDNet(), ISIC, "cuda", amp, "flips", edge=True, cuda_graphs=graphs) for graphs in (False, True)
    )
    replayed.network.load_state_dict(plain.network.state_dict())
    for batch in images:
        assert torch.allclose(plain(batch), replayed(batch), atol=1e-5)
    assert isinstance(replayed.maps, CudaGraph)
    assert replayed.maps.recording is not None
