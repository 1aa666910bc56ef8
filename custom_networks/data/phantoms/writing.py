"""Write phantoms as a data set folder."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from custom_networks.data.phantoms.drawing import check_phantom, draw_phantom
from custom_networks.errors import UserError
from custom_networks.files import remove_unfinished, write_atomically


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
    check_phantom(seed, 0, size)
    names = [f"phantom_{index:03d}.png" for index in range(count)]
    for kind in ("images", "masks"):
        _prepare_folder(root / kind, set(names))
    for index, name in enumerate(names):
        image, mask = draw_phantom(seed, index, size)
        _write_png(root / "images" / name, image)
        _write_png(root / "masks" / name, mask)
    return root
