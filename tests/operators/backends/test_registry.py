"""Which backend computes the dynamic convolution, and what happens when one fails."""

import warnings

import oracles
import pytest
import torch

from custom_networks.errors import UserError
from custom_networks.operators.backends import registry
from custom_networks.operators.backends.registry import BACKENDS, Backend, choose_backend
from custom_networks.operators.backends.tiled import tiled
from custom_networks.operators.dynamic_convolution import DynamicConvolution, dynamic_convolution


class FailsInBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, logits, heads, kernel_size):
        return tiled(x, logits, heads, kernel_size)

    @staticmethod
    def backward(ctx, grad):
        raise RuntimeError("no such kernel\nsecond line")


def fails_forward(x, logits, heads, kernel_size):
    raise RuntimeError("no such kernel\nsecond line")


def is_wrong(x, logits, heads, kernel_size):
    return 1.1 * tiled(x, logits, heads, kernel_size)


def is_nan(x, logits, heads, kernel_size):
    return torch.nan * tiled(x, logits, heads, kernel_size)


def out_of_memory(x, logits, heads, kernel_size):
    raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.fixture
def first(monkeypatch):
    """Registers a function ahead of all backends."""
    before = dict(BACKENDS)
    monkeypatch.delenv("SGDNET_BACKEND", raising=False)

    def register(compute, **options):
        monkeypatch.setattr(registry, "_passed", {})
        BACKENDS.clear()
        BACKENDS.update({"first": Backend(compute, **options), **before})

    yield register
    BACKENDS.clear()
    BACKENDS.update(before)


def inputs():
    torch.manual_seed(0)
    return torch.randn(1, 4, 6, 5, requires_grad=True), torch.randn(1, 18, 6, 5, requires_grad=True)


def chosen(wanted="auto", dtype=torch.float64):
    return choose_backend(wanted, torch.device("cpu"), dtype, dtype, 2, 3)


def test_first_usable_backend_is_chosen(first):
    assert list(BACKENDS) == ["fused", "tiled", "streaming"]
    assert chosen() == "tiled"
    first(tiled)
    assert chosen() == "first"
    first(tiled, usable=lambda device, dtype: dtype == torch.float32)
    assert chosen() == "tiled"
    assert chosen(dtype=torch.float32) == "first"
    first(tiled)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert chosen(dtype=torch.bfloat16) == "first", "its rounding is no mistake"


def test_argument_goes_before_the_variable(first, monkeypatch):
    monkeypatch.setenv("SGDNET_BACKEND", "streaming")
    assert chosen() == "streaming"
    assert chosen("tiled") == "tiled"
    monkeypatch.setenv("SGDNET_BACKEND", "")
    assert chosen() == "tiled"


def test_variable_reaches_the_operator(first, monkeypatch):
    calls = []
    first(lambda *arguments: calls.append(arguments) or tiled(*arguments), usable=lambda *_: True)
    monkeypatch.setenv("SGDNET_BACKEND", "tiled")
    dynamic_convolution(*inputs(), 2, 3)
    assert not calls
    monkeypatch.setenv("SGDNET_BACKEND", "first")
    dynamic_convolution(*inputs(), 2, 3)
    assert len(calls) == 1


def test_unknown_names(monkeypatch):
    known = "must be one of auto, fused, tiled, streaming"
    with pytest.raises(UserError, match=f"backend {known}, got 'tilde'; did you mean 'tiled'"):
        DynamicConvolution(2, 3, "tilde")
    with pytest.raises(UserError, match=f"backend {known}, got 'tilde'"):
        dynamic_convolution(*inputs(), 2, 3, backend="tilde")
    monkeypatch.setenv("SGDNET_BACKEND", "streeming")
    with pytest.raises(UserError, match=f"variable SGDNET_BACKEND {known}, got 'streeming'; did you mean 'streaming'"):
        dynamic_convolution(*inputs(), 2, 3)


def test_named_backend_that_does_not_work_here_is_refused():
    with pytest.raises(UserError, match="'fused' does not work on cpu in float64; use one of auto, tiled, streaming"):
        chosen("fused")


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (fails_forward, "RuntimeError: no such kernel"),
        (FailsInBackward.apply, "RuntimeError: no such kernel"),
        (is_wrong, "ArithmeticError: its result differs"),
        (is_nan, "ArithmeticError: its result differs"),
    ],
    ids=["forward", "backward", "wrong", "nan"],
)
def test_backend_that_fails_is_named_once_and_passed_over(first, broken, reason):
    first(broken)
    x, logits = inputs()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = [dynamic_convolution(x, logits, 2, 3) for _ in range(3)]
        grads = torch.autograd.grad(sum(results).sum() / 3, (x, logits))
    (message,) = (str(warning.message) for warning in caught)
    assert message.startswith(f"dynamic convolution: backend 'first' failed at its first launch ({reason}")
    assert message.endswith("); the next one is used")
    assert "second line" not in message
    expected = oracles.dynamic_convolution(x, logits, 2, 3)
    oracles.close(results[-1], expected)
    for got, exact in zip(grads, torch.autograd.grad(expected.sum(), (x, logits)), strict=True):
        oracles.close(got, exact)


def test_named_backend_that_fails_is_not_replaced(first):
    first(fails_forward)
    with pytest.raises(RuntimeError, match="no such kernel"):
        dynamic_convolution(*inputs(), 2, 3, backend="first")


def test_lack_of_memory_is_no_failure_of_the_backend(first):
    first(out_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        dynamic_convolution(*inputs(), 2, 3)
    assert registry._passed == {}


@pytest.mark.parametrize("compiled", [False, True])
def test_trial_works_in_every_mode_of_the_caller(first, compiled):
    """Inference mode and autocast, inside a checkpoint, under a tracer."""
    torch.compiler.reset()
    seen = []

    def counted(x, logits, heads, kernel_size):
        seen.append(tuple(x.shape))
        return tiled(x, logits, heads, kernel_size)

    module = DynamicConvolution(2, 3)
    call = torch.compile(module, fullgraph=True, backend="aot_eager") if compiled else module
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        first(counted)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            call(*inputs())
        first(counted)
        x, logits = inputs()
        torch.utils.checkpoint.checkpoint(call, x, logits, use_reentrant=False).sum().backward()
    assert x.grad is not None
    trial = (1, 2 * registry.TRIAL_CHANNELS, registry.TRIAL_SIDE, registry.TRIAL_SIDE)
    assert seen.count(trial) == 2
