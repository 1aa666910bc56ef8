"""Before and after a bundle run: readable errors, refused misspellings, seeds, processes, and what the run leaves."""

from __future__ import annotations

import inspect
import json
import logging
import pydoc
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist
from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser
from monai.utils import set_determinism

from custom_networks.allocator import keep_freed_memory
from custom_networks.errors import UserError, nearest
from custom_networks.training.processes import flag, start_process_group

DESCRIPTIONS = "_knobs_"
MINIMA = {"fold": 0, "batch_size": 1, "max_epochs": 1, "num_workers": 0, "seed": 0}
RUN_ARGUMENTS = (
    *("run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file"),
    *("workflow_name", "workflow_type"),
)

_remembered: dict[str, Any] = {}


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
        UserError: naming the override and the nearest knob, or the nearest argument of what a nested one configures.
    """
    for name in names:
        path = name.replace("::", "#").split("#")
        if path[0] not in config:
            known = knobs(config) or list(config)
            raise UserError(f"--{name}: no such setting{nearest(path[0], known) or '; see `sgdnet train --help`'}")
        parent: Any = config
        for part in path[:-1]:
            parent = parent.get(part) if isinstance(parent, Mapping) else None
        target = pydoc.locate(parent["_target_"]) if isinstance(parent, Mapping) and "_target_" in parent else None
        if len(path) > 1 and callable(target):
            arguments = inspect.signature(target).parameters
            if path[-1] not in arguments and not path[-1].startswith("_"):
                raise UserError(f"--{name}: {path[-2]} has no such argument{nearest(path[-1], arguments)}")


def _command_line() -> tuple[list[str], dict[str, Any]] | None:
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


def readable_errors() -> None:
    """Print a user's mistake as one sentence instead of a traceback; still the process ends with code 1."""
    sys.excepthook = _print_sentence
    for name in ("monai", "py.warnings"):
        logging.getLogger(name).setLevel(logging.WARNING)
    hush_absent_decoder()
    logging.getLogger("ignite").setLevel(logging.CRITICAL)  # the exception itself says what ignite would
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)


def hush_absent_decoder() -> None:
    """Silence MONAI, which tells of an absent GPU decoder for DICOM at every LoadImaged where pydicom is installed."""
    logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader")


def check_values(settings: Mapping[str, Any]) -> None:
    """Check the knobs that are numbers, switches or devices.

    Args:
        settings: every knob and its value.

    Raises:
        UserError: naming the knob, its value and what is wanted.
    """
    for name, minimum in MINIMA.items():
        value = settings.get(name, minimum)
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise UserError(f"--{name} {value}: must be a whole number from {minimum} up")
    rate = settings.get("learning_rate", 1.0)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < float("inf"):
        raise UserError(f"--learning_rate {rate}: must be a number above 0, such as 0.0001")
    device = str(settings.get("device", "cpu"))
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise UserError(f"--device {device}: no such device; use cuda, cuda:0 or cpu") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {device}: no CUDA GPU to be had here; use --device cpu")
    for name in ("amp", "checkpointing"):
        if not isinstance(flag(settings.get(name, False)), bool):
            raise UserError(f"--{name} {settings[name]}: must be true or false")


def prepare(settings: Mapping[str, Any], distributed: bool = False) -> None:
    """Start of every run: no unknown override, no impossible value, the process group, and seeds.

    Args:
        settings: every knob and its value; `seed` seeds Python, NumPy and torch.
        distributed: whether torchrun started several processes.

    Raises:
        UserError: for an override that does not exist, a value that cannot be, or a process that torchrun did not
            start.
    """
    command = _command_line()
    if command is not None and command[0]:
        config = read_config(command[0])
        check_overrides(command[1], config)
        remember_config(config, command[1])
    check_values(settings)
    if torch.device(str(settings.get("device", "cpu"))).type == "cpu":
        keep_freed_memory()
    if distributed:
        start_process_group()
    if "seed" in settings:
        set_determinism(seed=settings["seed"])


def remember_config(config: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Keep the merged configuration of this process, for the record of the run."""
    parser = ConfigParser(dict(config))
    parser.update(dict(overrides))
    _remembered.clear()
    _remembered.update(parser.get())


def remembered_config() -> dict[str, Any]:
    """Return the merged configuration of this process; empty where another program drives the bundle."""
    return dict(_remembered)


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
