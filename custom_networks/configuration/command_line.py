"""The configuration that `python -m monai.bundle run` was given.

MONAI hands an expression no list of overrides, and takes one that it does not know without a word. The command line is
therefore read a second time by what MONAI reads it with: `fire`, for MONAI's own functions, and `update_kwargs`.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fire
from monai.bundle import ConfigWorkflow, run, run_workflow, update_kwargs
from monai.utils import ensure_tuple

from custom_networks.configuration.merged import Configuration

BESIDE = {"meta_file": "metadata.json", "logging_file": "logging.conf"}
"""What MONAI takes from the folder of the first configuration file, where it is not given."""
PROGRAM = "monai.bundle.__main__"


def from_command_line() -> Configuration | None:
    """Return the configuration that this process was started with; None in another program than MONAI's.

    Raises:
        UserError: for a configuration file that cannot be read.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return parse_command(sys.argv[1:]) if spec is not None and spec.name == PROGRAM else None


def parse_command(words: Sequence[str]) -> Configuration | None:
    """Read the command line of `python -m monai.bundle`.

    Args:
        words: those after `monai.bundle`.

    Returns:
        Its configuration; None for a command that runs none.
    """
    taken: dict[str, Any] = {}

    def recorded(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def record(*values: Any, **named: Any) -> None:
            taken.update(inspect.signature(function).bind(*values, **named).arguments)

        return record

    commands = {function.__name__: recorded(function) for function in (run, run_workflow)}
    if not words or words[0].replace("-", "_") not in commands:
        return None
    fire.Fire(commands, list(words), name="monai.bundle")
    named = {**taken.pop("override", {}), **taken.pop("kwargs", {})}
    arguments = update_kwargs(taken.pop("args_file", None), **taken, **named)
    files = arguments.pop("config_file", ())
    if isinstance(files, str):
        files = files.split(",")
    known = {"workflow_name", *inspect.signature(ConfigWorkflow).parameters}
    overrides = {name: value for name, value in arguments.items() if name not in known}
    further = {name: value for name, value in arguments.items() if name in known - {"workflow_name"}}
    if files:
        folder = Path(ensure_tuple(files)[0]).parent
        further = {**{name: str(folder / file) for name, file in BESIDE.items()}, **further}
    return Configuration.read(ensure_tuple(files), overrides, further)
