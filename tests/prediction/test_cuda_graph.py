"""CUDA graphs: the same result on a GPU, one graph a shape, and going on without where none holds."""

from __future__ import annotations

import gc
import warnings
import weakref
from collections.abc import Callable

import pytest
import torch
from networks import toy_network
from torch import Tensor

from custom_networks.prediction.cuda_graph import MOST, CudaGraph, record
from custom_networks.prediction.engine import EngineJob, TorchEngine
from custom_networks.prediction.maps import NetworkMaps
from custom_networks.prediction.predictor import SGDNetPredictor
from custom_networks.weights.normalization import ISIC

Function = Callable[[Tensor], Tensor]


@pytest.mark.skipif(torch.cuda.is_available(), reason="here graphs can be recorded")
def test_without_a_gpu_it_warns_once_and_computes() -> None:
    doubled = CudaGraph(lambda given: 2 * given)
    with pytest.warns(UserWarning, match="no CUDA graph could be recorded"):
        assert doubled(torch.ones(2)).tolist() == [2, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert doubled(torch.ones(3)).tolist() == [2, 2, 2]


def test_on_a_cpu_nothing_is_recorded() -> None:
    job = EngineJob(toy_network().eval(), torch.device("cpu"), edge=True)
    engine = TorchEngine(job)
    for asked in (False, True):
        assert not isinstance(NetworkMaps(engine, job, ISIC, cuda_graphs=asked).maps, CudaGraph)


def test_graphs_asked_for_on_a_cpu_are_told(caplog: pytest.LogCaptureFixture) -> None:
    SGDNetPredictor(toy_network().eval(), ISIC, device="cpu")
    assert caplog.text == ""
    SGDNetPredictor(toy_network().eval(), ISIC, device="cpu", cuda_graphs=True)
    assert "--cuda_graphs: cpu has none" in caplog.text


def test_each_shape_is_recorded_once_and_only_so_many() -> None:
    shapes: list[tuple[int, ...]] = []

    def recorded(function: Function, given: Tensor) -> Function:
        shapes.append(tuple(given.shape))
        return function

    doubled = CudaGraph(lambda given: 2 * given, recorded)
    for size in (2, 1, 2, *range(3, 3 + MOST), 1):
        assert torch.equal(doubled(torch.ones(size, 3)), torch.full((size, 3), 2.0))
    assert shapes == [(2, 3), (1, 3), (3, 3), (4, 3)]


def test_a_graph_that_replays_the_first_batch_is_not_used() -> None:
    """As one does that was captured on another device than its images lie on."""

    def stuck(function: Function, given: Tensor) -> Function:
        first = function(given)
        return lambda _: first.clone()

    doubled = CudaGraph(lambda given: 2 * given, stuck)
    with pytest.warns(UserWarning, match=r"a replay differs from the network by .*; going on without"):
        assert doubled(torch.tensor([1.0, 2.0])).tolist() == [2, 4]
    assert doubled(torch.tensor([3.0, 5.0])).tolist() == [6, 10]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("device", range(max(1, torch.cuda.device_count())))
def test_replays_what_the_network_computes(amp: bool, device: int) -> None:
    torch.manual_seed(0)
    images = [torch.randint(0, 256, (batch, 3, 64, 64), dtype=torch.uint8) for batch in (2, 2, 1, 1)]
    job = EngineJob(toy_network().eval(), torch.device("cuda", device), amp, edge=True)
    engine = TorchEngine(job)
    plain, replayed = (NetworkMaps(engine, job, ISIC, "flips", cuda_graphs=graphs) for graphs in (False, True))
    for batch in images:
        assert torch.allclose(plain(batch), replayed(batch), atol=1e-5)
    assert isinstance(replayed.maps, CudaGraph)
    assert len(replayed.maps.replays) == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_under_way_do_not_mix() -> None:
    """Copies overlap with computing: each batch keeps its own maps."""
    torch.manual_seed(0)
    job = EngineJob(toy_network().eval(), torch.device("cuda"), edge=True)
    maps = NetworkMaps(TorchEngine(job), job, ISIC)
    batches = [torch.randint(0, 256, (4, 3, 128, 128), dtype=torch.uint8) for _ in range(6)]
    alone = [maps(batch).clone() for batch in batches]
    started = [maps.start(batch) for batch in batches]
    for one, expected in zip(started, alone, strict=True):
        assert torch.allclose(one.get(), expected, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_recording_keeps_what_it_reads() -> None:
    network = torch.nn.Linear(3, 1000, device="cuda").eval()
    given = torch.randn(2, 3, device="cuda")
    with torch.no_grad():
        expected = network(given)
        replay = record(network, torch.zeros(2, 3, device="cuda"))
    kept = weakref.ref(network)
    del network
    gc.collect()
    assert kept() is not None
    assert torch.allclose(replay(given), expected)
