"""Dermoscopy phantoms: skin-lesion pictures with outlines, drawn from a seed, for samples, the README and tests.

Every pixel is computed here from noise, curves and light absorption; nothing is copied, sampled or learnt from any data
set. The pictures show what makes the real task hard (skin from very light to very dark, ragged and faint borders,
several colours in one lesion, hairs, rulers, gel bubbles, freckles, black corners), but a score on them says nothing
clinical. A phantom depends on its seed, its index and its size alone; each layer has a random stream of its own.

Inside this module lengths are fractions of the picture's side, so that a scene is the same at every size, and colours
are RGB in 0..1.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.filters import gaussian
from skimage.measure import label

from custom_networks.errors import UserError
from custom_networks.files import remove_unfinished, write_atomically

Field = NDArray[np.float64]

MIN_SIZE = 64
AREA_RANGE = (0.02, 0.50)
"""Smallest and largest share of the picture that a lesion is drawn to fill."""

# Skin under a dermatoscope, Fitzpatrick I to VI, evenly spaced in tone.
_SKIN = np.array([(241, 216, 205), (228, 189, 170), (208, 162, 136), (178, 126, 98), (132, 86, 62), (88, 54, 40)]) / 255
# What each pigment takes out of red, green and blue light (optical density for one unit of it).
_MELANIN = np.array([0.42, 0.82, 1.15])
_BLOOD = np.array([0.12, 0.55, 0.45])
_DEEP_MELANIN = np.array([1.00, 0.80, 0.55])
_VEIL = np.array([0.50, 0.55, 0.63])
# Step of the additive recurrence that spreads tone, area and contrast evenly over any run of indices.
_EVEN_STEPS = np.array([0.8191725133961645, 0.6710436067037893, 0.5497004779019703])
_SUPERSAMPLE = 4


def _grid(size: int) -> tuple[Field, Field]:
    """Pixel centres as (row, column) fields, each (size, size), in fractions of the side."""
    axis = (np.arange(size) + 0.5) / size
    row, column = np.meshgrid(axis, axis, indexing="ij")
    return row, column


def _noise(rng: Generator, size: int, cells: int, octaves: int = 1, gain: float = 0.55) -> Field:
    """Smooth noise (size, size) of mean 0 and deviation about 1 (cubic B-spline lattices).

    The first octave has `cells` blobs a side; each further one is twice as fine and `gain` as strong.
    """
    field = np.zeros((size, size))
    for octave in range(octaves):
        count = cells * 2**octave
        lattice = gain**octave * rng.standard_normal((count + 3, count + 3))
        position = (np.arange(size) + 0.5) / size * count
        cell = position.astype(np.intp)
        t = position - cell
        weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
        rows = sum((w[:, None] * lattice[cell + k] for k, w in enumerate(weights)), np.zeros((size, count + 3)))
        field += sum((w[None, :] * rows[:, cell + k] for k, w in enumerate(weights)), np.zeros((size, size)))
    return field / (36 * 0.479 * math.sqrt(sum(gain ** (2 * octave) for octave in range(octaves))))


def _smoothstep(values: Field, low: float, high: float) -> Field:
    """0 up to `low`, 1 from `high` on, smooth between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _tessellation(rng: Generator, size: int, cells: int) -> tuple[Field, Field]:
    """Distances (size, size) to the nearest and second nearest of scattered points, in widths of a cell."""
    row, column = _grid(size)
    row = np.clip(row + 0.25 / cells * _noise(rng, size, cells // 2), 0, 1 - 1e-9) * cells
    column = np.clip(column + 0.25 / cells * _noise(rng, size, cells // 2), 0, 1 - 1e-9) * cells
    jitter = rng.uniform(0.12, 0.88, (2, cells + 2, cells + 2))
    i, j = row.astype(np.intp), column.astype(np.intp)
    first, second = np.full((size, size), 9.0), np.full((size, size), 9.0)
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            dy = i + di + jitter[0, i + di + 1, j + dj + 1] - row
            dx = j + dj + jitter[1, i + di + 1, j + dj + 1] - column
            distance = np.sqrt(dy * dy + dx * dx)
            second = np.minimum(second, np.maximum(first, distance))
            first = np.minimum(first, distance)
    return first, second


def _skin(rng: Generator, size: int, tone: float) -> Field:
    """Bare skin (size, size, 3): tone 0 (very light) to 1 (very dark), mottled, furrowed, with freckles."""
    stops = np.linspace(0, 1, len(_SKIN))
    base = np.array([np.interp(tone, stops, _SKIN[:, c]) for c in range(3)])
    base = base * (1 + rng.normal(0, [0.02, 0.025, 0.045]))
    mottle = 0.05 * _noise(rng, size, 3, 3)
    flush = rng.uniform(0, 0.10) * np.maximum(_noise(rng, size, 4, 3) + rng.uniform(-0.5, 1.0), 0)
    first, second = _tessellation(rng, size, int(rng.integers(26, 48)))
    furrows = rng.uniform(0.005, 0.035) * (1 - _smoothstep(second - first, 0.0, 0.25)) * (1 + _noise(rng, size, 6))
    grain = rng.uniform(0.012, 0.03) * _noise(rng, size, 40, 3, 0.9)
    melanin = mottle + furrows + grain + _freckles(rng, size)
    return base * np.exp(-melanin[..., None] * _MELANIN - flush[..., None] * _BLOOD)


def _freckles(rng: Generator, size: int) -> Field:
    """Melanin (size, size) of small brown spots that are not the lesion; often none."""
    row, column = _grid(size)
    melanin = np.zeros((size, size))
    wobble = 1 + 0.18 * _noise(rng, size, 40)
    for _ in range(rng.choice([0, 2, 7, 16], p=[0.35, 0.25, 0.25, 0.15])):
        y, x = rng.random(2)
        radius, strength = rng.uniform(0.006, 0.022), rng.uniform(0.15, 0.7)
        distance = np.hypot(row - y, (column - x) * rng.uniform(0.7, 1.4)) * wobble
        melanin = np.maximum(melanin, strength * (1 - _smoothstep(distance / radius, 0.2, 1.6)))
    return melanin


def _outline(rng: Generator, size: int, area: float) -> tuple[Field, NDArray[np.bool_]]:
    """The lesion's outline: height over it (positive inside) and mask, both (size, size).

    A closed curve of random harmonics, lobes and notches, stretched, turned and roughened by noise, is scaled until it
    fills the share `area` of the picture; some are cut by the picture's edge.
    """
    row, column = _grid(size)
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
    gauge += radius * rng.uniform(0.03, 0.12) * _noise(rng, size, max(3, round(1.2 / radius)), 4, 0.6)
    height = float(np.quantile(gauge, area)) - gauge
    mask = _one_piece(height > 0)
    return np.where(mask, np.abs(height), -np.abs(height)), mask


def _one_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part of a mask (size, size), its holes filled."""
    parts = label(mask, connectivity=1)
    mask = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    outside = label(np.pad(~mask, 1, constant_values=True), connectivity=2)
    return (outside != outside[0, 0])[1:-1, 1:-1]


def _opacity(rng: Generator, size: int, height: Field, radius: float) -> Field:
    """How much of the lesion shows, 0..1 (size, size): one half on the outline, sharp or fading along it."""
    fade = radius * math.exp(rng.uniform(math.log(0.025), math.log(0.17)))
    width = np.maximum(fade * np.exp(0.5 * _noise(rng, size, max(3, round(0.8 / radius)))), 0.0015)
    grain = np.exp(0.5 * _noise(rng, size, 36, 2, 0.8))  # a factor, so that half opacity stays on the outline
    return 1 / (1 + np.exp(-np.clip(grain * height / width, -30, 30)))


def _patch(rng: Generator, size: int, cells: int, cover: float) -> Field:
    """A cloud 0..1 (size, size) over about the share `cover` of the picture."""
    cloud = _noise(rng, size, cells, 4)
    edge = float(np.quantile(cloud, 1 - cover))
    return _smoothstep(cloud, edge - 0.9, edge + 0.9)


def _structure(rng: Generator, size: int) -> Field:
    """Pigment (size, size), mean about 0: a network of lines, globules, dots or plain clouds, present in parts."""
    first, second = _tessellation(rng, size, int(rng.integers(26, 52)))
    lines = 1 - _smoothstep(second - first, 0.0, 0.50)
    globules = 1 - _smoothstep(first, 0.05, 0.5)
    kind = rng.choice(4, p=[0.4, 0.25, 0.15, 0.2])
    drawn = (lines - 0.45, globules - 0.3, lines - globules, np.zeros((size, size)))[kind]
    drawn = rng.uniform(0.4, 0.8) * drawn * (0.3 + 0.7 * _patch(rng, size, 5, 0.65))
    return drawn + 0.15 * _noise(rng, size, 24, 3, 0.8)


def _paint_lesion(rng: Generator, skin: Field, opacity: Field, height: Field, radius: float, contrast: float) -> Field:
    """The skin (size, size, 3) with the lesion's pigments in it; `contrast` is its mean melanin."""
    size = len(skin)
    cells = max(3, round(1.3 / radius))
    depth = np.clip(height / radius, 0, 1)
    brown = 1 + 0.30 * _noise(rng, size, cells, 4) + rng.uniform(-0.5, 0.9) * (depth - 0.35)
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
        melanin *= 1 - 0.7 * _patch(rng, size, cells, rng.uniform(0.1, 0.3)) * _smoothstep(depth, 0.1, 0.4)
    pigments = ((melanin, _MELANIN), (blood, _BLOOD), (deep, _DEEP_MELANIN))
    density = sum((amount[..., None] * spectrum for amount, spectrum in pigments), np.zeros(skin.shape))
    lesion = skin * np.exp(-density) * (1 - veil)[..., None] + veil[..., None] * _VEIL * (0.35 + 0.65 * skin.mean())
    return skin + opacity[..., None] * (lesion - skin)


def _strokes(size: int, strokes: list[tuple[Field, Field]]) -> Field:
    """Coverage 0..1 (size, size) of strokes: points (n, 2) as (x, y), and the widths (n,) there."""
    scale = size * _SUPERSAMPLE
    canvas = Image.new("L", (scale, scale))
    draw = ImageDraw.Draw(canvas)
    for points, widths in strokes:
        ends = [(round(float(x) * scale), round(float(y) * scale)) for x, y in points]
        for start, end, width in zip(ends[:-1], ends[1:], widths, strict=False):
            draw.line((start, end), fill=255, width=max(1, round(float(width) * scale)))
    return np.asarray(canvas.reduce(_SUPERSAMPLE), dtype=np.float64) / 255


def _add_hairs(rng: Generator, picture: Field) -> Field:
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
    alpha = _strokes(picture.shape[0], strokes)[..., None] * (0.6 if light else rng.uniform(0.7, 0.95))
    return picture * (1 - alpha) + alpha * colour


def _add_ruler(rng: Generator, picture: Field) -> Field:
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
    alpha = np.rot90(_strokes(picture.shape[0], strokes), int(side))[..., None] * 0.85
    return picture * (1 - alpha) + alpha * 0.12


def _add_bubbles(rng: Generator, picture: Field) -> Field:
    """The picture (size, size, 3) under gel bubbles: dark rim, bright crescent and a highlight; often none."""
    row, column = _grid(picture.shape[0])
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


def _add_light(rng: Generator, picture: Field, mask: NDArray[np.bool_]) -> Field:
    """The picture (size, size, 3) in slanted light with a vignette, some with black corners clear of the lesion."""
    row, column = _grid(picture.shape[0])
    slant, strength, falloff = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.22), rng.uniform(0, 0.55)
    light = 1 + strength * ((column - 0.5) * math.cos(slant) + (row - 0.5) * math.sin(slant))
    centre_y, centre_x = 0.5 + rng.normal(0, 0.03, 2)
    distance = np.hypot(row - centre_y, column - centre_x)
    light *= rng.uniform(0.92, 1.06) * (1 - falloff * distance**2)
    picture = picture * light[..., None] * (1 + rng.normal(0, [0.02, 0.015, 0.035]))
    aperture, edge = rng.uniform(0.5, 0.62), rng.uniform(0.004, 0.02)
    if rng.random() < 0.2 and np.mean(distance[mask] > aperture) < 0.02:
        picture = picture * (1 - 0.97 * _smoothstep(distance, aperture - edge, aperture + edge))[..., None]
    return picture


def _expose(rng: Generator, picture: Field) -> NDArray[np.uint8]:
    """The picture (size, size, 3) through lens and sensor: slight blur, noise, 8 bits."""
    sigma = rng.uniform(0.0012, 0.0035) * picture.shape[0]
    blurred = gaussian(picture, sigma=(sigma, sigma, 0), mode="nearest", preserve_range=True)
    noisy = blurred + rng.uniform(0.004, 0.012) * rng.standard_normal(picture.shape)
    return np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)


def _check(seed: int, index: int, size: int) -> None:
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
    _check(seed, index, size)
    even = (np.random.default_rng(SeedSequence(seed)).random(3) + (index + 1) * _EVEN_STEPS) % 1.0
    tone, area = float(even[0]), AREA_RANGE[0] * (AREA_RANGE[1] / AREA_RANGE[0]) ** float(even[1])
    contrast = 0.36 * 5.0 ** float(even[2]) * (1 + 0.3 * tone)
    radius = math.sqrt(area / math.pi)
    layers = ("outline", "edge", "lesion", "skin", "ruler", "hairs", "bubbles", "light", "sensor")
    children = SeedSequence(seed, spawn_key=(index,)).spawn(len(layers))
    rng = {layer: np.random.default_rng(child) for layer, child in zip(layers, children, strict=True)}
    height, mask = _outline(rng["outline"], size, area)
    opacity = _opacity(rng["edge"], size, height, radius)
    picture = _paint_lesion(rng["lesion"], _skin(rng["skin"], size, tone), opacity, height, radius, contrast)
    picture = _add_ruler(rng["ruler"], _add_hairs(rng["hairs"], _add_bubbles(rng["bubbles"], picture)))
    picture = _add_light(rng["light"], picture, mask)
    return _expose(rng["sensor"], picture), mask.astype(np.uint8) * np.uint8(255)


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a PNG without metadata under a temporary name beside `path`, then rename it; equal bytes stay untouched."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=6)
    if path.is_file() and path.read_bytes() == buffer.getvalue():
        return
    write_atomically(path, lambda file: file.write(buffer.getvalue()))


def _prepare_folder(folder: Path, names: set[str]) -> None:
    """Make the folder; raise `UserError` if it cannot be one or holds anything but `names`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder, names)
        others = sorted({entry.name for entry in folder.iterdir()} - names)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{folder} cannot be made, a file is in its place; remove it or choose another.") from None
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another output folder") from None
    if others:
        raise UserError(
            f"{folder} holds {len(others)} other files than the phantoms to be written, {others[0]} for one; "
            "empty it or choose another output folder."
        )


def write_phantoms(output_dir: str | Path, count: int = 64, size: int = 256, seed: int = 0) -> Path:
    """Write phantoms 0 to count - 1 as `images/phantom_000.png` and `masks/phantom_000.png`, and so on.

    The same arguments give the same bytes (with the same numpy and Pillow). Each file is written under a temporary
    name and renamed, so a run that is broken off leaves no half picture. A second run leaves right files untouched,
    draws missing ones, and replaces those of another seed or size.

    Args:
        output_dir: folder to make or to complete.
        count: number of pairs, at least 1.
        size: side of the square pictures in pixels, at least 64.
        seed: which series, 0 or more.

    Returns:
        The folder, with `images` and `masks` in it.

    Raises:
        UserError: if count or size is too small, the seed is negative, or `images` or `masks` holds other files.
    """
    root = Path(output_dir)
    if count < 1:
        raise UserError(f"phantom count {count} leaves nothing to draw in {root}; use at least 1.")
    _check(seed, 0, size)
    names = [f"phantom_{index:03d}.png" for index in range(count)]
    for kind in ("images", "masks"):
        _prepare_folder(root / kind, set(names))
    for index, name in enumerate(names):
        image, mask = draw_phantom(seed, index, size)
        _write_png(root / "images" / name, image)
        _write_png(root / "masks" / name, mask)
    return root
