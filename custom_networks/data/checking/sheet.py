"""The contact sheet of a check: images with the outlines of their labels, suspicious ones first."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.segmentation import find_boundaries

from custom_networks.colours import GREEN, ORANGE, PURPLE, SKY_BLUE, VERMILION, YELLOW
from custom_networks.data.checking.findings import Finding, FindingKind
from custom_networks.data.checking.run import Place, Report
from custom_networks.data.formats import read
from custom_networks.errors import UserError
from custom_networks.files import write_atomically

TILES, COLUMNS = 60, 10
PER_KIND = 12  # tiles of one kind at most, so that a common warning does not crowd out the others
CELL, MARGIN, CAPTION = 160, 6, 40
OUTLINE = (0, 160, 255)
OUTLINES = (OUTLINE, ORANGE, GREEN, YELLOW, VERMILION, PURPLE, SKY_BLUE)


def write_contact_sheet(path: Path, report: Report) -> None:
    """Draw the contact sheet of 60 tiles at most and write it as PNG.

    Args:
        path: the file.
        report: of a check; its files are read again, those drawn alone.

    Raises:
        UserError: where the file cannot be written.
    """
    tiles = _choose(report)
    rows = max(1, -(-len(tiles) // COLUMNS))
    columns = max(1, min(COLUMNS, len(tiles)))
    sheet = Image.new("RGB", (MARGIN + columns * (CELL + MARGIN), MARGIN + rows * (CELL + CAPTION)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for number, (place, lines) in enumerate(tiles):
        left = MARGIN + number % COLUMNS * (CELL + MARGIN)
        top = MARGIN + number // COLUMNS * (CELL + CAPTION)
        sheet.paste(_tile(place, report.labels[place.data_set].kind, report.bit_depth[place.data_set]), (left, top))
        for line, text in enumerate([Path(place.path).name, *lines]):
            colour = "black" if line == 0 else (176, 32, 32)
            draw.text((left, top + CELL + 1 + 12 * line), _fitted(text, font), fill=colour, font=font)
    buffer = BytesIO()
    sheet.save(buffer, format="PNG")
    write_atomically(path, lambda file: file.write(buffer.getvalue()))


def _choose(report: Report) -> list[tuple[Place, list[str]]]:
    """Choose what to show: errors, then a few of each warning, both pictures of a pair, then a spread of the rest."""
    place_of = {name: place for place in report.places for name in (place.path, place.label) if name}
    chosen: list[tuple[Place, list[str]]] = []
    shown: set[Place] = set()
    drawn: dict[FindingKind, int] = {}
    ordered = sorted(report.findings, key=lambda finding: (not finding.kind.is_error, not finding.other))
    for finding in ordered:
        places = [place_of[name] for name in (finding.path, finding.other) if name in place_of]
        if not places or drawn.get(finding.kind, 0) + len(places) > PER_KIND or shown >= set(places):
            continue
        drawn[finding.kind] = drawn.get(finding.kind, 0) + len(places)
        chosen += [(place, _caption(finding)) for place in places]
        shown |= set(places)
    rest = [place for place in report.places if place not in shown]
    free = max(0, TILES - len(chosen))
    spread = np.linspace(0, len(rest) - 1, min(free, len(rest))).round().astype(int).tolist()
    return [*chosen[:TILES], *((rest[index], []) for index in spread)]


def _caption(finding: Finding) -> list[str]:
    return [finding.kind.what.split(" (")[0], finding.detail if finding.other and not finding.kind.is_error else ""]


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    text = text[:CELL]  # a letter has a pixel at least
    if font.getlength(text) <= CELL:
        return text
    while text and font.getlength(text + "...") > CELL:
        text = text[:-1]
    return text + "..."


def _tile(place: Place, kind: str, depth: int | None) -> Image.Image:
    """Draw an image within a square cell, the outlines of its label upon it; a grey cell where it cannot be read."""
    cell = Image.new("RGB", (CELL, CELL), (224, 224, 224))
    try:
        picture = read(place.path, "image", depth).image
    except UserError:
        return cell
    picture.thumbnail((CELL, CELL), Image.Resampling.BICUBIC)
    pixels = np.array(picture)
    labels = _labels(place.label, kind, picture.size)
    if labels is not None:
        border = find_boundaries(labels, mode="inner")
        pixels[border] = _colours(labels[border], kind)
    cell.paste(Image.fromarray(pixels), ((CELL - picture.width) // 2, (CELL - picture.height) // 2))
    return cell


def _labels(path: str, kind: str, size: tuple[int, int]) -> NDArray[np.int32] | None:
    """Numbers of a label (H, W) at the size (W, H) of the tile; None where it cannot be read."""
    if not path:
        return None
    try:
        return np.asarray(read(path, kind).image.resize(size, Image.Resampling.NEAREST)).astype(np.int32)
    except UserError:
        return None


def _colours(numbers: NDArray[np.int32], kind: str) -> NDArray[np.uint8]:
    """Colour (N, 3) of each number from 1: one of masks, one for each class or instance, in turn."""
    if kind == "mask":
        return np.broadcast_to(np.array(OUTLINE, np.uint8), (len(numbers), 3))
    return np.array(OUTLINES, np.uint8)[(numbers - 1) % len(OUTLINES)]
