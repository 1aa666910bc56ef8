"""SGDC, its variants and what Table 4 puts in its place, against eqs. (2) to (4) written out."""

import oracles
import pytest
import torch

from custom_networks.network.sgdc import SGDC, FeedForward, GuidanceAddition

VARIANTS = {
    "default": ({}, {}),
    "raw local input": ({"local_input": "raw"}, {"raw": True}),
    "no local branch": ({"local_branch": False}, {"local": False}),
    "no dynamic branch": ({"dynamic_branch": False}, {"dynamic": False}),
    "no layer scale": ({"layer_scale_init": None}, {"scaled": False}),
    "five by five, two heads": ({"heads": 2, "kernel_size": 5}, {"heads": 2, "kernel_size": 5}),
}


@pytest.mark.parametrize(("arguments", "literal"), VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("size", [(6, 9), (12, 12), (3, 2)])
def test_equals_literal(arguments, literal, size):
    torch.manual_seed(0)
    x, guidance = torch.randn(2, 8, *size), torch.randn(2, 3, 12, 12)
    oracles.compare(SGDC(8, 3, **arguments), lambda w, x, g: oracles.sgdc(w, x, g, **literal), x, guidance)


@pytest.mark.parametrize(("arguments", "literal"), VARIANTS.values(), ids=VARIANTS)
def test_self_guidance(arguments, literal):
    torch.manual_seed(0)
    module = SGDC(8, guidance_channels=0, **arguments)
    assert not any(name.startswith("fuse") for name, _ in module.named_parameters())
    x, guidance = torch.randn(2, 8, 6, 5), torch.randn(2, 3, 12, 10)
    oracles.compare(module, lambda w, x, _: oracles.sgdc(w, x, None, **literal), x, guidance)


def test_float32():
    torch.manual_seed(0)
    module = oracles.shake(SGDC(64, 16))
    x, guidance = torch.randn(1, 64, 8, 8), torch.randn(1, 16, 16, 16)
    with torch.no_grad():
        oracles.close(module(x, guidance), oracles.sgdc(module.state_dict(), x, guidance))


def test_starts_near_the_identity():
    torch.manual_seed(0)
    module = SGDC(16)
    assert torch.equal(module.mix_scale.detach(), torch.full((16, 1, 1), 1e-6))
    assert torch.equal(module.ffn_scale.detach(), torch.full((16, 1, 1), 1e-6))
    x = torch.randn(1, 16, 8, 8)
    change = (module(x, torch.randn(1, 16, 8, 8)) - x).abs().max()
    assert 0 < change < 1e-5
    assert not any(name.endswith("_scale") for name, _ in SGDC(16, layer_scale_init=None).named_parameters())


@pytest.mark.parametrize("channels", [256, 512, 1024])
def test_widths_of_the_paper(channels):
    with torch.device("meta"):
        module = SGDC(channels)
    assert module.parameterize.weight.shape == (2 * channels + 4 * 49, channels, 1, 1)
    assert module.fuse.project.weight.shape == (channels, 16, 1, 1)
    assert module.local.conv.weight.shape == (channels, 1, 3, 3)
    assert module.ffn[0].weight.shape == (4 * channels, channels, 1, 1)
    for conv in (module.parameterize, module.fuse.project, module.local.conv, module.ffn[0], module.ffn[2]):
        assert conv.bias is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"local_input": "norm"}, "local_input must be one of normalized, raw, got 'norm'"),
        ({"local_branch": False, "dynamic_branch": False}, "needs a branch"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SGDC(8, **arguments)


def test_feed_forward():
    def literal(w, x):
        return oracles.conv(oracles.sub(w, "2"), oracles.gelu(oracles.conv(oracles.sub(w, "0"), x)))

    oracles.compare(FeedForward(3), literal, torch.randn(2, 3, 2, 4))


@pytest.mark.parametrize("size", [(5, 6), (10, 12)])
def test_guidance_addition(size):
    oracles.compare(GuidanceAddition(5, 3), oracles.add_guidance, torch.randn(2, 5, *size), torch.randn(2, 3, 10, 12))


def test_named_backend_computes_the_dynamic_branch():
    torch.manual_seed(0)
    x, guidance = torch.randn(1, 8, 6, 9), torch.randn(1, 3, 6, 9)
    module = oracles.shake(SGDC(8, 3, backend="streaming"))
    assert module.dynamic.operator.backend == "streaming"
    with torch.no_grad():
        oracles.close(module(x, guidance), oracles.sgdc(module.state_dict(), x, guidance))
