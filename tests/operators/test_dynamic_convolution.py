"""Tiled and streaming dynamic convolution against the literal unfold, in values and gradients."""

import io

import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from custom_networks.operators.backends.streaming import streaming
from custom_networks.operators.backends.tiled import tiled
from custom_networks.operators.dynamic_convolution import DynamicConvolution, dynamic_convolution

FORMS = pytest.mark.parametrize("form", [tiled, streaming, dynamic_convolution])


def inputs(b, heads, per_head, h, w, k, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    x = torch.randn(b, heads * per_head, h, w, dtype=dtype, requires_grad=True)
    logits = torch.randn(b, heads * k * k, h, w, dtype=dtype, requires_grad=True)
    return x, logits


def values_and_gradients(form, x, logits, heads, k):
    y = form(x, logits, heads, k)
    weight = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view_as(y)
    return y, *torch.autograd.grad((y * weight).sum(), (x, logits))


def check(form, x, logits, heads, k):
    actual = values_and_gradients(form, x, logits, heads, k)
    for got, expected in zip(
        actual, values_and_gradients(oracles.dynamic_convolution, x, logits, heads, k), strict=True
    ):
        oracles.close(got, expected, x.dtype)
        assert got.dtype == x.dtype


@FORMS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("b", "heads", "per_head", "h", "w", "k"),
    [
        (1, 1, 1, 1, 1, 1),
        (1, 1, 1, 1, 1, 7),
        (2, 4, 2, 8, 8, 7),
        (2, 4, 3, 16, 16, 7),
        (1, 2, 2, 17, 5, 3),
        (2, 1, 3, 3, 23, 5),
        (1, 3, 1, 19, 11, 9),
        (1, 2, 1, 13, 21, 11),
        (3, 2, 2, 9, 7, 1),
    ],
)
def test_equals_unfold(form, dtype, b, heads, per_head, h, w, k):
    check(form, *inputs(b, heads, per_head, h, w, k, dtype), heads, k)


@settings(max_examples=40, deadline=None)
@given(
    b=st.integers(1, 2),
    heads=st.integers(1, 3),
    per_head=st.integers(1, 3),
    h=st.integers(1, 20),
    w=st.integers(1, 20),
    k=st.sampled_from([1, 3, 5, 7, 9, 11]),
    seed=st.integers(0, 99),
)
def test_equals_unfold_at_any_shape(b, heads, per_head, h, w, k, seed):
    x, logits = inputs(b, heads, per_head, h, w, k, seed=seed)
    check(tiled, x, logits, heads, k)
    check(streaming, x, logits, heads, k)


@FORMS
@pytest.mark.parametrize("k", [1, 3])
def test_gradcheck(form, k):
    x, logits = inputs(1, 2, 1, 3, 4, k)
    assert torch.autograd.gradcheck(lambda a, b: form(a, b, 2, k), (x, logits))


@FORMS
@pytest.mark.parametrize("needs", ["x", "logits"])
def test_only_one_input_needs_a_gradient(form, needs):
    x, logits = inputs(1, 2, 2, 9, 9, 3)
    expected = torch.autograd.grad(oracles.dynamic_convolution(x, logits, 2, 3).sum(), x if needs == "x" else logits)
    other = logits if needs == "x" else x
    actual = torch.autograd.grad(
        form(*(t.detach() if t is other else t for t in (x, logits)), 2, 3).sum(), x if needs == "x" else logits
    )
    oracles.close(actual, expected, torch.float64)


@pytest.mark.parametrize(("form", "tolerance"), [(tiled, 2**-7), (streaming, 2**-5)])
def test_bfloat16(form, tolerance):
    """bfloat16 rounds to 2**-9; a convex sum never exceeds max|x|. Streaming also rounds its running sum."""
    x, logits = inputs(1, 2, 4, 17, 9, 7, torch.float32)
    x, logits = x.bfloat16(), logits.bfloat16()
    y = form(x, logits, 2, 7)
    assert y.dtype == torch.bfloat16
    expected = oracles.dynamic_convolution(x.float(), logits.float(), 2, 7)
    assert (y.float() - expected).abs().max() <= tolerance * x.abs().max()


