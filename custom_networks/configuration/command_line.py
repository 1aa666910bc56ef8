"""Configuration files and overrides on the command line of `python -m monai.bundle run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from fire.parser import DefaultParseValue

RUN_ARGUMENTS = (
    *("run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file"),
    *("workflow_name", "workflow_type"),
)


def command_line() -> tuple[list[str], dict[str, Any]] | None:
    """Config files and overrides of `python -m monai.bundle run ...`; None in any other program."""
    if Path(sys.argv[0]).parts[-3:] != ("monai", "bundle", "__main__.py") or sys.argv[1:2] != ["run"]:
        return None
    values: dict[str, Any] = {}
    for position, word in enumerate(sys.argv):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            following = sys.argv[position + 1] if position + 1 < len(sys.argv) else "True"
            values[name] = DefaultParseValue(value if equals else following)
    files = values.get("config_file", [])
    overrides = {name: value for name, value in values.items() if name not in RUN_ARGUMENTS}
    return [files] if isinstance(files, str) else list(files), overrides
