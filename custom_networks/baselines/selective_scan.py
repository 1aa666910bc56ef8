"""The selective scan of Mamba in plain PyTorch: a linear recurrence whose coefficients depend on the input.

    h_t = exp(d_t A) h_{t-1} + d_t B_t u_t,    y_t = C_t h_t + D u_t

Source: Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023, eqs. (2) and section 3.2.

Symbols: B batch, G groups, C channels of a group, L length, S states a channel.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from custom_networks.operators.float32 import widened

CHUNK = 32


def selective_scan(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Scan in chunks, each in log2 of its length many steps; in training a chunk's states are computed a second time.

    Args:
        u: input, (B, G, C, L).
        delta: step widths, as `u`, above 0.
        a: (G, C, S), below 0.
        b: (B, G, S, L).
        c: as `b`.
        d: (G, C).

    Returns:
        As `u`, computed in float32 at least.
    """
    kind = u.dtype
    u, delta, a, b, c, d = (widened(x) for x in (u, delta, a, b, c, d))
    state = u.new_zeros(*u.shape[:3], a.shape[2])
    parts = []
    for place in range(0, u.shape[3], CHUNK):
        part = slice(place, place + CHUNK)
        inputs = (u[..., part], delta[..., part], b[..., part], c[..., part], a, state)
        if torch.is_grad_enabled() and u.requires_grad:
            y, state = checkpoint(_scan_chunk, *inputs, use_reentrant=False)
        else:
            y, state = _scan_chunk(*inputs)
        parts.append(y)
    return (torch.cat(parts, 3) + d[..., None] * u).to(kind)


def _scan_chunk(u: Tensor, delta: Tensor, b: Tensor, c: Tensor, a: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Scan some positions from a state (B, G, C, S); returns y (B, G, C, L) and the last state."""
    gain = torch.exp(delta[..., None, :] * a[..., None])  # (B, G, C, S, L)
    value = (delta * u)[..., None, :] * b[:, :, None]
    value = torch.cat([value[..., :1] + gain[..., :1] * state[..., None], value[..., 1:]], -1)
    shift = 1
    while shift < u.shape[3]:  # after each round a position holds the recurrence over twice as many
        value = torch.cat([value[..., :shift], value[..., shift:] + gain[..., shift:] * value[..., :-shift]], -1)
        gain = torch.cat([gain[..., :shift], gain[..., shift:] * gain[..., :-shift]], -1)
        shift *= 2
    return (value * c[:, :, None]).sum(3), value[..., -1]
