"""The registry of refinements, and what Table 4 puts in SGDC's place."""

import oracles
import pytest
import torch

from custom_networks.network import refinements
from custom_networks.network.refinements import NoRefinement, PooledDynamicConvolution
from custom_networks.network.sgdnet import SGDNet
from custom_networks.operators.dynamic_convolution import DynamicConvolution


@pytest.mark.parametrize("size", [(7, 7), (16, 10), (4, 5)])
def test_pooled_dynamic_convolution(size):
    torch.manual_seed(0)
    x, guidance = torch.randn(2, 16, *size), torch.randn(2, 3, 8, 8)
    oracles.compare(PooledDynamicConvolution(16, 3), oracles.pooled_dynamic_convolution, x, guidance)


def test_no_refinement():
    x = torch.randn(1, 2, 3, 3)
    assert NoRefinement()(x, torch.zeros(0)) is x


@pytest.mark.parametrize("name", ["sgdc", "contmix"])
def test_backend_reaches_the_operator_of_each_refinement(name):
    with torch.device("meta"):
        network = SGDNet(refinement=name, backend="streaming")
    operators = [module for module in network.modules() if isinstance(module, DynamicConvolution)]
    assert [operator.backend for operator in operators] == ["streaming"] * 3


def test_a_new_refinement_is_one_line(monkeypatch):
    class Doubling(NoRefinement):
        def forward(self, x, guidance):
            return 2 * x

    monkeypatch.setitem(refinements.REFINEMENTS, "double", lambda channels, options: Doubling())
    with torch.device("meta"):
        network = SGDNet(refinement="double").eval()
        assert [type(refine) for refine in network.refine] == [Doubling] * 3
        assert network(torch.empty(1, 3, 64, 64)).shape == (1, 1, 64, 64)
