"""Start of every run: checked overrides and values, a resumed run's own settings, the process group, seeds."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Mapping
from types import FrameType
from typing import Any

import monai.bundle
import torch

from custom_networks.allocator import keep_freed_memory
from custom_networks.configuration.checking import check_overrides, check_values
from custom_networks.configuration.command_line import command_line
from custom_networks.configuration.reading import read_config, remember_config, remembered_config
from custom_networks.processes import start_process_group
from custom_networks.run.resume import own_configuration
from custom_networks.training.reproducibility import set_reproducibility


def start_run(settings: Mapping[str, Any], distributed: bool = False) -> None:
    """Start of every run: no unknown override, no impossible value, the process group, and seeds.

    A run that `python -m monai.bundle run` resumes is started anew with its own configuration, and the process ends
    with it: the one on the command line is read already.

    Args:
        settings: every knob and its value; `seed` seeds Python, NumPy and torch.
        distributed: whether torchrun started several processes.

    Raises:
        UserError: for an override that does not exist, a value that cannot be, or a process that torchrun did not
            start.
    """
    command = command_line()
    if command is not None and command.files and not remembered_config():
        config = read_config(command.files)
        check_overrides(command.overrides, config)
        own = own_configuration(command.files, command.overrides)
        if own is not None:
            files, overrides, merged = own
            remember_config(merged, overrides)
            monai.bundle.run(config_file=files, **{**command.arguments, **overrides})
            sys.exit(0)
        remember_config(config, command.overrides)
    check_values(settings)
    if torch.device(str(settings.get("device", "cpu"))).type == "cpu":
        keep_freed_memory()
    if distributed:
        start_process_group()
    end_by_exception_on_sigterm()
    set_reproducibility(settings)


def end_by_exception_on_sigterm() -> None:
    """Let SIGTERM (a scheduler's preemption, `kill`) end the process as an exit does, so that the run is closed."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
