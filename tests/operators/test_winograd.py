"""Winograd's 3x3 convolution against the plain one in float64."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_networks.operators import winograd
from custom_networks.operators.winograd import convolve_by_winograd, convolve_transformed, pays, transform_kernels

CHANNELS_LAST = torch.channels_last


def literally(x, weight, bias, dilation):
    bias = None if bias is None else bias.double()
    return F.conv2d(x.double(), weight.double(), bias, padding=dilation, dilation=dilation)


def case(batch, channels, out, height, width, *, seed=0):
    torch.manual_seed(seed)
    x = torch.randn(batch, channels, height, width).contiguous(memory_format=CHANNELS_LAST)
    return x, torch.randn(out, channels, 3, 3) / 3, torch.randn(out)


def error(got, exact):
    """The largest error, as a share of the largest value."""
    return ((got - exact).abs().max() / exact.abs().max()).item()


@pytest.fixture
def narrow_bands(monkeypatch):
    monkeypatch.setattr(winograd, "BAND", 3)


sizes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
tiles = st.tuples(st.integers(1, 4), st.integers(1, 4))


@pytest.mark.parametrize("band", [1, 5, 128])
@settings(max_examples=25, deadline=None)
@given(sizes, tiles, st.integers(1, 3), st.booleans(), st.booleans())
def test_equals_the_plain_convolution(band, sizes, tiles, dilation, biased, last):
    """Any batch, channels, number of tiles and dilation, in one band or many; the result and all gradients."""
    batch, channels, out = sizes
    height, width = (4 * dilation * n for n in tiles)
    x, weight, bias = case(batch, channels, out, height, width)
    weight = weight.contiguous(memory_format=CHANNELS_LAST) if last else weight
    leaves = [x.requires_grad_(), weight.requires_grad_(), *([bias.requires_grad_()] if biased else [])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "BAND", band)
        got = convolve_by_winograd(x, weight, bias if biased else None, dilation)
        exact = literally(x, weight, bias if biased else None, dilation)
        grad = torch.randn(got.shape)
        gradients = torch.autograd.grad(got, leaves, grad)
    expected = torch.autograd.grad(exact, leaves, grad.double())
    for ours, wanted in zip([got, *gradients], [exact, *expected], strict=True):
        torch.testing.assert_close(ours.double(), wanted.double(), rtol=0, atol=3e-5 * (1 + wanted.abs().max().item()))
    assert got.is_contiguous(memory_format=CHANNELS_LAST)


def test_is_as_accurate_as_the_plain_convolution():
    """With the usual points, 0, 1, -1, 2, -2, the error is five times as large."""
    x, weight, _ = case(1, 256, 256, 32, 32)
    leaves = [x.requires_grad_(), weight.requires_grad_()]
    grad = torch.randn(1, 256, 32, 32)
    results = []
    for convolve in (literally, convolve_by_winograd, lambda x, w, b, d: F.conv2d(x, w, b, padding=d)):
        y = convolve(x, weight, None, 1)
        results.append([y, *torch.autograd.grad(y, leaves, grad.to(y.dtype))])
    exact, ours, plain = results
    for got, reference, wanted in zip(ours, plain, exact, strict=True):
        assert error(got, wanted) < max(3 * error(reference, wanted), 4e-6)


@pytest.mark.usefixtures("narrow_bands")
@pytest.mark.parametrize("asked", [(0,), (1,), (2,), (0, 2), (1, 2)])
def test_gives_the_gradients_that_are_asked_for(asked):
    leaves = list(case(2, 3, 4, 8, 12))
    for i in asked:
        leaves[i].requires_grad_()
    wanted = [leaves[i] for i in asked]
    grad = torch.randn(2, 4, 8, 12)
    ours = torch.autograd.grad(convolve_by_winograd(*leaves, 1), wanted, grad)
    expected = torch.autograd.grad(literally(*leaves, 1), wanted, grad.double())
    for gradient, exact in zip(ours, expected, strict=True):
        assert error(gradient, exact.double()) < 1e-5


def test_a_second_derivative_is_an_error():
    x, weight, bias = case(1, 2, 3, 4, 4)
    first = torch.autograd.grad(convolve_by_winograd(x.requires_grad_(), weight, bias).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError):
        first[0].square().sum().backward()


def test_transformed_kernels_serve_any_map():
    _, weight, bias = case(1, 3, 5, 4, 4)
    kernels = transform_kernels(weight)
    assert kernels.shape == (36, 3, 5)
    for batch, height, width in ((1, 4, 8), (3, 16, 4)):
        x = torch.randn(batch, 3, height, width)
        assert error(convolve_transformed(x, kernels, bias), literally(x, weight, bias, 1)) < 1e-5


def test_keeps_to_the_maps_of_a_part():
    """A part of a larger tensor is read with its own strides, and nothing beside it."""
    whole = torch.full((3, 4, 16, 16), float("nan")).contiguous(memory_format=CHANNELS_LAST)
    part = whole[1:2, :, 4:12, 8:16]
    part.copy_(torch.randn(part.shape))
    _, weight, bias = case(1, 4, 4, 4, 4)
    assert error(convolve_by_winograd(part, weight, bias), literally(part, weight, bias, 1)) < 1e-5


def test_reads_nothing_that_it_has_not_written():
    """Deterministic algorithms fill fresh memory with NaN."""
    x, weight, bias = case(2, 3, 4, 16, 8)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        y = convolve_by_winograd(x.requires_grad_(), weight.requires_grad_(), bias)
        gradients = torch.autograd.grad(y.sum(), [x, weight])
    finally:
        torch.use_deterministic_algorithms(before)
    assert all(tensor.isfinite().all() for tensor in (y, *gradients))


def test_trains_after_a_prediction_in_inference_mode():
    """What is derived once serves both."""
    winograd._transforms.cache_clear()
    x, weight, bias = case(1, 3, 4, 8, 8)
    with torch.inference_mode():
        convolve_by_winograd(x, weight, bias)
    gradient = torch.autograd.grad(convolve_by_winograd(x.requires_grad_(), weight, bias).sum(), x)
    assert gradient[0].isfinite().all()


def test_opcheck():
    x, weight, bias = case(1, 2, 3, 8, 4)
    leaves = (x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_())
    torch.library.opcheck(torch.ops.sgdnet.winograd.default, (*leaves, 1))
    grad = torch.randn(1, 3, 8, 4)
    for asked in ((True, True), (True, False), (False, True)):
        torch.library.opcheck(
            torch.ops.sgdnet.winograd_backward.default, (grad, x.detach(), weight.detach(), 1, *asked)
        )


@pytest.mark.parametrize(
    ("shape", "out", "dilation", "kernel", "expected"),
    [
        ((1, 256, 32, 32), 256, 1, 3, True),
        ((1, 128, 32, 32), 128, 2, 3, True),
        ((4, 128, 16, 16), 128, 1, 3, True),
        ((1, 128, 16, 16), 128, 1, 3, False),  # few pixels
        ((1, 64, 64, 64), 256, 1, 3, False),  # few channels
        ((1, 256, 64, 64), 64, 1, 3, False),
        ((1, 256, 34, 32), 256, 1, 3, False),  # no multiple of a tile
        ((1, 256, 36, 36), 256, 2, 3, False),
        ((1, 256, 32, 32), 256, 1, 1, False),
    ],
)
def test_pays(shape, out, dilation, kernel, expected):
    x = torch.empty(shape).contiguous(memory_format=CHANNELS_LAST)
    weight = torch.empty(out, shape[1], kernel, kernel)
    assert pays(x, weight, dilation) == expected
    assert not pays(x.bfloat16(), weight.bfloat16(), dilation)
    assert not pays(x.contiguous(), weight, dilation)
