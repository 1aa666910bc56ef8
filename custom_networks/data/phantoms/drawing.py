"""Draw one phantom: each layer from a random stream of its own."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import SeedSequence
from numpy.typing import NDArray

from custom_networks.data.phantoms.lesion import draw_outline, opacity_of, paint_lesion, paint_skin
from custom_networks.data.phantoms.overlays import add_bubbles, add_hairs, add_light, add_ruler, expose
from custom_networks.errors import UserError

MIN_SIZE = 64
AREA_RANGE = (0.02, 0.50)
"""Smallest and largest share of the picture that a lesion is drawn to fill."""
# Step of the additive recurrence that spreads tone, area and contrast evenly over any run of indices.
_EVEN_STEPS = np.array([0.8191725133961645, 0.6710436067037893, 0.5497004779019703])


def check_phantom(seed: int, index: int, size: int) -> None:
    """Raise `UserError` if no phantom can be drawn from these."""
    if seed < 0 or index < 0:
        raise UserError(f"phantom seed {seed} and index {index} must not be negative; use 0 or more.")
    if size < MIN_SIZE:
        raise UserError(f"phantom size {size} is too small to draw a lesion; use at least {MIN_SIZE} pixels.")


def draw_phantom(seed: int, index: int, size: int = 256) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one phantom and its outline; tone, area and contrast spread evenly over a seed's consecutive indices.

    Args:
        seed: which series, 0 or more.
        index: which phantom of the series, 0 or more.
        size: side of the square picture in pixels, at least 64.

    Returns:
        The picture, (size, size, 3), RGB in 0..255, and the mask, (size, size): 255 where the lesion is at least half
        opaque, 0 elsewhere, in one piece without holes. Hairs, bubbles, rulers and black corners do not cut the mask.

    Raises:
        UserError: if the seed or the index is negative or the size is below 64.
    """
    check_phantom(seed, index, size)
    even = (np.random.default_rng(SeedSequence(seed)).random(3) + (index + 1) * _EVEN_STEPS) % 1.0
    tone, area = float(even[0]), AREA_RANGE[0] * (AREA_RANGE[1] / AREA_RANGE[0]) ** float(even[1])
    contrast = 0.36 * 5.0 ** float(even[2]) * (1 + 0.3 * tone)
    radius = math.sqrt(area / math.pi)
    layers = ("outline", "edge", "lesion", "skin", "ruler", "hairs", "bubbles", "light", "sensor")
    children = SeedSequence(seed, spawn_key=(index,)).spawn(len(layers))
    rng = {layer: np.random.default_rng(child) for layer, child in zip(layers, children, strict=True)}
    height, mask = draw_outline(rng["outline"], size, area)
    opacity = opacity_of(rng["edge"], size, height, radius)
    picture = paint_lesion(rng["lesion"], paint_skin(rng["skin"], size, tone), opacity, height, radius, contrast)
    picture = add_ruler(rng["ruler"], add_hairs(rng["hairs"], add_bubbles(rng["bubbles"], picture)))
    picture = add_light(rng["light"], picture, mask)
    return expose(rng["sensor"], picture), mask.astype(np.uint8) * np.uint8(255)
