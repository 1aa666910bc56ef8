"""Configuration files and overrides on the command line of `python -m monai.bundle run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

from fire.parser import DefaultParseValue

RUN_ARGUMENTS = (
    *("run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file"),
    *("workflow_name", "workflow_type"),
)


class CommandLine(NamedTuple):
    """What `python -m monai.bundle run` was given: files, overrides by id, and further arguments of its own."""

    files: list[str]
    overrides: dict[str, Any]
    arguments: dict[str, Any]


def command_line() -> CommandLine | None:
    """Config files and overrides of `python -m monai.bundle run ...`; None in any other program."""
    if Path(sys.argv[0]).parts[-3:] != ("monai", "bundle", "__main__.py") or sys.argv[1:2] != ["run"]:
        return None
    values: dict[str, Any] = {}
    if len(sys.argv) > 2 and not sys.argv[2].startswith("--"):
        values["run_id"] = sys.argv[2]
    for position, word in enumerate(sys.argv):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            following = sys.argv[position + 1] if position + 1 < len(sys.argv) else "True"
            values[name] = DefaultParseValue(value if equals else following)
    files = values.pop("config_file", [])
    overrides = {name: value for name, value in values.items() if name not in RUN_ARGUMENTS}
    arguments = {name: value for name, value in values.items() if name in RUN_ARGUMENTS}
    if files:
        first = Path(files if isinstance(files, str) else files[0])
        arguments.setdefault("meta_file", str(first.parent / "metadata.json"))
        arguments.setdefault("logging_file", str(first.parent / "logging.conf"))
    return CommandLine([files] if isinstance(files, str) else list(files), overrides, arguments)
