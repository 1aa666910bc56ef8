"""What a verb returns to the command."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DONE, WRONG_INPUT, PART_FAILED, STOPPED = 0, 1, 2, 130
"""Exit codes of every verb: docs/commands.md."""


@dataclass(frozen=True)
class Result:
    """What came of a verb.

    Args:
        code: exit code.
        found: what `--json` prints; anything that JSON can hold.
    """

    code: int = DONE
    found: Any = None


def found_in(folder: Path, *names: str) -> dict[str, Any]:
    """Read the JSON files that a verb wrote, by name without extension, those that are there."""
    files = [folder / name for name in names if (folder / name).is_file()]
    return {"output_dir": str(folder), **{file.stem: json.loads(file.read_text("utf-8")) for file in files}}
