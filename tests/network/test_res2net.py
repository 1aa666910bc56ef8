"""The encoder against a literal Res2Net-50 v1b that reads the published file's names."""

import oracles
import pytest
import torch

from custom_networks.network.res2net import Bottle2neck, Res2Net

DEPTHS = (3, 4, 6, 3)


@pytest.fixture(scope="module")
def encoder():
    return Res2Net()


def published_keys():
    """Every name in `res2net50_v1b_26w_4s-3cf99910.pth` but the classifier's."""

    def norm(name):
        return [f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]

    keys = ["conv1.0.weight", *norm("conv1.1"), "conv1.3.weight", *norm("conv1.4"), "conv1.6.weight", *norm("bn1")]
    for stage, depth in enumerate(DEPTHS, 1):
        for block in range(depth):
            name = f"layer{stage}.{block}"
            keys += [f"{name}.conv1.weight", *norm(f"{name}.bn1"), f"{name}.conv3.weight", *norm(f"{name}.bn3")]
            for i in range(3):
                keys += [f"{name}.convs.{i}.weight", *norm(f"{name}.bns.{i}")]
            if block == 0:
                keys += [f"{name}.downsample.1.weight", *norm(f"{name}.downsample.2")]
    return keys


def test_names_are_those_of_the_published_file(encoder):
    assert set(encoder.state_dict()) == set(published_keys())


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("conv1.0.weight", (32, 3, 3, 3)),
        ("conv1.6.weight", (64, 32, 3, 3)),
        ("layer1.0.conv1.weight", (104, 64, 1, 1)),
        ("layer1.0.convs.0.weight", (26, 26, 3, 3)),
        ("layer1.0.bns.0.weight", (26,)),
        ("layer1.0.downsample.1.weight", (256, 64, 1, 1)),
        ("layer2.3.convs.2.weight", (52, 52, 3, 3)),
        ("layer3.5.convs.1.weight", (104, 104, 3, 3)),
        ("layer4.0.convs.0.weight", (208, 208, 3, 3)),
        ("layer4.2.conv3.weight", (2048, 832, 1, 1)),
    ],
)
def test_shapes_of_weights(encoder, name, shape):
    assert encoder.state_dict()[name].shape == shape


def test_number_of_parameters(encoder):
    """With its classifier of 2048 * 1000 + 1000 the published network has 25,718,352."""
    assert sum(p.numel() for p in encoder.parameters()) == 23_669_352


@pytest.mark.parametrize("size", [(64, 64), (64, 128), (70, 50)])
def test_four_maps(encoder, size):
    maps = encoder.eval()(torch.randn(1, 3, *size))
    height, width = size
    for x, channels, scale in zip(maps, (256, 512, 1024, 2048), (4, 8, 16, 32), strict=True):
        assert x.shape == (1, channels, -(-height // scale), -(-width // scale))


@pytest.mark.parametrize(
    ("in_channels", "stride", "first", "size"),
    [(64, 1, True, (5, 6)), (32, 2, True, (8, 6)), (32, 2, True, (7, 5)), (64, 1, False, (5, 6))],
)
def test_bottleneck(in_channels, stride, first, size):
    torch.manual_seed(0)
    module = Bottle2neck(in_channels, 16, stride, first=first)
    assert module.convs[0].weight.shape[0] == 6, "floor(16 * 26 / 64)"
    oracles.compare(module, lambda w, x: oracles.bottle2neck(w, x, stride, first), torch.randn(2, in_channels, *size))


@pytest.mark.parametrize("in_channels", [1, 3])
def test_whole_encoder(in_channels):
    torch.manual_seed(0)
    oracles.compare(Res2Net(in_channels), oracles.res2net, torch.randn(1, in_channels, 64, 32))


def test_other_depths_and_widths():
    torch.manual_seed(0)
    module = Res2Net(3, (1, 2, 1, 3), planes=4, base_width=32)
    assert module.out_channels == (16, 32, 64, 128)
    assert module.layer1[0].convs[0].weight.shape == (2, 2, 3, 3)
    assert [len(stage) for stage in (module.layer1, module.layer2, module.layer3, module.layer4)] == [1, 2, 1, 3]
    x = torch.randn(1, 3, 64, 32)
    assert [tuple(y.shape) for y in module(x)] == [(1, 16, 16, 8), (1, 32, 8, 4), (1, 64, 4, 2), (1, 128, 2, 1)]
    oracles.compare(module, lambda w, x: oracles.res2net(w, x, (1, 2, 1, 3)), x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depths": (3, 4, 6)}, "four numbers of 1 or more, got .3, 4, 6."),
        ({"planes": 5}, "must be even"),
        ({"planes": 2}, "64 or more, got planes 2 and base_width 26"),
    ],
)
def test_impossible_sizes(arguments, message):
    with pytest.raises(ValueError, match=message):
        Res2Net(**arguments)
