"""Convolving an upsampled map without it, against upsampling and convolving."""

import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_networks.operators.upsampled_convolution import convolve_upsampled, shifted_upsampling


def literally(x, weight, size):
    upsampled = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    return F.conv2d(upsampled, weight, padding=weight.shape[2] // 2)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.integers(1, 3)] * 3),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
    st.sampled_from([1, 3, 5]),
)
def test_equals_upsampling_and_convolving(batch_and_channels, size, upsampled, kernel):
    """Any sizes, smaller ones included, and taps that reach over the border."""
    batch, channels, out = batch_and_channels
    torch.manual_seed(0)
    x = torch.randn(batch, channels, *size, dtype=torch.float64)
    weight = torch.randn(out, channels, kernel, kernel, dtype=torch.float64)
    torch.testing.assert_close(convolve_upsampled(x, weight, upsampled), literally(x, weight, upsampled))


def test_gradients_are_those_of_the_literal_form():
    x = torch.randn(2, 3, 4, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(2, 5, 16, 10, dtype=torch.float64)
    ours = torch.autograd.grad(convolve_upsampled(x, weight, (16, 10)), (x, weight), grad)
    expected = torch.autograd.grad(literally(x, weight, (16, 10)), (x, weight), grad)
    for gradient, wanted in zip(ours, expected, strict=True):
        torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_keeps_type_and_layout(dtype):
    result = convolve_upsampled(torch.rand(1, 4, 2, 2, dtype=dtype), torch.rand(6, 4, 3, 3, dtype=dtype), (8, 8))
    assert result.dtype == dtype
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_the_matrix_upsamples_and_shifts():
    """Hand-worked: two samples to four, three taps."""
    by_tap = shifted_upsampling(2, 4, 3, torch.zeros(1)).view(4, 3, 2)
    upsampled = torch.tensor([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    none = torch.zeros(1, 2)
    assert torch.equal(by_tap[:, 1], upsampled)
    assert torch.equal(by_tap[:, 0], torch.cat([none, upsampled[:-1]]))
    assert torch.equal(by_tap[:, 2], torch.cat([upsampled[1:], none]))


def test_exports_to_onnx_at_a_fixed_size(tmp_path):
    """As the benchmark exports the network; dynamic sizes are tested with the network."""

    class Layer(torch.nn.Module):
        def forward(self, x, weight):
            return convolve_upsampled(x, weight, (8, 8))

    file, inputs = tmp_path / "layer.onnx", (torch.rand(1, 2, 2, 2), torch.rand(3, 2, 3, 3))
    torch.onnx.export(Layer(), inputs, file, dynamo=False, input_names=["x", "weight"])
    session = onnxruntime.InferenceSession(file)
    result = session.run(None, {name: tensor.numpy() for name, tensor in zip(("x", "weight"), inputs, strict=True)})[0]
    torch.testing.assert_close(torch.from_numpy(result), Layer()(*inputs))
