"""Start of every run: checked overrides and values, the process group, seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.utils import set_determinism

from custom_networks.allocator import keep_freed_memory
from custom_networks.configuration.checking import check_overrides, check_values
from custom_networks.configuration.command_line import command_line
from custom_networks.configuration.reading import read_config, remember_config
from custom_networks.processes import start_process_group


def start_run(settings: Mapping[str, Any], distributed: bool = False) -> None:
    """Start of every run: no unknown override, no impossible value, the process group, and seeds.

    Args:
        settings: every knob and its value; `seed` seeds Python, NumPy and torch.
        distributed: whether torchrun started several processes.

    Raises:
        UserError: for an override that does not exist, a value that cannot be, or a process that torchrun did not
            start.
    """
    command = command_line()
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
