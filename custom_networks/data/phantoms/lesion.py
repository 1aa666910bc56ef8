"""Skin and the lesion in it: tone, outline, opacity, pigments. Colours are RGB in 0..1."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from skimage.measure import label

from custom_networks.data.phantoms.fields import Field, grid, noise, smoothstep, tessellation

# Skin under a dermatoscope, Fitzpatrick I to VI, evenly spaced in tone.
_SKIN = np.array([(241, 216, 205), (228, 189, 170), (208, 162, 136), (178, 126, 98), (132, 86, 62), (88, 54, 40)]) / 255
# What each pigment takes out of red, green and blue light (optical density for one unit of it).
_MELANIN = np.array([0.42, 0.82, 1.15])
_BLOOD = np.array([0.12, 0.55, 0.45])
_DEEP_MELANIN = np.array([1.00, 0.80, 0.55])
_VEIL = np.array([0.50, 0.55, 0.63])


def paint_skin(rng: Generator, size: int, tone: float) -> Field:
    """Bare skin (size, size, 3): tone 0 (very light) to 1 (very dark), mottled, furrowed, with freckles."""
    stops = np.linspace(0, 1, len(_SKIN))
    base = np.array([np.interp(tone, stops, _SKIN[:, c]) for c in range(3)])
    base = base * (1 + rng.normal(0, [0.02, 0.025, 0.045]))
    mottle = 0.05 * noise(rng, size, 3, 3)
    flush = rng.uniform(0, 0.10) * np.maximum(noise(rng, size, 4, 3) + rng.uniform(-0.5, 1.0), 0)
    first, second = tessellation(rng, size, int(rng.integers(26, 48)))
    furrows = rng.uniform(0.005, 0.035) * (1 - smoothstep(second - first, 0.0, 0.25)) * (1 + noise(rng, size, 6))
    grain = rng.uniform(0.012, 0.03) * noise(rng, size, 40, 3, 0.9)
    melanin = mottle + furrows + grain + _freckles(rng, size)
    return base * np.exp(-melanin[..., None] * _MELANIN - flush[..., None] * _BLOOD)


def _freckles(rng: Generator, size: int) -> Field:
    """Melanin (size, size) of small brown spots that are not the lesion; often none."""
    row, column = grid(size)
    melanin = np.zeros((size, size))
    wobble = 1 + 0.18 * noise(rng, size, 40)
    for _ in range(rng.choice([0, 2, 7, 16], p=[0.35, 0.25, 0.25, 0.15])):
        y, x = rng.random(2)
        radius, strength = rng.uniform(0.006, 0.022), rng.uniform(0.15, 0.7)
        distance = np.hypot(row - y, (column - x) * rng.uniform(0.7, 1.4)) * wobble
        melanin = np.maximum(melanin, strength * (1 - smoothstep(distance / radius, 0.2, 1.6)))
    return melanin


def draw_outline(rng: Generator, size: int, area: float) -> tuple[Field, NDArray[np.bool_]]:
    """The lesion's outline: height over it (positive inside) and mask, both (size, size).

    A closed curve of random harmonics, lobes and notches, stretched, turned and roughened by noise, is scaled until it
    fills the share `area` of the picture; some are cut by the picture's edge.
    """
    row, column = grid(size)
    radius = math.sqrt(area / math.pi)
    reach = max(0.5 - radius * rng.choice([1.15, 0.55], p=[0.8, 0.2]), 0.04)
    centre_y, centre_x = 0.5 + rng.uniform(-reach, reach, 2) * rng.choice([0.55, 1.0], size=2)
    turn, aspect = rng.uniform(0, math.pi), math.exp(rng.uniform(0, 0.32))
    y, x = row - centre_y, column - centre_x
    along = (math.cos(turn) * x + math.sin(turn) * y) / aspect
    across = (math.cos(turn) * y - math.sin(turn) * x) * aspect
    angle, distance = np.arctan2(across, along), np.hypot(across, along)
    shape = np.ones((size, size))
    ragged = rng.uniform(0.03, 0.13)
    for k in range(2, 15):
        shape += ragged * k**-0.9 * rng.normal() * np.cos(k * angle + rng.uniform(0, 2 * math.pi))
    for _ in range(rng.integers(0, 4)):  # lobes and notches
        away = np.abs((angle - rng.uniform(0, 2 * math.pi) + math.pi) % (2 * math.pi) - math.pi)
        shape += rng.uniform(-0.45, 0.35) * np.exp(-((away / rng.uniform(0.2, 0.6)) ** 2))
    gauge = distance / np.maximum(shape, 0.3)
    gauge += radius * rng.uniform(0.03, 0.12) * noise(rng, size, max(3, round(1.2 / radius)), 4, 0.6)
    height = float(np.quantile(gauge, area)) - gauge
    mask = one_piece(height > 0)
    return np.where(mask, np.abs(height), -np.abs(height)), mask


def one_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part of a mask (size, size), its holes filled."""
    parts = label(mask, connectivity=1)
    mask = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    outside = label(np.pad(~mask, 1, constant_values=True), connectivity=2)
    return (outside != outside[0, 0])[1:-1, 1:-1]


