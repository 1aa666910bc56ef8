"""The forms of a convolution against PyTorch's, and the choice among them."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from custom_networks.operators.convolution import Convolution, convolve, convolve_as_product, product_pays

CHANNELS_LAST = torch.channels_last


class Operators(TorchDispatchMode):
    """Notes the operators that run."""

    def __enter__(self):
        self.names = set()
        return super().__enter__()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))

    def form(self):
        if "winograd" in self.names:
            return "winograd"
        return "plain" if "convolution" in self.names else "product"


def case(shape, out, kernel, dtype=torch.float32):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=dtype).contiguous(memory_format=CHANNELS_LAST)
    weight = torch.randn(out, shape[1], kernel, kernel, dtype=dtype) / (3 * shape[1] ** 0.5)
    return x, weight.contiguous(memory_format=CHANNELS_LAST), torch.randn(out, dtype=dtype)


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(1, 4)] * 5), st.sampled_from([1, 3, 5]), st.booleans())
def test_a_product_equals_the_convolution(sizes, kernel, biased):
    """Any sizes, maps smaller than the kernel included; the result and all gradients."""
    *shape, out = sizes
    x, weight, bias = case(shape, out, kernel, torch.float64)
    leaves = [x.requires_grad_(), weight.requires_grad_(), *([bias.requires_grad_()] if biased else [])]
    got = convolve_as_product(x, weight, bias if biased else None)
    exact = F.conv2d(x, weight, bias if biased else None, padding=kernel // 2)
    torch.testing.assert_close(got, exact)
    grad = torch.randn(got.shape, dtype=torch.float64)
    expected = torch.autograd.grad(exact, leaves, grad)
    for ours, wanted in zip(torch.autograd.grad(got, leaves, grad), expected, strict=True):
        torch.testing.assert_close(ours, wanted)


FORMS = {
    "dual attention": ((2, 2304, 8, 8), 576, 3, 1, "product"),
    "dual attention, large batch": ((16, 512, 8, 8), 512, 3, 1, "winograd"),
    "deep 1x1": ((1, 512, 16, 16), 128, 1, 1, "product"),
    "shallow 1x1": ((1, 64, 32, 32), 64, 1, 1, "plain"),
    "StitchViT": ((1, 128, 32, 32), 128, 3, 1, "winograd"),
    "StitchViT, dilated": ((1, 128, 32, 32), 128, 3, 2, "winograd"),
    "decoder": ((1, 64, 32, 32), 64, 3, 1, "plain"),
    "any size": ((1, 128, 33, 35), 128, 3, 1, "plain"),
    "dual attention, any size": ((9, 512, 9, 9), 512, 3, 1, "plain"),
}


@pytest.mark.parametrize("name", FORMS)
def test_the_form_is_chosen_by_size(name):
    shape, out, kernel, dilation, form = FORMS[name]
    x, weight, bias = case(shape, out, kernel)
    with Operators() as operators:
        got = convolve(x, weight, bias, dilation)
    assert operators.form() == form
    exact = F.conv2d(x, weight, bias, padding=dilation * (kernel // 2), dilation=dilation)
    torch.testing.assert_close(got, exact, rtol=1e-5, atol=2e-5)
    assert got.is_contiguous(memory_format=CHANNELS_LAST)


@pytest.mark.parametrize("name", ["StitchViT", "dual attention", "deep 1x1"])
def test_elsewhere_it_is_the_plain_convolution(name):
    """Contiguous maps and weights, other devices, what exporters and TorchScript see; float64 without Winograd."""
    shape, out, kernel, _, form = FORMS[name]
    x, weight, bias = case(shape, out, kernel)
    with Operators() as operators:
        convolve(x.contiguous(), weight.contiguous(), bias)
    assert operators.form() == "plain"
    with Operators() as operators:
        convolve(x.to("meta"), weight.to("meta"), bias.to("meta"))
    assert operators.form() == "plain"
    with Operators() as operators:
        convolve(x.double(), weight.double(), bias.double())
    assert operators.form() == ("plain" if form == "winograd" else form)

    layer = Convolution(shape[1], out, kernel)
    graph = str(torch.export.export(layer, (x,)).graph)
    assert "conv2d" in graph
    assert "winograd" not in graph
    for module in (torch.jit.script(layer), torch.jit.trace(layer, x)):
        assert "conv" in str(module.inlined_graph)
        torch.testing.assert_close(module(x), layer(x), rtol=1e-5, atol=2e-5)


def test_under_autocast_winograd_is_left_out():
    x, weight, bias = case((1, 128, 32, 32), 128, 3)
    with torch.autocast("cpu", torch.bfloat16), Operators() as operators:
        assert convolve(x, weight, bias).dtype == torch.bfloat16
    assert operators.form() == "plain"


def test_compiles_in_one_piece():
    x, weight, bias = case((1, 128, 32, 32), 128, 3)
    compiled = torch.compile(convolve, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, weight, bias), convolve(x, weight, bias))


def test_the_layer_is_a_conv2d():
    torch.manual_seed(0)
    ours = Convolution(4, 6, 3, dilation=2, bias=False)
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 6, 3, padding=2, dilation=2, bias=False)
    assert torch.equal(ours.weight, plain.weight)
    assert ours.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(1, 4, 5, 7)
    assert torch.equal(ours(x), plain(x))


def test_a_product_pays_where_weights_are_larger_than_maps():
    assert product_pays(64, 2304, 576, 3, 1)
    assert not product_pays(64, 2304, 576, 3, 2)
    assert not product_pays(1024, 2304, 576, 3, 1)
    assert not product_pays(64, 208, 208, 3, 1)
    assert product_pays(4095, 256, 1024, 1, 1)
    assert not product_pays(4096, 256, 1024, 1, 1)
