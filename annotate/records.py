"""Small JSON records that the server writes and reads back after a restart, and the numbers in their names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


def read_record(path: Path) -> dict[str, Any]:
    """Read an object; empty where the file is missing or holds none, with ? for half a surrogate pair."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content = json.loads(json.dumps(content, ensure_ascii=False).encode(errors="replace"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def numbered(folder: Path, ending: str = "") -> dict[int, Path]:
    """Find what the server has numbered in a folder, as 0001 or 0001.json; a copy such as `0001 (copy)` is passed over.

    Args:
        folder: where to look; it may be missing.
        ending: of the names.

    Returns:
        Paths by number, in the order of the numbers.
    """
    shape = re.compile(f"([0-9]{{4,9}}){re.escape(ending)}")
    found: dict[int, Path] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        name = shape.fullmatch(path.name)
        if name is not None and f"{int(name[1]):04}" == name[1]:
            found[int(name[1])] = path
    return dict(sorted(found.items()))