@pytest.mark.parametrize("x_dtype", [torch.float32, torch.bfloat16])
def test_autocast_forward_and_backward(x_dtype):
    """As in training with mixed precision: layer norm gives float32 on CUDA, the logits are bfloat16."""
    x, logits = inputs(1, 2, 4, 9, 9, 3, torch.float32)
    x, logits = x.detach().to(x_dtype).requires_grad_(), logits.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = dynamic_convolution(x, logits, 2, 3)
    y.float().pow(2).sum().backward()
    x32, logits32 = x.detach().float().requires_grad_(), logits.detach().float().requires_grad_()
    expected = oracles.dynamic_convolution(x32, logits32, 2, 3)
    expected.pow(2).sum().backward()
    for got, exact in ((y, expected), (x.grad, x32.grad), (logits.grad, logits32.grad)):
        assert (got.float() - exact).abs().max() <= 2**-5 * exact.abs().max()
    assert y.dtype == x_dtype, "documented: the result is of x's type"


@FORMS
def test_channels_last(form):
    x, logits = inputs(2, 2, 3, 10, 13, 5)
    expected = values_and_gradients(oracles.dynamic_convolution, x, logits, 2, 5)
    x, logits = (t.detach().to(memory_format=torch.channels_last).requires_grad_() for t in (x, logits))
    oracles.close(values_and_gradients(form, x, logits, 2, 5), expected, torch.float64)


def test_tiled_gradients_keep_the_layout():
    """The backward pass of SGDC joins the logits' gradient with the gates': one layout spares a copy of all of it."""
    x, logits = (torch.randn(2, n, 6, 9).contiguous(memory_format=torch.channels_last) for n in (8, 2 * 9))
    x, logits = x.requires_grad_(), logits.requires_grad_()
    gradients = torch.autograd.grad(dynamic_convolution(x, logits, 2, 3, "tiled").sum(), (x, logits))
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in gradients)


@FORMS
def test_non_contiguous(form):
    x, logits = inputs(1, 2, 2, 8, 12, 3)
    expected = oracles.dynamic_convolution(x.mT.contiguous(), logits.mT.contiguous(), 2, 3)
    oracles.close(form(x.mT, logits.mT, 2, 3), expected, torch.float64)


@FORMS
def test_softmax_ignores_a_constant(form):
    x, logits = inputs(1, 2, 2, 9, 9, 3)
    shift = torch.randn(1, 2, 1, 9, 9, dtype=x.dtype).expand(1, 2, 9, 9, 9).reshape(1, 18, 9, 9)
    oracles.close(form(x, logits + 50 * shift, 2, 3), form(x, logits, 2, 3), torch.float64)


@FORMS
def test_large_logits_select_one_tap_in_row_major_order(form):
    """Tap 5 of a 3 x 3 kernel lies one to the right: the map moves left, zero comes in."""
    x, logits = inputs(1, 1, 2, 5, 6, 3)
    logits = torch.zeros_like(logits)
    logits[:, 5] = 1000.0
    expected = torch.nn.functional.pad(x, (0, 1))[..., 1:]
    oracles.close(form(x, logits, 1, 3), expected, torch.float64)


@FORMS
@pytest.mark.parametrize("k", [3, 7])
def test_constant_map_stays_constant_away_from_the_border(form, k):
    _, logits = inputs(1, 2, 1, 18, 15, k)
    y = form(torch.full((1, 2, 18, 15), 3.5, dtype=torch.float64), logits, 2, k)
    r = k // 2
    inside = y[..., r:-r, r:-r]
    oracles.close(inside, torch.full_like(inside, 3.5), torch.float64)
    assert (y[..., 0, :] < 3.5).all(), "zero padding pulls the border down"


