"""What lies over skin and lesion: hairs, a ruler, gel bubbles, light, lens and sensor."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from skimage.filters import gaussian

from custom_networks.data.phantoms.fields import Field, coverage, grid, smoothstep


def add_hairs(rng: Generator, picture: Field) -> Field:
    """The picture (size, size, 3) under curved, tapered hairs: none, a few or many; mostly dark, sometimes light."""
    many = (0, int(rng.integers(2, 9)), int(rng.integers(14, 34)))[rng.choice(3, p=[0.4, 0.4, 0.2])]
    t = np.linspace(0, 1, 40)
    heading, spread, thick = rng.uniform(0, 2 * math.pi), rng.uniform(0.2, 1.0), rng.uniform(0.0035, 0.0075)
    strokes = []
    for _ in range(many):
        length, angle, bend = rng.uniform(0.2, 1.1), heading + rng.normal(0, spread), rng.normal(0, 0.9)
        path = angle + bend * t + rng.normal(0, 0.25) * np.sin(math.pi * 2 * t)
        steps = np.stack([np.cos(path), np.sin(path)], axis=1) * length / len(t)
        widths = thick * rng.uniform(0.5, 1.1) * np.clip(1.15 - t, 0.15, 1) ** 0.7
        strokes.append((rng.uniform(-0.1, 1.1, 2) - steps.sum(axis=0) / 2 + np.cumsum(steps, axis=0), widths))
    light = rng.random() < 0.2
    colour = np.array([0.80, 0.68, 0.48]) if light else np.array([0.17, 0.11, 0.08]) * rng.uniform(0.3, 1.6)
    alpha = coverage(picture.shape[0], strokes)[..., None] * (0.6 if light else rng.uniform(0.7, 0.95))
    return picture * (1 - alpha) + alpha * colour


def add_ruler(rng: Generator, picture: Field) -> Field:
    """The picture (size, size, 3), in one case of four with a millimetre scale along an edge."""
    if rng.random() > 0.25:
        return picture
    slope, start, reach, side = (
        rng.uniform(-0.12, 0.12),
        rng.uniform(0.05, 0.3),
        rng.uniform(0.5, 0.65),
        rng.integers(4),
    )
    lines = [[(0.0, 0.0), (1.0, 0.0)]]
    lines += [[(k / 20, 0.0), (k / 20, -0.035 if k % 10 == 0 else -0.024 if k % 2 == 0 else -0.015)] for k in range(21)]
    lines += [[(x, 0.05), (x, 0.02), (x + 0.012, 0.04), (x + 0.024, 0.02), (x + 0.024, 0.05)] for x in (0.0, 0.036)]
    strokes = []
    for line in lines:
        points = np.array(line)
        along, across = start + reach * points[:, 0], 0.93 + slope * reach * (points[:, 0] - 0.5) + points[:, 1]
        strokes.append((np.stack([along, across], axis=1), np.full(len(line), 0.0045)))
    alpha = np.rot90(coverage(picture.shape[0], strokes), int(side))[..., None] * 0.85
    return picture * (1 - alpha) + alpha * 0.12


def add_bubbles(rng: Generator, picture: Field) -> Field:
    """The picture (size, size, 3) under gel bubbles: dark rim, bright crescent and a highlight; often none."""
    row, column = grid(picture.shape[0])
    light = rng.uniform(0, 2 * math.pi)
    for _ in range(rng.choice([0, 2, 5, 11], p=[0.5, 0.2, 0.2, 0.1])):
        y, x = rng.random(2)
        radius = math.exp(rng.uniform(math.log(0.008), math.log(0.045)))
        dy, dx = (row - y) / radius, (column - x) / radius
        distance, facing = np.hypot(dy, dx), np.cos(np.arctan2(dy, dx) - light)
        rim = np.exp(-(((distance - 1) / 0.16) ** 2))
        crescent = np.exp(-(((distance - 0.8) / 0.14) ** 2)) * np.clip(facing, 0, 1) ** 2
        glint = np.exp(-(((dy - 0.45 * math.sin(light)) ** 2 + (dx - 0.45 * math.cos(light)) ** 2) / 0.035))
        picture = picture * (1 - 0.28 * rim - 0.05 * (distance < 1))[..., None]
        picture = picture + (0.30 * crescent + 0.75 * glint)[..., None] * (1 - picture)
    return picture


def add_light(rng: Generator, picture: Field, mask: NDArray[np.bool_]) -> Field:
    """The picture (size, size, 3) in slanted light with a vignette, some with black corners clear of the lesion."""
    row, column = grid(picture.shape[0])
    slant, strength, falloff = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.22), rng.uniform(0, 0.55)
    light = 1 + strength * ((column - 0.5) * math.cos(slant) + (row - 0.5) * math.sin(slant))
    centre_y, centre_x = 0.5 + rng.normal(0, 0.03, 2)
    distance = np.hypot(row - centre_y, column - centre_x)
    light *= rng.uniform(0.92, 1.06) * (1 - falloff * distance**2)
    picture = picture * light[..., None] * (1 + rng.normal(0, [0.02, 0.015, 0.035]))
    aperture, edge = rng.uniform(0.5, 0.62), rng.uniform(0.004, 0.02)
    if rng.random() < 0.2 and np.mean(distance[mask] > aperture) < 0.02:
        picture = picture * (1 - 0.97 * smoothstep(distance, aperture - edge, aperture + edge))[..., None]
    return picture


def expose(rng: Generator, picture: Field) -> NDArray[np.uint8]:
    """The picture (size, size, 3) through lens and sensor: slight blur, noise, 8 bits."""
    sigma = rng.uniform(0.0012, 0.0035) * picture.shape[0]
    blurred = gaussian(picture, sigma=(sigma, sigma, 0), mode="nearest", preserve_range=True)
    noisy = blurred + rng.uniform(0.004, 0.012) * rng.standard_normal(picture.shape)
    return np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
