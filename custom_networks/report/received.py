"""A folder that somebody sent: its regular files are read, and nothing that lies outside it."""

from __future__ import annotations

import os
from pathlib import Path

from custom_networks.errors import UserError


def file_in(folder: Path, name: str) -> Path | None:
    """Find a file in a folder by a name that may come from the folder itself.

    Args:
        folder: that was given.
        name: of the file, from the folder, such as "cases/000003.npz".

    Returns:
        The file; None where there is none.

    Raises:
        UserError: for a name that leads out of the folder, a symlink on the way, or what is no regular file.
    """
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or "\0" in name:
        raise UserError(f"{folder}: {name!r} does not lie in this folder, so it is not read; evaluate the run again")
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise UserError(f"{path}: a symlink, which may lead out of the folder; put the file itself there")
    if not os.path.lexists(path):
        return None
    if not path.is_file():
        raise UserError(f"{path}: not a regular file; put the file there that sgdnet wrote")
    return path
