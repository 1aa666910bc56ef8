"""Files: written whole or not at all, told apart by their SHA-256, journals read line by line."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

from custom_networks.errors import UserError


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file under a temporary name in the same folder, then rename it: never half a file.

    Args:
        path: the file; what is there stays until the new one is complete.
        write: called with the open binary file.

    Raises:
        UserError: where the folder cannot be made or written.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:32]}-", dir=path.parent)  # 255 bytes a name
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); free some space or choose another --output_dir"
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def remove_unfinished(folder: Path, names: Iterable[str]) -> None:
    """Remove what `write_atomically` left behind where its process was killed.

    Args:
        folder: that no other process writes now.
        names: of the files that were to be written.
    """
    for name in names:
        for path in folder.glob(f".{glob.escape(name[:32])}-*"):
            path.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; what JSON cannot hold is written as its text."""
    text = json.dumps(content, indent=2, default=str) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal; a large file is read piece by piece."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a journal, an object a line.

    Args:
        path: the file.

    Returns:
        The objects; a line that its writer could not finish is left out; empty where there is no file.

    Raises:
        UserError: for a file that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return [line for line in lines if isinstance(line, dict)]
