"""Before and after a bundle run: readable errors, refused misspellings, seeds, processes, and what the run leaves."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch.distributed as dist
from monai.bundle import ConfigParser
from monai.utils import set_determinism

from custom_networks.errors import UserError, nearest
from custom_networks.training.processes import start_process_group

DESCRIPTIONS = "_knobs_"
RUN_ARGUMENTS = (
    *("run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file"),
    *("workflow_name", "workflow_type"),
)


def find_user_error(error: BaseException | None) -> UserError | None:
    """Find the UserError behind what MONAI wrapped around it; None where there is none."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, UserError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _print_sentence(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    found = find_user_error(error)
    if found is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        print(f"Error: {found}", file=sys.stderr)


def knobs(config: Mapping[str, Any]) -> list[str]:
    """Names of a configuration's knobs: the keys of `_knobs_`, which describes them."""
    return list(config.get(DESCRIPTIONS, {}))


def check_overrides(names: Iterable[str], config: Mapping[str, Any]) -> None:
    """Refuse an override of something that is not in the configuration; MONAI would ignore it without a word.

    Args:
        names: of the overrides, `id#sub` or `id::sub` for nested ones.
        config: as the files have it.

    Raises:
        UserError: naming the override and the nearest knob.
    """
    for name in names:
        top = name.replace("::", "#").split("#")[0]
        if top not in config:
            known = knobs(config) or list(config)
            raise UserError(f"--{name}: no such setting{nearest(top, known) or '; see `sgdnet train --help`'}")


def _command_line() -> tuple[list[str], list[str]] | None:
    """Config files and override names of `python -m monai.bundle run ...`; None in any other program."""
    if Path(sys.argv[0]).parts[-3:] != ("monai", "bundle", "__main__.py") or sys.argv[1:2] != ["run"]:
        return None
    files: list[str] = []
    names: list[str] = []
    for position, word in enumerate(sys.argv):
        if not word.startswith("--"):
            continue
        name, _, value = word[2:].partition("=")
        names.append(name)
        if name == "config_file":
            value = value or sys.argv[position + 1]
            files = [part.strip(" '\"") for part in value.strip("[]()").split(",")]
    return files, [name for name in names if name not in RUN_ARGUMENTS]


def prepare(seed: int | None = None, distributed: bool = False) -> None:
    """Start of every run: errors as sentences, no unknown override, seeds, and the process group.

    Args:
        seed: for Python, NumPy and torch; None leaves them.
        distributed: whether torchrun started several processes.

    Raises:
        UserError: for an override that does not exist, or a process that torchrun did not start.
    """
    sys.excepthook = _print_sentence
    for name in ("monai", "ignite", "py.warnings"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    command = _command_line()
    if command is not None and command[0]:
        check_overrides(command[1], ConfigParser.load_config_files(command[0]))
    if distributed:
        start_process_group()
    if seed is not None:
        set_determinism(seed=seed)


def finish() -> None:
    """End of every run: leave the process group."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def read_config(files: Sequence[str | Path]) -> dict[str, Any]:
    """Read and merge configuration files.

    Raises:
        UserError: for a file that is missing or no JSON.
    """
    for file in map(Path, files):
        try:
            json.loads(file.read_text())
        except FileNotFoundError:
            siblings = [path.name for path in file.parent.glob("*.json")]
            raise UserError(f"{file}: no such configuration{nearest(file.name, siblings)}") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: not a JSON configuration ({error}); correct it") from None
    return dict(ConfigParser.load_config_files([str(file) for file in files]))
