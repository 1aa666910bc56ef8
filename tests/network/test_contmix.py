"""ContMix as published, against its sentence-by-sentence form."""

import oracles
import pytest
import torch

from custom_networks.network.contmix import ContMix, ContMixRefinement, RelativeBias
from custom_networks.operators.neighbourhood import neighbourhood_sum, window_positions


@pytest.mark.parametrize("size", [(7, 8), (3, 8), (4, 2)])
def test_contmix_refinement(size):
    torch.manual_seed(0)
    x, guidance = torch.randn(1, 16, *size), torch.randn(1, 3, 6, 5)
    oracles.compare(ContMixRefinement(16, 3), oracles.contmix_refinement, x, guidance)


def test_windows_stay_inside_the_map():
    assert window_positions(5, 3).tolist() == [[0, 1, 2], [0, 1, 2], [1, 2, 3], [2, 3, 4], [2, 3, 4]]


@pytest.mark.parametrize(("size", "kernel_size"), [((5, 6), 3), ((7, 5), 5), ((2, 6), 3)])
def test_neighbourhood_sum(size, kernel_size):
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    weights = torch.randn(2, 2, *size, kernel_size, kernel_size, dtype=torch.float64)
    actual = neighbourhood_sum(x, weights, kernel_size)
    oracles.close(actual, oracles.neighbourhood(x, weights, kernel_size), torch.float64)


def test_a_bias_belongs_to_the_offset_of_the_neighbour():
    """By hand: in a row of four pixels and windows of three, the first pixel's neighbours are 0, 1 and 2 away."""
    bias = RelativeBias(1, 3)
    with torch.no_grad():
        bias.table.copy_(torch.arange(-2.0, 3.0).repeat(5, 1))
    assert bias(3, 4)[0, 0, :, 0].tolist() == [[0, 1, 2], [-1, 0, 1], [-1, 0, 1], [-2, -1, 0]]


def test_parameters_are_those_of_the_published_block():
    """C/2 queries and keys, 49 affinities to 25 + 49 logits, two tables of biases, and the last convolution."""
    channels, context = 64, 16
    count = sum(p.numel() for p in ContMix(channels, context).parameters())
    projections = channels * channels // 2 + channels + context * channels // 2 + channels + channels**2 + 2 * channels
    assert count == projections + 49 * 74 + 74 + 8 * (9 * 9 + 13 * 13)


def test_channels_that_the_heads_do_not_share_are_refused():
    with pytest.raises(ValueError, match="multiple of twice the heads, got 24 and 8 heads"):
        ContMix(24, 16)
