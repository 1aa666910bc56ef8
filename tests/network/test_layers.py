"""Shared blocks against formulas written out."""

import oracles
import pytest
import torch

from custom_networks.network.layers import ConvBNReLU, LayerNorm2d, constant_parameter, pad_to_multiple, resize_to


@pytest.mark.parametrize(("kernel_size", "bias"), [(1, True), (3, False), (3, True)])
def test_conv_bn_relu(kernel_size, bias):
    module = ConvBNReLU(3, 4, kernel_size, bias=bias)
    assert (module[0].bias is not None) == bias
    oracles.compare(module, lambda w, x: oracles.conv_bn_relu(w, x, kernel_size // 2), torch.randn(2, 3, 5, 7))


def test_layer_norm_is_over_channels_with_its_own_eps():
    oracles.compare(LayerNorm2d(6), oracles.layer_norm, torch.randn(2, 6, 3, 4))
    tiny = 1e-3 * torch.randn(1, 6, 2, 2, dtype=torch.float64)  # variance near eps: 1e-5 in place of 1e-6 would show
    module = LayerNorm2d(6).double()
    oracles.close(module(tiny), oracles.layer_norm(module.state_dict(), tiny), torch.float64)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 10), (7, 5), (4, 5), (3, 9)])
def test_resize_is_bilinear_without_aligned_corners(size):
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    oracles.close(resize_to(x, torch.empty(1, 1, *size)), oracles.resize(x, size), torch.float64)


def test_resize_by_hand():
    x = torch.tensor([[[[0.0, 4.0]]]])
    assert resize_to(x, torch.empty(1, 1, 1, 4)).flatten().tolist() == [0, 1, 3, 4]


def test_resize_to_its_own_size_is_itself():
    x = torch.randn(1, 2, 3, 4)
    assert resize_to(x, torch.empty(1, 9, 3, 4)) is x


@pytest.mark.parametrize(("size", "padded"), [((3, 5), (4, 8)), ((4, 1), (4, 4)), ((1, 9), (4, 12))])
def test_padding_repeats_the_last_row_and_column(size, padded):
    x = torch.randn(2, 3, *size)
    rows, columns = (torch.arange(n).clamp(max=m - 1) for n, m in zip(padded, size, strict=True))
    assert torch.equal(pad_to_multiple(x, 4), x[:, :, rows][:, :, :, columns])


def test_padding_leaves_multiples_alone():
    x = torch.randn(1, 1, 4, 8)
    assert pad_to_multiple(x, 4) is x


def test_constant_parameter_is_learned_and_per_channel():
    scale = constant_parameter(3, 1e-6)
    assert scale.requires_grad
    assert torch.equal(scale.detach(), torch.full((3, 1, 1), 1e-6))


@pytest.mark.parametrize("mean", [0.0, 10.0, 100.0])
def test_layer_norm_in_bfloat16_rounds_its_result_alone(mean):
    """Mean and variance are of the rounded map, in float32."""
    torch.manual_seed(0)
    x = (mean + torch.randn(1, 64, 8, 8)).bfloat16()
    expected = LayerNorm2d(64).double()(x.double())
    for actual in (LayerNorm2d(64).bfloat16()(x), autocast(LayerNorm2d(64), x)):
        assert ((actual.double() - expected).abs() <= 2**-8 * expected.abs() + 1e-5).all()


def autocast(module, x):
    with torch.autocast("cpu", torch.bfloat16):
        return module(x)
