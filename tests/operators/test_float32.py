"""Sums in float32 at least, in 16 bits and under autocast, and on a device that has no autocast."""

import pytest
import torch

from custom_networks.operators.dynamic_convolution import DynamicConvolution
from custom_networks.operators.edges import EdgeModulation
from custom_networks.operators.float32 import autocasting, precise_matmul, widened

WIDE = {torch.bfloat16: torch.float32, torch.float16: torch.float32}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("autocast", [False, True])
def test_products_are_not_rounded_to_16_bits(dtype: torch.dtype, autocast: bool) -> None:
    torch.manual_seed(0)
    left, right = 100 + torch.randn(2, 3, 40).to(dtype), 100 + torch.randn(2, 40, 5).to(dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        assert autocasting(left) == autocast
        product = precise_matmul(left, right)
    assert product.dtype == widened(left).dtype == WIDE.get(dtype, dtype)
    torch.testing.assert_close(product.double(), left.double() @ right.double(), rtol=1e-6, atol=0)


def test_types_that_are_wide_are_left_alone() -> None:
    for dtype in (torch.float32, torch.float64):
        x = torch.ones(2, dtype=dtype)
        assert widened(x) is x


@pytest.mark.parametrize("backend", ["auto", "tiled", "streaming"])
def test_shapes_alone_on_a_device_without_autocast(backend: str) -> None:
    """A network is described on the device "meta", for which PyTorch refuses to say whether autocast is on."""
    x, logits = torch.empty(1, 4, 5, 6, device="meta"), torch.empty(1, 18, 5, 6, device="meta")
    assert not autocasting(x)
    assert EdgeModulation(4)(x).shape == DynamicConvolution(2, 3, backend)(x, logits).shape == x.shape
    assert precise_matmul(x, x.mT).shape == (1, 4, 5, 5)
