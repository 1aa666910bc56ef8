"""The interactive network: it starts as the automatic one, and its two halves are the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from networks import TOY, toy_network
from torch import Tensor, nn

from custom_networks.errors import UserError
from custom_networks.network.interactive import GUIDANCE_MAPS, InteractiveSGDNet
from custom_networks.network.sgdnet import SGDNet
from custom_networks.weights import interactive_network


@pytest.fixture(scope="module")
def automatic() -> SGDNet:
    """An automatic network with statistics of random images."""
    torch.manual_seed(0)
    network = toy_network()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.rand(2, 3, 64, 64))
    return network.eval()


@pytest.fixture(scope="module")
def weights(automatic: SGDNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("automatic") / "model.pt"
    torch.save(automatic.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def started(weights: Path) -> InteractiveSGDNet:
    """The interactive network as it starts from these weights."""
    torch.manual_seed(1)
    return interactive_network(weights, **TOY).eval()


@pytest.fixture(scope="module")
def trained(weights: Path) -> InteractiveSGDNet:
    """The same with fusions that say something."""
    network = interactive_network(weights, **TOY).eval()
    for level in network.fusion.levels:
        nn.init.normal_(level.expand.weight)
    return network


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(2, 3, 70, 96, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def marks() -> Tensor:
    maps = torch.zeros(2, GUIDANCE_MAPS, 70, 96)
    maps[0, 0, 20:27, 30:37] = 1
    maps[1, 1, 40:47, 60:67] = 1
    return maps


@torch.no_grad()
def test_the_first_output_is_the_automatic_one_exactly(
    automatic: SGDNet, started: InteractiveSGDNet, image: Tensor, marks: Tensor
) -> None:
    expected = automatic(image)
    assert torch.equal(started(image), expected)
    assert torch.equal(started(torch.cat([image, marks], 1)), expected)
    for ours, theirs in zip(started.maps(image), automatic.maps(image), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one, other)


@torch.no_grad()
def test_embedding_and_answer_are_the_whole_network(trained: InteractiveSGDNet, image: Tensor, marks: Tensor) -> None:
    embedding = trained.embed(image)
    whole = trained(torch.cat([image, marks], 1))
    assert torch.equal(trained.answer(embedding, marks), whole)
    assert whole.shape == (2, 1, 70, 96)
    assert (whole - trained.answer(embedding, torch.zeros_like(marks))).abs().amax() > 1e-3


@torch.no_grad()
def test_training_gives_what_the_loss_takes(trained: InteractiveSGDNet, image: Tensor, marks: Tensor) -> None:
    x = torch.cat([image, marks], 1)
    torch.manual_seed(0)
    trained.train()
    try:
        maps = trained.answer(trained.embed(image), marks)
        whole = trained(x)
    finally:
        trained.eval()
    assert [m.shape for m in maps] == [(2, 1, 70, 96)] * 4
    assert len(whole) == 4


def test_parts_that_are_not_trained_stay_as_they_are(weights: Path, automatic: SGDNet) -> None:
    network = interactive_network(weights, **TOY).train()
    x = torch.rand(2, 3 + GUIDANCE_MAPS, 64, 64)
    loss = sum(m.square().mean() for m in network(x))
    loss.backward()
    for name, parameter in network.named_parameters():
        if name.split(".")[0] in ("encoder", "stitch_vit", "dual_attention", "reduce", "sge"):
            assert parameter.grad is None, name
        elif name.split(".")[0] in ("refine", "decoder", "heads") or ".expand." in name:
            assert parameter.grad is not None, name
    before, after = automatic.encoder.state_dict(), network.encoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_every_part_can_be_trained(weights: Path) -> None:
    network = interactive_network(weights, train_embedding=True, **TOY).train()
    for level in network.fusion.levels:
        nn.init.normal_(level.expand.weight)
    sum(m.square().mean() for m in network(torch.rand(2, 3 + GUIDANCE_MAPS, 64, 64))).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


@torch.no_grad()
def test_the_optimised_form_answers_the_same(trained: InteractiveSGDNet, image: Tensor, marks: Tensor) -> None:
    fast = trained.optimize_for_inference().network
    expected = trained.answer(trained.embed(image), marks)
    found = fast.answer(fast.embed(image), marks)
    assert (found - expected).abs().amax() <= 1e-4 * expected.abs().amax()


def test_weights_of_another_network_are_refused(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    state["heads.0.wait"] = state.pop("heads.0.weight")
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"other\.pt.*1 missing \(heads\.0\.weight\).*1 unexpected"):
        interactive_network(tmp_path / "other.pt", **TOY)
