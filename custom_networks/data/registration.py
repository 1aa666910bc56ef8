"""Affine registration of many small pictures at once, by Gauss-Newton on their difference.

Symbols: M pairs, S side. Parameters (M, 6), about the centre: row v = (1 + p0) y + p1 x + p2, column
u = p3 y + (1 + p4) x + p5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from custom_networks.array_types import Floats

LIMITS = np.array([0.18, 0.12, 0.15, 0.12, 0.18, 0.15], np.float32)  # shifts as parts of the side
_DAMPING = 1e-3


def register(fixed: Floats, moving: Floats, start: Floats, steps: int) -> Floats:
    """Improve the parameters that bring `moving` onto `fixed`, up to a fifth of scale and a seventh of the side.

    Args:
        fixed: (M, S, S) with mean 0.
        moving: (M, S, S) with mean 0.
        start: (M, 6) parameters to start from.
        steps: of Gauss-Newton.

    Returns:
        (M, 6) parameters.
    """
    if not len(fixed):
        return start
    rows, columns = _grid(fixed.shape[1])
    bound = LIMITS * np.array([1, 1, fixed.shape[1], 1, 1, fixed.shape[1]], np.float32)
    for _ in range(steps):
        warped, inside = _warp(moving, start)
        warped, target = _unit(warped), _unit(fixed * inside)
        down, right = np.gradient(warped, axis=(1, 2))
        jacobian = np.stack([down * rows, down * columns, down, right * rows, right * columns, right], 1)
        jacobian = jacobian.reshape(len(fixed), 6, -1)
        normal = jacobian @ jacobian.transpose(0, 2, 1)
        normal += np.eye(6, dtype=np.float32) * (
            _DAMPING * np.trace(normal, axis1=1, axis2=2)[:, None, None] / 6 + 1e-9
        )
        residual = jacobian @ (target - warped).reshape(len(fixed), -1, 1)
        step = np.linalg.solve(normal, residual)[..., 0]
        start = np.clip(start + np.clip(step, -0.5, 0.5), -bound, bound).astype(np.float32)
    return start


def correlation(fixed: Floats, moving: Floats, parameters: Floats) -> Floats:
    """Correlation (M,) of `fixed` with `moving` brought onto it, where both are."""
    if not len(fixed):
        return np.zeros(0, np.float32)
    warped, inside = _warp(moving, parameters)
    return (_unit(warped) * _unit(fixed * inside)).sum((1, 2))


def _grid(side: int) -> tuple[Floats, Floats]:
    rows, columns = np.mgrid[:side, :side].astype(np.float32) - np.float32((side - 1) / 2)
    return rows, columns


def _unit(stack: Floats) -> Floats:
    return stack / (np.linalg.norm(stack, axis=(1, 2), keepdims=True) + np.float32(1e-9))


def _warp(moving: Floats, parameters: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Sample bilinearly; returns the picture (M, S, S), 0 outside, and where it is inside."""
    side = moving.shape[1]
    rows, columns = _grid(side)
    a, b, c, d, e, f = (parameters[:, index, None, None] for index in range(6))
    centre = np.float32((side - 1) / 2)
    v, u = (1 + a) * rows + b * columns + c + centre, d * rows + (1 + e) * columns + f + centre
    inside = (v >= 0) & (v <= side - 1) & (u >= 0) & (u <= side - 1)
    top, left = np.clip(v.astype(np.int32), 0, side - 2), np.clip(u.astype(np.int32), 0, side - 2)
    dv, du = np.clip(v - top, 0, 1), np.clip(u - left, 0, 1)
    flat = moving.reshape(len(moving), -1)
    corner = (top * side + left).reshape(len(moving), -1)

    def pick(offset: int) -> Floats:
        return np.take_along_axis(flat, corner + offset, 1).reshape(moving.shape)

    upper = (1 - du) * pick(0) + du * pick(1)
    lower = (1 - du) * pick(side) + du * pick(side + 1)
    return ((1 - dv) * upper + dv * lower) * inside, inside
