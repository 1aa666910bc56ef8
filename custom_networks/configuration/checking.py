"""Overrides that exist and values that can be."""

from __future__ import annotations

import inspect
import json
import pydoc
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from custom_networks.configuration.knobs import GROUPS, UNREAD, knob_descriptions, knob_items
from custom_networks.configuration.merged import ABSENT, Configuration, item_path, look_behind, look_up, read_json
from custom_networks.data.depth import checked_depth
from custom_networks.errors import UserError, nearest
from custom_networks.files import printable
from custom_networks.flags import flag

MINIMA = {
    **{"fold": 0, "batch_size": 1, "max_epochs": 1, "num_workers": 0, "seed": 0},
    **{"val_interval": 1, "save_interval": 1, "warmup_epochs": 0},
}
RANGES = {"clip_norm": (0.0, float("inf")), "ema_decay": (0.0, 1.0)}
SWITCHES = ("amp", "cuda_graph", "checkpointing", "data_on_device", "cudnn_benchmark", "tf32", "deterministic")


def check_overrides(configuration: Configuration | None) -> None:
    """Refuse an override of something that is not in the configuration; MONAI would ignore it without a word.

    Args:
        configuration: of the run; None where another program than a command line drives it.

    Raises:
        UserError: naming the override and the nearest knob, or the nearest argument of what a nested one configures;
            for a knob without effect, because the item that it sets is given another value by its path.
    """
    if configuration is None:
        return
    unread = configuration.files.get(GROUPS, {}).get(UNREAD, [])
    for name in configuration.overrides:
        path = item_path(name).split("#")
        if name in unread:
            raise UserError(f"--{name}: is a setting of the training and has no effect here; leave it out")
        if path[0] not in configuration.files:
            known = list(knob_descriptions(configuration.files)) or list(configuration.files)
            raise UserError(f"--{name}: no such setting{nearest(path[0], known) or '; see `sgdnet train --help`'}")
        _check_place(f"--{name}", path, configuration.files)
        value = configuration.overrides[name]
        if isinstance(value, str) and printable(value) != value:  # records and tables are in UTF-8
            raise UserError(f"--{name} {printable(value)}: is not UTF-8; rename the folder or file")
        _check_argument(name, path, value, configuration.files)
    _check_overlays(configuration)
    for name, item in knob_items(configuration.files).items():
        value, taken = configuration.overrides.get(name), look_behind(configuration.merged, item)
        if name in configuration.overrides and taken != value:
            raise UserError(f"--{name} {value}: {item} is given, too, and is {taken}; both are one setting, give one")


def _check_place(name: str, path: Sequence[str], config: Mapping[str, Any]) -> None:
    """Refuse an item below one that is not there, or that nothing reads: in `train` each item is named by others."""
    for depth in range(1, len(path)):
        parent = look_up(config, "#".join(path[:depth]))
        if isinstance(parent, str):  # an expression or a reference, which MONAI replaces
            return
        last = depth == len(path) - 1
        reads_any = isinstance(parent, Mapping) and last and (depth > 1 or "_target_" in parent)
        if reads_any or look_up(config, "#".join(path[: depth + 1])) is not ABSENT:
            continue
        among = nearest(path[depth], parent) if isinstance(parent, Mapping) else ""
        if isinstance(parent, list):
            among = f"; it has {len(parent)} items, the first is 0"
        raise UserError(f"{name}: {'#'.join(path[:depth])} has no {path[depth]}{among}")


def _check_overlays(configuration: Configuration) -> None:
    """Refuse what an overlay misspells: the first file does not have it but a similar one, and nothing refers to it."""
    if not configuration.overlaid:
        return
    first = read_json(Path(configuration.paths[0]))
    knobs = list(knob_descriptions(first)) or list(first)
    text = item_path(json.dumps(configuration.files, ensure_ascii=False))
    for name in configuration.overlaid:
        path = item_path(name).split("#")
        if re.search(rf"[@%]{re.escape('#'.join(path))}\b", text):
            continue
        if path[0] in first:
            _check_place(f"overlay: {name}", path, first)
        elif similar := nearest(path[0], knobs):
            raise UserError(f"overlay: {name}: no such setting, and nothing refers to it{similar}")


def _check_argument(name: str, path: list[str], value: Any, config: Mapping[str, Any]) -> None:
    """Refuse an argument that the function or class of a nested override does not have, or text for a number."""
    parent: Any = config
    for part in path[:-1]:
        parent = parent.get(part) if isinstance(parent, Mapping) else None
    target = pydoc.locate(parent["_target_"]) if isinstance(parent, Mapping) and "_target_" in parent else None
    if callable(target):
        arguments = inspect.signature(target).parameters
        if path[-1] not in arguments and not path[-1].startswith("_"):
            raise UserError(f"--{name}: {path[-2]} has no such argument{nearest(path[-1], arguments)}")
        default = arguments[path[-1]].default if path[-1] in arguments else None
        is_text = isinstance(value, str) and not value.startswith(("$", "@", "%"))  # else MONAI computes it
        for kind, wanted in ((bool, "true or false"), ((int, float), "a number"), ((list, tuple), "a list")):
            if is_text and isinstance(default, kind):
                raise UserError(f"--{name} {value}: must be {wanted}")
            if isinstance(default, kind):
                break


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
    checked_depth(settings.get("bit_depth"))
    if "cache" in settings:
        from custom_networks.data.caching import check_cache

        check_cache(settings["cache"] or "none")
    rate = settings.get("learning_rate", 1.0)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < float("inf"):
        raise UserError(f"--learning_rate {rate}: must be a number above 0, such as 0.0001")
    angle = settings.get("rotation_degrees", 0)
    if isinstance(angle, bool) or not isinstance(angle, int | float) or not 0 <= angle <= 180:
        raise UserError(f"--rotation_degrees {angle}: must be a number of degrees from 0 to 180")
    _check_device(str(settings.get("device", "cpu")))
    for name, (low, high) in RANGES.items():
        value = settings.get(name, low)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < high:
            raise UserError(f"--{name} {value}: must be a number from {low:g} up, below {high:g}; {low:g} is off")
    for name in SWITCHES:
        if not isinstance(flag(settings.get(name, False)), bool):
            raise UserError(f"--{name} {settings[name]}: must be true or false")


def _check_device(device: str) -> None:
    """Refuse a device that is not there; the CPU always is, and is known without torch."""
    if device == "cpu":
        return
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise UserError(f"--device {device}: no such device; use cuda, cuda:0 or cpu") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {device}: no CUDA GPU to be had here; use --device cpu")
