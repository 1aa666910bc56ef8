"""The networks that are compared are what they are said to be."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2]))  # benchmarks/ is not installed

import oracles

from benchmarks import literal, networks
from benchmarks.macs import count_macs, count_parameters
from custom_networks.baselines.cto import CTO
from custom_networks.operators.dynamic_convolution import dynamic_convolution


@pytest.fixture(scope="module")
def sgdnet():
    return networks.sgdnet()


@pytest.fixture(scope="module")
def literal_network(sgdnet):
    return literal.literal(sgdnet)


@pytest.fixture(scope="module")
def cto():
    torch.manual_seed(0)
    return CTO(dropout=0.0)


@pytest.mark.parametrize("shape", [(2, 8, 9, 5), (1, 4, 16, 16)])
def test_unfold_is_the_dynamic_convolution(shape):
    torch.manual_seed(0)
    x, logits = torch.randn(shape), torch.randn(shape[0], 2 * 49, *shape[2:])
    result = literal.unfold(x, logits, 2, 7)
    oracles.close(result, oracles.dynamic_convolution(x, logits, 2, 7))
    oracles.close(dynamic_convolution(x, logits, 2, 7), result)


def test_literal_network_equals_ours(sgdnet, literal_network, monkeypatch):
    calls = []

    def unfold(*arguments, original=literal.unfold):
        calls.append(arguments[0].shape[1])
        return original(*arguments)

    monkeypatch.setattr(literal, "unfold", unfold)
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = sgdnet(image)
        assert not calls
        difference = (literal_network(image) - ours).abs().max()
    assert calls == [256, 512, 1024]
    assert difference <= 1e-5
    assert ours.std() > 0.01


@pytest.mark.slow
def test_literal_network_has_dense_edges_and_counts_more(sgdnet, literal_network):
    kernels = [b for name, b in literal_network.named_buffers() if name.endswith(("horizontal", "vertical"))]
    assert [tuple(kernel.shape) for kernel in kernels] == [(256, 256, 3, 3)] * 4
    assert count_parameters(literal_network) == count_parameters(sgdnet) == 74_005_848
    assert count_macs(literal_network, 256) / 1e9 == pytest.approx(36.23, rel=0.005)
    assert count_macs(sgdnet, 256) < 0.8 * count_macs(literal_network, 256)
    assert next(sgdnet.parameters()).device.type == "cpu"


def test_macs_count_the_taps():
    """One product, and the dynamic convolution by formula."""
    from custom_networks.network.sgdc import SGDC

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.sgdc = SGDC(4, 0, heads=2, kernel_size=3, local_branch=False)

        def forward(self, image):
            return self.sgdc(image.repeat(1, 2, 1, 1)[:, :4], image)

    pixels, parameterize, taps, feed_forward = 8 * 8, 4 * (4 + 2 * 9), 4 * 9, 2 * 4 * 16
    assert count_macs(Block(), 8) == pixels * (parameterize + taps + feed_forward)


@pytest.mark.slow
def test_cto_counts(cto):
    assert sum(p.numel() for p in cto.parameters() if p.requires_grad) == 59_773_653
    assert count_macs(cto, 256) / 1e9 == pytest.approx(22.72, rel=0.005)


@pytest.mark.slow
def test_cto_modes(cto):
    image = torch.randn(2, 3, 64, 70)
    maps = cto.train()(image)
    assert [tuple(one.shape) for one in maps] == [(2, 1, 64, 70)] * 4
    sum(one.mean() for one in maps[:3]).backward()
    assert all(p.grad is not None for p in cto.parameters())
    with torch.no_grad():
        assert cto.eval()(image).shape == (2, 1, 64, 70)
