"""The network for inference: folded layers give what the layers gave, packed convolutions what plain ones give."""

import copy
import pickle

import oracles
import pytest
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from custom_networks.network.optimized import (
    InferenceCopy,
    PackedBottle2neck,
    PackedConv2d,
    batch_norm_pairs,
    merge_pointwise,
    pack,
)
from custom_networks.network.res2net import Bottle2neck
from custom_networks.network.sgdnet import SGDNet
from custom_networks.network.sge import Refiner
from custom_networks.processor import packs


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


CONVOLUTIONS = {
    "1x1": lambda: nn.Conv2d(8, 16, 1),
    "3x3": lambda: nn.Conv2d(8, 12, 3, padding=1, bias=False),
    "strided": lambda: nn.Conv2d(8, 8, 3, stride=2, padding=1),
    "dilated": lambda: nn.Conv2d(8, 8, 3, padding=2, dilation=2),
    "depthwise": lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8),
}
ACTIVATIONS = [None, nn.ReLU(), nn.LeakyReLU(0.2), nn.GELU()]


def plain(conv, activation, x):
    return conv(x) if activation is None else activation(conv(x))


@pytest.fixture(params=[True, False], ids=["onednn", "no onednn"])
def onednn(request):
    with torch.backends.mkldnn.flags(enabled=request.param):
        yield request.param


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_equals_the_plain_layers_at_every_shape(name, activation, onednn):
    conv = CONVOLUTIONS[name]().requires_grad_(False)
    layer = PackedConv2d(conv, activation)
    for shape in ((1, 8, 16, 16), (2, 8, 9, 20), (1, 8, 16, 16)):
        x = torch.randn(shape).to(memory_format=torch.channels_last)
        with torch.no_grad():
            torch.testing.assert_close(layer(x), plain(conv, activation, x), rtol=1e-5, atol=1e-5)
    assert (layer.packed is not None) == packs(torch.float32)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_bfloat16_packed_or_not(name, onednn):
    """The result is rounded to bfloat16, 2**-8 of its size; sums of up to 72 rounded terms err a little more."""
    conv = CONVOLUTIONS[name]().requires_grad_(False).bfloat16()
    layer, x = PackedConv2d(conv, nn.ReLU()), torch.randn(1, 8, 9, 20).bfloat16()
    expected = plain(copy.deepcopy(conv).double(), nn.ReLU(), x.double())
    assert (layer(x).double() - expected).abs().max() <= 2**-7 * expected.abs().max()
    assert (layer.packed is not None) == packs(torch.bfloat16)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_shortcut_is_added_before_the_activation(name, activation, onednn):
    conv, x = CONVOLUTIONS[name]().requires_grad_(False), torch.randn(2, 8, 9, 20).to(memory_format=torch.channels_last)
    shortcut = torch.randn_like(conv(x))
    expected = conv(x) + shortcut if activation is None else activation(conv(x) + shortcut)
    torch.testing.assert_close(PackedConv2d(conv, activation)(x, shortcut), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dilation", [1, 2])
def test_winograds_form_in_the_place_of_packed_weights(dilation):
    conv = nn.Conv2d(128, 128, 3, padding=dilation, dilation=dilation).requires_grad_(False)
    layer, x = PackedConv2d(conv, nn.LeakyReLU(0.2)), torch.randn(1, 128, 32, 32).to(memory_format=torch.channels_last)
    shortcut = torch.randn_like(x)
    for factor in (1, 2):
        conv.weight.mul_(factor)
        torch.testing.assert_close(layer(x), plain(conv, layer.activation, x), rtol=1e-5, atol=4e-5)
        assert (layer.packed is not None and layer.packed.shape == (36, 128, 128)) == packs(torch.float32)
    expected = layer.activation(conv(x) + shortcut)
    torch.testing.assert_close(layer(x, shortcut), expected, rtol=1e-5, atol=4e-5)
    layer.same_size = False
    part = x[:, :, :24, :24]
    torch.testing.assert_close(layer(part), plain(conv, layer.activation, part), rtol=1e-5, atol=4e-5)


def test_packed_weights_are_never_taken_for_another_form():
    """Same shape, other layout or autocast: Winograd's kernels are no packed weights."""
    conv = nn.Conv2d(128, 128, 3, padding=1).requires_grad_(False)
    layer, x = PackedConv2d(conv), torch.randn(1, 128, 32, 32)
    last = x.to(memory_format=torch.channels_last)
    for _ in range(2):
        for image in (last, x):
            torch.testing.assert_close(layer(image), conv(image), rtol=1e-5, atol=4e-5)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(layer(last).float(), conv(last).float(), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("block", [Bottle2neck(16, 16, 2, first=True), Bottle2neck(64, 16)], ids=["first", "next"])
def test_a_packed_block_of_the_encoder_equals_the_block(block, onednn):
    block = oracles.shake(copy.deepcopy(block).eval(), 0).requires_grad_(False)
    x = torch.randn(2, block.conv1.in_channels, 12, 8).to(memory_format=torch.channels_last)
    expected = block(x)
    for conv_parent, conv, norm_parent, norm in batch_norm_pairs(block):
        fused = fuse_conv_bn_eval(conv_parent._modules[conv], norm_parent._modules[norm])
        conv_parent._modules[conv], norm_parent._modules[norm] = fused, nn.Identity()
    packed = pack(nn.Sequential(block))
    assert isinstance(packed[0], PackedBottle2neck)
    torch.testing.assert_close(packed(x), expected, rtol=1e-5, atol=1e-5)


def test_types_and_gradients_that_onednn_has_not():
    conv = CONVOLUTIONS["3x3"]().double().requires_grad_(False)
    x = torch.randn(1, 8, 6, 6, dtype=torch.float64, requires_grad=True)
    layer = PackedConv2d(conv, nn.GELU())
    torch.testing.assert_close(layer(x), plain(conv, nn.GELU(), x))
    layer(x).sum().backward()
    assert x.grad.abs().sum() > 0


def test_follows_a_change_of_type_and_copies_without_the_packed_weights(onednn):
    conv = CONVOLUTIONS["3x3"]().requires_grad_(False)
    layer, x = PackedConv2d(conv), torch.randn(1, 8, 6, 6)
    expected = layer(x)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin.packed is None
        assert torch.equal(twin(x), expected)
    assert layer.to(torch.bfloat16)(x.bfloat16()).dtype == torch.bfloat16


def test_follows_weights_that_change_in_place(onednn):
    layer, x = PackedConv2d(CONVOLUTIONS["3x3"]().requires_grad_(False)), torch.randn(1, 8, 6, 6)
    layer(x)
    other = PackedConv2d(CONVOLUTIONS["3x3"]().requires_grad_(False))
    layer.load_state_dict(other.state_dict())
    torch.testing.assert_close(layer(x), other(x))
    layer.weight.mul_(2)
    torch.testing.assert_close(layer(x), 2 * other(x))


def test_a_copy_for_inference_stays_in_eval():
    """Of any network: dropout and batch statistics would come back."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    copied, x = InferenceCopy(network, torch.float32), torch.randn(2, 3, 8, 8)
    expected = copied(x)
    assert torch.equal(copied.train()(x), expected)
    assert not any(module.training for module in copied.modules())


def test_pack_takes_the_activation_along_and_leaves_what_it_is_told():
    block = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Identity(), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.PReLU())
    network = nn.ModuleDict({"a": block, "b": copy.deepcopy(block)}).requires_grad_(False)
    x = torch.randn(1, 4, 3, 3)
    expected = [network[name](x) for name in "ab"]
    pack(network, skip=("b",))
    assert [type(layer) for layer in network["a"]] == [PackedConv2d, nn.Identity, nn.Identity, PackedConv2d, nn.PReLU]
    assert not any(isinstance(layer, PackedConv2d) for layer in network["b"])
    for name, before in zip("ab", expected, strict=True):
        torch.testing.assert_close(network[name](x), before)
