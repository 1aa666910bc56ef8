"""A training recorded as a CUDA graph: the same as without one; on a CPU nothing is recorded."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from networks import toy_network
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from custom_networks.errors import UserError
from custom_networks.interactive.training import SimulatedUser
from custom_networks.losses.sgd_loss import SGDNetLoss
from custom_networks.network.sgdnet import SGDNet
from custom_networks.training.graphed import TrainingInferer, record_training


def test_a_cpu_records_nothing() -> None:
    inferer = TrainingInferer(False, "cpu", cuda_graph=True)
    assert inferer(torch.ones(1, 2), lambda image: 2 * image).tolist() == [[2, 2]]
    assert inferer.recorded is None


def test_what_cannot_be_recorded_is_refused() -> None:
    with pytest.raises(UserError, match="cannot be combined with --checkpointing true"):
        record_training(SimpleNamespace(checkpointing=True), torch.ones(1))
    with pytest.raises(UserError, match="a training by several processes cannot be recorded"):
        record_training(DistributedDataParallel.__new__(DistributedDataParallel), torch.ones(1))
    with pytest.raises(UserError, match="an interactive training cannot be recorded"):
        SimulatedUser(False, "cpu", cuda_graph="true")


def train(network: SGDNet, inferer: TrainingInferer, batches: list[Tensor]) -> list[float]:
    optimizer = torch.optim.SGD(network.parameters(), 1e-3)
    losses = []
    for image in batches:
        optimizer.zero_grad()
        loss = SGDNetLoss()(inferer(image, network), (image[:, :1] > 0).float())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("amp", [False, True])
def test_a_recorded_training_is_the_same(amp: bool) -> None:
    """Dropout and the statistics of batch normalisation included; a smaller batch is computed without the graph."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    batches = [torch.randn(count, 3, 64, 64, device="cuda") for count in (4, 4, 2, 4, 4)]
    start = toy_network(dropout=0.0).state_dict()
    losses, networks = [], []
    for graph in (False, True):
        network = toy_network(dropout=0.0).cuda().train()
        network.load_state_dict(start)
        losses.append(train(network, TrainingInferer(amp, "cuda", graph), batches))
        networks.append(network)
    assert losses[1] == pytest.approx(losses[0], rel=5e-3 if amp else 1e-4)
    for (name, plain), recorded in zip(networks[0].named_buffers(), networks[1].buffers(), strict=True):
        torch.testing.assert_close(recorded, plain, rtol=5e-2, atol=5e-2, msg=name)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_recording_changes_neither_statistics_nor_random_state() -> None:
    network = toy_network().cuda().train()
    before = [buffer.clone() for buffer in network.buffers()]
    batch = torch.randn(2, 3, 64, 64, device="cuda")
    torch.cuda.manual_seed(3)
    expected = torch.rand(2, device="cuda")
    torch.cuda.manual_seed(3)
    record_training(network, batch)
    assert torch.equal(torch.rand(2, device="cuda"), expected)
    for buffer, value in zip(network.buffers(), before, strict=True):
        assert torch.equal(buffer, value)
