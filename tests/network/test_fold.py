"""Folded layers give what the layers gave."""

import oracles
import pytest
import torch
from torch import nn

from custom_networks.network.optimized import batch_norm_pairs, merge_pointwise
from custom_networks.network.res2net import Bottle2neck
from custom_networks.network.sgdnet import SGDNet
from custom_networks.network.sge import Refiner


@pytest.mark.parametrize("module", [Bottle2neck(16, 16, 2, first=True), Bottle2neck(64, 16), Refiner(8)])
def test_every_norm_follows_a_listed_convolution(module):
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    pairs = batch_norm_pairs(module)
    assert len(pairs) == len(norms)
    for conv_parent, conv, norm_parent, norm in pairs:
        assert conv_parent._modules[conv].out_channels == norm_parent._modules[norm].num_features


def test_every_norm_of_the_network_is_listed_once():
    with torch.device("meta"):
        network = SGDNet()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    folded = [norm_parent._modules[norm] for _, _, norm_parent, norm in batch_norm_pairs(network)]
    assert {id(m) for m in norms} == {id(m) for m in folded}
    assert len(norms) == len(folded)


def test_merged_pointwise_convolutions():
    torch.manual_seed(0)
    first, second = (oracles.shake(nn.Conv2d(*c, 1).double(), i) for i, c in enumerate([(5, 7), (7, 3)]))
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    merged = merge_pointwise(first, second).double()
    torch.testing.assert_close(merged(x), second(first(x)), rtol=1e-6, atol=1e-6)