@pytest.mark.parametrize(
    ("x", "logits", "heads", "k", "message"),
    [
        ((1, 8, 4, 4), (1, 32, 4, 4), 2, 4, "kernel_size must be odd.*; got kernel_size 4, 8 channels, 2 heads"),
        ((1, 7, 4, 4), (1, 18, 4, 4), 2, 3, "channels a multiple of heads; got kernel_size 3, 7 channels, 2 heads"),
        ((1, 8, 4, 4), (1, 9, 4, 4), 2, 3, r"= \[1, 18, 4, 4\] for x of \[1, 8, 4, 4\]; got \[1, 9, 4, 4\]"),
        ((1, 8, 4, 4), (1, 18, 4, 4), 2, 5, r"= \[1, 50, 4, 4\] for x of \[1, 8, 4, 4\]; got \[1, 18, 4, 4\]"),
        ((1, 8, 4, 4), (2, 18, 4, 4), 2, 3, r"= \[1, 18, 4, 4\] for x of \[1, 8, 4, 4\]; got \[2, 18, 4, 4\]"),
        ((2, 8, 4, 4), (1, 18, 4, 4), 2, 3, r"= \[2, 18, 4, 4\] for x of \[2, 8, 4, 4\]; got \[1, 18, 4, 4\]"),
        ((1, 8, 4, 4), (1, 18, 4, 5), 2, 3, r"= \[1, 18, 4, 4\] for x of \[1, 8, 4, 4\]; got \[1, 18, 4, 5\]"),
        ((1, 8, 4, 4), (1, 18, 2, 8), 2, 3, r"= \[1, 18, 4, 4\] for x of \[1, 8, 4, 4\]; got \[1, 18, 2, 8\]"),
        ((1, 8, 4, 4), (1, 36, 4, 4), 4, -3, "kernel_size must be odd and above 0"),
        ((1, 8, 4, 4), (1, 18, 4, 4), 0, 3, "a multiple of heads; got kernel_size 3, 8 channels, 0 heads"),
        ((8, 4, 4), (18, 4, 4), 2, 3, r"x must be \(batch, channels, height, width\), floating-point; got \[8, 4, 4\]"),
    ],
)
def test_shapes_that_do_not_fit(x, logits, heads, k, message):
    with pytest.raises(ValueError, match=message):
        dynamic_convolution(torch.zeros(x), torch.zeros(logits), heads, k)


def test_whole_numbers_are_refused():
    with pytest.raises(ValueError, match=r"floating-point; got \[1, 8, 4, 4\], torch.int64"):
        dynamic_convolution(torch.ones(1, 8, 4, 4, dtype=torch.int64), torch.zeros(1, 18, 4, 4), 2, 3)


@pytest.mark.parametrize("backend", ["tiled", "streaming"])
@pytest.mark.parametrize("size", [(0, 4, 5, 6), (1, 4, 0, 6), (1, 4, 5, 0), (1, 0, 5, 6)])
def test_an_empty_map_stays_empty(backend, size):
    b, c, h, w = size
    y = dynamic_convolution(torch.zeros(b, c, h, w), torch.zeros(b, 18, h, w), 2, 3, backend)
    assert y.shape == size


@pytest.mark.parametrize("form", [tiled, streaming])
def test_float64_stays_float64_under_autocast(form):
    x, logits = (t.detach() for t in inputs(1, 2, 3, 6, 5, 3, torch.float64))
    with torch.autocast("cpu", torch.bfloat16):
        got = form(x, logits, 2, 3)
    oracles.close(got, oracles.dynamic_convolution(x, logits, 2, 3), torch.float64)


def test_logits_of_sixteen_bits_are_normalised_in_the_type_of_the_map():
    x, logits = (t.detach() for t in inputs(1, 2, 3, 6, 5, 3, torch.float32))
    logits = logits.bfloat16()
    oracles.close(streaming(x, logits, 2, 3), oracles.dynamic_convolution(x, logits.float(), 2, 3))


def test_scripted_module_refuses_the_same_shapes():
    scripted = torch.jit.script(DynamicConvolution(2, 3))
    with pytest.raises(torch.jit.Error, match=r"= \[1, 18, 4, 4\] for x of \[1, 8, 4, 4\]; got \[2, 18, 4, 4\]"):
        scripted(torch.zeros(1, 8, 4, 4), torch.zeros(2, 18, 4, 4))


