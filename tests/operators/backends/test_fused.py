"""Fused dynamic convolution against the literal unfold in float64, in values and gradients.

Without a GPU the kernels run in Triton's interpreter, which must be switched on before Triton is first imported: the
functions named `interpreted_*` are the tests of another pytest, which `test_in_the_interpreter` starts. The interpreter
accepts more than the compiler does, so `test_compiles` compiles the kernels, for GPUs that need not be there.
"""

import importlib.util
import os
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import oracles
import pytest
import torch

from custom_networks.operators.backends import fused_kernels
from custom_networks.operators.backends.fused import fused, usable
from custom_networks.operators.backends.registry import choose_backend
from custom_networks.operators.backends.tiled import tiled
from custom_networks.operators.dynamic_convolution import DynamicConvolution

# Sums are in float32, a result is rounded once; to bfloat16 Triton's interpreter even cuts off.
ROUNDING = {torch.float32: 5e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}
NEEDS_TRITON = pytest.mark.skipif(not fused_kernels.AVAILABLE, reason="needs triton")


# ---------------------------------------------------------------- here


@NEEDS_TRITON
@pytest.mark.parametrize("which", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_in_the_interpreter(which):
    options = ["-o", "python_functions=interpreted_*", "-m", which, "--noconftest", "-p", "no:cacheprovider"]
    child = subprocess.run(
        [sys.executable, "-m", "pytest", __file__, *options, "-W", "error::RuntimeWarning"],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stdout[-6000:] + child.stderr[-3000:]
    assert "skipped" not in child.stdout


def copy_of_kernels():
    spec = importlib.util.spec_from_file_location("copy_of_kernels", fused_kernels.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@NEEDS_TRITON
@pytest.mark.parametrize(
    ("capability", "heads", "channels", "size", "k", "dtype", "layout", "candidates"),
    [
        (90, 4, 256, 64, 7, torch.float32, torch.channels_last, (6, 6, 4)),  # the network's largest map
        pytest.param(*(89, 1, 5, 1, 17, torch.bfloat16, torch.contiguous_format, (6, 6, 2)), marks=pytest.mark.slow),
    ],
)
def test_every_candidate_compiles(
    monkeypatch, tmp_path, capability, heads, channels, size, k, dtype, layout, candidates
):
    """All but the launch, with the arguments of a launch; Ada and older have 99 KiB of shared memory."""
    from triton.backends.compiler import GPUTarget
    from triton.runtime.driver import driver

    class NoGPU:
        get_current_device = staticmethod(lambda: 0)
        get_current_stream = staticmethod(lambda device: 0)
        get_current_target = staticmethod(lambda: GPUTarget("cuda", capability, 32))

    def compile_all(*arguments, tuner, grid, warmup, **options):
        tuner.nargs = dict(zip(tuner.arg_names, arguments, strict=False))
        every = [config.all_kwargs() for config in tuner.prune_configs(options)]
        compiled[tuner.fn.__name__] = [
            tuner.fn.run(*arguments, grid=grid, warmup=True, **options, **chosen) for chosen in every
        ]

    monkeypatch.setattr(driver, "_active", NoGPU())
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    module, compiled = copy_of_kernels(), {}
    for tuner in (module._forward_kernel, module._grad_x_kernel, module._grad_logits_kernel):
        tuner.run = partial(compile_all, tuner=tuner)
    x = torch.zeros(1, channels, size, size, dtype=dtype).to(memory_format=layout)
    logits = torch.zeros(1, 1 + heads * k * k, size, size, dtype=dtype).to(memory_format=layout)[:, 1:]
    launch = module.Launch(x, heads, k)
    _, log_sums = launch.forward(x, logits)
    launch.grad_x(x, x, logits, log_sums)
    launch.grad_logits(x, x, logits)
    names = ("_forward_kernel", "_grad_x_kernel", "_grad_logits_kernel")
    assert {name: len(of_name) for name, of_name in compiled.items()} == dict(zip(names, candidates, strict=True))
    assert all(kernel.metadata.shared <= 48 * 1024 for of_name in compiled.values() for kernel in of_name)


def test_without_triton(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    module = copy_of_kernels()
    assert not module.AVAILABLE
    monkeypatch.setattr(fused_kernels, "AVAILABLE", False)
    assert not usable(torch.device("cuda"), torch.float32)


@NEEDS_TRITON
@pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_it_is_for_gpus_from_ampere_on(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert usable(torch.device("cuda"), torch.float32) == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize(
    ("b", "per_head", "h", "w", "k", "layout"),
    [
        (1, 64, 64, 64, 7, torch.channels_last),  # the network's largest map
        (1, 64, 64, 64, 7, torch.contiguous_format),
        (2, 33, 21, 13, 9, torch.channels_last),
        (1, 3, 9, 11, 17, torch.contiguous_format),
    ],
)
def test_on_a_gpu(dtype, b, per_head, h, w, k, layout):
    x, logits = (t.to("cuda", memory_format=layout) for t in operands(b, 4, per_head, h, w, k, dtype))
    assert usable(x.device, x.dtype)
    actual = values_and_gradients(fused, x, logits, 4, k)
    check(actual, x, logits, 4, k)
    tolerance = 10 * ROUNDING[dtype]
    for got, expected in zip(actual, values_and_gradients(tiled, x, logits, 4, k), strict=True):
        assert (got - expected).abs().max() <= tolerance * expected.abs().max()


# ---------------------------------------------------------------- in the interpreter


def operands(b, heads, per_head, h, w, k, dtype=torch.float32, logits_dtype=None):
    torch.manual_seed(0)
    x = torch.randn(b, heads * per_head, h, w).to(dtype)
    return x, (2 * torch.randn(b, heads * k * k, h, w)).to(logits_dtype or dtype)


def values_and_gradients(form, x, logits, heads, k, grad=None):
    x, logits = x.detach().requires_grad_(), logits.detach().requires_grad_()  # keeps the strides
    y = form(x, logits, heads, k)
    if grad is None:
        grad = torch.linspace(-1, 2, y.numel()).view(y.shape).to(x)
    return y.detach(), *torch.autograd.grad(y, (x, logits), grad.to(y))


def check(actual, x, logits, heads, k, grad=None):
    grad = torch.linspace(-1, 2, x.numel()).view(x.shape).to(x) if grad is None else grad
    exact = values_and_gradients(oracles.dynamic_convolution, x.double(), logits.double().contiguous(), heads, k, grad)
    for got, expected, like in zip(actual, exact, (x, x, logits), strict=True):
        assert got.dtype == like.dtype
        assert got.shape == like.shape
        assert got.isfinite().all()
        small = 5e-6 * expected.abs().max()
        assert ((got - expected).abs() <= ROUNDING[got.dtype] * expected.abs() + small).all()


@pytest.mark.parametrize(
    ("b", "heads", "per_head", "h", "w", "k"),
    [
        (1, 1, 1, 1, 1, 1),
        pytest.param(2, 1, 3, 9, 17, 1, marks=pytest.mark.slow),
        (2, 2, 5, 9, 8, 3),  # as wide as a square
        (1, 1, 70, 3, 5, 3),  # more channels than a block
        (1, 2, 1, 6, 4, 5),
        (1, 1, 3, 5, 9, 7),
        pytest.param(1, 1, 2, 3, 5, 9, marks=pytest.mark.slow),  # smaller squares for the gradient at the logits
    ],
)
def interpreted_equals_unfold(b, heads, per_head, h, w, k):
    x, logits = operands(b, heads, per_head, h, w, k)
    assert usable(x.device, x.dtype)
    check(values_and_gradients(fused, x, logits, heads, k), x, logits, heads, k)


@pytest.mark.parametrize("logits_dtype", ROUNDING)
@pytest.mark.parametrize("dtype", ROUNDING)
def interpreted_types(dtype, logits_dtype):
    """Any two types go together; sums are in float32, so that each result is rounded once."""
    x, logits = operands(1, 1, 6, 5, 7, 3, dtype, logits_dtype)
    check(values_and_gradients(fused, x, logits, 1, 3), x, logits, 1, 3)


def interpreted_bfloat16_at_the_papers_kernel():
    x, logits = operands(1, 1, 3, 5, 3, 7, torch.bfloat16)
    check(values_and_gradients(fused, x, logits, 1, 7), x, logits, 1, 7)


class LikeMetaTensor(torch.Tensor):
    """MONAI's, whose import takes longer than all tests here, has a `new_empty` of its own, with this signature."""

    def new_empty(self, size, dtype=None, device=None, requires_grad=False):
        return torch.empty(size, dtype=dtype, device=device, requires_grad=requires_grad)


def interpreted_tensors_of_monai():
    """Whoever calls the network by hand on an item of a data set gives it a MetaTensor."""
    x, logits = operands(1, 1, 3, 5, 4, 3)
    y = fused(x.as_subclass(LikeMetaTensor), logits.as_subclass(LikeMetaTensor), 1, 3)
    assert torch.equal(torch.as_tensor(y), fused(x, logits, 1, 3))


def embedded(tensor):
    """View the same values as a part of a larger tensor that holds NaN elsewhere: whoever reads beyond it shows."""
    margins = [(1, 1), (2, 3), (1, 2), (3, 1)]
    whole = tensor.new_full([before + n + after for n, (before, after) in zip(tensor.shape, margins)], torch.nan)  # noqa: B905
    part = whole[tuple(slice(before, before + n) for n, (before, _) in zip(tensor.shape, margins))]  # noqa: B905
    return part.copy_(tensor)


@pytest.mark.parametrize(
    ("x_layout", "logits_layout", "grad_layout"),
    [
        (embedded, embedded, embedded),
        (lambda t: t.to(memory_format=torch.channels_last),) * 3,
        (lambda t: t.mT.contiguous().mT, lambda t: t.to(memory_format=torch.channels_last), embedded),
        pytest.param(
            *(lambda t: t[:, :1].expand_as(t), lambda t: t, lambda t: t[:, :, :1, :1].expand_as(t)),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["parts", "channels last", "three", "expanded"],
)
def interpreted_any_layout(x_layout, logits_layout, grad_layout):
    x, logits = operands(2, 2, 3, 5, 7, 3)
    x, logits, grad = x_layout(x), logits_layout(logits), grad_layout(torch.randn(x.shape))
    actual = values_and_gradients(fused, x, logits, 2, 3, grad)
    check(actual, x, logits, 2, 3, grad)
    if x.is_contiguous(memory_format=torch.channels_last):
        assert all(result.is_contiguous(memory_format=torch.channels_last) for result in actual)


@pytest.mark.parametrize("needs", [0, 1])
def interpreted_only_one_input_needs_a_gradient(needs):
    both = operands(1, 1, 2, 5, 4, 3)
    inputs = [t.clone().requires_grad_(i == needs) for i, t in enumerate(both)]
    y = fused(*inputs, 1, 3)
    grad = torch.linspace(-1, 2, y.numel()).view(y.shape)
    expected = values_and_gradients(oracles.dynamic_convolution, *both, 1, 3)[1 + needs]
    oracles.close(torch.autograd.grad(y, inputs[needs], grad)[0], expected)


def interpreted_autocast():
    """As in training with mixed precision: the map is float32, the logits are bfloat16."""
    x, logits = operands(1, 1, 2, 5, 4, 3, torch.float32, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        actual = values_and_gradients(fused, x, logits, 1, 3)
    check(actual, x, logits, 1, 3)


@pytest.mark.parametrize("others", [0.0, -2000.0])
def interpreted_large_logits_select_one_tap_in_row_major_order(others):
    """Tap 5 of a 3 x 3 kernel lies one to the right: the map moves left, zero comes in."""
    x, logits = operands(1, 1, 2, 5, 6, 3)
    logits = torch.full_like(logits, others)
    logits[:, 5] += 1000
    y, grad_x, grad_logits = values_and_gradients(fused, x, logits, 1, 3, torch.ones_like(x))
    assert y.equal(torch.nn.functional.pad(x, (0, 1))[..., 1:])
    assert grad_x.equal(torch.nn.functional.pad(torch.ones_like(x), (1, 0))[..., :-1])
    assert not grad_logits.any()


def interpreted_keeps_the_inputs_and_one_number_per_pixel_and_head():
    x, logits = operands(1, 2, 4, 5, 6, 3)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        fused(x.requires_grad_(), logits.requires_grad_(), 2, 3)
    pointers = [t.data_ptr() for t in kept]
    assert pointers[:2] == [x.data_ptr(), logits.data_ptr()]
    assert [t.shape for t in kept[2:]] == [(1, 2, 5, 6)]


@pytest.mark.parametrize("logits", [(1, 9, 4, 4), (1, 18, 4, 3), (2, 18, 4, 4)])
def interpreted_shapes_that_do_not_fit(logits):
    """The kernels would read beyond the tensors; the shapes are those of `check_shapes`."""
    with pytest.raises(ValueError, match=r"= \[1, 18, 4, 4\] for x of \[1, 8, 4, 4\]; got"):
        fused(torch.zeros(1, 8, 4, 4), torch.zeros(logits), 2, 3)


@pytest.mark.slow
def interpreted_opcheck():
    x, logits = (t.to(memory_format=torch.channels_last) for t in operands(1, 2, 2, 3, 2, 1, torch.bfloat16))
    leaves = (x.clone().requires_grad_(), logits.clone().requires_grad_())
    torch.library.opcheck(torch.ops.sgdnet.fused.default, (*leaves, 2, 1))
    log_sums = torch.ops.sgdnet.fused(x, logits, 2, 1)[1]
    for asked in ((True, True), (False, True)):
        torch.library.opcheck(torch.ops.sgdnet.fused_backward.default, (x, x, logits, log_sums, 2, 1, *asked))


def interpreted_compiles_into_one_graph():
    x, logits = operands(1, 2, 3, 5, 4, 3)
    module = DynamicConvolution(2, 3, "fused")
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    actual = values_and_gradients(lambda x, logits, *_: compiled(x, logits), x, logits, 2, 3)
    check(actual, x, logits, 2, 3)


def interpreted_has_no_second_derivative():
    x, logits = operands(1, 1, 2, 5, 4, 3)
    x = x.requires_grad_()
    (grad,) = torch.autograd.grad(fused(x, logits, 1, 3).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="fused_backward"):
        grad.sum().backward()


def interpreted_passes_its_trial():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose_backend("auto", torch.device("cpu"), torch.float32, torch.bfloat16, 1, 3) == "fused"


@pytest.mark.parametrize("axis", range(4))
@pytest.mark.parametrize(("which", "k"), [("x", 1), pytest.param("logits", 3, marks=pytest.mark.slow), ("grad", 1)])
def interpreted_offsets_beyond_32_bits(tmp_path, which, k, axis):
    """Along one axis the last offset is 2**31; only the pages of the sparse file that are touched take memory."""
    x, logits = operands(3, 1, 3, 3, 3, k, torch.float16)
    tensors = {"x": x, "logits": logits, "grad": torch.linspace(-1, 2, x.numel()).view(x.shape).half()}
    tensor, strides = tensors[which], [256, 16, 4, 1]
    strides[axis] = (1 << 31) // (tensor.shape[axis] - 1)
    count = 1 + sum((n - 1) * stride for n, stride in zip(tensor.shape, strides, strict=True))
    base = torch.from_file(str(tmp_path / "sparse"), shared=True, size=count, dtype=torch.float16)
    tensors[which] = base.as_strided(tensor.shape, strides).copy_(tensor)
    check(values_and_gradients(fused, tensors["x"], tensors["logits"], 1, k, tensors["grad"]), x, logits, 1, k)


def interpreted_float64_is_not_for_it():
    assert not usable(torch.device("cpu"), torch.float64)