def opacity_of(rng: Generator, size: int, height: Field, radius: float) -> Field:
    """How much of the lesion shows, 0..1 (size, size): one half on the outline, sharp or fading along it."""
    fade = radius * math.exp(rng.uniform(math.log(0.025), math.log(0.17)))
    width = np.maximum(fade * np.exp(0.5 * noise(rng, size, max(3, round(0.8 / radius)))), 0.0015)
    grain = np.exp(0.5 * noise(rng, size, 36, 2, 0.8))  # a factor, so that half opacity stays on the outline
    return 1 / (1 + np.exp(-np.clip(grain * height / width, -30, 30)))


def _patch(rng: Generator, size: int, cells: int, cover: float) -> Field:
    """A cloud 0..1 (size, size) over about the share `cover` of the picture."""
    cloud = noise(rng, size, cells, 4)
    edge = float(np.quantile(cloud, 1 - cover))
    return smoothstep(cloud, edge - 0.9, edge + 0.9)


def _structure(rng: Generator, size: int) -> Field:
    """Pigment (size, size), mean about 0: a network of lines, globules, dots or plain clouds, present in parts."""
    first, second = tessellation(rng, size, int(rng.integers(26, 52)))
    lines = 1 - smoothstep(second - first, 0.0, 0.50)
    globules = 1 - smoothstep(first, 0.05, 0.5)
    kind = rng.choice(4, p=[0.4, 0.25, 0.15, 0.2])
    drawn = (lines - 0.45, globules - 0.3, lines - globules, np.zeros((size, size)))[kind]
    drawn = rng.uniform(0.4, 0.8) * drawn * (0.3 + 0.7 * _patch(rng, size, 5, 0.65))
    return drawn + 0.15 * noise(rng, size, 24, 3, 0.8)


def paint_lesion(rng: Generator, skin: Field, opacity: Field, height: Field, radius: float, contrast: float) -> Field:
    """The skin (size, size, 3) with the lesion's pigments in it; `contrast` is its mean melanin."""
    size = len(skin)
    cells = max(3, round(1.3 / radius))
    depth = np.clip(height / radius, 0, 1)
    brown = 1 + 0.30 * noise(rng, size, cells, 4) + rng.uniform(-0.5, 0.9) * (depth - 0.35)
    brown = np.maximum(brown + _structure(rng, size), 0.15)
    pink = rng.random() < 0.16
    flush = (0.4 * contrast + 0.3) * (0.4 + 0.7 * _patch(rng, size, cells, 0.6))
    blood = rng.uniform(0.05, 0.4) * contrast + (flush if pink else np.zeros((size, size)))
    melanin = contrast * brown * (0.45 if pink else 1.0)
    deep, veil = np.zeros((size, size)), np.zeros((size, size))
    if rng.random() < 0.55:  # dark brown to black
        melanin += contrast * rng.uniform(0.6, 1.6) * _patch(rng, size, cells, rng.uniform(0.1, 0.4))
    if rng.random() < 0.45:
        blood += rng.uniform(0.3, 0.9) * _patch(rng, size, cells, rng.uniform(0.15, 0.45))
    if rng.random() < 0.25:  # blue-grey
        blue = _patch(rng, size, cells, rng.uniform(0.15, 0.45))
        deep, veil = rng.uniform(0.3, 0.9) * blue, rng.uniform(0.1, 0.4) * blue
        melanin *= 1 - 0.5 * blue
    if rng.random() < 0.3:  # regression: paler inside
        melanin *= 1 - 0.7 * _patch(rng, size, cells, rng.uniform(0.1, 0.3)) * smoothstep(depth, 0.1, 0.4)
    pigments = ((melanin, _MELANIN), (blood, _BLOOD), (deep, _DEEP_MELANIN))
    density = sum((amount[..., None] * spectrum for amount, spectrum in pigments), np.zeros(skin.shape))
    lesion = skin * np.exp(-density) * (1 - veil)[..., None] + veil[..., None] * _VEIL * (0.35 + 0.65 * skin.mean())
    return skin + opacity[..., None] * (lesion - skin)
