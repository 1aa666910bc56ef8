"""The contact sheet of a check: images with the outline of their masks, suspicious ones first."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from custom_networks.data.checking.findings import Finding, Kind
from custom_networks.data.checking.run import Place, Report
from custom_networks.data.images import MASK_THRESHOLD, mask_levels, read_picture, to_rgb
from custom_networks.errors import UserError
from custom_networks.files import write_atomically

TILES, COLUMNS = 60, 10
PER_KIND = 12  # tiles of one kind at most, so that a common warning does not crowd out the others
CELL, MARGIN, CAPTION = 160, 6, 40
OUTLINE = (0, 160, 255)


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
        sheet.paste(_tile(place), (left, top))
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
    drawn: dict[Kind, int] = {}
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
    if font.getlength(text) <= CELL:
        return text
    while text and font.getlength(text + "...") > CELL:
        text = text[:-1]
    return text + "..."


def _tile(place: Place) -> Image.Image:
    """Draw an image within a square cell, the outline of its mask upon it; a grey cell where it cannot be read."""
    cell = Image.new("RGB", (CELL, CELL), (224, 224, 224))
    try:
        picture = to_rgb(read_picture(place.path))
    except UserError:
        return cell
    picture.thumbnail((CELL, CELL), Image.Resampling.BICUBIC)
    pixels = np.array(picture)
    mask = _foreground(place.label, picture.size)
    if mask is not None:
        pixels[mask ^ ndimage.binary_erosion(mask, border_value=1)] = OUTLINE
    cell.paste(Image.fromarray(pixels), ((CELL - picture.width) // 2, (CELL - picture.height) // 2))
    return cell


def _foreground(label: str, size: tuple[int, int]) -> np.ndarray | None:
    """Foreground of a label at the size (W, H) of the tile; None where it cannot be read."""
    if not label:
        return None
    try:
        picture = read_picture(label)
        levels = np.asarray(mask_levels(picture))
        small = Image.fromarray(np.where(levels > MASK_THRESHOLD, 255, 0).astype(np.uint8))
        if picture.mode.startswith("I"):
            small = Image.fromarray(np.where(np.asarray(picture) > 0, 255, 0).astype(np.uint8))
    except UserError:
        return None
    return np.asarray(small.resize(size, Image.Resampling.NEAREST)) > 0
