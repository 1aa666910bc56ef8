"""Which classes a baseline may be, by name: a record of weights is data, and no data may run code of its choice."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from custom_networks.errors import UserError, nearest

MODULES = ("custom_networks.baselines", "monai.networks.nets")
WORD = re.compile(r"[\w-]*")


def find_architecture(path: str) -> type[nn.Module]:
    """Find a class of `MODULES` by its path.

    Raises:
        UserError: for a path that leads elsewhere, or to what is no network.
    """
    module, _, name = str(path).rpartition(".")
    if module not in MODULES:
        raise UserError(f"architecture {path!r}: must be a class of {' or '.join(MODULES)}, such as {MODULES[1]}.UNet")
    found = getattr(importlib.import_module(module), name, None)
    if not (isinstance(found, type) and issubclass(found, nn.Module) and found.__module__.startswith(module)):
        known = dir(importlib.import_module(module))
        raise UserError(f"architecture {path!r}: {module} has no such network{nearest(name, known)}")
    return found


def check_recorded(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments of a record that could make a class load a file or fetch an address: text that is no plain word.

    Args:
        arguments: of `Baseline`, as a record has them.

    Raises:
        UserError: naming the argument.
    """
    options = arguments.get("options") or {}
    if not isinstance(options, Mapping):
        raise UserError(f"options {options!r}: must be names and values")
    for name, value in options.items():
        words = _words(value)
        if not WORD.fullmatch(str(name)) or str(name).startswith("pretrained"):
            raise UserError(f"options.{name}: no record has it, because it is no part of an architecture")
        wrong = next((word for word in words if not WORD.fullmatch(word)), None)
        if wrong is not None:
            raise UserError(f"options.{name} {wrong!r}: must be a plain word, as the names of layers are")


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [word for key, each in value.items() for word in (str(key), *_words(each))]
    return [word for each in value for word in _words(each)] if isinstance(value, list | tuple) else []
