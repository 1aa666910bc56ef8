"""Dual attention against sums over single positions and channels."""

import copy

import oracles
import pytest
import torch

from custom_networks.network.dual_attention import ChannelAttention, DualAttention, PositionAttention


@pytest.mark.parametrize(
    ("module", "literal"),
    [
        (PositionAttention(8, 4), oracles.position_attention),
        (ChannelAttention(), oracles.channel_attention),
        (DualAttention(32, 6), oracles.dual_attention),
    ],
)
@pytest.mark.parametrize("size", [(2, 2), (3, 5)])
def test_equals_literal(module, literal, size):
    torch.manual_seed(0)
    channels = 32 if isinstance(module, DualAttention) else 8
    oracles.compare(module, literal, torch.randn(2, channels, *size))


@pytest.mark.parametrize("module", [PositionAttention(8), ChannelAttention()])
def test_starts_as_identity(module):
    x = torch.randn(2, 8, 3, 4)
    assert torch.equal(module(x), x)
    module(x).square().sum().backward()
    assert module.scale.grad.abs() > 0


def test_widths_of_the_paper():
    shapes = {name: tuple(p.shape) for name, p in DualAttention().named_parameters()}
    assert shapes["position.0.0.weight"] == shapes["channel.0.0.weight"] == (576, 2304, 3, 3)
    assert shapes["position.1.query.weight"] == shapes["position.1.key.weight"] == (72, 576, 1, 1)
    assert shapes["position.1.value.weight"] == (576, 576, 1, 1)
    assert shapes["project.1.weight"] == (2048, 576, 1, 1)
    assert not {"position.0.0.bias", "position.2.0.bias", "channel.0.0.bias", "channel.2.0.bias"} & set(shapes)


def test_dropout_in_training_alone():
    module = DualAttention(32, 4, dropout=0.5)
    x = torch.randn(2, 32, 4, 4)
    assert not torch.equal(module.train()(x), module(x))
    assert torch.equal(module.eval()(x), module(x))
    assert DualAttention(32, 4).project[0].p == 0.1


def selecting(channels):
    """Position attention whose query and key are channels of the map, exact in any type."""
    module = PositionAttention(channels)
    for layer in (module.query, module.key):
        torch.nn.init.zeros_(layer.bias)
        layer.weight.data.copy_(torch.eye(channels // 8, channels)[..., None, None])
    torch.nn.init.zeros_(module.value.bias)
    module.value.weight.data.copy_(torch.eye(channels)[..., None, None])
    return module


@pytest.mark.parametrize("form", ["autocast", "bfloat16 weights"])
@pytest.mark.parametrize(
    ("module", "literal"),
    [(selecting(256), oracles.position_attention), (ChannelAttention(), oracles.channel_attention)],
    ids=["position", "channel"],
)
def test_bfloat16_rounds_maps_and_not_energies(module, literal, form):
    """Each map is rounded to 2**-9 of itself. Rounded energies, here in the hundreds, cost 1 % and more."""
    torch.manual_seed(0)
    blocks = torch.randn(1, 256, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)  # alike, hence rivals
    x = (3 * blocks + torch.randn(1, 256, 16, 16) / 2).relu().bfloat16()
    module = copy.deepcopy(module).requires_grad_(False)
    module.scale.fill_(1)
    expected = literal(oracles.state(copy.deepcopy(module).double()), x.double())
    if form == "autocast":
        with torch.autocast("cpu", torch.bfloat16):
            actual = module(x)
    else:
        actual = module.bfloat16()(x)
        assert actual.dtype == torch.bfloat16
    assert (actual.double() - expected).norm() <= 2**-8 * expected.norm()
