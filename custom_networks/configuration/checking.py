"""Overrides that exist and values that can be."""

from __future__ import annotations

import inspect
import pydoc
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from custom_networks.configuration.reading import knobs
from custom_networks.errors import UserError, nearest
from custom_networks.flags import flag

MINIMA = {"fold": 0, "batch_size": 1, "max_epochs": 1, "num_workers": 0, "seed": 0}


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