# ---------------------------------------------------------------- as operators of PyTorch


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.slow)])
@pytest.mark.parametrize("size", [(9, 5), pytest.param((8, 16), marks=pytest.mark.slow)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_opcheck_of_tiled(dtype, size, layout):
    x, logits = inputs(2, 2, 3, *size, 3, dtype)
    weights = torch.softmax(logits.detach().view(4, 3, 3, *size).permute(0, 3, 4, 1, 2).float().flatten(3), 3)
    weights = weights.to(dtype).unflatten(3, [3, 3])
    x = x.detach().to(memory_format=layout)
    torch.library.opcheck(torch.ops.sgdnet.tiled.default, (x.requires_grad_(), weights.clone().requires_grad_(), 2))
    for asked in ((True, True), (True, False), (False, True)):
        torch.library.opcheck(torch.ops.sgdnet.tiled_backward.default, (x.detach(), x.detach(), weights, 2, *asked))


@pytest.mark.parametrize("backend", ["auto", "tiled", "streaming"])
@pytest.mark.parametrize("autocast", [False, True])
def test_compiles_into_one_graph(backend, autocast):
    torch.compiler.reset()
    x, logits = inputs(2, 2, 3, 9, 5, 3, torch.float32)
    module = DynamicConvolution(2, 3, backend)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")

    def run(form):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            return values_and_gradients(lambda x, logits, *_: form(x, logits), x, logits, 2, 3)

    for got, expected in zip(run(compiled), run(module), strict=True):
        oracles.close(got, expected)


def test_torch_export_sees_tiled_as_one_operator_and_the_module_as_plain_ones():
    class Tiled(torch.nn.Module):
        def forward(self, x, logits):
            return tiled(x, logits, 2, 3)

    x, logits = (t.detach() for t in inputs(1, 2, 3, 9, 5, 3, torch.float32))

    def custom(module):
        program = torch.export.export(module, (x, logits))
        oracles.close(program.module()(x, logits), module(x, logits))
        return [str(node.target) for node in program.graph.nodes if "sgdnet" in str(node.target)]

    assert custom(Tiled()) == ["sgdnet.tiled.default"]
    assert custom(DynamicConvolution(2, 3, "tiled")) == []


@pytest.mark.filterwarnings("ignore")
def test_a_tap_of_an_exported_graph_is_slices_a_product_and_a_sum():
    onnx = pytest.importorskip("onnx")

    def others(kernel_size):
        file = io.BytesIO()
        values = tuple(t.detach() for t in inputs(1, 2, 3, 9, 5, kernel_size, torch.float32))
        axes = {name: {0: "batch", 2: "height", 3: "width"} for name in ("x", "logits")}
        names = {"input_names": ["x", "logits"], "dynamic_axes": axes}
        torch.onnx.export(DynamicConvolution(2, kernel_size), values, file, dynamo=False, **names)
        nodes = [node.op_type for node in onnx.load_from_string(file.getvalue()).graph.node]
        assert nodes.count("Mul") == kernel_size**2
        return len([name for name in nodes if name not in ("Constant", "Slice", "Mul", "Add")])

    assert others(3) == others(7)


def test_no_second_derivative():
    x, logits = inputs(1, 2, 2, 5, 4, 3)
    (grad,) = torch.autograd.grad(tiled(x, logits, 2, 3).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="tiled_backward"):
        grad.sum().backward()
    y = tiled(x, logits, 2, 3)
    (grad,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="tiled_backward"):  # not the derivative of the other term alone
        torch.autograd.grad(grad.square().sum() + y.sum(), x)


class LargestStorage(TorchDispatchMode):
    """Records the bytes of the largest tensor that any operator returns."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return result


@pytest.mark.parametrize("backward", [False, True])
def test_no_intermediate_of_49_copies(backward):
    """At the size of the network: 64 channels to a head. The band takes most; a quarter of the copies is generous."""
    copies = 49 * 4 * 64 * 16 * 16 * 4

    def largest(form):
        x, logits = inputs(1, 4, 64, 16, 16, 7, torch.float32)
        with LargestStorage() as mode:
            y = form(x, logits, 4, 7)
            if backward:
                y.sum().backward()
        return mode.bytes

    assert largest(oracles.dynamic_convolution) >= copies
    assert largest(tiled) <= copies / 4
    assert largest(streaming) <= copies / 4
