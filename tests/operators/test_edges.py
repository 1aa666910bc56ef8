"""Edge modulation against dense frozen convolutions with a plain square root."""

import copy

import oracles
import pytest
import torch

from custom_networks.operators.edges import EdgeModulation

FIXED = ["sobel", "scharr", "laplacian"]
OPERATORS = pytest.mark.parametrize("operator", FIXED)
READINGS = pytest.mark.parametrize("reading", ["summed", "depthwise"])
CASES = [(o, r) for o in FIXED for r in ("summed", "depthwise")] + [("learnable", "depthwise"), ("learnable", "summed")]


def values_and_gradient(form, x):
    y = form(x)
    weight = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view_as(y)
    return y, torch.autograd.grad((y * weight).sum(), x)[0]


@pytest.mark.parametrize(("operator", "reading"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_literal_convolutions(operator, reading, dtype):
    torch.manual_seed(0)
    x = torch.randn(2, 5, 7, 9, dtype=dtype, requires_grad=True)
    literal_reading = "depthwise" if operator == "learnable" else reading

    def literal(x):
        return oracles.edge_modulation(x, oracles.KERNELS[operator], literal_reading)

    module = EdgeModulation(5, operator, reading).to(dtype)
    actual, expected = values_and_gradient(module, x), values_and_gradient(literal, x)
    torch.testing.assert_close(actual[0], expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(actual[1], expected[1], rtol=2e-5, atol=2e-5)  # sums of 9 * 5 * 2 terms in float32
    if dtype == torch.float64:
        oracles.close(actual, expected, dtype)


@pytest.mark.parametrize("operator", ["sobel", "scharr", "laplacian"])
def test_kernels_to_the_number(operator):
    kernels = EdgeModulation(3, operator).kernels
    assert kernels.squeeze(1).tolist() == oracles.KERNELS[operator]
    depthwise = EdgeModulation(3, operator, "depthwise").kernels
    assert depthwise.squeeze(1).tolist() == 3 * oracles.KERNELS[operator]


def test_none_passes_the_map():
    x = torch.randn(1, 3, 4, 4)
    assert EdgeModulation(3, "none")(x) is x


@READINGS
@pytest.mark.parametrize("operator", [*FIXED, "none"])
def test_fixed_operators_have_no_state(operator, reading):
    module = EdgeModulation(4, operator, reading)
    assert not module.state_dict()
    assert not list(module.parameters())


def test_learnable_is_trained_from_sobel():
    module = EdgeModulation(3, "learnable")
    assert module.state_dict().keys() == {"kernels"}
    assert module.kernels.squeeze(1).tolist() == 3 * oracles.SOBEL
    module(torch.randn(1, 3, 6, 6)).square().sum().backward()
    assert module.kernels.grad.isfinite().all()
    assert (module.kernels.grad.flatten(1).abs().amax(1) > 0).all(), "all six kernels"


def test_learnable_kernels_act_on_their_own_channel():
    module = oracles.shake(EdgeModulation(3, "learnable").double())
    x = torch.randn(1, 3, 5, 6, dtype=torch.float64)
    y = module(x)
    for c in range(3):
        own = module.kernels[2 * c : 2 * c + 2, 0].detach()
        oracles.close(y[:, [c]], oracles.edge_modulation(x[:, [c]], own, "depthwise"), torch.float64)


@READINGS
@pytest.mark.parametrize("operator", [*FIXED, "learnable"])
@pytest.mark.parametrize("level", [0.0, 1.0, -3.0])
def test_flat_map(operator, reading, level):
    """Where nothing changes sigmoid(0) = 1/2 scales value and gradient; the authors' square root gives NaN there."""
    x = torch.full((1, 4, 9, 9), level, dtype=torch.float64, requires_grad=True)
    module = EdgeModulation(4, operator, reading).double()
    y, gradient = module(x), torch.autograd.grad(module(x).sum(), [x, *module.parameters()])
    assert all(g.isfinite().all() for g in gradient)
    oracles.close(y[..., 2:-2, 2:-2], x[..., 2:-2, 2:-2] / 2, torch.float64)
    oracles.close(gradient[0][..., 2:-2, 2:-2], torch.full((1, 4, 5, 5), 0.5, dtype=torch.float64), torch.float64)
    if level == 0:
        oracles.close(gradient[0], torch.full_like(x, 0.5), torch.float64)


@READINGS
@OPERATORS
def test_half_flat_map_has_the_literal_gradient_where_that_is_finite(operator, reading):
    torch.manual_seed(0)
    x = torch.randn(1, 3, 8, 16, dtype=torch.float64)
    x[..., :8] = 0
    x.requires_grad_()
    _, actual = values_and_gradient(EdgeModulation(3, operator, reading), x)
    _, literal = values_and_gradient(lambda t: oracles.edge_modulation(t, oracles.KERNELS[operator], reading), x)
    finite = literal.isfinite()
    assert not finite.all(), "the square root's own fault, else this test shows nothing"
    assert finite.any()
    assert actual.isfinite().all()
    oracles.close(actual[finite], literal[finite], torch.float64)


def test_bfloat16_keeps_its_type():
    x = torch.randn(1, 3, 6, 6)
    y = EdgeModulation(3)(x.bfloat16())
    assert y.dtype == torch.bfloat16
    expected = oracles.edge_modulation(x.bfloat16().float(), oracles.SOBEL, "summed")
    assert (y.float() - expected).abs().max() <= 2**-6 * x.abs().max()


@READINGS
@pytest.mark.parametrize("operator", [*FIXED, "learnable"])
@pytest.mark.parametrize("form", ["autocast", "bfloat16"])
def test_gate_of_a_smooth_map_in_bfloat16(operator, reading, form):
    """The channel sum is near 100, its differences near 1: rounded before it is differenced, gates err by 0.3."""
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.randn(1, 256, 8, 8).relu(), size=(32, 32), mode="bilinear")
    x = smooth.bfloat16()
    module = EdgeModulation(256, operator, reading)
    expected = torch.sigmoid(copy.deepcopy(module).double().magnitude(x.double()))
    if form == "autocast":
        with torch.autocast("cpu", torch.bfloat16):
            magnitude, y = module.magnitude(x), module(x)
    else:
        magnitude, y = module.bfloat16().magnitude(x), module(x)
    assert (torch.sigmoid(magnitude).double() - expected).abs().max() <= 1e-5
    assert y.dtype == torch.bfloat16
    assert ((y.double() - x.double() * expected).abs() <= 2**-7 * x.double().abs()).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sobbel",), "edge operator must be one of sobel, .*, got 'sobbel'; did you mean 'sobel'"),
        (("laplace",), "did you mean 'laplacian'"),
        (("sobel", "depth"), "edge reading must be one of summed, depthwise, got 'depth'; did you mean 'depthwise'"),
        (("zzz",), "got 'zzz'$"),
    ],
)
def test_misspelt_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        EdgeModulation(4, *arguments)


def test_repr_names_operator_and_reading():
    assert "operator='sobel', reading='summed'" in repr(EdgeModulation(4))
    assert "operator='learnable', reading='depthwise'" in repr(EdgeModulation(4, "learnable"))
