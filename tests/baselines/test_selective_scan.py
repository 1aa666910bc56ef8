"""The scan in chunks against the recurrence as it is written."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from custom_networks.baselines.selective_scan import CHUNK, selective_scan
from custom_networks.baselines.vm_unet_v2 import merge, sequences


def reference(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """One position after the other."""
    state = u.new_zeros(*u.shape[:3], a.shape[2])
    ys = []
    for t in range(u.shape[3]):
        step = delta[..., t, None]
        state = torch.exp(step * a) * state + step * b[:, :, None, :, t] * u[..., t, None]
        ys.append((state * c[:, :, None, :, t]).sum(3) + d * u[..., t])
    return torch.stack(ys, 3)


def arguments(length: int) -> list[Tensor]:
    torch.manual_seed(0)
    batch, groups, channels, states = 2, 2, 3, 4
    shape = (batch, groups, channels, length)
    return [
        torch.randn(shape, dtype=torch.double),
        torch.rand(shape, dtype=torch.double),
        -torch.rand(groups, channels, states, dtype=torch.double) * 3,
        torch.randn(batch, groups, states, length, dtype=torch.double),
        torch.randn(batch, groups, states, length, dtype=torch.double),
        torch.randn(groups, channels, dtype=torch.double),
    ]


@pytest.mark.parametrize("length", [1, 7, CHUNK, 2 * CHUNK + 5])
def test_values_and_gradients_are_those_of_the_recurrence(length: int) -> None:
    ours, theirs = ([x.clone().requires_grad_() for x in arguments(length)] for _ in range(2))
    y, expected = selective_scan(*ours), reference(*theirs)
    torch.testing.assert_close(y, expected)
    weights = torch.randn_like(y)
    for value in (y, expected):
        (value * weights).sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_half_precision_is_scanned_in_float32() -> None:
    inputs = [x.to(torch.bfloat16) for x in arguments(2 * CHUNK)]
    y = selective_scan(*inputs)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, reference(*(x.float() for x in inputs)).to(torch.bfloat16))


def test_a_map_is_read_in_four_directions_and_put_back() -> None:
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    read = sequences(x)[0, :, 0].tolist()
    assert read == [[0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5], [5, 4, 3, 2, 1, 0], [5, 2, 4, 1, 3, 0]]
    torch.testing.assert_close(merge(sequences(x), 2, 3), 4 * x)
